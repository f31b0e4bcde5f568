"""How a folder of images is laid out: its classes, and which image belongs to which of three parts.

    FOLDER/train/<class>/*.jpg    trained on
    FOLDER/val/<class>/*.jpg      not trained on
    FOLDER/test/<class>/*.jpg     optional

    FOLDER/<class>/*.jpg          or all together, to be divided

There are three parts: ``train``; ``validation``, on which thresholds are chosen; ``test``, on which results are
reported. They are known by their usual names (:data:`NAMES`). Where ``validation`` and ``test`` both stand, they are
taken as they are. Where one of them stands, each class of it is halved. Where neither does, a tenth of each class (at
least one image) becomes ``validation``, another ``test``. Which images is a function of their names alone: see
:func:`shuffled`. What could be read in two ways is refused.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from repro.data.imagenet import SUFFIXES
from repro.errors import DataError
from repro.randomness import derive

FolderPart = Literal["train", "validation", "test"]
PARTS: tuple[FolderPart, ...] = ("train", "validation", "test")
Listed = dict[FolderPart, list[tuple[str, int]]]
"""Of each part, path below the folder and label of every image, by class, then by path."""
NAMES: dict[str, FolderPart] = {
    "train": "train", "training": "train", "val": "validation", "valid": "validation", "validation": "validation",
    "dev": "validation", "test": "test", "testing": "test",
}  # fmt: skip
"""The parts by what their folders are called, in small letters."""
NO_FOLDERS = {"__MACOSX", "lost+found"}
FEW = 5  # as many classes and kinds of files are named


class Layout(NamedTuple):
    """Class names, the images of each part, and sentences for people: what was taken as what, what was left out."""

    classes: list[str]
    parts: Listed
    notes: list[str]


def layout(folder: Path) -> Layout:
    """Classes and parts by the rule at the top of this module; :class:`DataError` says what is wrong or ambiguous."""
    given = _given_parts(folder)
    beside = [entry for place in (folder, *(folder / name for name in given.values())) for entry in os.scandir(place)]
    left_out = Counter(_kind(entry.name) for entry in beside if entry.is_file() and _visible(entry.name))
    if not given:
        classes = _classes(folder)
        _refuse_nested(folder, classes)
        divided = [_divided(folder / name, _images_of(folder, name, left_out)) for name in classes]
        parts: Listed = {part: _labelled([each[part] for each in divided]) for part in PARTS}
        return Layout(classes, parts, _notes("divided by a rule", classes, parts, left_out))
    if "train" not in given or len(given) == 1:
        raise DataError(
            f"{folder}: {', '.join(given.values())} is taken as a split by its name, and train is needed beside val or "
            "test, each with folders of classes; rename it if it is a class; without splits, classes are divided"
        )
    classes = _classes(folder / given["train"])
    for name in given.values():
        if odd := sorted(set(_classes(folder / name)) ^ set(classes)):
            raise DataError(
                f"{folder}: {given['train']} and {name} must hold the same classes, but {len(odd)} stand in one only, "
                f"e.g. {odd[0]!r}"
            )
    images = {part: [_images_of(folder, f"{name}/{c}", left_out) for c in classes] for part, name in given.items()}
    left_out.update(f"folder {name}" for name in _folders(folder) if name not in given.values())
    how = ", ".join(f"{name} as {part}" for part, name in given.items())
    if len(given) == 2:
        (held,) = set(given) - {"train"}
        halves = [_halved(folder, each) for each in images[held]]
        images["validation"], images["test"] = ([half[i] for half in halves] for i in (0, 1))
        how = f"{given['train']} as train, each class of {given[held]} halved into validation and test"
    parts = {part: _labelled(images[part]) for part in PARTS}
    return Layout(classes, parts, _notes(how, classes, parts, left_out))


def _given_parts(folder: Path) -> dict[FolderPart, str]:
    """The folder of each part that stands, by part. A single one without folders of its own is a class called so."""
    given: dict[FolderPart, str] = {}
    named = [name for name in _folders(folder) if name.lower() in NAMES]
    flat = [name for name in named if not _folders(folder / name)]
    if len(named) == len(flat) == 1:
        return {}
    if flat:
        raise DataError(
            f"{folder}: {flat[0]} is the name of a split, but has no folders of classes; put its images into them, as "
            f"{flat[0]}/<class>/, or take it out; if it is a class, rename it"
        )
    for name in named:
        part = NAMES[name.lower()]
        if part in given:
            raise DataError(f"{folder}: {given[part]} and {name} both stand for {part}; leave one of them")
        given[part] = name
    return {part: given[part] for part in PARTS if part in given}


def _refuse_nested(folder: Path, names: Sequence[str]) -> None:
    """Two folders that hold the same folders are splits by names that are not known, more likely than classes."""
    within = {name: set(_folders(folder / name)) for name in names}
    for i, first in enumerate(names):
        for second in names[i + 1 :]:
            if len(common := sorted(within[first] & within[second])) > 1:
                raise DataError(
                    f"{folder}: {first} and {second} both hold {common[0]} and {common[1]}; if they are splits, "
                    "call them train, val or test; if they are classes, put their images directly in them"
                )


def shuffled(paths: Sequence[str]) -> list[str]:
    """Images of one class in an order that depends on each one's name (its path in the class) alone."""
    return sorted(paths, key=lambda path: (derive(0, "part of a folder", path.rpartition("/")[2]), path))


