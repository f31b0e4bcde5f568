"""The embedded set: its bytes, its modes, and what makes it a test of per-sample routing."""

import hashlib

import numpy as np
import pytest

from repro.data.modes import PIXELS, all_modes, make_modes
from repro.errors import DataError


@pytest.mark.parametrize("split", ["train", "test"])
def test_same_bytes_on_every_machine(split: str) -> None:
    assert hashlib.sha256(make_modes(split).images.tobytes()).hexdigest() == PIXELS[split]


def test_true_modes_belong_to_the_labels() -> None:
    images = make_modes("train", 1000)
    assert images.modes is not None
    assert [all_modes()[m].label for m in images.modes] == list(images.labels)


def test_a_smaller_set_is_the_beginning_of_the_larger() -> None:
    small, large = make_modes("test", 100), make_modes("test")
    assert np.array_equal(small.images, large.images[:100])
    assert np.array_equal(small.labels, large.labels[:100])


@pytest.mark.parametrize(("split", "count"), [("train", 3), ("test", 10**6)])
def test_what_does_not_exist(split: str, count: int) -> None:
    with pytest.raises(DataError, match="modes"):
        make_modes(split, count)


def test_holdout_is_stratified_and_disjoint() -> None:
    train = make_modes("train", 400)
    fit, validation = train.holdout(0.1)
    assert (len(fit), len(validation)) == (360, 40)
    assert set(np.bincount(validation.labels)) == {2}
    seen = {image.tobytes() for image in fit.images}
    assert not any(image.tobytes() in seen for image in validation.images)
