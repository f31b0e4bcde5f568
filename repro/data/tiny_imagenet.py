"""tiny-ImageNet: 200 classes, 64 x 64 pixels, 500 training and 50 validation images per class.

The official test images have no public labels, so the split called ``test`` is the official
validation set. The JPEG files are decoded once, into one array per split and size that is then
mapped from disk.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
from collections import Counter
from itertools import product
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np

from repro.data.archives import missing, unpack
from repro.data.dataset import ImageDataset, Split
from repro.data.imagenet import MEAN, STD, decode_all, read_image
from repro.errors import DataError
from repro.files import write_aside

NAME = "tiny-imagenet"
FOLDER = "tiny-imagenet-200"
URL = "https://cs231n.stanford.edu/tiny-imagenet-200.zip"
MD5 = "90528d7ca1a48142e341f4ef8d21d0de"
VAL_ANNOTATIONS = "val/val_annotations.txt"
NATIVE_SIZE = 64
SIZES = (64, 32)
OFFICIAL_CLASSES = 200
OFFICIAL_PER_CLASS = {"train": 500, "test": 50}


def load_tiny_imagenet(split: Split, root: Path, image_size: int = 64) -> ImageDataset:
    """The images of one split, uint8 ``[N, 3, image_size, image_size]``, mapped read-only from the cache.

    Test images carry their boxes where ``val_annotations.txt`` lies beside the cache. Reads
    ``root/tiny-imagenet-200``, or unpacks ``root/tiny-imagenet-200.zip`` first. Labels follow
    the sorted class ids; training images are in class, then name order, test images in the order of
    ``val_annotations.txt``. 32 pixels means the average of each 2 x 2 block.

    ``DataError`` when files are missing, counts are not the official ones (checked when there are
    200 classes), an image is damaged, or the cache is not whole.
    """
    if image_size not in SIZES:
        raise DataError(f"{NAME} comes at {' or '.join(map(str, SIZES))} pixels, not {image_size}")
    cache = cache_folder(split, root, image_size)
    if not cache.is_dir():
        _decode_into(cache, split, official_folder(root), image_size)
    images, labels, meta = read_cache(cache, image_size)
    boxes = read_boxes(Path(root) / FOLDER, image_size) if split == "test" else None
    if boxes is not None and len(boxes) != len(labels):
        raise DataError(f"{Path(root) / FOLDER / VAL_ANNOTATIONS} has {len(boxes)} lines for {len(labels)} images")
    return ImageDataset(NAME, split, images, labels, tuple(meta["class_names"]), MEAN, STD, boxes=boxes)


def cache_folder(split: str, root: Path, image_size: int) -> Path:
    """Where the decoded images of one split and size are kept: images.npy, labels.npy and meta.json."""
    return Path(root) / "cache" / f"{NAME}-{image_size}-{split}"


def official_folder(root: Path) -> Path:
    """``root/tiny-imagenet-200``, unpacked from the official zip beside it where only that is there."""
    folder = Path(root) / FOLDER
    archive = folder.with_suffix(".zip")
    if not folder.is_dir():
        if not archive.is_file():
            raise missing(NAME, root, folder)
        unpack(archive, folder, MD5)
    return folder


def read_classes(folder: Path) -> tuple[list[str], tuple[str, ...]]:
    """(class ids, sorted; readable names such as ``n02056570 king penguin``, in the same order)."""
    wnids = sorted(_lines(folder, "wnids.txt"))
    descriptions = dict(line.split("\t", 1) for line in _lines(folder, "words.txt") if "\t" in line)
    return wnids, tuple(f"{wnid} {descriptions.get(wnid, '').split(',')[0].strip()}".strip() for wnid in wnids)


def list_images(split: str, folder: Path) -> list[tuple[Path, int]]:
    """(file, label) for each image of a split; every file listed exists and the counts are right."""
    wnids, _ = read_classes(folder)
    pairs = _list_train(folder, wnids) if split == "train" else _list_val(folder, wnids)
    counts = Counter(label for _, label in pairs)
    for label, wnid in enumerate(wnids):
        wanted = OFFICIAL_PER_CLASS[split] if len(wnids) == OFFICIAL_CLASSES else max(1, counts[label])
        if counts[label] != wanted:
            raise DataError(f"{folder}: class {wnid} has {counts[label]} {split} images, not {wanted}")
    return pairs


def _list_train(folder: Path, wnids: list[str]) -> list[tuple[Path, int]]:
    pairs: list[tuple[Path, int]] = []
    for label, wnid in enumerate(wnids):
        images = folder / "train" / wnid / "images"
        if not images.is_dir():
            raise missing(NAME, folder.parent, images)
        pairs += [(path, label) for path in sorted(images.glob("*.JPEG"))]
    return pairs


def _list_val(folder: Path, wnids: list[str]) -> list[tuple[Path, int]]:
    labels = {wnid: label for label, wnid in enumerate(wnids)}
    images, annotations = folder / "val/images", VAL_ANNOTATIONS
    present = set(os.listdir(images)) if images.is_dir() else set()
    pairs: list[tuple[Path, int]] = []
    for number, line in enumerate(_lines(folder, annotations), start=1):
        name, wnid, *_ = [*line.split("\t"), ""]
        if wnid not in labels:
            raise DataError(f"{folder / annotations}, line {number}: {wnid!r} is not a class of wnids.txt")
        if name not in present:
            raise missing(NAME, folder.parent, images / name)
        pairs.append((images / name, labels[wnid]))
    return pairs


def read_boxes(folder: Path, image_size: int) -> np.ndarray | None:
    """The boxes of the test images, float32 ``[N, 4]`` in pixels of ``image_size``; None without their file.

    The file gives the first and the last pixel of each side at 64 pixels: a box of one pixel is a pixel wide.
    """
    if not (folder / VAL_ANNOTATIONS).is_file():
        return None
    rows = []
    for number, line in enumerate(_lines(folder, VAL_ANNOTATIONS), start=1):
        try:
            left, top, right, bottom = map(int, line.split("\t")[2:6])
        except ValueError as error:
            raise DataError(
                f"{folder / VAL_ANNOTATIONS}, line {number} has no box (left, top, right, bottom)"
            ) from error
        rows.append((left, top, right + 1, bottom + 1))
    return np.array(rows, np.float32) * (image_size / NATIVE_SIZE)


def _lines(folder: Path, name: str) -> list[str]:
    if not (folder / name).is_file():
        raise missing(NAME, folder.parent, folder / name)
    return (folder / name).read_text(encoding="utf-8", errors="replace").splitlines()


def _decode_into(cache: Path, split: str, folder: Path, image_size: int) -> None:
    paths, labels = zip(*list_images(split, folder), strict=True)
    shape = (len(paths), 3, image_size, image_size)

    def decode(index: int) -> None:
        images[index] = decode_image(paths[index], image_size)

    try:
        with write_aside(cache) as aside:
            aside.mkdir()
            needed, free = math.prod(shape), shutil.disk_usage(aside).free
            if free < needed:  # a mapped file on a full disk ends in a bus error, not in an exception
                sizes = f"{needed / 1e9:.1f} GB and the disk has {free / 1e9:.1f} GB free"
                raise OSError(f"the decoded images take {sizes}")
            images = np.lib.format.open_memmap(aside / "images.npy", mode="w+", dtype=np.uint8, shape=shape)
            decode_all(decode, range(len(paths)), f"decoding {NAME} {split}")
            images.flush()
            np.save(aside / "labels.npy", np.array(labels, np.int64))
            meta = {"images_sha256": hash_images(images), "class_names": read_classes(folder)[1]}
            (aside / "meta.json").write_text(json.dumps(meta, indent=1), encoding="utf-8")
    except OSError as error:
        raise DataError(f"{cache} cannot be written: {error}") from error


def decode_image(path: Path, image_size: int) -> np.ndarray:
    """uint8 ``[3, image_size, image_size]``; ``DataError`` names a file that is damaged or not 64 x 64."""
    image = read_image(path, expected_size=NATIVE_SIZE)
    if image_size != NATIVE_SIZE:
        image = image.reduce(NATIVE_SIZE // image_size)
    return np.asarray(image).transpose(2, 0, 1)


def hash_images(images: np.ndarray) -> str:
    """sha256 of the pixels, in C order, without the file's header."""
    return hashlib.sha256(images.reshape(-1).data).hexdigest()


