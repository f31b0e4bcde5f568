"""Artifacts are whole or absent, fresh or made again, and never served silently when they are not."""

import json
import os
import re
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from repro.data import modes
from repro.data.fingerprint import Images, fingerprint
from repro.errors import ReproError, StoreError, TrainingError, in_a_sentence
from repro.study import store as store_module
from repro.study.artifact import LIBRARIES_THAT_MATTER, Artifact
from repro.study.contents import ABOUT, CHECKPOINT, WEIGHTS, read_about, signed
from repro.study.doctor import artifacts, findings, locks
from repro.study.graph import Context, Inputs, Step
from repro.study.plain import PlainSpec, plain_goal
from repro.study.runner import Runner
from repro.study.store import Store
from repro.training.recipe import Recipe
from tests.data.conftest import fake_tiny as fake_tiny
from tests.helpers import flip_a_byte
from tests.stopping import Stop
from tests.study import toy

CPU = torch.device("cpu")
IMAGES = (Images("modes", "train", 32),)
Make = Callable[[Context, Inputs], Artifact]


def make(value: float = 1.0) -> Make:
    tensors = {"w": torch.full((5,), value), "n": torch.arange(3)}
    return lambda context, inputs: Artifact(tensors, {"m": 1.0}, [[1, 2, 3.0]])


def step(maker: Make | None = None, a: int = 1, images: tuple[Images, ...] = IMAGES) -> Step:
    return Step("base", {"a": a}, maker or make(), label="base of a test", images=images)


KEY = step()


def loaded(root: Path, wanted: Step) -> tuple[Artifact, bool]:
    """The artifact, and whether it was found in the store."""
    runner = Runner([], toy.context(root))
    return runner.load(wanted), not runner.made


@pytest.fixture
def store(tmp_path: Path) -> Store:
    loaded(tmp_path, KEY)
    return Store(tmp_path)


def remade(store: Store, a: int = 1, images: tuple[Images, ...] = IMAGES) -> bool:
    """Whether the artifact is made again (with other numbers, so that it shows)."""
    artifact, stood = loaded(store.root, step(make(2.0), a, images))
    assert bool((artifact.tensors["w"] == (1 if stood else 2)).all())
    return not stood


