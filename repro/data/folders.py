"""Any folder of images as an image set, wherever it lies: known by its content, divided by a rule.

    FOLDER/train/<class>/*.jpg    trained on
    FOLDER/val/<class>/*.jpg      not trained on
    FOLDER/test/<class>/*.jpg     optional

    FOLDER/<class>/*.jpg          or all together, to be divided

There are three parts: ``train``; ``validation``, on which thresholds are chosen; ``test``, on which results are
reported. Where ``val`` and ``test`` both stand, they are the last two. Where one of them stands, each class of it is
halved. Where neither does, a tenth of each class (at least one image) becomes ``validation``, another ``test``. Which
images is a function of their names alone: see :func:`shuffled`.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from repro.data.archives import checksum
from repro.data.dataset import ImageDataset, Split
from repro.data.imagenet import MEAN, STD, SUFFIXES, ImageFolderIndex, center_crop_224, read_image, unreadable
from repro.errors import DataError
from repro.files import write_text
from repro.progress import say
from repro.randomness import derive

FolderPart = Literal["train", "validation", "test"]
PARTS: tuple[FolderPart, ...] = ("train", "validation", "test")
Listed = dict[FolderPart, list[tuple[str, int]]]
"""Of each part, path below the folder and label of every image, by class, then by path."""
IN_MEMORY = 8e9  # bytes of pixels that may be kept in memory


class Folder(BaseModel):
    """A folder of images as a spec names it: by what is in it.

    name    for people, made of the folder's own
    digest  16 hex digits that differ where images, classes or parts do
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    digest: str = Field(pattern=r"^[0-9a-f]{16}$")
    num_classes: int = Field(ge=2)
    num_train: int = Field(ge=1)
    num_validation: int = Field(ge=1)
    num_test: int = Field(ge=1)


def adopt(folder: Path, root: Path) -> Folder:
    """Look a folder of images through, and keep below ``root`` where each image lies.

    The first time every image is read and decoded; after that only if a name, size or date has changed.
    :class:`DataError` says what is wrong: no such folder or class, a class without enough images, classes that
    differ between parts, images that cannot be read.
    """
    folder = Path(folder).expanduser().resolve()
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder}")
    classes, parts = listing(folder)
    stamp = _stamp(folder, parts)
    known = next((k for k in _known(root) if (k["folder"], k["stamp"]) == (str(folder), stamp)), None)
    if known is None:
        say(f"{folder.name}: looking through {sum(map(len, parts.values()))} images, once")
        known = {"folder": str(folder), "stamp": stamp, "classes": classes, "parts": parts}
        known["digest"] = _digest(folder, classes, parts)
        write_text(_place(known["digest"], root), json.dumps(known))
    name = re.sub(r"[^a-z0-9]+", "-", folder.name.lower()).strip("-") or "folder"
    sizes = {f"num_{part}": len(known["parts"][part]) for part in PARTS}
    return Folder(name=name, digest=known["digest"], num_classes=len(classes), **sizes)


def index_folder(folder: Folder, split: Split, root: Path) -> ImageFolderIndex:
    """The images of a folder that was adopted: of ``train``, or all others, ``validation`` first, then ``test``."""
    try:
        known = json.loads(_place(folder.digest, root).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(
            f"where the images of {folder.name} ({folder.digest}) lie is not known in {root}; "
            "run again with the parameter folder, on this machine"
        ) from error
    listed = [image for part in PARTS if (part == "train") == (split == "train") for image in known["parts"][part]]
    paths = tuple(os.path.join(known["folder"], path) for path, _ in listed)
    labels = np.array([label for _, label in listed], np.int64)
    return ImageFolderIndex(folder.name, split, paths, labels, tuple(known["classes"]), MEAN, STD)


def decode(index: ImageFolderIndex, size: int) -> ImageDataset:
    """The central square of each image at ``size`` pixels, in memory; ``DataError`` if that is no place for them."""
    shape = (len(index), 3, size, size)
    if math.prod(shape) > IN_MEMORY:
        raise DataError(
            f"{len(index)} images of {size} pixels take {math.prod(shape) / 1e9:.0f} GB of memory; "
            "choose crop resized, which reads them as they are needed"
        )
    images = np.empty(shape, np.uint8)

    def one(i: int) -> None:
        images[i] = center_crop_224(read_image(index.paths[i]), size, size)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(one, range(len(index))))
    return ImageDataset(
        index.name, index.split, images, np.array(index.labels), index.class_names, index.mean, index.std
    )


