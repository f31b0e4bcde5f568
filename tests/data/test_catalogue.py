"""The catalogue: every set by name, and sentences that say what to do about what is not here."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from repro.data import tiny_imagenet
from repro.data.archives import checksum
from repro.data.catalogue import DATASETS, check, fetch, load, status
from repro.errors import DataError

NAMES = ("modes", "cifar10", "cifar100", "tiny-imagenet", "imagenet")


@pytest.mark.parametrize("ask", [lambda n, r: load(n, "train", r), status, fetch, check])
def test_an_unknown_name_lists_the_choices(ask: Callable, tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        ask("cifar-100", tmp_path)
    assert str(error.value) == f"there is no data set 'cifar-100'; choose one of {', '.join(NAMES)}"


def test_modes_needs_nothing(tmp_path: Path) -> None:
    made = load("modes", "train", tmp_path, num_images=100)
    card = DATASETS["modes"]
    assert (len(made), made.num_classes, made.image_size) == (100, card.classes, card.image_size)
    assert status("modes", tmp_path).state == "present"
    fetch("modes", tmp_path)
    assert check("modes", tmp_path) == [] and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "gap"),
    [
        ("cifar10", "cifar-10-batches-py/data_batch_1"),
        ("cifar100", "cifar-100-python/train"),
        ("tiny-imagenet", "tiny-imagenet-200"),
    ],
)
def test_absent_sets_say_how_to_get_them(name: str, gap: str, tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        load(name, "train", tmp_path)
    where = f"{name} is not in {tmp_path}: {tmp_path / gap} is missing"
    assert str(error.value) == f"{where}; run `repro data fetch {name}`, or lay out the official files there"
    found = status(name, tmp_path)
    assert found == ("absent", (f"{tmp_path / gap.split('/')[0]} is missing",))
    assert check(name, tmp_path)


def test_imagenet_is_for_the_person_to_get(fake_imagenet: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    with pytest.raises(
        DataError, match=r"cannot be fetched by a program .*image-net\.org.*data/imagenet/train/<class>"
    ):
        fetch("imagenet", empty)
    with pytest.raises(DataError, match=r"does not fit in memory; repro\.data\.imagenet\.index_imagenet"):
        load("imagenet", "train", fake_imagenet)
    assert status("imagenet", empty).state == "absent"
    assert status("imagenet", fake_imagenet).state == "present"
    fetch("imagenet", fake_imagenet)
    assert check("imagenet", fake_imagenet) == []
    shutil.rmtree(fake_imagenet / "imagenet/val")
    assert status("imagenet", fake_imagenet).missing == (f"{fake_imagenet}/imagenet/val is missing",)
    (finding,) = check("imagenet", fake_imagenet)
    assert finding.startswith(f"imagenet is not in {fake_imagenet}: {fake_imagenet}/imagenet/val is missing")


def test_tiny_imagenet_from_folder_to_findings(fake_tiny: Path) -> None:
    assert status("tiny-imagenet", fake_tiny).state == "present"
    assert load("tiny-imagenet", "test", fake_tiny).image_size == 64
    assert load("tiny-imagenet", "test", fake_tiny, image_size=32).image_size == 32
    assert check("tiny-imagenet", fake_tiny) == []
    folder = fake_tiny / "tiny-imagenet-200"
    bad = [folder / "train/n02056570/images/n02056570_0.JPEG", folder / "val/images/val_1.JPEG"]
    for path in bad:
        path.write_bytes(b"")
    findings = check("tiny-imagenet", fake_tiny)
    assert [finding.split()[0] for finding in findings] == [str(path) for path in bad]
    (folder / "words.txt").unlink()
    assert status("tiny-imagenet", fake_tiny).missing == (f"{folder / 'words.txt'} is missing",)


@pytest.fixture
def served(fake_tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The archive of the small tiny-ImageNet, where the official one would be."""
    archive = Path(shutil.make_archive(str(tmp_path / "served"), "zip", fake_tiny, "tiny-imagenet-200"))
    monkeypatch.setattr(tiny_imagenet, "URL", archive.as_uri())
    monkeypatch.setattr(tiny_imagenet, "MD5", checksum(archive))
    return archive


@pytest.mark.parametrize("gone", [True, False])
def test_what_is_damaged_is_moved_aside_and_fetched_anew(
    gone: bool, fake_tiny: Path, served: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file that is missing, or damaged; with a damaged download and a damaged cache beside it."""
    load("tiny-imagenet", "test", fake_tiny)
    folder, cache = fake_tiny / "tiny-imagenet-200", fake_tiny / "cache/tiny-imagenet-64-test"
    picture = folder / "train/n02056570/images/n02056570_0.JPEG"
    if gone:
        (folder / "wnids.txt").unlink()
    picture.write_bytes(b"")
    (cache / "labels.npy").write_bytes(b"")
    folder.with_suffix(".zip").write_bytes(served.read_bytes()[:-1])
    assert fetch("tiny-imagenet", fake_tiny) == "ready" and check("tiny-imagenet", fake_tiny) == []
    aside = [folder, folder.with_suffix(".zip"), cache]
    assert all(path.with_name(f"{path.name}.damaged-1").exists() for path in aside)
    said = f"{folder} is damaged or not whole: moved to {folder}.damaged-1, which may be deleted"
    assert said in capsys.readouterr().err
    assert fetch("tiny-imagenet", fake_tiny) == "ready" and not list(fake_tiny.glob("*.damaged-2"))


def test_what_cannot_be_fetched_is_not_moved(fake_tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiny_imagenet, "URL", (tmp_path / "nowhere.zip").as_uri())
    (fake_tiny / "tiny-imagenet-200/wnids.txt").unlink()
    with pytest.raises(DataError, match=r"cannot fetch .*nowhere\.zip"):
        fetch("tiny-imagenet", fake_tiny)
    assert (fake_tiny / "tiny-imagenet-200/words.txt").is_file()


@pytest.mark.usefixtures("served")
def test_fetching_tiny_imagenet(tmp_path: Path) -> None:
    fresh = tmp_path / "fresh"
    fetch("tiny-imagenet", fresh)
    fetch("tiny-imagenet", fresh)  # nothing left to do
    assert sorted(p.name for p in fresh.iterdir()) == ["tiny-imagenet-200", "tiny-imagenet-200.zip"]
    assert len(load("tiny-imagenet", "train", fresh)) == 6
    shutil.rmtree(fresh / "tiny-imagenet-200")
    assert status("tiny-imagenet", fresh).state == "present"
    assert check("tiny-imagenet", fresh) == []


def test_sizes_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cifar100 comes at 32 pixels, not 64"):
        load("cifar100", "train", tmp_path, image_size=64)
    with pytest.raises(DataError, match="tiny-imagenet comes at 64 or 32 pixels, not 48"):
        load("tiny-imagenet", "train", tmp_path, image_size=48)
