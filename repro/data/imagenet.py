"""ImageNet, and any folder laid out like it: an index of files, and images read one at a time.

    root/imagenet/train/<class>/*.JPEG
    root/imagenet/val/<class>/*.JPEG

The set does not fit in memory, so what is loaded is where each image lies. Random crops take their
randomness as numbers: which crop an image gets in which epoch is decided by whoever draws them.
"""

from __future__ import annotations

import hashlib
import math
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image
from tqdm import tqdm

from repro.data.archives import missing
from repro.data.dataset import Split
from repro.errors import DataError

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
FOLDERS: dict[str, str] = {"train": "train", "test": "val"}
# Other images of ImageNet's classes, and the folder of each set below the root.
OTHER_SETS = {
    "ImageNet-V2": "imagenet-v2", "ImageNet-A": "imagenet-a", "ImageNet-R": "imagenet-r", "Sketch": "imagenet-sketch",
}  # fmt: skip
# What is read. Image.registered_extensions loads all of Pillow's formats, and so says which of these it was built with.
FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "TIFF", "BMP", "DIB", "GIF", "PPM", "AVIF")
SUFFIXES = tuple(sorted(suffix for suffix, name in Image.registered_extensions().items() if name in FORMATS))
# How a picture is turned by its EXIF tag 0x112.
ORIENTATION = 0x112
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # fmt: skip
# The shapes a random crop may have, width / height (torchvision's RandomResizedCrop).
RATIO = (3 / 4, 4 / 3)
# Files read between two looks at the keyboard.
BLOCK = 1000
A = TypeVar("A")
B = TypeVar("B")


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
    base = Path(root) / "imagenet"
    classes = {name: _folders_in(base / name, root) for name in FOLDERS.values()}
    if classes["train"] != classes["val"]:
        odd = sorted(set(classes["train"]) ^ set(classes["val"]))
        raise DataError(
            f"{base}/train and {base}/val must hold the same classes, but {len(odd)} stand in one only, e.g. {odd[0]}"
        )
    names = classes["train"]
    paths, labels = _listed(base / FOLDERS[split], {name: label for label, name in enumerate(names)})
    return ImageFolderIndex("imagenet", split, paths, labels, tuple(names))


def index_other(name: str, root: Path) -> ImageFolderIndex | None:
    """The images of one of :data:`OTHER_SETS`, labelled as ImageNet's are; ``None`` where it is not laid out.

    Its folders, of all classes or of some, bear ImageNet's names or, as ImageNet-V2's, the numbers of the labels.
    ``DataError`` where one is no class, or ImageNet is not there.
    """
    folder, names = Path(root) / OTHER_SETS[name], _folders_in(Path(root) / "imagenet" / FOLDERS["test"], root)
    if not folder.is_dir():
        return None
    label_of = {key: label for label, wnid in enumerate(names) for key in (str(label), wnid)}
    there = _folders_in(folder, root)
    if odd := [each for each in there if each not in label_of]:
        raise DataError(f"{folder / odd[0]} is no class of {root}/imagenet: neither its name nor its number")
    paths, labels = _listed(folder, {each: label_of[each] for each in there})
    return ImageFolderIndex(OTHER_SETS[name], "test", paths, labels, tuple(names))


def _listed(folder: Path, label_of: Mapping[str, int]) -> tuple[tuple[str, ...], np.ndarray]:
    """Paths and labels of the images in some classes' folders, class by class, sorted by name."""
    paths: list[str] = []
    labels: list[int] = []
    for name, label in label_of.items():
        images = sorted(entry.path for entry in os.scandir(folder / name) if entry.name.lower().endswith(SUFFIXES))
        if not images:
            raise DataError(f"{folder / name} holds no images ({', '.join(SUFFIXES)})")
        paths += images
        labels += [label] * len(images)
    return tuple(paths), np.array(labels, np.int64)


def _folders_in(folder: Path, root: Path) -> list[str]:
    if not folder.is_dir():
        raise missing("imagenet", root, folder)
    names = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir() and not entry.name.startswith("."))
    if not names:
        raise DataError(f"{folder} holds no class folders; the images must lie in {folder}/<class>/")
    return names


