"""CIFAR: the official order and names, and what is missing or damaged."""

import pickle
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from torchvision.datasets import CIFAR10, CIFAR100

from repro.data.archives import checksum
from repro.data.catalogue import fetch, load
from repro.data.cifar import SETS, check_cifar, load_cifar, official_files, superclasses
from repro.errors import DataError


@pytest.fixture(params=["cifar10", "cifar100"])
def fake(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, Path]:
    """(name, root) of a set of 20 images a file, whose checksums are taken for the official ones."""
    kind = {"cifar10": CIFAR10, "cifar100": CIFAR100}[request.param]
    labels = "labels" if request.param == "cifar10" else "fine_labels"
    folder = tmp_path / kind.base_folder
    folder.mkdir()
    lists = {"train_list": kind.train_list, "test_list": kind.test_list}
    for seed, name in enumerate(name for listed in lists.values() for name, _ in listed):
        rows = np.random.default_rng(seed).integers(0, 256, (20, 3072), dtype=np.uint8)
        (folder / name).write_bytes(
            pickle.dumps({"data": rows, labels: list(range(10)) * 2, "coarse_labels": [c % 4 for c in range(10)] * 2})
        )
    names = {kind.meta["key"]: [f"thing {c}" for c in range(10)], "coarse_label_names": ["a", "b", "c", "d"]}
    (folder / kind.meta["filename"]).write_bytes(pickle.dumps(names))
    for attribute, listed in lists.items():
        monkeypatch.setattr(kind, attribute, [[name, checksum(folder / name)] for name, _ in listed])
    monkeypatch.setattr(kind, "meta", {**kind.meta, "md5": checksum(folder / kind.meta["filename"])})
    return request.param, tmp_path


def test_a_part_has_the_same_share_of_each_class(fake: tuple[str, Path]) -> None:
    name, root = fake
    assert SETS[name][1] == {"cifar10": CIFAR10, "cifar100": CIFAR100}[name].url
    whole = load(name, "train", root)
    half, again = (load(name, "train", root, num_images=len(whole) // 2) for _ in range(2))
    assert np.array_equal(2 * np.bincount(half.labels), np.bincount(whole.labels)) and half.split == "train"
    assert {image.tobytes() for image in half.images} < {image.tobytes() for image in whole.images}
    assert np.array_equal(again.images, half.images) and again.mean == whole.mean
    for number in (9, len(whole) + 1):
        with pytest.raises(DataError, match=f"between 10 and {len(whole)} images, not {number}; ask for"):
            load(name, "train", root, num_images=number)


def test_pixels_labels_and_names(fake: tuple[str, Path]) -> None:
    name, root = fake
    train, test = (load_cifar(name, split, root) for split in ("train", "test"))
    assert train.images.shape == ((100 if name == "cifar10" else 20), 3, 32, 32) and train.images.flags.c_contiguous
    rows = np.random.default_rng(0).integers(0, 256, (20, 3072), dtype=np.uint8)
    assert np.array_equal(train.images[:20].reshape(20, 3072), rows)
    assert test.labels.tolist() == list(range(10)) * 2
    assert test.class_names[3] == "thing 3"
    assert np.allclose(np.array(train.mean) * 255, [125.3, 123.0, 113.9])
    assert np.allclose(np.array(train.std) * 255, [63.0, 62.1, 66.7])
    if name == "cifar100":
        names, of_class = superclasses(root)
        assert names == ("a", "b", "c", "d") and of_class[:10].tolist() == [0, 1, 2, 3, 0, 1, 2, 3, 0, 1]


def test_every_missing_or_damaged_file_is_named(fake: tuple[str, Path]) -> None:
    """That no pickle is opened before its checksum passes, ``benchmarks.bad_input`` sees."""
    name, root = fake
    assert check_cifar(name, root) == []
    for path in official_files(name, root):
        content = path.read_bytes()
        path.unlink()
        with pytest.raises(DataError, match=f"{name} is not in {root}: {path} is missing; run `repro data fetch"):
            load_cifar(name, "test", root)
        assert check_cifar(name, root) == [f"{path} is missing"]
        path.write_bytes(content[:-1])
        with pytest.raises(DataError, match=f"{path} is not the official file: its md5 is .*`repro data fetch`"):
            load_cifar(name, "train", root)
        (finding,) = check_cifar(name, root)
        assert finding.startswith(f"{path} has md5 ")
        path.write_bytes(content)


def test_download_unpacks_the_official_archive(
    fake: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, root = fake
    kind = CIFAR10 if name == "cifar10" else CIFAR100
    archive = tmp_path / "served.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(root / kind.base_folder, kind.base_folder)
    monkeypatch.setattr(kind, "url", archive.as_uri())
    fresh = tmp_path / "fresh"
    with pytest.raises(DataError, match="sent a file whose md5 is"):
        fetch(name, fresh)
    assert list(fresh.iterdir()) == []
    monkeypatch.setattr(kind, "tgz_md5", checksum(archive))
    assert fetch(name, fresh) == "ready" and len(load_cifar(name, "test", fresh)) == 20
    assert check_cifar(name, fresh) == []
    damaged = {path: path.read_bytes() for path in (next(iter(official_files(name, fresh))), fresh / kind.filename)}
    for path, whole in damaged.items():
        path.write_bytes(whole[:-1])
    fetch(name, fresh)  # neither what is damaged nor a damaged download is in the way
    assert check_cifar(name, fresh) == []
    assert {f"{kind.filename}.damaged-1", f"{kind.base_folder}.damaged-1"} < {path.name for path in fresh.iterdir()}


@pytest.mark.real
def test_the_real_set(real_data_root: Callable[..., Path]) -> None:
    root = real_data_root("cifar-100-python/train", "cifar-100-python/test", "cifar-100-python/meta")
    train, test = (load_cifar("cifar100", split, root) for split in ("train", "test"))
    assert np.bincount(train.labels).tolist() == [500] * 100 and np.bincount(test.labels).tolist() == [100] * 100
    assert (train.class_names[0], train.class_names[-1]) == ("apple", "worm")
    # The recipe's constants were measured on CIFAR-10, so they are near but not CIFAR-100's own.
    assert np.abs(train.images[:5000].mean((0, 2, 3)) / 255 - train.mean).max() < 0.05
