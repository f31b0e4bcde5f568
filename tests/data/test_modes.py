"""The embedded set: its bytes, its modes, and what makes it a test of per-sample routing."""

import hashlib

import numpy as np
import pytest

from repro.data.modes import MODES_PER_CLASS, NUM_CLASSES, NUM_SCENES, PIXELS, all_modes, make_modes
from repro.errors import DataError


@pytest.mark.parametrize("split", ["train", "test"])
def test_same_bytes_on_every_machine(split: str) -> None:
    assert hashlib.sha256(make_modes(split).images.tobytes()).hexdigest() == PIXELS[split]


def test_every_class_has_its_modes_in_different_scenes() -> None:
    for label in range(NUM_CLASSES):
        scenes = [m.scene for m in all_modes() if m.label == label]
        assert len(scenes) == len(set(scenes)) == MODES_PER_CLASS[label % len(MODES_PER_CLASS)]


def test_every_scene_is_shared_by_classes_that_differ_in_their_glyph() -> None:
    for scene in range(NUM_SCENES):
        members = [m for m in all_modes() if m.scene == scene]
        assert len({m.label for m in members}) == len({m.glyph for m in members}) == len(members) == 5


def test_true_modes_belong_to_the_labels() -> None:
    images = make_modes("train", 1000)
    assert images.modes is not None
    assert [all_modes()[m].label for m in images.modes] == list(images.labels)


def test_a_smaller_set_is_the_beginning_of_the_larger() -> None:
    small, large = make_modes("test", 100), make_modes("test")
    assert np.array_equal(small.images, large.images[:100])
    assert np.array_equal(small.labels, large.labels[:100])


def test_splits_differ_and_classes_are_balanced() -> None:
    train, test = make_modes("train", 2000), make_modes("test", 2000)
    assert not np.array_equal(train.images, test.images)
    assert set(np.bincount(train.labels)) == {100}


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
