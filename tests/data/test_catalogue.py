"""Every set by name, and what to do about what is not here; the embedded one: its bytes, modes, held-out part."""

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from repro.data import tiny_imagenet
from repro.data.archives import checksum
from repro.data.catalogue import check, fetch, load, status
from repro.data.modes import all_modes, make_modes
from repro.errors import DataError

NAMES = ("modes", "cifar10", "cifar100", "tiny-imagenet", "imagenet")


@pytest.mark.parametrize("ask", [lambda n, r: load(n, "train", r), status, fetch, check])
def test_what_there_is_not_and_that_modes_needs_nothing(ask: Callable, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"no data set 'cifar-100'; choose one of {', '.join(NAMES)}"):
        ask("cifar-100", tmp_path)
    for name, size, sizes in (("cifar100", 64, "32"), ("tiny-imagenet", 48, "64 or 32")):
        with pytest.raises(DataError, match=f"{name} comes at {sizes} pixels, not {size}"):
            load(name, "train", tmp_path, image_size=size)
    assert len(load("modes", "train", tmp_path, num_images=100)) == 100 and status("modes", tmp_path).state == "present"
    fetch("modes", tmp_path)
    assert check("modes", tmp_path) == [] and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "gap"), [("cifar10", "cifar-10-batches-py/data_batch_1"), ("tiny-imagenet", "tiny-imagenet-200")]
)
def test_absent_sets_say_how_to_get_them(name: str, gap: str, tmp_path: Path) -> None:
    sentence = f"{name} is not in {tmp_path}: {tmp_path / gap} is missing; run `repro data fetch {name}`"
    with pytest.raises(DataError, match=sentence):
        load(name, "train", tmp_path)
    assert status(name, tmp_path) == ("absent", (f"{tmp_path / gap.split('/')[0]} is missing",))
    assert check(name, tmp_path)


def test_imagenet_is_for_the_person_to_get(fake_imagenet: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    with pytest.raises(DataError, match=r"cannot be fetched by a program .*image-net\.org.*imagenet/train/<class>"):
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
    assert f"{fake_imagenet}/imagenet/val is missing" in finding


def test_tiny_imagenet_from_folder_to_findings(fake_tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert status("tiny-imagenet", fake_tiny).state == "present"
    assert [load("tiny-imagenet", "test", fake_tiny, size).image_size for size in (None, 32)] == [64, 32]
    assert check("tiny-imagenet", fake_tiny) == []
    folder = fake_tiny / "tiny-imagenet-200"
    bad = [folder / "train/n02056570/images/n02056570_0.JPEG", folder / "val/images/val_1.JPEG"]
    for path in bad:
        path.write_bytes(b"")
    findings = check("tiny-imagenet", fake_tiny)
    assert [finding.split()[0] for finding in findings] == [str(path) for path in bad]
    (folder / "words.txt").unlink()
    assert status("tiny-imagenet", fake_tiny).missing == (f"{folder / 'words.txt'} is missing",)
    monkeypatch.setattr(tiny_imagenet, "URL", (fake_tiny / "nowhere.zip").as_uri())
    with pytest.raises(DataError, match=r"cannot fetch .*nowhere\.zip"):
        fetch("tiny-imagenet", fake_tiny)
    assert (folder / "wnids.txt").is_file(), "what cannot be fetched is not moved aside"


@pytest.mark.parametrize("gone", [True, False])
def test_fetched_and_what_is_damaged_is_moved_aside_and_fetched_anew(
    gone: bool, fake_tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file that is missing, or damaged; with a damaged download and a damaged cache beside it."""
    served = Path(shutil.make_archive(str(tmp_path / "served"), "zip", fake_tiny, "tiny-imagenet-200"))
    monkeypatch.setattr(tiny_imagenet, "URL", served.as_uri())
    monkeypatch.setattr(tiny_imagenet, "MD5", checksum(served))
    fresh = tmp_path / "fresh"
    fetch("tiny-imagenet", fresh)
    assert sorted(p.name for p in fresh.iterdir()) == ["tiny-imagenet-200", "tiny-imagenet-200.zip"]
    shutil.rmtree(fresh / "tiny-imagenet-200")
    assert status("tiny-imagenet", fresh).state == "present", "unpacked when it is first loaded"
    assert len(load("tiny-imagenet", "train", fresh)) == 6 and check("tiny-imagenet", fresh) == []

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
    assert f"{folder} is damaged or not whole: moved to {folder}.damaged-1" in capsys.readouterr().err
    assert fetch("tiny-imagenet", fake_tiny) == "ready" and not list(fake_tiny.glob("*.damaged-2"))


@pytest.mark.parametrize(
    ("split", "sha256"),
    [
        ("train", "2cf823968ade37ee9f6b5388019cb114de7b24f7a0706e915e1c66227ae8b9cd"),
        ("test", "9ce5b39f0467ad69ff49a1ee398549fd45cdcd2c79e798d4442afadbd88eaf18"),
    ],
)
def test_same_bytes_on_every_machine(split: str, sha256: str) -> None:
    """What makes this set this set; a smaller one is the beginning of the larger."""
    whole, small = make_modes(split), make_modes(split, 100)
    assert hashlib.sha256(whole.images.tobytes()).hexdigest() == sha256
    assert np.array_equal(small.images, whole.images[:100]) and np.array_equal(small.labels, whole.labels[:100])
    assert small.modes is not None and [all_modes()[m].label for m in small.modes] == list(small.labels)
    for count in (3, 10**6):
        with pytest.raises(DataError, match="modes"):
            make_modes(split, count)


def test_holdout_is_stratified_and_disjoint() -> None:
    train = make_modes("train", 400)
    fit, validation = train.holdout(0.1)
    assert (len(fit), len(validation)) == (360, 40) and set(np.bincount(validation.labels)) == {2}
    assert not {image.tobytes() for image in fit.images} & {image.tobytes() for image in validation.images}
