"""Three parts of a folder by rule: names of splits, classes, what is left out, and what is ambiguous."""

import shutil
from pathlib import Path

import pytest

from repro.data.layout import layout, shuffled
from repro.errors import DataError
from tests.conftest import write_pictures


def test_which_part_depends_on_the_name_alone(picture_folder: Path, tmp_path: Path) -> None:
    """Not on where the folder lies, in what order it was filled, or what the class is called, be it ``train``.

    Of splits, each class of ``val`` is halved.
    """
    parts = layout(picture_folder).parts
    assert [len(parts[part]) for part in ("train", "validation", "test")] == [120, 15, 15]
    assert all([c for _, c in parts[part]].count(label) == 5 for part in ("validation", "test") for label in range(3))
    validation, test = ({path for path, _ in parts[part]} for part in ("validation", "test"))
    assert not validation & test and all(path.startswith("val/") for path in validation | test)
    first, second = (write_pictures(tmp_path / name, {"": 20}) for name in ("a", "b"))
    (second / "sky").rename(second / "train")
    for path in sorted((second / "apple").iterdir(), reverse=True):
        shutil.copy(path, path.with_suffix(".copy"))
        path.unlink()
        path.with_suffix(".copy").rename(path)
    (one, a, _), (two, b, _) = layout(first), layout(second)
    assert (one, two) == (["apple", "leaf", "sky"], ["apple", "leaf", "train"])
    assert a == {part: [(path.replace("train", "sky"), c) for path, c in images] for part, images in b.items()}
    assert [len(a[part]) for part in ("train", "validation", "test")] == [48, 6, 6]
    assert len({path for images in a.values() for path, _ in images}) == 60
    assert shuffled(["b.png", "a.png", "c.png"]) == shuffled(["c.png", "b.png", "a.png"])
    assert shuffled([f"{i}.png" for i in range(20)]) != sorted(f"{i}.png" for i in range(20))


@pytest.mark.parametrize("names", [("TRAIN", "validation"), ("Training", "Val"), ("train", "dev"), ("train", "test")])
def test_splits_are_no_classes_by_whatever_usual_name(names: tuple[str, str], tmp_path: Path) -> None:
    train, held = names
    classes, parts, notes = layout(write_pictures(tmp_path / "a", {train: 4, held: 2}))
    assert classes == ["apple", "leaf", "sky"]
    assert [len(parts[part]) for part in ("train", "validation", "test")] == [12, 3, 3]
    assert notes[0].startswith(f"{train} as train, each class of {held} halved into validation and test; 3 classes")
    assert notes[0].endswith("apple (4 + 1 + 1), leaf (4 + 1 + 1), sky (4 + 1 + 1)")


def test_all_three_splits(tmp_path: Path) -> None:
    _, parts, notes = layout(write_pictures(tmp_path / "a", {"train": 4, "valid": 1, "test": 2}))
    assert [len(parts[part]) for part in ("train", "validation", "test")] == [12, 3, 6]
    assert notes[0].startswith("train as train, valid as validation, test as test; 3 classes")


@pytest.mark.parametrize(
    ("counts", "sentence"),
    [
        ({"train": 3, "training": 3, "val": 3}, "train and training both stand for train"),
        ({"train": 3}, "train is taken as a split by its name, and train is needed beside val or test"),
        ({"val": 3, "test": 3}, "val, test is taken as a split"),
        ({"lern": 3, "probe": 3}, "lern and probe both hold apple and leaf; if they are splits, call them train, val"),
        ({"": 2}, "apple holds 2 images; three are needed"),
        ({"train": 3, "val": 1}, "val/apple holds one image; two are needed"),
    ],
)
def test_what_is_ambiguous_or_too_little_is_refused(counts: dict[str, int], sentence: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=sentence):
        layout(write_pictures(tmp_path / "a", counts))


def test_splits_that_do_not_fit_together_are_refused(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "a", {"train": 3, "val": 3})

    def refused(sentence: str) -> None:
        with pytest.raises(DataError, match=sentence):
            layout(folder)

    (folder / "val" / "sky").rename(folder / "val" / "sea")
    refused("train and val must hold the same classes, but 2 stand in one only, e.g. 'sea'")
    (folder / "val" / "sea").rename(folder / "val" / "sky")
    for path in (folder / "val").rglob("*.png"):
        path.unlink()
    refused(r"val/apple holds no images \(.*\.jpeg, .*\)")
    shutil.rmtree(folder / "val")
    shutil.rmtree(folder / "train" / "sky")
    shutil.rmtree(folder / "train" / "leaf")
    (folder / "train").rename(folder / "pictures")
    refused("holds 1 folders of classes; two at least are needed")


def test_what_is_left_out_is_counted_and_named(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "a", {"train": 3, "val": 2})
    (folder / "train" / "sky" / "note.txt").write_text("")
    (folder / "train" / "labels.csv").write_text("")
    (folder / "val" / "sky" / "film.mp4").write_text("")
    (folder / "val" / "leaf" / "film.mp4").write_text("")
    shutil.copytree(folder / "val", folder / "more")
    for clutter in ("__MACOSX/train/sky", ".git"):
        (folder / clutter).mkdir(parents=True)
    (folder / "train" / "sky" / "._000.png").write_text("")
    (folder / "train" / "__MACOSX").mkdir()
    classes, parts, notes = layout(folder)
    assert classes == ["apple", "leaf", "sky"] and len(parts["train"]) == 9
    assert notes[1] == "left out: 2 .mp4, 1 .csv, 1 .txt, folder more"


def test_a_class_may_be_a_link_and_needs_a_name_that_can_be_read(tmp_path: Path) -> None:
    folder, other = write_pictures(tmp_path / "a", {"": 3}), write_pictures(tmp_path / "b", {"": 4})
    (folder / "sea").symlink_to(other / "leaf")
    classes, parts, _ = layout(folder)
    assert classes == ["apple", "leaf", "sea", "sky"] and [len(parts[part]) for part in parts] == [5, 4, 4]
    (folder / "sky").rename(folder / "sk\udcff")
    with pytest.raises(DataError, match=r"the name 'sk\\udcff' of a class has letters that cannot be read; rename it"):
        layout(folder)


def test_splits_of_images_that_lie_in_no_class_are_refused(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "a", {"": 3})
    (folder / "apple").rename(folder / "train")
    assert layout(folder)[0] == ["leaf", "sky", "train"], "one class of several may be called train"
    (folder / "leaf").rename(folder / "test")
    with pytest.raises(DataError, match="test is the name of a split, but has no folders of classes; put its images"):
        layout(folder)
