"""A folder of image files made of an image set, for whoever has none at hand: how one's own should be laid out."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from repro.data.catalogue import load
from repro.data.dataset import Split
from repro.files import write_aside
from repro.progress import say

CLASSES = 10
FOLDERS: dict[str, Split] = {"train": "train", "val": "test"}


def example_folder(dataset: str, root: Path) -> Path:
    """``<root>/examples/<dataset>-10``: the first ten classes of a set as PNG files, made if it is not there.

    ``train/<class>/`` and ``val/<class>/`` hold the images of the set's train and test split in their order.
    :class:`DataError` if there is no such set, or it is not below ``root``.
    """
    folder = Path(root) / "examples" / f"{dataset}-{CLASSES}"
    if folder.is_dir():
        return folder
    sets = {name: load(dataset, split, root) for name, split in FOLDERS.items()}
    say(f"writing {CLASSES} classes of {dataset} as image files to {folder}")
    with write_aside(folder) as aside:
        for name, images in sets.items():
            for label, class_name in enumerate(images.class_names[:CLASSES]):
                within = aside / name / class_name.replace("/", "-")
                within.mkdir(parents=True)
                for index in (images.labels == label).nonzero()[0]:
                    Image.fromarray(images.images[index].transpose(1, 2, 0)).save(within / f"{index:05d}.png")
    return folder