def _divided(folder: Path, paths: list[str]) -> dict[FolderPart, list[str]]:
    share = max(1, round(0.1 * len(paths)))
    if len(paths) < 3:
        count = "one image" if len(paths) == 1 else f"{len(paths)} images"
        raise DataError(f"{folder} holds {count}; three are needed: to train, to choose thresholds, to report")
    order = shuffled(paths)
    parts: dict[FolderPart, list[str]] = {"validation": order[:share], "test": order[share : 2 * share]}
    return {"train": sorted(order[2 * share :]), **{part: sorted(images) for part, images in parts.items()}}


def _halved(folder: Path, paths: list[str]) -> tuple[list[str], list[str]]:
    if len(paths) < 2:
        where = folder / paths[0].rpartition("/")[0]
        raise DataError(f"{where} holds one image; two are needed: one to choose thresholds, one to report")
    order = shuffled(paths)
    return sorted(order[: len(paths) // 2]), sorted(order[len(paths) // 2 :])


def _labelled(images: Sequence[Sequence[str]]) -> list[tuple[str, int]]:
    return [(path, label) for label, paths in enumerate(images) for path in paths]


def _visible(name: str) -> bool:
    """Whether it is more than what file managers and archivers leave in a folder."""
    return not name.startswith(".") and name not in NO_FOLDERS


def _folders(folder: Path) -> list[str]:
    return sorted(entry.name for entry in os.scandir(folder) if entry.is_dir() and _visible(entry.name))


def _classes(folder: Path) -> list[str]:
    names = _folders(folder)
    if len(names) < 2:
        raise DataError(
            f"{folder} holds {len(names)} folders of classes; two at least are needed, as {folder}/<class>/"
        )
    if odd := [name for name in names if not name.isprintable()]:  # bytes that are no UTF-8 among them
        raise DataError(f"{folder}: the name {odd[0]!r} of a class has letters that cannot be read; rename it")
    return names


def _kind(name: str) -> str:
    return Path(name).suffix.lower() or "without suffix"


def _images_of(folder: Path, below: str, left_out: Counter[str]) -> list[str]:
    """Paths of the images of a class, as seen from ``folder``, sorted; other files are counted by their suffix."""
    images = []
    for parent, folders, names in os.walk(folder / below):
        folders[:] = filter(_visible, folders)
        for path in (Path(parent, name) for name in names if _visible(name)):
            if _kind(path.name) in SUFFIXES:
                images.append(path.relative_to(folder).as_posix())
            else:
                left_out[_kind(path.name)] += 1
    if not images:
        raise DataError(f"{folder / below} holds no images ({', '.join(SUFFIXES)})")
    return sorted(images)


def _notes(how: str, classes: Sequence[str], parts: Listed, left_out: Counter[str]) -> list[str]:
    """What was taken as what, the first classes with their numbers of images, and what was left out."""
    counts = {part: Counter(label for _, label in images) for part, images in parts.items()}
    named = [f"{name} ({' + '.join(str(counts[p][c]) for p in PARTS)})" for c, name in enumerate(classes[:FEW])]
    more = f" and {len(classes) - FEW} more" if len(classes) > FEW else ""
    notes = [f"{how}; {len(classes)} classes, each with images of {', '.join(PARTS)}: {', '.join(named)}{more}"]
    if left_out:
        kinds = [kind if kind.startswith("folder") else f"{count} {kind}" for kind, count in left_out.most_common(FEW)]
        more = f" and {len(left_out) - FEW} other kinds" if len(left_out) > FEW else ""
        notes.append(f"left out: {', '.join(kinds)}{more}")
    return notes
