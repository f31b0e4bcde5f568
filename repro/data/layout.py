"""How a folder of images is laid out: its classes, and which image belongs to which of three parts.

    FOLDER/train/<class>/*.jpg    trained on
    FOLDER/val/<class>/*.jpg      not trained on
    FOLDER/test/<class>/*.jpg     optional

    FOLDER/<class>/*.jpg          or all together, to be divided

There are three parts: ``train``; ``validation``, on which thresholds are chosen; ``test``, on which results are
reported. They are known by their usual names (:func:`part_of`). Where ``validation`` and ``test`` both stand, they are
taken as they are. Where one of them stands, each class of it is halved. Where neither does, a tenth of each class (at
least one image) becomes ``validation``, another ``test``. Which images is a function of their names alone: see
:func:`shuffled`. What could be read in two ways is refused.
"""

from __future__ import annotations

import os
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from repro.data.imagenet import SUFFIXES
from repro.errors import DataError
from repro.randomness import derive

FolderPart = Literal["train", "validation", "test"]
PARTS: tuple[FolderPart, ...] = ("train", "validation", "test")
Listed = dict[FolderPart, list[tuple[str, int]]]
"""Of each part, path below the folder and label of every image, by class, then by path."""
NO_FOLDERS = {"__MACOSX", "lost+found"}
FEW = 5  # as many classes, kinds of files or folders are named
_NAME_OF_A_PART = re.compile(
    r"(?:(?P<train>train(?:ing)?)|(?P<validation>val(?:id(?:ation)?)?|dev(?:elopment)?|eval(?:uation)?)"
    r"|(?P<test>test(?:ing)?))[\W\d_]*(?:set|data|images|split)?[\W\d_]*"
)


class Layout(NamedTuple):
    """Class names, the images of each part, and sentences for people: what was taken as what, what was left out."""

    classes: list[str]
    parts: Listed
    notes: list[str]


def part_of(name: str) -> FolderPart | None:
    """The part that a folder's name stands for, in any case: ``Train``, ``test_set``, ``valid``, ``dev`` ..."""
    match = _NAME_OF_A_PART.fullmatch(name.lower())
    return match.lastgroup if match else None  # type: ignore[return-value]


def layout(folder: Path) -> Layout:
    """Classes and parts by the rule at the top of this module; :class:`DataError` says what is wrong or ambiguous."""
    left_out: Counter[str] = Counter(_kind(entry.name) for entry in _entries(folder) if not entry.is_dir())
    given = _given_parts(folder)
    if not given:
        names = _classes(folder)
        _refuse_nested(folder, names)
        divided = [_divided(folder / name, _images_of(folder, name, left_out)) for name in names]
        parts: Listed = {part: _labelled([each[part] for each in divided]) for part in PARTS}
        return Layout(names, parts, _notes("divided by a rule", names, parts, left_out))
    if "train" not in given or len(given) == 1:
        raise DataError(
            f"{folder}: {', '.join(given.values())} is taken as a split by its name, and train is needed beside val or "
            "test; rename it if it is a class; without splits, classes are divided"
        )
    classes = _classes(folder / given["train"])
    for name in given.values():
        if odd := sorted(set(_classes(folder / name)) ^ set(classes)):
            raise DataError(
                f"{folder}: {given['train']} and {name} must hold the same classes, but {len(odd)} stand in one only, "
                f"e.g. {odd[0]!r}"
            )
    images = {part: [_images_of(folder, f"{name}/{c}", left_out) for c in classes] for part, name in given.items()}
    for name in given.values():
        left_out.update(_kind(entry.name) for entry in _entries(folder / name) if not entry.is_dir())
    left_out.update(f"folder {name}" for name in sorted(set(_folders(folder)) - set(given.values())))
    how = ", ".join(f"{name} as {part}" for part, name in given.items())
    if len(given) == 2:
        (held,) = set(given) - {"train"}
        halves = [_halved(folder, each) for each in images[held]]
        images["validation"], images["test"] = ([half[i] for half in halves] for i in (0, 1))
        how = f"{given['train']} as train, each class of {given[held]} halved into validation and test"
    parts = {part: _labelled(images[part]) for part in PARTS}
    return Layout(classes, parts, _notes(how, classes, parts, left_out))


