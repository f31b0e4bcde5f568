"""Which channels are open for hardly any image, for nearly every one, and for some."""

import torch

from repro.exhibits.deepmoe_table2_cifar.channels import how_open, open_by_class


def test_by_hand() -> None:
    """200 images, layers of 3 and 2 channels: open for 0, 1 and 2 of the images; for 199 and all of them."""
    gates = torch.zeros(200, 5)
    for channel, images in enumerate((0, 1, 2, 199, 200)):
        gates[:images, channel] = 0.3
    assert how_open(gates, [3, 2]).tolist() == [[2, 0, 1], [0, 2, 0]]


def test_at_the_bounds_a_channel_is_neither() -> None:
    gates = torch.zeros(100, 2, dtype=torch.bfloat16)
    gates[:1, 0] = 1e-6  # 1 % of the images, and a gate that is small is open
    gates[:99, 1] = 1.0
    assert how_open(gates, [2]).tolist() == [[0, 0, 2]]


def test_by_class_each_image_counts_alike() -> None:
    """Layers of 2 and 1 channels; class 3 has two images, class 1 one, others none."""
    gates = torch.tensor([[0.5, 0.0, 1.0], [0.2, 0.1, 0.0], [0.0, 0.0, 3.0]])
    found = open_by_class(gates, torch.tensor([3, 3, 1]), [2, 1])
    assert found.tolist() == [[0.0, 1.0], [0.75, 0.5]]
