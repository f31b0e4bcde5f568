"""ImageNet folders: the index, reading one image, and crops that are torchvision's."""

import math
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps
from torchvision import transforms
from torchvision.datasets import ImageFolder
from torchvision.transforms import functional as F

from repro.data.imagenet import RATIO, center_crop, crop_box, index_imagenet, index_other, read_image, resized_crop
from repro.errors import DataError
from tests.data.conftest import save_image


def noise(width: int, height: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8))


def test_the_index_is_the_one_of_torchvision(fake_imagenet: Path) -> None:
    for split, folder, count in (("train", "train", 4), ("test", "val", 2)):
        index = index_imagenet(split, fake_imagenet)  # type: ignore[arg-type]
        theirs = ImageFolder(str(fake_imagenet / "imagenet" / folder))
        assert list(zip(index.paths, index.labels.tolist(), strict=True)) == theirs.samples
        assert index.class_names == tuple(theirs.classes) == ("n01443537", "n02056570")
        assert (len(index), index.num_classes) == (count, 2) and index.labels.dtype == np.int64


def test_other_sets_bear_imagenets_labels_by_name_or_by_number(fake_imagenet: Path) -> None:
    """Three classes: -V2 has them by number, where 10 would come before 2; -A has the last one by name."""
    for part in ("train", "val"):
        save_image(fake_imagenet / "imagenet" / part / "n03000000" / "any.JPEG")
    assert index_other("ImageNet-A", fake_imagenet) is None
    for folder in ("imagenet-v2/2", "imagenet-v2/0", "imagenet-v2/1", "imagenet-a/n03000000"):
        save_image(fake_imagenet / folder / "any.JPEG")
    (fake_imagenet / "imagenet-a" / "README.txt").write_text("no class")
    for name, labels in (("ImageNet-V2", [0, 1, 2]), ("ImageNet-A", [2])):
        index = index_other(name, fake_imagenet)
        assert index and index.labels.tolist() == labels and index.num_classes == 3
    save_image(fake_imagenet / "imagenet-a" / "n09999999" / "any.JPEG")
    with pytest.raises(DataError, match=r"imagenet-a/n09999999 is no class of .*: neither its name nor its number"):
        index_other("ImageNet-A", fake_imagenet)


def test_what_is_empty_or_missing_is_named(fake_imagenet: Path) -> None:
    folder = fake_imagenet / "imagenet"
    for path in (folder / "val/n01443537").iterdir():
        path.unlink()
    assert len(index_imagenet("train", fake_imagenet)) == 4
    with pytest.raises(DataError, match="val/n01443537 holds no images"):
        index_imagenet("test", fake_imagenet)
    (folder / "val/n01443537").rmdir()
    with pytest.raises(DataError, match=r"must hold the same classes, but 1 stand in one only, e\.g\. n01443537"):
        index_imagenet("train", fake_imagenet)
    shutil.rmtree(folder / "val")
    with pytest.raises(DataError, match=f"imagenet is not in {fake_imagenet}: .*imagenet/val is missing; run"):
        index_imagenet("train", fake_imagenet)
    shutil.rmtree(folder)
    (folder / "train").mkdir(parents=True)
    with pytest.raises(DataError, match="train holds no class folders; the images must lie in"):
        index_imagenet("train", fake_imagenet)


@pytest.mark.parametrize(("suffix", "turn"), [("png", 6), ("tif", 1)])
def test_sixteen_bits_are_scaled_and_pictures_turned_as_viewers_do(tmp_path: Path, suffix: str, turn: int) -> None:
    grey = np.linspace(0, 65535, 40 * 30).astype(np.uint16).reshape(30, 40)
    exif = Image.Exif()
    exif[0x0112] = turn
    Image.fromarray(grey).save(tmp_path / f"a.{suffix}", exif=exif)
    pixels = np.asarray(read_image(tmp_path / f"a.{suffix}"))
    expected = np.round(grey / 257).astype(np.uint8)
    assert len(np.unique(pixels)) == 256
    assert np.array_equal(pixels, np.stack([np.rot90(expected, -1) if turn == 6 else expected] * 3, -1))