def _given_parts(folder: Path) -> dict[FolderPart, str]:
    """The folder of each part that stands, by part; none where there are classes."""
    below = _folders(folder)
    named = {name: part for name in below if (part := part_of(name))}
    flat = [name for name in named if any(_is_image(e.name) for e in _entries(folder / name) if not e.is_dir())]
    if len(named) == 1 and flat and len(below) > 1:
        return {}  # one class of several may be called train
    if flat:
        raise DataError(
            f"{folder}: {flat[0]} is the name of a split, but images lie directly in it; put them into folders of "
            f"classes, as {flat[0]}/<class>/, or take it out; if it is a class, rename it"
        )
    given = {part: [name for name, its_part in named.items() if its_part == part] for part in PARTS}
    for part, names in given.items():
        if len(names) > 1:
            raise DataError(f"{folder}: {' and '.join(names)} both stand for {part}; leave one of them")
    return {part: names[0] for part, names in given.items() if names}


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


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """What lies in a folder, by name, without what file managers and archivers leave there."""
    entries = [entry for entry in os.scandir(folder) if _visible(entry.name)]
    for entry in entries:
        _refuse_broken_link(entry.path)
    return sorted(entries, key=lambda entry: entry.name)


def _visible(name: str) -> bool:
    return not name.startswith(".") and name not in NO_FOLDERS


def _refuse_broken_link(path: str) -> None:
    if os.path.islink(path) and not os.path.exists(path):
        raise DataError(f"{path} is a link to {os.readlink(path)}, which is not there; mend the link or take it away")


def _folders(folder: Path) -> list[str]:
    return [entry.name for entry in _entries(folder) if entry.is_dir()]


def _classes(folder: Path) -> list[str]:
    names = _folders(folder)
    if len(names) < 2:
        raise DataError(
            f"{folder} holds {len(names)} folders of classes; two at least are needed, as {folder}/<class>/"
        )
    return names


def is_utf8(name: str) -> bool:
    """Whether a name on disk is UTF-8; Python stands surrogates in for the bytes of one that is not."""
    return not re.search(r"[\ud800-\udfff]", name)


def not_utf8(name: str) -> str:
    """What is wrong with such a name, and what to do."""
    return f"the name {os.fsencode(name)!r} is not {sys.getfilesystemencoding()}; rename it, or set PYTHONUTF8=1"


def _is_image(name: str) -> bool:
    return name.lower().endswith(SUFFIXES)


def _kind(name: str) -> str:
    return Path(name).suffix.lower() or "without suffix"


def _images_of(folder: Path, below: str, left_out: Counter[str]) -> list[str]:
    """Paths of the images of a class, as seen from ``folder``, sorted; other files are counted by their suffix."""
    images = []
    for path in _files(folder, below):
        if not _is_image(path):
            left_out[_kind(path)] += 1
        elif not is_utf8(path):
            raise DataError(f"{folder}: {not_utf8(path)}")
        else:
            images.append(path)
    if not images:
        raise DataError(f"{folder / below} holds no images ({', '.join(SUFFIXES)})")
    return sorted(images)


def _files(folder: Path, below: str) -> Iterator[str]:
    """Every file of a class, links to folders followed, each folder visited once."""

    def stop(error: OSError) -> None:
        raise error

    seen = {os.path.realpath(folder)}
    for parent, folders, names in os.walk(folder / below, onerror=stop, followlinks=True):
        if (real := os.path.realpath(parent)) in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = filter(_visible, folders)
        for path in (Path(parent, name) for name in names if _visible(name)):
            _refuse_broken_link(str(path))
            yield path.relative_to(folder).as_posix()


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