def read_image(path: Path | str, expected_size: int | None = None) -> Image.Image:
    """The image in ``path`` as RGB, fully decoded (:func:`as_displayed`); of an animation, the first.

    ``expected_size`` is the side in pixels that the image must have, checked before it is decoded.
    ``DataError`` names the file when it is missing, truncated, of another size, or none of ``FORMATS``.
    """
    try:
        # From a file, not by name: Pillow maps some TIFFs from disk, and then turns them wrongly.
        with open(path, "rb") as file, Image.open(file, formats=[f for f in FORMATS if f in Image.OPEN]) as image:
            if expected_size is not None and image.size != (expected_size, expected_size):
                raise DataError(f"is {image.width}x{image.height} pixels, not {expected_size}x{expected_size}")
            return as_displayed(image)
    except FileNotFoundError:
        raise DataError(f"{path} is missing") from None
    except DataError as error:
        raise DataError(f"{path} {error}") from error
    except Image.DecompressionBombError as error:
        most = 2 * (Image.MAX_IMAGE_PIXELS or 0)
        raise DataError(f"{path} has more pixels than are read ({most:,} at most); scale it down") from error
    except Exception as error:  # what Pillow's decoders raise for files that are not whole
        raise DataError(f"{path} cannot be read as an image ({error}); replace it with a whole one") from error


def as_displayed(image: Image.Image) -> Image.Image:
    """RGB as viewers display it: turned as its EXIF data say, 16 bits scaled to 8, what is transparent over white.

    ``DataError`` where nothing says which value is white (integers and floats of 32 bits).
    """
    sixteen = image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM"))
    if image.mode in ("I", "F") and not sixteen:
        raise DataError("has 32 bits a pixel, and nothing says which value is white; save it with 8 or 16")
    image.load()  # Pillow turns a TIFF while it loads it
    # By hand: ImageOps.exif_transpose writes all tags anew, which fails where any of them has an odd type.
    if (turn := TURNS.get(image.getexif().get(ORIENTATION, 1))) is not None:
        image = image.transpose(turn)
    if sixteen:
        image = Image.fromarray((np.asarray(image) / 257).round().astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def pixel_digests(paths: Sequence[str], expected_size: int | None = None) -> list[str | DataError]:
    """sha256 of each image's size and pixels as read, or why it cannot be read."""

    def digest(path: str) -> str | DataError:
        try:
            image = read_image(path, expected_size)
        except DataError as error:
            return error
        return hashlib.sha256(f"{image.size}".encode() + image.tobytes()).hexdigest()

    return decode_all(digest, paths)


def unreadable(paths: Sequence[str], expected_size: int | None = None) -> list[str]:
    """A sentence for each file that ``read_image`` refuses."""
    return [str(each) for each in pixel_digests(paths, expected_size) if isinstance(each, DataError)]


def decode_all(decode: Callable[[A], B], images: Sequence[A], what: str = "decoding") -> list[B]:
    """What ``decode`` makes of each image, on all cores, with progress on stderr."""
    decoded: list[B] = []
    with ThreadPoolExecutor() as pool, tqdm(total=len(images), desc=what, unit=" images", file=sys.stderr) as bar:
        for start in range(0, len(images), BLOCK):  # in blocks, so that a stop does not wait for all of them
            for each in pool.map(decode, images[start : start + BLOCK]):
                bar.update()
                decoded.append(each)
    return decoded


def _to_array(image: Image.Image) -> np.ndarray:
    """uint8 ``[3, H, W]``, contiguous."""
    return np.ascontiguousarray(np.asarray(image).transpose(2, 0, 1))


def center_crop(image: Image.Image, resize: int, size: int) -> np.ndarray:
    """The evaluation crop: shorter side to ``resize`` pixels (bilinear, antialiased), then the centre.

    Returns uint8 ``[3, size, size]``.
    """
    from torchvision.transforms import functional as F  # seconds, which only this image set needs

    return _to_array(F.center_crop(F.resize(image, [resize], antialias=True), [size, size]))


def resized_crop(
    image: Image.Image, scale_area: float, log_ratio: float, u_top: float, u_left: float, size: int
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
