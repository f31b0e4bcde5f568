"""ImageNet, and any folder laid out like it: an index of files, and images read one at a time.

    root/imagenet/train/<class>/*.JPEG
    root/imagenet/val/<class>/*.JPEG

The set does not fit in memory, so what is loaded is where each image lies. Random crops take their
randomness as numbers: which crop an image gets in which epoch is decided by whoever draws them.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from repro.data.archives import missing
from repro.data.dataset import Split
from repro.errors import DataError

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
FOLDERS: dict[str, str] = {"train": "train", "test": "val"}
SUFFIXES = (".jpeg", ".jpg", ".png")
# The shapes a random crop may have, width / height (torchvision's RandomResizedCrop).
RATIO = (3 / 4, 4 / 3)
# Files read between two looks at the keyboard.
BLOCK = 1000


@dataclass(frozen=True)
class ImageFolderIndex:
    """Where the images of one split lie; N images, C classes.

    paths        N file paths, as text: a million ``Path`` objects would take most of a gigabyte
    labels       int64 ``[N]`` in ``[0, C)``
    class_names  C folder names, sorted; their order is the order of the labels
    mean, std    per channel, in units of [0, 1]
    """

    name: str
    split: str
    paths: tuple[str, ...]
    labels: np.ndarray
    class_names: tuple[str, ...]
    mean: tuple[float, float, float] = MEAN
    std: tuple[float, float, float] = STD

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def num_classes(self) -> int:
        return len(self.class_names)


def index_imagenet(split: Split, root: Path) -> ImageFolderIndex:
    """The images of ``root/imagenet/train`` (train) or ``root/imagenet/val`` (test), sorted by class, then by name.

    Both folders must stand and hold the same classes, however many, with at least one image in
    each class that is indexed; ``DataError`` otherwise.
    """
    if split not in FOLDERS:
        raise DataError(f"imagenet has no split {split!r}; choose one of {', '.join(FOLDERS)}")
    base = Path(root) / "imagenet"
    classes = {name: _folders_in(base / name, root) for name in FOLDERS.values()}
    if classes["train"] != classes["val"]:
        odd = sorted(set(classes["train"]) ^ set(classes["val"]))
        raise DataError(
            f"{base}/train and {base}/val must hold the same classes, but {len(odd)} stand in one only, e.g. {odd[0]}"
        )
    folder = base / FOLDERS[split]
    paths: list[str] = []
    labels: list[int] = []
    for label, wnid in enumerate(classes[folder.name]):
        images = sorted(entry.path for entry in os.scandir(folder / wnid) if entry.name.lower().endswith(SUFFIXES))
        if not images:
            raise DataError(f"{folder / wnid} holds no images ({', '.join(SUFFIXES)})")
        paths += images
        labels += [label] * len(images)
    return ImageFolderIndex("imagenet", split, tuple(paths), np.array(labels, np.int64), tuple(classes[folder.name]))


def _folders_in(folder: Path, root: Path) -> list[str]:
    if not folder.is_dir():
        raise missing("imagenet", root, folder)
    names = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir() and not entry.name.startswith("."))
    if not names:
        raise DataError(f"{folder} holds no class folders; the images must lie in {folder}/<class>/")
    return names


def read_image(path: Path | str, expected_size: int | None = None) -> Image.Image:
    """The image in ``path`` as RGB, fully decoded.

    ``expected_size`` is the side in pixels that the image must have, checked before it is decoded.
    ``DataError`` names the file when it is missing, truncated, of another size, or no JPEG or PNG.
    """
    try:
        # ImageNet has one PNG that is named .JPEG; other formats have no business there.
        with Image.open(path, formats=("JPEG", "PNG")) as image:
            if expected_size is not None and image.size != (expected_size, expected_size):
                width, height = image.size
                raise DataError(f"{path} is {width}x{height} pixels, not {expected_size}x{expected_size}")
            return image.convert("RGB")
    except FileNotFoundError:
        raise DataError(f"{path} is missing") from None
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise DataError(f"{path} cannot be read as an image ({error}); replace it with a whole one") from error


def unreadable(paths: Sequence[str], expected_size: int | None = None) -> list[str]:
    """A sentence for each file that ``read_image`` refuses; every file is decoded, with progress on stderr."""

    def finding(path: str) -> str | None:
        try:
            read_image(path, expected_size)
        except DataError as error:
            return str(error)
        return None

    found: list[str] = []
    bar = tqdm(total=len(paths), desc="decoding", unit=" images", file=sys.stderr)
    with ThreadPoolExecutor(os.cpu_count()) as pool, bar:
        for start in range(0, len(paths), BLOCK):  # in blocks, so that a stop does not wait for all of them
            for sentence in pool.map(finding, paths[start : start + BLOCK]):
                bar.update()
                found += [sentence] if sentence else []
    return found


def _to_array(image: Image.Image) -> np.ndarray:
    """uint8 ``[3, H, W]``, contiguous."""
    return np.ascontiguousarray(np.asarray(image).transpose(2, 0, 1))


def center_crop_224(image: Image.Image, resize: int = 256, size: int = 224) -> np.ndarray:
    """The evaluation crop: shorter side to ``resize`` pixels (bilinear, antialiased), then the centre.

    Returns uint8 ``[3, size, size]``.
    """
    from torchvision.transforms import functional as F  # seconds, which only this image set needs

    return _to_array(F.center_crop(F.resize(image, [resize], antialias=True), [size, size]))


def resized_crop(
    image: Image.Image, scale_area: float, log_ratio: float, u_top: float, u_left: float, size: int = 224
) -> np.ndarray:
    """The training crop: a box of the image, resized to a square (bilinear, antialiased).

    ``scale_area`` is the box's share of the image's area, in (0, 1]; ``log_ratio`` the logarithm of
    its width / height; ``u_top`` and ``u_left`` in [0, 1) say where it lies among the places it fits.
    A box that does not fit becomes the largest central box with a width / height within ``RATIO``.
    torchvision's RandomResizedCrop draws up to ten boxes before it does so; here it is one.

    Returns uint8 ``[3, size, size]``.
    """
    top, left, height, width = crop_box(image.width, image.height, scale_area, log_ratio, u_top, u_left)
    from torchvision.transforms import functional as F

    return _to_array(F.resized_crop(image, top, left, height, width, [size, size], antialias=True))


def crop_box(
    image_width: int, image_height: int, scale_area: float, log_ratio: float, u_top: float, u_left: float
) -> tuple[int, int, int, int]:
    """(top, left, height, width) in pixels of the box that ``resized_crop`` cuts."""
    area = scale_area * image_width * image_height
    width = round(math.sqrt(area * math.exp(log_ratio)))
    height = round(math.sqrt(area / math.exp(log_ratio)))
    if 0 < width <= image_width and 0 < height <= image_height:
        # The minimum guards against u = 1 - eps rounding up to the next whole pixel.
        top = min(int(u_top * (image_height - height + 1)), image_height - height)
        left = min(int(u_left * (image_width - width + 1)), image_width - width)
        return top, left, height, width
    width, height = image_width, image_height
    if width / height < RATIO[0]:
        height = round(width / RATIO[0])
    elif width / height > RATIO[1]:
        width = round(height * RATIO[1])
    return (image_height - height) // 2, (image_width - width) // 2, height, width
