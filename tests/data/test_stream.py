"""Streamed batches: the same interface and the same randomness as batches in memory."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from repro.data.augment import Augmentation
from repro.data.imagenet import index_imagenet
from repro.data.stream import StreamBatches
from repro.errors import DataError

CPU = torch.device("cpu")
RESIZED = Augmentation(crop="resized", flip=True)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes of four noisy images of odd sizes, laid out like ImageNet."""
    root = tmp_path_factory.mktemp("root")
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        for label in range(3):
            folder = root / "imagenet" / split / f"n{label}"
            folder.mkdir(parents=True)
            for i in range(4):
                pixels = rng.integers(0, 256, (50 + 3 * i, 60, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{i}.JPEG", quality=95)
    return root


def source(root: Path, augmentation: Augmentation = RESIZED, split: str = "train") -> StreamBatches:
    return StreamBatches(index_imagenet(split, root), augmentation, CPU, 32, 37)  # type: ignore[arg-type]


def test_an_epoch_is_a_pure_function_of_seed_and_epoch(root: Path) -> None:
    first, again, other = (list(source(root).train(0, epoch, 5)) for epoch in (0, 0, 1))
    assert [len(b.labels) for b in first] == [5, 5] and source(root).num_steps(5) == 2
    assert all(torch.equal(a.images, b.images) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0].images, other[0].images)
    assert first[0].images.shape == (5, 3, 32, 32)
    assert first[0].images.is_contiguous(memory_format=torch.channels_last)


def test_labels_and_indices_belong_to_the_images(root: Path) -> None:
    streamed = source(root)
    for batch in streamed.train(0, 3, 4):
        assert torch.equal(batch.labels, streamed.labels[batch.indices])


def test_an_expert_sees_an_image_as_everyone_does(root: Path) -> None:
    chosen = torch.arange(12) % 2 == 0
    everyone = {int(i): x for b in source(root).train(1, 0, 3) for i, x in zip(b.indices, b.images, strict=True)}
    some = {int(i): x for b in source(root).train(1, 0, 3, chosen) for i, x in zip(b.indices, b.images, strict=True)}
    assert len(some) == 6 and all(torch.equal(some[i], everyone[i]) for i in some)


def test_clean_batches_are_centres_in_order(root: Path) -> None:
    batches = list(source(root, split="test").clean(5))
    assert torch.cat([b.indices for b in batches]).tolist() == list(range(12))
    chosen = torch.arange(12) >= 10
    (last,) = source(root, split="test").clean(5, chosen)
    assert torch.equal(last.images, batches[2].images)


def test_padding_makes_no_sense_here(root: Path) -> None:
    with pytest.raises(DataError, match="no common size"):
        source(root, Augmentation(crop="pad"))


def test_a_broken_file_is_named(root: Path, tmp_path: Path) -> None:
    for split in ("train", "val"):
        folder = tmp_path / "imagenet" / split / "n0"
        folder.mkdir(parents=True)
        (folder / "bad.JPEG").write_bytes(b"\xff\xd8 no image")
    with pytest.raises(DataError, match=r"bad\.JPEG cannot be read"):
        list(source(tmp_path, split="test").clean(1))
