"""Order and augmentation are pure functions of (seed, epoch, image), of images in memory and of streamed ones."""

from pathlib import Path

import pytest
import torch
from PIL import Image

from repro.data.augment import Augmentation, cutout, draw_epoch, pad_crop, resized_crop, resized_crop_boxes
from repro.data.batches import BatchSource, DeviceBatches, epoch_order
from repro.data.dataset import Split
from repro.data.imagenet import index_imagenet
from repro.data.modes import make_modes
from repro.data.stream import StreamBatches
from repro.errors import DataError
from tests.conftest import write_pictures

CPU = torch.device("cpu")
EVERYTHING = Augmentation(crop="pad", pad=3, flip=True, cutout=6)
RESIZED = Augmentation(crop="resized", flip=True)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes of pictures of unlike sizes, laid out like ImageNet."""
    root = tmp_path_factory.mktemp("root")
    for i, path in enumerate(sorted(write_pictures(root / "imagenet", {"train": 12, "val": 4}).rglob("*.png"))):
        Image.open(path).resize((60, 50 + 3 * (i % 4))).save(path)
    return root


def streamed(root: Path, augmentation: Augmentation = RESIZED, split: Split = "train") -> StreamBatches:
    return StreamBatches(index_imagenet(split, root), augmentation, CPU, 32, 37)


@pytest.fixture(scope="module", params=["memory", "streamed"])
def source(request: pytest.FixtureRequest, root: Path) -> BatchSource:
    return streamed(root) if request.param == "streamed" else DeviceBatches(make_modes("train", 200), EVERYTHING, CPU)


def by_image(
    source: BatchSource, epoch: int, chosen: torch.Tensor | None = None, batch: int = 32
) -> dict[int, torch.Tensor]:
    return {int(i): x for b in source.train(7, epoch, batch, chosen) for i, x in zip(b.indices, b.images, strict=True)}


def test_an_image_looks_the_same_whenever_an_epoch_is_repeated_and_to_every_expert(source: BatchSource) -> None:
    first, again, other = by_image(source, 0), by_image(source, 0), by_image(source, 1)
    assert all(torch.equal(first[i], again[i]) for i in first)
    assert not all(torch.equal(first[i], other[i]) for i in first if i in other)
    chosen = torch.arange(len(source)) % 3 == 0
    everyone, some = by_image(source, 4, batch=4), by_image(source, 4, chosen, batch=4)
    assert len(some) == chosen.sum() // 4 * 4
    assert all(chosen[i] and torch.equal(some[i], everyone[i]) for i in some)


def test_epochs_hold_whole_batches_or_one_small_one_or_are_filled(source: BatchSource) -> None:
    batches = list(source.train(0, 0, 32))
    assert [len(b.labels) for b in batches] == [32] * source.num_steps(32) and source.num_steps(32) == len(source) // 32
    assert all(torch.equal(b.labels, source.labels[b.indices]) for b in batches)
    assert all(b.images.is_contiguous(memory_format=torch.channels_last) for b in batches)
    few = torch.arange(len(source)) < 10
    assert [b.images.shape for b in source.train(0, 0, 64, few)] == [(10, 3, 32, 32)] and source.num_steps(64, few) == 1
    filled, order = list(source.train(7, 3, 8, few, fill=True)), epoch_order(len(source), 7, 3, few)
    assert [len(b.labels) for b in filled] == [8, 8]
    assert torch.equal(torch.cat([b.indices for b in filled]), torch.cat([order, order[:6]]))
    assert [len(b.labels) for b in source.train(7, 3, 32, few, fill=True)] == [32], "each more than once"


def test_clean_batches_are_in_order_and_normalised(source: BatchSource) -> None:
    batches = list(source.clean(16))
    assert torch.cat([b.indices for b in batches]).tolist() == list(range(len(source)))
    chosen = torch.arange(len(source)) % 7 == 0
    clean = torch.cat([b.images for b in batches])
    assert torch.equal(torch.cat([b.images for b in source.clean(16, chosen)]), clean[chosen])
    if isinstance(source, DeviceBatches):  # of streamed ones, test_folders
        expected = (torch.from_numpy(make_modes("train", 200).images).float() / 255 - 0.5) / 0.25
        torch.testing.assert_close(clean, expected, atol=1e-5, rtol=1e-5)


def test_streamed_images_have_no_common_size_and_a_broken_file_is_named(root: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no common size"):
        streamed(root, EVERYTHING)
    for split in ("train", "val"):
        folder = tmp_path / "imagenet" / split / "n0"
        folder.mkdir(parents=True)
        (folder / "bad.JPEG").write_bytes(b"\xff\xd8 no image")
    with pytest.raises(DataError, match=r"bad\.JPEG cannot be read"):
        list(streamed(tmp_path, split="test").clean(1))


def test_crops_against_slices_and_cutout_is_clipped_at_the_borders() -> None:
    images = torch.randint(0, 256, (5, 12, 12, 3), dtype=torch.uint8)
    indices, offset = torch.tensor([4, 0, 2]), torch.tensor([[0, 0], [4, 4], [1, 3]])
    crops = pad_crop(images, indices, offset, 8)
    for crop, i, (top, left) in zip(crops, indices, offset.tolist(), strict=True):
        assert torch.equal(crop, images[i, top : top + 8, left : left + 8].permute(2, 0, 1))
    whole, floats = torch.tensor([[1.0, 0.0, 0.3, 0.9]]).expand(2, 4), torch.rand(2, 3, 16, 16) * 255
    torch.testing.assert_close(resized_crop(floats, whole, 16), floats, atol=1e-3, rtol=1e-3)
    out = cutout(torch.ones(2, 3, 8, 8), torch.tensor([[0, 0], [4, 7]]), 4)
    assert out[0].sum() == 3 * (64 - 2 * 2)  # rows and columns 0-1 are left of the square around 0
    assert out[1].sum() == 3 * (64 - 4 * 3) and (out[1][:, 2:6, 5:8] == 0).all()


def test_all_offsets_flips_and_holes_are_drawn_and_boxes_lie_inside_and_have_their_area() -> None:
    draws = draw_epoch(EVERYTHING, 2000, 32, 0, 0)
    assert (set(draws.offset.flatten().tolist()), set(draws.hole.flatten().tolist())) == ({*range(7)}, {*range(32)})
    assert 0.45 < draws.flip.float().mean() < 0.55
    draws = draw_epoch(Augmentation(crop="resized", min_area=0.08), 500, 32, 0, 0)
    extent, corner = resized_crop_boxes(draws.box)
    assert (corner >= 0).all() and (corner + extent <= 1 + 1e-6).all()
    inside = (extent < 1).all(1)
    torch.testing.assert_close(extent.prod(1)[inside], draws.box[inside, 0])
