"""CIFAR-10 and CIFAR-100: 32 x 32 pixels, 50,000 training and 10,000 test images.

The official files are Python pickles, and opening a pickle runs what is in it: every file's
checksum must be the official one before any is opened.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from repro.data.archives import checksum, fetch_and_unpack, missing, verify
from repro.data.dataset import ImageDataset, Split

if TYPE_CHECKING:
    from torchvision.datasets import CIFAR10


_HOME = "https://www.cs.toronto.edu/~kriz/"
SETS = {  # torchvision's class of a set, and its address, without the seconds that torchvision's import takes
    "cifar10": ("CIFAR10", _HOME + "cifar-10-python.tar.gz"),
    "cifar100": ("CIFAR100", _HOME + "cifar-100-python.tar.gz"),
}
# The Cutout recipe's, which it uses for both sets.
MEAN = (125.3 / 255, 123.0 / 255, 113.9 / 255)
STD = (63.0 / 255, 62.1 / 255, 66.7 / 255)


def load_cifar(name: str, split: Split, root: Path) -> ImageDataset:
    """One split of ``cifar10`` or ``cifar100``, uint8 ``[N, 3, 32, 32]``, in the official order.

    Reads ``root/cifar-10-batches-py`` or ``root/cifar-100-python``. CIFAR-100 has its 100 fine labels. ``DataError``
    when a file is missing or has another checksum than the official one; nothing is unpickled then.
    """
    for path, md5 in official_files(name, root).items():
        if not path.is_file():
            raise missing(name, root, path)
        verify(path, md5)
    data = _kind(name)(str(root), train=split == "train")
    images = np.ascontiguousarray(data.data.transpose(0, 3, 1, 2))
    return ImageDataset(name, split, images, np.array(data.targets, np.int64), tuple(data.classes), MEAN, STD)


def superclasses(root: Path) -> tuple[tuple[str, ...], np.ndarray]:
    """CIFAR-100's 20 superclasses: their names, and the superclass of each class, int64 ``[100]``."""
    contents = {}
    for path, md5 in official_files("cifar100", root).items():
        if path.name in ("meta", "test"):
            verify(path, md5)
            contents[path.name] = pickle.loads(path.read_bytes(), encoding="latin1")
    test, meta = contents["test"], contents["meta"]
    of_class = np.zeros(100, np.int64)
    of_class[test["fine_labels"]] = test["coarse_labels"]
    return tuple(meta["coarse_label_names"]), of_class


def official_files(name: str, root: Path) -> dict[Path, str]:
    """Each file of the set with its md5."""
    kind = _kind(name)
    listed = [*kind.train_list, *kind.test_list, (kind.meta["filename"], kind.meta["md5"])]
    return {Path(root) / kind.base_folder / filename: md5 for filename, md5 in listed}


def check_cifar(name: str, root: Path) -> list[str]:
    """What is wrong with the set's files, one sentence each; empty when all checksums are the official ones."""
    findings = []
    for path, md5 in official_files(name, root).items():
        if not path.is_file():
            findings.append(f"{path} is missing")
        elif (actual := checksum(path)) != md5:
            findings.append(f"{path} has md5 {actual}, not {md5}")
    return findings


def fetch_cifar(name: str, root: Path) -> None:
    """Download the official archive into ``root`` (kept there) and unpack it beside itself."""
    kind, root = _kind(name), Path(root)
    fetch_and_unpack(kind.url, root / kind.filename, kind.tgz_md5, root / kind.base_folder)


def _kind(name: str) -> type[CIFAR10]:
    from torchvision import datasets

    kind: type[CIFAR10] = getattr(datasets, SETS[name][0])
    return kind