def listing(folder: Path) -> tuple[list[str], Listed]:
    """Class names, and the images of each part; see the rule at the top of this module."""
    given = [name for name in ("train", "val", "test") if (folder / name).is_dir()]
    if given == ["train"] == [entry.name for entry in os.scandir(folder) if entry.is_dir()]:
        raise DataError(f"{folder} has a folder train but neither val nor test; without any, its classes are divided")
    if "train" not in given or len(given) == 1:  # a class may be called train, too
        found = {name: _images_of(folder, name) for name in _classes(folder)}
        parts = {name: _divided(folder / name, images) for name, images in found.items()}
        return list(found), {part: [(p, c) for c, of in enumerate(parts.values()) for p in of[part]] for part in PARTS}
    classes = _classes(folder / "train")
    for name in given[1:]:
        if odd := sorted(set(_classes(folder / name)) ^ set(classes)):
            raise DataError(
                f"{folder}: train and {name} must hold the same classes, but {len(odd)} stand in one only, "
                f"e.g. {odd[0]!r}"
            )
    images = {name: [_images_of(folder, f"{name}/{each}") for each in classes] for name in given}
    listed: Listed = {"train": _labelled(images["train"])}
    if len(given) == 3:
        return classes, {**listed, "validation": _labelled(images["val"]), "test": _labelled(images["test"])}
    halves = [_halved(folder, each) for each in images[given[1]]]
    first, second = ([half[i] for half in halves] for i in (0, 1))
    return classes, {**listed, "validation": _labelled(first), "test": _labelled(second)}


def shuffled(paths: Sequence[str]) -> list[str]:
    """Images of one class in an order that depends on each one's name (its path in the class) alone."""
    return sorted(paths, key=lambda path: (derive(0, "part of a folder", path.rpartition("/")[2]), path))


def _divided(folder: Path, paths: list[str]) -> dict[FolderPart, list[str]]:
    share = max(1, round(0.1 * len(paths)))
    if len(paths) < 3:
        raise DataError(f"{folder} holds {_images(paths)}; three are needed: to train, to choose thresholds, to report")
    order = shuffled(paths)
    parts: dict[FolderPart, list[str]] = {"validation": order[:share], "test": order[share : 2 * share]}
    return {"train": sorted(order[2 * share :]), **{part: sorted(of) for part, of in parts.items()}}


def _halved(folder: Path, paths: list[str]) -> tuple[list[str], list[str]]:
    if len(paths) < 2:
        where = folder / paths[0].rpartition("/")[0]
        raise DataError(f"{where} holds one image; two are needed: one to choose thresholds, one to report")
    order = shuffled(paths)
    return sorted(order[: len(paths) // 2]), sorted(order[len(paths) // 2 :])


def _images(paths: Sequence[str]) -> str:
    return "one image" if len(paths) == 1 else f"{len(paths)} images"


def _labelled(images: Sequence[Sequence[str]]) -> list[tuple[str, int]]:
    return [(path, label) for label, paths in enumerate(images) for path in paths]


def _classes(folder: Path) -> list[str]:
    names = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir() and not entry.name.startswith("."))
    if len(names) < 2:
        raise DataError(
            f"{folder} holds {len(names)} folders of classes; two at least are needed, as {folder}/<class>/"
        )
    return names


def _images_of(folder: Path, below: str) -> list[str]:
    """Paths of the images of a class, as seen from ``folder``, sorted."""
    found = [
        Path(parent, name).relative_to(folder).as_posix()
        for parent, _, names in os.walk(folder / below)
        for name in names
        if name.lower().endswith(SUFFIXES) and not name.startswith(".")
    ]
    if not found:
        raise DataError(f"{folder / below} holds no images ({', '.join(SUFFIXES)})")
    return sorted(found)


def _place(digest: str, root: Path) -> Path:
    return Path(root) / "cache" / "folders" / f"{digest}.json"


def _known(root: Path) -> list[dict[str, Any]]:
    """What is kept of folders that were adopted before; what cannot be read is made anew."""
    found = []
    for path in sorted((Path(root) / "cache" / "folders").glob("*.json")):
        try:
            found.append(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError):
            continue
    return [known for known in found if isinstance(known, dict) and {"folder", "stamp", "parts"} <= set(known)]


def _stamp(folder: Path, parts: Listed) -> str:
    """Names, sizes and dates: while they stay, so does the content."""
    stats = {part: [(p, (s := (folder / p).stat()).st_size, s.st_mtime_ns) for p, _ in parts[part]] for part in PARTS}
    return f"{derive(0, json.dumps(stats)):016x}"


def _digest(folder: Path, classes: list[str], parts: Listed) -> str:
    paths = [str(folder / path) for part in PARTS for path, _ in parts[part]]
    if wrong := unreadable(paths):
        more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        raise DataError(f"{wrong[0]}{more}; or take it out of {folder}")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        content = list(pool.map(lambda path: checksum(Path(path), "sha256"), paths))
    return f"{derive(0, json.dumps([classes, parts, content])):016x}"
