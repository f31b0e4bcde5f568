"""tiny-ImageNet: labels, pixels and names are the official ones, and every kind of damage is named."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from repro.data import tiny_imagenet
from repro.data.tiny_imagenet import load_tiny_imagenet
from repro.errors import DataError
from tests.helpers import flip_a_byte

KING_PENGUIN = "n02056570"


def train_image(root: Path, index: int = 0) -> Path:
    return root / "tiny-imagenet-200" / "train" / KING_PENGUIN / "images" / f"{KING_PENGUIN}_{index}.JPEG"


def caches(root: Path) -> list[str]:
    return sorted(p.name for p in (root / "cache").iterdir()) if (root / "cache").exists() else []


def test_labels_follow_the_sorted_ids(fake_tiny: Path) -> None:
    train, test = (load_tiny_imagenet(split, fake_tiny) for split in ("train", "test"))
    assert train.class_names == test.class_names == ("n01443537 goldfish", "n02056570 king penguin")
    assert train.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert test.labels.tolist() == [1, 0, 1, 0]
    expected = np.asarray(Image.open(train_image(fake_tiny, 2))).transpose(2, 0, 1)
    assert np.array_equal(train.images[5], expected)
    assert np.array_equal(test.images[0, 0], test.images[0, 1]), "a grey image becomes RGB"
    half = load_tiny_imagenet("train", fake_tiny, 32).images
    assert half.shape == (6, 3, 32, 32), "averages of 2 by 2"
    assert np.abs(train.images.astype(float).reshape(6, 3, 32, 2, 32, 2).mean((3, 5)) - half).max() <= 0.5
    shutil.rmtree(fake_tiny / "tiny-imagenet-200")
    again = load_tiny_imagenet("train", fake_tiny)
    assert isinstance(again.images, np.memmap) and not again.images.flags.writeable, "the cache alone is read"
    assert np.array_equal(again.images, train.images) and again.class_names == train.class_names


def test_boxes_end_after_their_last_pixel_and_follow_the_size(fake_tiny: Path) -> None:
    annotations = fake_tiny / "tiny-imagenet-200/val/val_annotations.txt"
    lines = annotations.read_text().splitlines()
    lines[1] = "\t".join([*lines[1].split("\t")[:2], "10", "4", "10", "63"])  # one pixel wide, down to the last row
    annotations.write_text("\n".join(lines) + "\n")
    full, half = (load_tiny_imagenet("test", fake_tiny, size).boxes for size in (64, 32))
    assert full is not None and half is not None
    assert full[:2].tolist() == [[0, 0, 63, 63], [10, 4, 11, 64]] and np.array_equal(full / 2, half)
    assert load_tiny_imagenet("train", fake_tiny).boxes is None
    annotations.write_text(annotations.read_text().replace("\t62\t62", "", 1))
    with pytest.raises(DataError, match=r"val_annotations\.txt, line 1 has no box"):
        load_tiny_imagenet("test", fake_tiny)
    annotations.write_text(annotations.read_text().partition("\n")[2])
    with pytest.raises(DataError, match=r"val_annotations\.txt has \d+ lines for \d+ images"):
        load_tiny_imagenet("test", fake_tiny)
    annotations.unlink()
    assert load_tiny_imagenet("test", fake_tiny).boxes is None, "only boxes need it, once images are decoded"


@pytest.mark.parametrize("name", ["wnids.txt", "words.txt", "val/val_annotations.txt", "val/images/val_2.JPEG"])
def test_a_missing_file_is_named(fake_tiny: Path, name: str) -> None:
    (fake_tiny / "tiny-imagenet-200" / name).unlink()
    with pytest.raises(DataError, match=f"is not in {fake_tiny}: .*tiny-imagenet-200/{name} is missing; run"):
        load_tiny_imagenet("test", fake_tiny)


def test_a_class_that_is_missing_or_of_another_size_is_named(fake_tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for index in range(3):
        train_image(fake_tiny, index).unlink()
    with pytest.raises(DataError, match=f"class {KING_PENGUIN} has 0 train images, not 1"):
        load_tiny_imagenet("train", fake_tiny)
    shutil.rmtree(train_image(fake_tiny).parent)
    with pytest.raises(DataError, match=f"train/{KING_PENGUIN}/images is missing"):
        load_tiny_imagenet("train", fake_tiny)
    monkeypatch.setattr(tiny_imagenet, "OFFICIAL_CLASSES", 2)
    with pytest.raises(DataError, match="class n01443537 has 2 test images, not 50"):
        load_tiny_imagenet("test", fake_tiny)


def test_a_bad_line_is_named(fake_tiny: Path) -> None:
    """Of damaged ones, hundreds are tried by ``benchmarks.bad_input``."""
    with open(fake_tiny / "tiny-imagenet-200" / "val/val_annotations.txt", "a", encoding="utf-8") as annotations:
        annotations.write("val_0.JPEG\tn99999999\t0\t0\t1\t1\n")
    with pytest.raises(DataError, match=r"val_annotations.txt, line 5: .* is not a class of wnids\.txt"):
        load_tiny_imagenet("test", fake_tiny)


def test_damaged_images_are_named_and_leave_no_cache(fake_tiny: Path) -> None:
    path = train_image(fake_tiny, 1)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DataError, match=rf"{path.name} cannot be read as an image \(.*; replace it"):
        load_tiny_imagenet("train", fake_tiny)
    assert caches(fake_tiny) == []
    Image.new("RGB", (64, 48)).save(path, format="JPEG")
    with pytest.raises(DataError, match=rf"{path.name} is 64x48 pixels, not 64x64"):
        load_tiny_imagenet("train", fake_tiny)
    assert caches(fake_tiny) == []


def test_a_stop_in_the_middle_or_a_full_disk_leaves_nothing(fake_tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decode = tiny_imagenet.decode_image

    def stopped(path: Path, size: int) -> np.ndarray:
        if path.name.endswith("_2.JPEG"):
            raise KeyboardInterrupt
        return decode(path, size)

    monkeypatch.setattr(tiny_imagenet, "decode_image", stopped)
    with pytest.raises(KeyboardInterrupt):
        load_tiny_imagenet("train", fake_tiny)
    assert caches(fake_tiny) == []
    monkeypatch.setattr(tiny_imagenet, "decode_image", decode)
    usage = shutil.disk_usage(fake_tiny)._replace(free=1000)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: usage)
        with pytest.raises(DataError, match=r"cannot be written: the decoded images take .* GB and the disk has"):
            load_tiny_imagenet("train", fake_tiny)
    assert caches(fake_tiny) == []
    assert len(load_tiny_imagenet("train", fake_tiny)) == 6


def test_a_cache_that_is_not_whole_is_refused(fake_tiny: Path) -> None:
    load_tiny_imagenet("train", fake_tiny)
    cache = tiny_imagenet.cache_folder("train", fake_tiny, 64)
    assert not tiny_imagenet.damaged_caches(fake_tiny)
    flip_a_byte(cache / "images.npy")
    ((damaged, finding),) = tiny_imagenet.damaged_caches(fake_tiny).items()
    assert damaged == cache and finding.startswith(f"{cache / 'images.npy'} has changed since it was decoded")
    np.save(cache / "labels.npy", np.load(cache / "labels.npy") + 1)
    with pytest.raises(DataError, match="train is not a whole cache of tiny-imagenet; delete that folder"):
        load_tiny_imagenet("train", fake_tiny)


@pytest.mark.real
def test_the_real_set(real_data_root: Callable[..., Path]) -> None:
    """The test split, decoded where its cache is absent."""
    root = real_data_root("tiny-imagenet-200/wnids.txt")
    test = load_tiny_imagenet("test", root, 32)
    assert test.images.shape == (10_000, 3, 32, 32) and np.bincount(test.labels).tolist() == [50] * 200
    assert test.class_names[test.labels[0]] == "n03444034 go-kart"  # val_0.JPEG of the official annotations
    assert len(set(test.class_names)) == 200 and "n02056570 king penguin" in test.class_names
    path = root / "tiny-imagenet-200/val/images/val_9999.JPEG"
    assert np.array_equal(test.images[9999], tiny_imagenet.decode_image(path, 32))
