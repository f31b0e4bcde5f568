"""Order and augmentation are pure functions of (seed, epoch, image)."""

import numpy as np
import pytest
import torch

from repro.data.augment import Augmentation, cutout, draw_epoch, pad_crop, resized_crop, resized_crop_boxes
from repro.data.batches import DeviceBatches, epoch_order
from repro.data.modes import make_modes

CPU = torch.device("cpu")
EVERYTHING = Augmentation(crop="pad", pad=3, flip=True, cutout=6)


@pytest.fixture(scope="module")
def source() -> DeviceBatches:
    return DeviceBatches(make_modes("train", 200), EVERYTHING, CPU)


def by_image(
    source: DeviceBatches, epoch: int, chosen: torch.Tensor | None = None, batch: int = 32
) -> dict[int, torch.Tensor]:
    return {int(i): x for b in source.train(7, epoch, batch, chosen) for i, x in zip(b.indices, b.images, strict=True)}


def test_an_epoch_can_be_repeated_and_the_next_differs(source: DeviceBatches) -> None:
    first, again, other = by_image(source, 0), by_image(source, 0), by_image(source, 1)
    assert all(torch.equal(first[i], again[i]) for i in first)
    assert not all(torch.equal(first[i], other[i]) for i in first if i in other)


def test_an_image_looks_the_same_to_every_expert_in_an_epoch(source: DeviceBatches) -> None:
    chosen = torch.arange(200) % 3 == 0
    everyone, some = by_image(source, 4, batch=8), by_image(source, 4, chosen, batch=8)
    assert len(some) >= 64
    assert all(chosen[i] and torch.equal(some[i], everyone[i]) for i in some)


def test_an_expert_visits_its_images_in_the_common_order() -> None:
    chosen = torch.arange(50) % 2 == 0
    common = [i for i in epoch_order(50, 1, 2).tolist() if chosen[i]]
    assert epoch_order(50, 1, 2, chosen).tolist() == common


def test_epochs_hold_whole_batches_or_one_small_one(source: DeviceBatches) -> None:
    sizes = [len(b.labels) for b in source.train(0, 0, 64)]
    assert sizes == [64, 64, 64] and source.num_steps(64) == 3
    few = torch.arange(200) < 10
    assert [len(b.labels) for b in source.train(0, 0, 64, few)] == [10] and source.num_steps(64, few) == 1


def test_clean_batches_are_the_normalised_images_in_order(source: DeviceBatches) -> None:
    images = make_modes("train", 200)
    clean = torch.cat([b.images for b in source.clean(64)])
    expected = (torch.from_numpy(images.images).float() / 255 - 0.5) / 0.25
    torch.testing.assert_close(clean, expected, atol=1e-5, rtol=1e-5)
    chosen = torch.arange(200) % 7 == 0
    assert torch.equal(torch.cat([b.images for b in source.clean(16, chosen)]), clean[chosen])
    assert all(b.images.is_contiguous(memory_format=torch.channels_last) for b in source.train(0, 0, 64))


def test_pad_crop_against_slices() -> None:
    images = torch.randint(0, 256, (5, 12, 12, 3), dtype=torch.uint8)
    indices, offset = torch.tensor([4, 0, 2]), torch.tensor([[0, 0], [4, 4], [1, 3]])
    crops = pad_crop(images, indices, offset, 8)
    for crop, i, (top, left) in zip(crops, indices, offset.tolist(), strict=True):
        assert torch.equal(crop, images[i, top : top + 8, left : left + 8].permute(2, 0, 1))


def test_cutout_is_clipped_at_the_borders() -> None:
    holes = torch.tensor([[0, 0], [4, 7]])
    out = cutout(torch.ones(2, 3, 8, 8), holes, 4)
    assert out[0].sum() == 3 * (64 - 2 * 2)  # rows and columns 0-1 are left of the square around 0
    assert out[1].sum() == 3 * (64 - 4 * 3)  # rows 2-5, columns 5-7
    assert (out[1][:, 2:6, 5:8] == 0).all()


def test_resized_crop_of_the_whole_image_is_the_image() -> None:
    images = torch.rand(2, 3, 16, 16) * 255
    whole = torch.tensor([[1.0, 0.0, 0.3, 0.9]]).expand(2, 4)
    torch.testing.assert_close(resized_crop(images, whole, 16), images, atol=1e-3, rtol=1e-3)


def test_resized_crop_boxes_lie_inside_and_have_their_area() -> None:
    draws = draw_epoch(Augmentation(crop="resized", min_area=0.08), 500, 32, 0, 0)
    extent, corner = resized_crop_boxes(draws.box)
    assert (corner >= 0).all() and (corner + extent <= 1 + 1e-6).all()
    inside = (extent < 1).all(1)
    torch.testing.assert_close(extent.prod(1)[inside], draws.box[inside, 0])


def test_every_offset_flip_and_hole_is_drawn() -> None:
    draws = draw_epoch(EVERYTHING, 2000, 32, 0, 0)
    assert set(draws.offset.flatten().tolist()) == set(range(7))
    assert 0.45 < draws.flip.float().mean() < 0.55
    assert np.array_equal(np.unique(draws.hole), np.arange(32))


def test_filled_batches_leave_nothing_out_and_have_one_shape(source: DeviceBatches) -> None:
    chosen = torch.arange(200) < 70
    filled = list(source.train(7, 3, 32, chosen, fill=True))
    assert [len(b.labels) for b in filled] == [32, 32, 32]
    order = epoch_order(200, 7, 3, chosen)
    assert torch.equal(torch.cat([b.indices for b in filled]), torch.cat([order, order[:26]]))
    assert [len(b.labels) for b in source.train(7, 3, 32, torch.arange(200) < 3, fill=True)] == [32]
