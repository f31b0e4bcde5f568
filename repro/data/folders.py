"""Any folder of images as an image set, wherever it lies: known by its content, divided by :mod:`repro.data.layout`.

Whoever has none at hand may have one made of an image set (:func:`example_folder`).
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pydantic import Field

from repro.data.catalogue import load
from repro.data.dataset import ImageDataset, Split
from repro.data.imagenet import MEAN, STD, ImageFolderIndex, center_crop, decode_all, pixel_digests, read_image
from repro.data.layout import PARTS, Layout, Listed, layout
from repro.errors import DataError, Frozen
from repro.files import write_aside, write_text
from repro.progress import say
from repro.randomness import derive

EXAMPLE_CLASSES = 10
EXAMPLE_PARTS: dict[str, Split] = {"train": "train", "val": "test"}
LONGEST = 100  # characters of a name: files are named by it, and more
IN_MEMORY = 8e9  # bytes of pixels that may be kept in memory


class Folder(Frozen):
    """A folder of images as a spec names it: by what is in it.

    name    for people, made of the folder's own
    digest  16 hex digits that differ where images, classes or parts do
    """

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
    try:
        laid_out = layout(folder)
        stamp = _stamp(folder, laid_out.parts)
    except OSError as error:
        raise DataError(f"{folder} cannot be looked through: {error}") from error
    known = next((k for k in _known(root) if (k["folder"], k["stamp"]) == (str(folder), stamp)), None)
    for sentence in laid_out.notes:
        _say_once(f"{folder.name}: {sentence}")
    if known is None:
        say(f"{folder.name}: looking through {sum(map(len, laid_out.parts.values()))} images, once")
        digest, odd = _look_through(folder, laid_out)
        known = {"folder": str(folder), "stamp": stamp, "classes": laid_out.classes, "parts": laid_out.parts}
        known |= {"digest": digest, "odd": odd}
        write_text(_place(digest, root), json.dumps(known))
    for sentence in known["odd"]:
        _say_once(f"{folder.name}: {sentence}")
    name = re.sub(r"[^a-z0-9]+", "-", folder.name.lower())[:LONGEST].strip("-") or "folder"
    sizes = {f"num_{part}": len(known["parts"][part]) for part in PARTS}
    return Folder(name=name, digest=known["digest"], num_classes=len(laid_out.classes), **sizes)


@cache
def _say_once(text: str) -> None:
    say(text)


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
        images[i] = center_crop(read_image(index.paths[i]), size, size)

    decode_all(one, range(len(index)))
    return ImageDataset(
        index.name, index.split, images, np.array(index.labels), index.class_names, index.mean, index.std
    )


def _place(digest: str, root: Path) -> Path:
    return Path(root) / "cache" / "folders" / f"{digest}.json"


def _known(root: Path) -> Iterator[dict[str, Any]]:
    """What is kept of folders that were adopted before; what cannot be read is made anew."""
    for path in sorted((Path(root) / "cache" / "folders").glob("*.json")):
        with suppress(OSError, ValueError):
            yield json.loads(path.read_text(encoding="utf-8"))


def _stamp(folder: Path, parts: Listed) -> str:
    """Names, sizes and dates: while they stay, so does the content."""
    stats = {
        part: [(path, (stat := (folder / path).stat()).st_size, stat.st_mtime_ns) for path, _ in listed]
        for part, listed in parts.items()
    }
    return f"{derive(0, json.dumps(stats)):016x}"


def _look_through(folder: Path, laid_out: Layout) -> tuple[str, list[str]]:
    """The digest of a folder, by the pixels of its images, and what is odd about them, in sentences."""
    paths = [path for part in PARTS for path, _ in laid_out.parts[part]]
    content = pixel_digests([str(folder / path) for path in paths])
    if wrong := [str(each) for each in content if isinstance(each, DataError)]:
        more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        raise DataError(f"{wrong[0]}{more}; or take it out of {folder}")
    count = len(laid_out.parts["train"])
    trained_on = dict(zip(content[:count], paths[:count], strict=True))
    again = [(path, trained_on[c]) for c, path in zip(content[count:], paths[count:], strict=True) if c in trained_on]
    odd = [
        f"{len(again)} of {len(paths) - count} validation and test images are also training images, e.g. {here} is "
        f"{there}: what is shown of them is too good"
        for here, there in again[:1]
    ]
    return f"{derive(0, json.dumps([laid_out.classes, laid_out.parts, content])):016x}", odd


def example_folder(dataset: str, root: Path) -> Path:
    """``<root>/examples/<dataset>-10``: the first ten classes of a set as PNG files, made if it is not there.

    ``train/<class>/`` and ``val/<class>/`` hold the images of the set's train and test split in their order.
    :class:`DataError` if there is no such set, or it is not below ``root``.
    """
    folder = Path(root) / "examples" / f"{dataset}-{EXAMPLE_CLASSES}"
    if folder.is_dir():
        return folder
    sets = {name: load(dataset, split, root) for name, split in EXAMPLE_PARTS.items()}
    say(f"writing {EXAMPLE_CLASSES} classes of {dataset} as image files to {folder}")
    with write_aside(folder) as aside:
        for name, images in sets.items():
            for label, class_name in enumerate(images.class_names[:EXAMPLE_CLASSES]):
                within = aside / name / class_name.replace("/", "-")
                within.mkdir(parents=True)
                for index in (images.labels == label).nonzero()[0]:
                    Image.fromarray(images.images[index].transpose(1, 2, 0)).save(within / f"{index:05d}.png")
    return folder