def edit(store: Store, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the description of the artifact, and its own checksum with it."""
    about = read_about(store.path(KEY))
    change(about)
    (store.path(KEY) / ABOUT).write_bytes(signed(about))


@pytest.mark.parametrize(
    ("name", "damage", "why"),
    [
        (WEIGHTS, flip_a_byte, "the checksum of weights.safetensors"),
        (WEIGHTS, Path.unlink, "weights.safetensors is missing"),
        (ABOUT, Path.unlink, "artifact.json is missing"),
        (ABOUT, lambda path: path.write_text("{"), "artifact.json is not JSON"),
        (ABOUT, lambda path: path.write_text(path.read_text().replace('"m": 1.0', '"m": 9.0')), "json has changed"),
    ],
)
def test_what_is_damaged_is_set_aside_named_and_made_again(
    store: Store, capsys: pytest.CaptureFixture[str], name: str, damage: Callable[[Path], object], why: str
) -> None:
    damage(store.path(KEY) / name)
    assert any(finding.state == "wrong" and "damaged" in finding.found for finding in artifacts(store))
    with pytest.raises(StoreError, match=r"base of a test.*run again to make it anew"):
        store.load(KEY)
    assert remade(store)
    assert re.search(f"base of a test is damaged: .*{why}.*made again", capsys.readouterr().err)
    assert [path.name for path in store.set_aside()] == [f"{KEY.key}.damaged-1"]
    assert loaded(store.root, step(make(3.0)))[1]


def test_who_may_read_a_description_may_read_weights_and_checkpoints_too(tmp_path: Path, stops: list[int]) -> None:
    stops[1], before = 1, os.umask(0o002)
    try:
        with pytest.raises(Stop):
            toy.run(tmp_path, toy.asked(experts=1))
    finally:
        os.umask(before)
    written = [path for name in (WEIGHTS, ABOUT, CHECKPOINT) for path in tmp_path.rglob(name)]
    assert [stat.S_IMODE(path.stat().st_mode) for path in written] == [0o664] * (2 + 2 + 1), (
        "base, gate, half an expert"
    )


def test_a_training_begun_on_other_images_begins_again_and_one_made_from_them_is_stale(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(context: Context, inputs: Inputs) -> Artifact:
        inputs.checkpoint.write_text("an epoch")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        loaded(tmp_path, step(stopped))
    seen: list[bool] = []

    def goes_on(context: Context, inputs: Inputs) -> Artifact:
        seen.append(inputs.checkpoint.exists())
        return make()(context, inputs)

    monkeypatch.setitem(modes.PIXELS, "train", "other pixels")
    loaded(tmp_path, step(goes_on))
    assert seen == [False]
    assert "base of a test: what it was begun on is not the same any more" in capsys.readouterr().err
    monkeypatch.setitem(modes.PIXELS, "train", "yet others")
    store = Store(tmp_path)
    assert remade(store)
    assert "base of a test is stale: it was made from other images" in capsys.readouterr().err
    assert [path.name for path in store.set_aside()] == [f"{KEY.key}.stale-1"]
    shutil.copytree(store.path(KEY), store.path(step(a=2)))
    assert remade(store, a=2), "under another name it is not taken for it"


def test_a_training_stopped_before_its_images_were_known_goes_on(fake_tiny: Path, stops: list[int]) -> None:
    """tiny-ImageNet is decoded after the training is claimed, and again: its cache is deleted before the last run."""
    recipe = Recipe(source="test", epochs=3, batch_size=4, learning_rate=0.01)
    spec = PlainSpec(dataset="tiny-imagenet", image_size=32, base="tr10", width=0.0625, base_recipe=recipe)

    def trained() -> None:
        Runner([goal := plain_goal(spec)], toy.context(fake_tiny)).run(goal.steps)

    for epoch in (1, 2):
        stops[1] = epoch
        with pytest.raises(Stop):
            trained()
        assert [row["epochs_done"] for row in Store(fake_tiny).half_done()] == [epoch]
    shutil.rmtree(fake_tiny / "cache")
    trained()
    assert stops[0] == 3


def test_decoded_images_are_known_by_their_pixels_and_labels(tmp_path: Path) -> None:
    images = Images("tiny-imagenet", "train", 32)
    loaded(tmp_path, step(images=(images,)))
    assert fingerprint(images, tmp_path) is None
    assert not remade(Store(tmp_path), images=(images,)), "images that are not here are not held against it"
    cache = tmp_path / "cache" / "tiny-imagenet-32-train"
    cache.mkdir(parents=True)
    fingerprints = []
    for digest, label in (("aa", 0), ("bb", 0), ("aa", 1)):
        np.save(cache / "images.npy", np.zeros((2, 3, 32, 32), np.uint8))
        np.save(cache / "labels.npy", np.array([0, label]))
        (cache / "meta.json").write_text(json.dumps({"images_sha256": digest, "class_names": ["a", "b"]}))
        fingerprints.append(fingerprint(images, tmp_path))
    assert None not in fingerprints and len(set(fingerprints)) == 3


@pytest.mark.parametrize("library", LIBRARIES_THAT_MATTER)
def test_another_major_version_makes_it_stale_and_a_minor_one_does_not(
    store: Store, library: str, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(store, lambda about: about["made"]["libraries"].update(torch="2.0.1+cu118"))
    assert not remade(store)
    edit(store, lambda about: about["made"]["libraries"].update({library: "99.1.0"}))
    assert remade(store)
    assert f"is stale: it was made with {library} 99.1.0" in capsys.readouterr().err


def test_numbers_that_are_not_finite_stop_it_and_are_remembered(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with pytest.raises(TrainingError, match="base of a test: w holds numbers that are not finite"):
        loaded(tmp_path, step(make(float("nan"))))
    (row,) = store.half_done()
    assert "not finite" in row["failed"] and not store.has(KEY)
    loaded(tmp_path, KEY)  # a new run tries again
    assert not list(store.half_done())


def test_a_full_disk_or_a_stop_leaves_the_checkpoint_and_nothing_that_is_taken_for_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def training(context: Context, inputs: Inputs) -> Artifact:
        save_file({"module.w": torch.ones(1)}, inputs.checkpoint, {"history": "[[1, 1, 1]]"})
        return make()(context, inputs)

    store, full = Store(tmp_path), OSError(28, "No space left on device")
    for function, error, raised in (
        ("write_text", full, pytest.raises(ReproError, match="No space left on device")),
        ("write_artifact", full, pytest.raises(ReproError, match="No space left on device")),
        ("write_artifact", KeyboardInterrupt(), pytest.raises(KeyboardInterrupt)),
    ):
        with monkeypatch.context() as patch, raised, in_a_sentence():
            patch.setattr(store_module, function, Mock(side_effect=error))
            loaded(tmp_path, step(training))
        assert not store.has(KEY) and not list(store.finished()) and not list(locks(store))
    assert [row["epochs_done"] for row in store.half_done()] == [1]
    left = store.path(KEY).with_name(f".{KEY.key}.abc")  # by a writer that was killed
    left.mkdir()
    assert remade(store) and not left.exists()


def test_the_doctor_sees_what_was_made_from_a_parent_that_was_made_anew(store: Store) -> None:
    edit(store, lambda about: about["conditions"].update(parents={"data/0": "then"}))
    assert not remade(store), "a parent that is not in the store is not held against it"
    other = Step("data", {}, lambda context, inputs: Artifact({"x": torch.ones(1)}), label="its parent")
    loaded(store.root, other)
    edit(store, lambda about: about["conditions"].update(parents={f"data/{other.key}": "then"}))
    stale = [finding for finding in artifacts(store) if "stale" in finding.found]
    assert ["the data that it was made from was made anew" in finding.found for finding in stale] == [True]


def test_the_doctor_sees_who_is_making_what_but_not_who_has_just_finished(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with store.lock(KEY).held():
        assert ["held by process" in finding.found for finding in locks(store)] == [True]
        monkeypatch.setattr("repro.study.doctor.read_holder", lambda path: path.unlink())
        assert not list(locks(store))
    report = list(findings(store.root / "empty"))
    assert {"versions", "device", "modes", "folder", "artifacts"} <= {finding.about for finding in report}
    assert not [str(finding) for finding in report if finding.state == "wrong" and finding.about != "folder"]
