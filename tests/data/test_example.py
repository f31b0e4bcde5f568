"""A folder made of an image set: the set's own pixels, in the layout that one's own images should have."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from repro.data import example
from repro.data.folders import adopt
from repro.data.modes import make_modes


def test_ten_classes_as_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(example, "load", lambda name, split, root: make_modes(split, 80))
    folder = example.example_folder("modes", tmp_path)
    assert folder == tmp_path / "examples" / "modes-10"
    assert len(list((folder / "train").iterdir())) == len(list((folder / "val").iterdir())) == 10
    images = make_modes("train", 80)
    for index in (3, 23, 43):
        written = np.asarray(Image.open(folder / "train" / "class 03" / f"{index:05d}.png"))
        assert np.array_equal(written, images.images[index].transpose(1, 2, 0)) and images.labels[index] == 3
    monkeypatch.setattr(example, "load", None)  # the second time there is nothing to be made
    assert example.example_folder("modes", tmp_path) == folder
    adopted = adopt(folder, tmp_path)
    assert (adopted.num_train, adopted.num_validation, adopted.num_test) == (40, 20, 20)
