"""Small fake image sets, laid out as the official ones."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

WNIDS = ("n02056570", "n01443537")  # not sorted, as in the official file


def save_image(path: Path, size: tuple[int, int] = (64, 64), seed: int = 0, mode: str = "RGB") -> np.ndarray:
    """Write a JPEG of noise blocks; returns what it decodes to, uint8 ``[H, W, 3]``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    blocks = np.random.default_rng(seed).integers(0, 256, (size[1] // 8, size[0] // 8, 3), dtype=np.uint8)
    pixels = blocks.repeat(8, 0).repeat(8, 1)
    Image.fromarray(pixels).convert(mode).save(path, format="JPEG", quality=90)
    return np.asarray(Image.open(path).convert("RGB"))


@pytest.fixture
def fake_tiny(tmp_path: Path) -> Path:
    """A root with a two-class tiny-imagenet-200: three training and two validation images a class."""
    root = tmp_path / "data"
    folder = root / "tiny-imagenet-200"
    for c, wnid in enumerate(WNIDS):
        for i in range(3):
            save_image(folder / "train" / wnid / "images" / f"{wnid}_{i}.JPEG", seed=10 * c + i)
    annotations = []
    for i in range(4):
        wnid = WNIDS[i % 2]
        save_image(folder / "val" / "images" / f"val_{i}.JPEG", seed=100 + i, mode="L" if i == 0 else "RGB")
        annotations.append(f"val_{i}.JPEG\t{wnid}\t0\t0\t62\t62\n")
    (folder / "val" / "val_annotations.txt").write_text("".join(annotations))
    (folder / "wnids.txt").write_text("".join(f"{wnid}\n" for wnid in WNIDS))
    (folder / "words.txt").write_text(
        "n00001740\tentity\nn01443537\tgoldfish, Carassius auratus\nn02056570\tking penguin, Aptenodytes patagonica\n"
    )
    return root


@pytest.fixture
def fake_imagenet(tmp_path: Path) -> Path:
    """A root with a two-class imagenet: two training images and one validation image a class."""
    root = tmp_path / "data"
    for c, wnid in enumerate(WNIDS):
        for i in range(2):
            save_image(root / "imagenet" / "train" / wnid / f"{wnid}_{i}.JPEG", (96, 80), seed=10 * c + i)
        save_image(root / "imagenet" / "val" / wnid / f"val_{c}.JPEG", (80, 96), seed=50 + c)
    return root
