"""What remains of a study, read off its store."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from repro.families.single_gate.config import StudySpec
from repro.families.single_gate.steps import goal, goals, steps
from repro.families.single_gate.study import Study
from repro.study.graph import ordered
from repro.study.remaining import Remaining
from repro.study.store import Store
from repro.training.fit import Training


class Stop(Exception):
    """Stands for whatever stops a run."""


def left(specs: list[StudySpec], root: Path, bases: tuple[StudySpec, ...] = ()) -> Remaining:
    return Remaining(goals(specs, bases), Store(root))


def test_of_an_empty_store_everything_remains_and_no_time_is_known(tiny: StudySpec, tmp_path: Path) -> None:
    both = [tiny, tiny.with_(num_experts=2)]
    found = left(both, tmp_path)
    assert [(part.finished, part.needed) for part in found.parts] == [(0, 9), (0, 7)]
    everything = sum(step.work for step in ordered(step for spec in both for step in goal(spec).steps))
    assert sum(part.work for part in found.parts) == pytest.approx(everything), "the shared base counts once"
    assert not found.whole and found.seconds(1.0) is None
    assert found.report().splitlines() == [
        "remains   tr10-tr10 on modes, 3 experts, seed 0: 0 of 9 artifacts are there",
        "remains   tr10-tr10 on modes, 2 experts, seed 0: 0 of 7 artifacts are there",
        "the same command goes on",
    ]


def test_a_whole_study_and_one_that_is_begun(tiny: StudySpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = Study([tiny], tmp_path, torch.device("cpu"))
    study.run(tiny)
    assert left([tiny], tmp_path).whole
    assert left([tiny], tmp_path).report() == "finished  tr10-tr10 on modes, 3 experts, seed 0"

    other = tiny.with_(seed=1)
    end = Training.end_epoch

    def stop(self: Training[object], seconds: float | None = None) -> None:
        end(self, seconds)
        raise Stop

    monkeypatch.setattr(Training, "end_epoch", stop)
    with pytest.raises(Stop):
        study.run(other)
    found = left([tiny, other], tmp_path)
    whole, half = sum(step.work for step in ordered(goal(other).steps)), steps(other).base.work / 2
    assert found.parts[1].work == pytest.approx(whole - half), "one of two epochs of the base is done"
    rate = found.seconds(1e9)
    assert rate is not None and rate > 0
    assert "0 of 9 artifacts are there, about " in found.report() and "; in all about " in found.report()


def test_a_base_that_is_wanted_alone(tiny: StudySpec, tmp_path: Path) -> None:
    found = left([], tmp_path, (tiny,))
    assert found.parts[0].label == "tr10 on modes alone, seed 0"
    assert found.parts[0].needed == 2