@pytest.mark.parametrize("turn", [1, 2, 6])
def test_a_whole_photograph_with_an_odd_tag_is_turned_as_one_without(tmp_path: Path, turn: int) -> None:
    """Its resolution is text instead of a fraction: nothing that is asked for."""
    turned, odd = struct.pack("<HHIHH", 0x0112, 3, 1, turn, 0), struct.pack("<HHI4s", 0x011A, 2, 3, b"72")
    for name, tags in (("odd", turned + odd), ("plain", turned)):
        exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, len(tags) // 12) + tags + bytes(4)
        noise(40, 30).save(tmp_path / f"{name}.JPEG", exif=exif)
    image = read_image(tmp_path / "odd.JPEG")
    assert image.size == ((40, 30) if turn < 5 else (30, 40))
    assert np.array_equal(np.asarray(image), np.asarray(ImageOps.exif_transpose(Image.open(tmp_path / "plain.JPEG"))))


def test_what_is_transparent_lies_over_white(tmp_path: Path) -> None:
    picture = Image.new("RGBA", (40, 30), (0, 0, 0, 0))
    picture.paste((200, 200, 200, 255), (0, 0, 20, 30))
    for mode in ("RGBA", "LA", "P"):
        picture.convert(mode).save(tmp_path / "a.png")
        pixels = np.asarray(read_image(tmp_path / "a.png"))
        assert (pixels[:, :20] == 200).all() and (pixels[:, 20:] == 255).all()


def test_bad_images_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.fromarray(np.ones((30, 40), np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(DataError, match=r"a\.tif has 32 bits a pixel, and nothing says which value is white"):
        read_image(tmp_path / "a.tif")
    path = tmp_path / "a.JPEG"
    noise(40, 30).save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-200])
    with pytest.raises(DataError, match=r"a\.JPEG cannot be read as an image \(.*\); replace it"):
        read_image(path)
    noise(40, 30).save(path)
    with pytest.raises(DataError, match=r"c\.JPEG is missing"):
        read_image(tmp_path / "c.JPEG")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 599)
    with pytest.raises(DataError, match=r"a\.JPEG has more pixels than are read \(1,198 at most\); scale it down"):
        read_image(path)


def test_crops_are_those_of_torchvision() -> None:
    for width, height in ((500, 375), (100, 100), (301, 299)):
        image = noise(width, height)
        ours = center_crop(image, 256, 224)
        theirs = transforms.Compose([transforms.Resize(256), transforms.CenterCrop(224)])(image)
        assert ours.dtype == np.uint8 and np.array_equal(ours, np.asarray(theirs).transpose(2, 0, 1))
    image = noise(200, 100)
    ours = resized_crop(image, 0.25, math.log(4 / 3), 0.5, 0.999, size=64)
    width, height = round(math.sqrt(5000 * 4 / 3)), round(math.sqrt(5000 * 3 / 4))
    theirs = F.resized_crop(image, (100 - height + 1) // 2, 200 - width, height, width, [64, 64])
    assert ours.dtype == np.uint8 and np.array_equal(ours, np.asarray(theirs).transpose(2, 0, 1))


def test_boxes_lie_in_the_image_and_reach_every_side() -> None:
    almost_one = math.nextafter(1.0, 0.0)
    for scale in (0.08, 0.3, 1.0):
        for ratio in RATIO:
            for u in (0.0, 0.5, almost_one):
                top, left, height, width = crop_box(97, 61, scale, math.log(ratio), u, u)
                assert top >= 0 and left >= 0 and top + height <= 61 and left + width <= 97
    top, left, height, width = crop_box(97, 61, 0.1, 0.0, almost_one, almost_one)
    assert (top + height, left + width) == (61, 97)

    for width, height in ((400, 100), (100, 400), (110, 100)):  # it does not fit, and becomes the central one
        ours = crop_box(width, height, 1.0, math.log(3 / 4), 0.9, 0.9)
        # torchvision's own, made to fail by asking for more than the whole image.
        theirs = transforms.RandomResizedCrop.get_params(noise(width, height), scale=[4.0, 4.0], ratio=list(RATIO))
        assert ours == tuple(theirs)
