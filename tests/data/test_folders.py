"""Anybody's folder of images: its three parts by rule, known by content, and what is wrong with it said."""

import os
import shutil
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from PIL import Image

from repro.data.augment import Augmentation
from repro.data.folders import _say_once, adopt, decode, example_folder, index_folder, pixel_digests
from repro.data.modes import make_modes
from repro.data.stream import StreamBatches
from repro.errors import DataError


def test_a_folder_is_known_by_its_content_which_is_looked_through_once(
    picture_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = Mock(side_effect=pixel_digests)
    monkeypatch.setattr("repro.data.folders.pixel_digests", look)
    first = adopt(picture_folder, tmp_path)
    assert adopt(picture_folder, tmp_path) == first and look.call_count == 1
    (tmp_path / "cache" / "folders" / f"{first.digest}.json").write_text("half a fi")
    assert adopt(picture_folder, tmp_path) == first and look.call_count == 2
    assert (first.name, first.num_classes, first.num_train) == ("my-pictures", 3, 120)
    moved = tmp_path / "elsewhere"
    picture_folder.rename(moved)
    assert adopt(moved, tmp_path).digest == first.digest
    assert index_folder(first, "train", tmp_path).paths[0].startswith(str(moved))
    Image.new("RGB", (40, 36)).save(moved / "train" / "sky" / "000.png")
    changed = adopt(moved, tmp_path)
    assert changed.digest != first.digest
    (moved / "val" / "sky" / "009.png").unlink()
    assert adopt(moved, tmp_path).digest not in (first.digest, changed.digest)


def test_the_index_is_train_or_the_rest_and_in_memory_and_streamed_are_the_same_pixels(
    picture_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rest is validation, then test."""
    folder = adopt(picture_folder, tmp_path)
    train, rest = (index_folder(folder, split, tmp_path) for split in ("train", "test"))
    assert (len(train), len(rest), rest.class_names) == (120, 30, ("apple", "leaf", "sky"))
    assert rest.labels.tolist() == [0] * 5 + [1] * 5 + [2] * 5 + [0] * 5 + [1] * 5 + [2] * 5
    assert all(os.path.exists(path) for path in train.paths)
    whole = decode(rest, 24)
    assert whole.images.shape == (30, 3, 24, 24) and whole.labels.tolist() == rest.labels.tolist()
    (batch,) = StreamBatches(rest, Augmentation(), torch.device("cpu"), 24, 24).clean(30)
    std, mean = (np.array(values)[:, None, None] for values in (rest.std, rest.mean))
    torch.testing.assert_close(batch.images, torch.tensor((whole.images / 255 - mean) / std, dtype=torch.float32))
    monkeypatch.setattr("repro.data.folders.IN_MEMORY", 1e4)
    with pytest.raises(DataError, match="of memory; choose crop resized"):
        decode(rest, 24)
    shutil.rmtree(tmp_path / "cache")
    with pytest.raises(DataError, match=r"where the images of my-pictures .* is not known.*run again with"):
        index_folder(folder, "train", tmp_path)


def test_what_is_wrong_is_said(picture_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"there is no folder .*nowhere"):
        adopt(tmp_path / "nowhere", tmp_path)
    for name in ("007.png", "008.png"):
        (picture_folder / "train" / "leaf" / name).write_bytes(b"\x89PNG")
    sentence = r"leaf/007.png cannot be read as an image .* \(and 1 more\); or take it out of .*My Pictures"
    with pytest.raises(DataError, match=sentence):
        adopt(picture_folder, tmp_path)


def test_images_that_are_trained_on_and_tested_on_are_said(
    picture_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same pixels, whatever the kind of file."""
    picture = Image.open(picture_folder / "train" / "sky" / "007.png")
    picture.save(picture_folder / "val" / "sky" / "twin.bmp")
    for suffix in (".webp", ".tif", ".tiff", ".gif", ".jfif", ".JPG", ".ppm"):
        picture.save(picture_folder / "train" / "sky" / f"more{suffix}")
    for _ in range(2):
        _say_once.cache_clear()
        assert adopt(picture_folder, tmp_path).num_train == 120 + 7
        printed = capsys.readouterr().err
        assert "1 of 31 validation and test images are also training images, e.g. val/sky/twin.bmp is train/" in printed


def test_ten_classes_as_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("repro.data.folders.load", lambda name, split, root: make_modes(split, 80))
    folder = example_folder("modes", tmp_path)
    assert folder == tmp_path / "examples" / "modes-10"
    assert len(list((folder / "train").iterdir())) == len(list((folder / "val").iterdir())) == 10
    images = make_modes("train", 80)
    for index in (3, 23, 43):
        written = np.asarray(Image.open(folder / "train" / "class 03" / f"{index:05d}.png"))
        assert np.array_equal(written, images.images[index].transpose(1, 2, 0)) and images.labels[index] == 3
    monkeypatch.setattr("repro.data.folders.load", None)  # the second time there is nothing to be made
    assert example_folder("modes", tmp_path) == folder
    adopted = adopt(folder, tmp_path)
    assert (adopted.num_train, adopted.num_validation, adopted.num_test) == (40, 20, 20)
