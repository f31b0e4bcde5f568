"""What gates show: whose an image is given in Figure 4's shuffles, and which channels are open for how many images."""

import torch
from torch import nn

from repro.data.augment import Augmentation
from repro.data.batches import DeviceBatches
from repro.data.modes import make_modes
from repro.exhibits.deepmoe_table2_cifar import shuffles
from repro.exhibits.deepmoe_table2_cifar.channels import how_open, open_by_class
from repro.exhibits.deepmoe_table2_cifar.shuffles import SHUFFLES, correct_when_shuffled, donors
from repro.families.deepmoe.config import DeepMoEConfig
from repro.families.deepmoe.model import build
from repro.families.deepmoe.steps import Asked
from repro.families.deepmoe.training import predict
from repro.families.single_gate.scales import default_spec
from repro.randomness import seeded_init
from tests import golden

CPU = torch.device("cpu")
CONFIG = DeepMoEConfig(backbone="tr10", width=0.0625, num_classes=20)
DRAWN = {
    "own class": [0, 13, 20, 15, 16, 11, 6, 1, 8, 9, 16, 5, 0, 13, 20, 3, 22, 11, 0, 19, 2, 15, 4, 23],
    "own superclass": [10, 3, 10, 5, 12, 15, 14, 15, 10, 19, 18, 1, 14, 9, 16, 11, 18, 9, 16, 21, 0, 11, 0, 15],
    "another superclass": [1, 0, 21, 6, 5, 2, 3, 22, 17, 20, 3, 14, 9, 6, 1, 10, 3, 18, 7, 8, 15, 16, 13, 6],
}  # fmt: skip
"""Six classes of two superclasses, four images each: who gives gates to each in the third draw of seed 1."""


def test_donors_are_of_the_class_or_superclass_they_shall_be_of_and_drawn_as_before() -> None:
    """Where they are not: raise the revision."""
    labels, superclass = torch.arange(24) % 6, torch.arange(6) % 2
    for shuffle in SHUFFLES:
        drawn = donors(labels, superclass, shuffle, 1, 2)
        same, near = labels[drawn] == labels, superclass[labels[drawn]] == superclass[labels]
        assert bool((same == (shuffle == SHUFFLES[0])).all()) and bool((near == (shuffle != SHUFFLES[2])).all())
        assert drawn.tolist() == DRAWN[shuffle] != donors(labels, superclass, shuffle, 1, 1).tolist()
    alone = donors(labels, torch.arange(6), "own superclass", 0, 0)
    assert set(alone.tolist()) == {-1}, "a class that is alone in its superclass has no such donor"


def test_the_revision_is_in_the_key() -> None:
    spec = default_spec("smoke", "modes").with_(width=0.0625)
    asked = Asked(spec=spec, model=CONFIG, recipe=spec.base_recipe)
    golden.each_revision_is_in_a_key(lambda: {"shuffles": shuffles.shuffles(asked).key}, shuffles.REVISIONS)


def test_a_network_that_ignores_its_gates_is_right_under_any_shuffle() -> None:
    with seeded_init(0, "test"):
        model, superclass = build(CONFIG), torch.arange(20) // 5
    source = DeviceBatches(make_modes("train", 200), Augmentation(), CPU)
    predictions = predict(model, source, CPU)
    same = torch.ones_like(predictions["gates"])
    with torch.no_grad():
        model.gating.heads.weight.fill_(1.0)  # W e is 1 for any e
    right = (predict(model, source, CPU)["logits"].argmax(1) == predictions["labels"]).float()
    for correct in correct_when_shuffled(model, source, CPU, same, superclass, 0).values():
        assert torch.equal(correct, right)
    alone = correct_when_shuffled(model, source, CPU, same, torch.arange(20), 0)
    assert bool((alone["own superclass"] == -1).all()) and bool((alone["own class"] >= 0).all())
    model.network.forward = lambda images, gates: gates[:, :20]  # type: ignore[method-assign, assignment]
    class_gates = nn.functional.pad(nn.functional.one_hot(source.labels, 20), (0, same.shape[1] - 20))
    correct_of = correct_when_shuffled(model, source, CPU, class_gates, superclass, 0)
    assert [correct_of[name].unique().tolist() for name in SHUFFLES] == [[1.0], [0.0], [0.0]], "gates are the donor's"


def test_a_channel_is_open_for_hardly_any_image_nearly_every_one_or_some() -> None:
    """200 images, layers of 3 and 2 channels: open for 0, 1 and 2 of the images; for 199 and all of them."""
    gates = torch.zeros(200, 5)
    for channel, images in enumerate((0, 1, 2, 199, 200)):
        gates[:images, channel] = 0.3
    assert how_open(gates, [3, 2]).tolist() == [[2, 0, 1], [0, 2, 0]]
    at_the_bounds = torch.zeros(100, 2, dtype=torch.bfloat16)
    at_the_bounds[:1, 0] = 1e-6  # 1 % of the images, and a gate that is small is open
    at_the_bounds[:99, 1] = 1.0
    assert how_open(at_the_bounds, [2]).tolist() == [[0, 0, 2]]


def test_by_class_each_image_counts_alike() -> None:
    """Layers of 2 and 1 channels; class 3 has two images, class 1 one, others none."""
    gates = torch.tensor([[0.5, 0.0, 1.0], [0.2, 0.1, 0.0], [0.0, 0.0, 3.0]])
    shares = open_by_class(gates, torch.tensor([3, 3, 1]), [2, 1])
    assert shares.tolist() == [[0.0, 1.0], [0.75, 0.5]]