def read_cache(cache: Path, image_size: int) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """(images, mapped read-only; labels; hash and class names). All but the pixels' hash is checked."""
    try:
        meta = json.loads((cache / "meta.json").read_text(encoding="utf-8"))
        images = np.load(cache / "images.npy", mmap_mode="r", allow_pickle=False)
        labels = np.load(cache / "labels.npy", allow_pickle=False)
        whole = (
            (images.dtype, images.shape) == (np.uint8, (len(labels), 3, image_size, image_size))
            and (labels.dtype, labels.ndim) == (np.int64, 1)
            and 0 <= labels.min() <= labels.max() < len(meta["class_names"])
            and "images_sha256" in meta
        )
    except (OSError, EOFError, ValueError, KeyError, TypeError, SyntaxError, TokenError):  # of NumPy's header, too
        whole = False
    if not whole:
        raise DataError(
            f"{cache} is not a whole cache of {NAME}; delete that folder, and the next run decodes it again"
        )
    return images, labels, meta


def damaged_caches(root: Path) -> dict[Path, str]:
    """The caches below ``root`` that are not whole, and what is wrong with each; their pixels are hashed for it."""
    problems = {}
    for split, size in product(OFFICIAL_PER_CLASS, SIZES):
        if (cache := cache_folder(split, root, size)).is_dir():
            try:
                images, _, meta = read_cache(cache, size)
                if hash_images(images) != meta["images_sha256"]:
                    problems[cache] = f"{cache / 'images.npy'} has changed since it was decoded; delete {cache}"
            except DataError as error:
                problems[cache] = str(error)
    return problems
