"""The catalogue: every set by name, and sentences that say what to do about what is not here."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from repro.data import catalogue, cifar, tiny_imagenet
from repro.data.archives import checksum
from repro.data.catalogue import DATASETS, check, fetch, load, status
from repro.errors import DataError

NAMES = ("modes", "cifar10", "cifar100", "tiny-imagenet", "imagenet")


def test_the_cards() -> None:
    assert tuple(DATASETS) == NAMES
    assert all(card.name == name and card.terms and card.disk and card.by_hand for name, card in DATASETS.items())
    assert [(card.classes, card.num_train, card.num_test) for card in DATASETS.values()][1:] == [
        (10, 50_000, 10_000),
        (100, 50_000, 10_000),
        (200, 100_000, 10_000),
        (1000, 1_281_167, 50_000),
    ]


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
    assert str(error.value) == (
        f"{name} is not in {tmp_path}: {tmp_path / gap} is missing; "
        f"run `repro data fetch {name}`, or lay out the official files there"
    )
    found = status(name, tmp_path)
    assert (found.state, found.where, found.command) == ("absent", None, f"repro data fetch {name}")
    assert found.missing == (f"{tmp_path / gap.split('/')[0]} is missing",)
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


def test_what_is_half_there_is_not_fetched_over(fake_tiny: Path, tmp_path: Path) -> None:
    (fake_tiny / "tiny-imagenet-200/wnids.txt").unlink()
    with pytest.raises(DataError, match=r"tiny-imagenet-200 is not whole \(.*wnids\.txt is missing\); move it away"):
        fetch("tiny-imagenet", fake_tiny)
    (tmp_path / "cifar-100-python").mkdir()
    assert status("cifar100", tmp_path).state == "partial"
    with pytest.raises(DataError, match=r"then run `repro data fetch cifar100` again"):
        fetch("cifar100", tmp_path)


def test_fetching_tiny_imagenet(fake_tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    served = Path(shutil.make_archive(str(tmp_path / "served"), "zip", fake_tiny, "tiny-imagenet-200"))
    monkeypatch.setattr(tiny_imagenet, "URL", served.as_uri())
    monkeypatch.setattr(tiny_imagenet, "MD5", checksum(served))
    fresh = tmp_path / "fresh"
    fetch("tiny-imagenet", fresh)
    fetch("tiny-imagenet", fresh)  # nothing left to do
    assert sorted(p.name for p in fresh.iterdir()) == ["tiny-imagenet-200", "tiny-imagenet-200.zip"]
    assert len(load("tiny-imagenet", "train", fresh)) == 6
    shutil.rmtree(fresh / "tiny-imagenet-200")
    assert status("tiny-imagenet", fresh).where == fresh / "tiny-imagenet-200.zip"
    assert check("tiny-imagenet", fresh) == []


def test_fetching_cifar_is_left_to_its_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, Path]] = []
    monkeypatch.setattr(cifar, "fetch_cifar", lambda name, root: asked.append((name, root)))
    catalogue.fetch("cifar10", tmp_path)
    assert asked == [("cifar10", tmp_path)]


def test_sizes_and_counts_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cifar100 comes at 32 pixels, not 64"):
        load("cifar100", "train", tmp_path, image_size=64)
    with pytest.raises(DataError, match="tiny-imagenet comes at 64 or 32 pixels, not 48"):
        load("tiny-imagenet", "train", tmp_path, image_size=48)
    with pytest.raises(DataError, match="cifar100 has a fixed number of images; num_images is for modes"):
        load("cifar100", "train", tmp_path, num_images=10)


@pytest.mark.real
@pytest.mark.parametrize("name", ["cifar100", "tiny-imagenet"])
def test_the_real_sets_are_present(name: str, real_data_root: Callable[..., Path]) -> None:
    root = real_data_root({"cifar100": "cifar-100-python", "tiny-imagenet": "tiny-imagenet-200"}[name])
    assert status(name, root).state == "present"
    test = load(name, "test", root, image_size=32)
    assert (len(test), test.num_classes) == (DATASETS[name].num_test, DATASETS[name].classes)
