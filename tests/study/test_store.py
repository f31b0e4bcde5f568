"""Artifacts are whole or absent, fresh or made again, and never served silently when they are not."""

import os
import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import torch
from safetensors.torch import save_file

from repro.errors import ReproError, StoreError, TrainingError, in_a_sentence
from repro.study import store as store_module
from repro.study.artifact import Artifact
from repro.study.contents import ABOUT, CHECKPOINT, WEIGHTS, read_about, signed
from repro.study.doctor import artifacts, findings, locks
from repro.study.graph import Context, Inputs, Step
from repro.study.runner import Runner
from repro.study.store import Store
from tests.helpers import flip_a_byte
from tests.stopping import Stop
from tests.study import toy

CPU = torch.device("cpu")
Make = Callable[[Context, Inputs], Artifact]


def make(value: float = 1.0) -> Make:
    tensors = {"w": torch.full((5,), value), "n": torch.arange(3)}
    return lambda context, inputs: Artifact(tensors, {"m": 1.0}, [[1, 2, 3.0]])


def step(maker: Make | None = None) -> Step:
    return Step("base", {"a": 1}, maker or make(), label="base of a test")


KEY = step()


def loaded(root: Path, wanted: Step) -> tuple[Artifact, bool]:
    """The artifact, and whether it was found in the store."""
    runner = Runner([], toy.context(root))
    return runner.load(wanted), not runner.made


@pytest.fixture
def store(tmp_path: Path) -> Store:
    loaded(tmp_path, KEY)
    return Store(tmp_path)


def remade(store: Store) -> bool:
    """Whether the artifact is made again (with other numbers, so that it shows)."""
    artifact, stood = loaded(store.root, step(make(2.0)))
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
        (ABOUT, Path.unlink, "artifact.json is missing"),
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
