"""Every image set by name: what it is, whether it is here, how to get it, how to load it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal, NamedTuple

from repro.data import cifar, imagenet, modes, tiny_imagenet
from repro.data.archives import fetch_and_unpack, move_aside
from repro.data.dataset import ImageDataset, Split
from repro.errors import DataError

State = Literal["present", "partial", "absent"]
SPLITS: tuple[Split, ...] = ("train", "test")


class DatasetCard(NamedTuple):
    """What there is to know of a set before it is here.

    num_train    images of the training split; ``num_test`` of the test split
    image_size   side in pixels as distributed; None where it varies
    source       address of the official files, or ``embedded``
    disk         what it takes on disk once it is unpacked
    """

    name: str
    classes: int
    num_train: int
    num_test: int
    image_size: int | None
    source: str
    terms: str
    disk: str


class DatasetStatus(NamedTuple):
    """Whether a set is under a root, and what is missing (sentences)."""

    state: State
    missing: tuple[str, ...] = ()


_CIFAR_TERMS = "no licence stated by its authors; they ask that the technical report be cited (Krizhevsky, 2009)"
_IMAGENET_TERMS = (
    "ImageNet's terms of access: non-commercial research and education only; the images' rights stay with their owners"
)

_CARDS = (
    DatasetCard(
        name="modes",
        classes=modes.NUM_CLASSES,
        num_train=modes.NUM_IMAGES["train"],
        num_test=modes.NUM_IMAGES["test"],
        image_size=modes.SIZE,
        source="embedded",
        terms="part of this project, under its licence",
        disk="nothing",
    ),
    *(
        DatasetCard(
            name=name,
            classes=classes,
            num_train=50_000,
            num_test=10_000,
            image_size=32,
            source=cifar.SETS[name][1],
            terms=_CIFAR_TERMS,
            disk="0.4 GB, the archive included",
        )
        for name, classes in (("cifar10", 10), ("cifar100", 100))
    ),
    DatasetCard(
        name="tiny-imagenet",
        classes=200,
        num_train=100_000,
        num_test=10_000,
        image_size=64,
        source=tiny_imagenet.URL,
        terms=_IMAGENET_TERMS,
        disk="0.8 GB, the archive included; decoded, 0.3 GB more at 32 pixels and 1.4 GB more at 64",
    ),
    DatasetCard(
        name="imagenet",
        classes=1000,
        num_train=1_281_167,
        num_test=50_000,
        image_size=None,
        source="https://image-net.org/download-images.php",
        terms=_IMAGENET_TERMS,
        disk="145 GB",
    ),
)
DATASETS: dict[str, DatasetCard] = {card.name: card for card in _CARDS}


def _card(name: str) -> DatasetCard:
    if name not in DATASETS:
        raise DataError(f"there is no data set {name!r}; choose one of {', '.join(DATASETS)}")
    return DATASETS[name]


def load(
    name: str, split: Split, root: Path, image_size: int | None = None, num_images: int | None = None
) -> ImageDataset:
    """One split of a set that fits in memory, from what lies under ``root``; nothing is downloaded.

    ``image_size`` is a side in pixels, by default the set's own (tiny-imagenet alone has two).
    ``modes`` makes as many as ``num_images``; of another set they are a part, the same share of each class and the same
    images for every seed. ``DataError`` for an unknown name or size, and when the set is missing or damaged.
    """
    card = _card(name)
    if name == "imagenet":
        raise DataError("imagenet does not fit in memory; repro.data.imagenet.index_imagenet lists its images instead")
    if name != "modes" and num_images is not None:
        whole = load(name, split, root, image_size)
        if not whole.num_classes <= num_images <= len(whole):
            raise DataError(
                f"a part of {name}/{split} has between {whole.num_classes} and {len(whole)} images, not {num_images}; "
                "ask for as many as that"
            )
        return replace(whole.holdout(num_images / len(whole))[1], split=split)
    if name == "tiny-imagenet":
        return tiny_imagenet.load_tiny_imagenet(split, root, image_size or tiny_imagenet.NATIVE_SIZE)
    if image_size not in (None, card.image_size):
        raise DataError(f"{name} comes at {card.image_size} pixels, not {image_size}")
    if name == "modes":
        return modes.make_modes(split, num_images=num_images)
    return cifar.load_cifar(name, split, root)


def status(name: str, root: Path) -> DatasetStatus:
    """What of the set lies under ``root``; a look at names alone, no file is opened (see ``check``)."""
    _card(name)
    if name == "modes":
        return DatasetStatus("present")
    folder, wanted = _layout(name, Path(root))
    if name == "tiny-imagenet" and not folder.exists() and folder.with_suffix(".zip").is_file():
        return DatasetStatus("present")  # unpacked when it is first loaded
    if not folder.exists():
        return DatasetStatus("absent", (f"{folder} is missing",))
    gaps = tuple(f"{path} is missing" for path in wanted if not path.exists())
    return DatasetStatus("partial" if gaps else "present", gaps)


def _layout(name: str, root: Path) -> tuple[Path, list[Path]]:
    """(the set's folder, the files and folders that must stand in it)."""
    if name == "imagenet":
        return root / "imagenet", [root / "imagenet" / folder for folder in imagenet.FOLDERS.values()]
    if name == "tiny-imagenet":
        folder = root / tiny_imagenet.FOLDER
        named = [folder / part for part in ("wnids.txt", "words.txt", "train", "val/images", "val/val_annotations.txt")]
        return folder, named
    files = list(cifar.official_files(name, root))
    return files[0].parent, files


def fetch(name: str, root: Path) -> str:
    """Have the set whole under ``root``: download and unpack it unless it is there and passes ``check``.

    What is damaged is moved aside, progress is on stderr. Returns what became of it. ``DataError`` when it cannot be
    fetched by a program (imagenet, whose images are not read here), and for every failure of the download.
    """
    root, current = Path(root), status(name, root)
    if name == "imagenet":
        if current.state != "present":
            raise DataError(
                f"imagenet cannot be fetched by a program ({current.missing[0]}): ask for access at image-net.org, get "
                "the ILSVRC 2012 training and validation archives, and lay them out as "
                "data/imagenet/train/<class>/*.JPEG and data/imagenet/val/<class>/*.JPEG, e.g. class n01440764"
            )
        return "laid out; `repro data check imagenet` reads every image"
    if name == "tiny-imagenet":
        for cache in tiny_imagenet.damaged_caches(root):
            move_aside(cache)
    if current.state == "absent" or check(name, root):
        if name == "tiny-imagenet":
            folder = root / tiny_imagenet.FOLDER
            fetch_and_unpack(tiny_imagenet.URL, folder.with_suffix(".zip"), tiny_imagenet.MD5, folder)
        else:
            cifar.fetch_cifar(name, root)
    return "ready"


def check(name: str, root: Path) -> list[str]:
    """Everything that is wrong with the set under ``root``, one sentence each; empty when it is whole.

    Checksums for CIFAR; counts, decoding of every image, and the caches' hashes for tiny-imagenet;
    counts and decoding for imagenet. Reads every byte: seconds to minutes, hours for imagenet.
    """
    _card(name)
    root, findings = Path(root), check_sums(name, Path(root))
    for split in SPLITS if name in ("tiny-imagenet", "imagenet") else ():
        try:
            if name == "imagenet":
                findings += imagenet.unreadable(imagenet.index_imagenet(split, root).paths)
            else:
                pairs = tiny_imagenet.list_images(split, tiny_imagenet.official_folder(root))
                findings += imagenet.unreadable([str(path) for path, _ in pairs], tiny_imagenet.NATIVE_SIZE)
        except DataError as error:
            findings.append(str(error))
    return list(dict.fromkeys(findings))


def check_sums(name: str, root: Path) -> list[str]:
    """What is wrong with the set by the checksums that it has: no image is decoded."""
    if name in cifar.SETS:
        return cifar.check_cifar(name, root)
    return list(tiny_imagenet.damaged_caches(root).values()) if name == "tiny-imagenet" else []
