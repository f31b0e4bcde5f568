"""What a model was trained on, in 16 digits: cheap enough to be asked at every load."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NamedTuple

from repro.data import cifar, imagenet, modes, tiny_imagenet
from repro.data.dataset import Split
from repro.errors import DataError


class Images(NamedTuple):
    """A split of a set at a size in pixels: the images that an artifact rests on."""

    dataset: str
    split: Split
    image_size: int


def fingerprint(images: Images, root: Path) -> str | None:
    """16 hex digits that differ where the images or labels do; None where the set is not here (yet).

    Nothing is decoded for it. ``modes`` and CIFAR are known by checksums that are enforced whenever
    they are loaded, tiny-ImageNet by the hash that was taken when it was decoded and by its labels,
    ImageNet by the names and labels of its files (its pixels are never all read).
    """
    try:
        content = _content(images, root)
    except (DataError, OSError):
        return None
    digest = hashlib.sha256()
    for part in (images.dataset, images.split, *content):
        digest.update(part if isinstance(part, bytes) else str(part).encode())
        digest.update(b"\0")
    return digest.hexdigest()[:16]


def _content(images: Images, root: Path) -> list[str | bytes]:
    name, split, size = images
    if name == "modes":
        return [modes.PIXELS[split]]
    if name in cifar.SETS:
        return [md5 for _, md5 in sorted(cifar.official_files(name, root).items())]
    if name == "tiny-imagenet":
        cache = tiny_imagenet.cache_folder(split, root, size)
        _, labels, meta = tiny_imagenet.read_cache(cache, size)
        return [meta["images_sha256"], labels.tobytes()]
    index = imagenet.index_imagenet(split, root)
    names = "\n".join("/".join(Path(path).parts[-2:]) for path in index.paths)
    return [names, index.labels.tobytes()]
