"""The same walk by workers: what they share, in which order they make it, and what goes wrong with them."""

from concurrent.futures import Future
from pathlib import Path

import pytest
import torch

from repro.errors import ReproError, TimeIsUpError, TrainingError
from repro.study.executors import TRIES, Executor, make_executor
from repro.study.graph import Goal
from repro.study.remaining import Remaining
from repro.study.runner import Runner
from repro.study.store import Store
from tests.study import toy
from tests.study.toy import Here, asked, predictions, run


def test_workers_make_the_same_and_share_a_pass(tmp_path: Path, here: list[Here]) -> None:
    goals = [asked(), asked(seed=1)]
    runner = run(tmp_path, *goals)
    assert here[0].count == 2 * (1 + 1 + 2 + 1) and here[0].biggest == 2, "three experts are two jobs of two workers"
    assert runner.summary().startswith("12 artifacts were made and 0 found")
    assert runner.context.progress.time_left() == "0 s left"
    apart = [predictions(run(tmp_path / "serial", goal), goal) for goal in goals]
    assert all(torch.equal(predictions(runner, goal), other) for goal, other in zip(goals, apart, strict=True))


def test_what_follows_from_a_step_is_made_before_what_comes_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, here: list[Here]
) -> None:
    first = asked()

    def followed(experts: int, *others: Goal) -> Runner:
        runner = Runner([first, *others], toy.context(tmp_path))
        runner.follow(first.steps[0], lambda: [asked(experts=experts)])  # they share a base
        runner.run(first.steps)
        return runner

    runner = followed(1, *(asked(seed=i / 10) for i in range(1, 6)))
    made = [toy.CALLS.index(f"predictions of {of}") for of in ("3, 0", "1, 0", "3, 0.5")]
    assert made == sorted(made) and toy.CALLS.count("base 0") == 1
    assert runner.context.progress.left == pytest.approx(0) and here[0].count == 6 * 5 + 3
    followed(2)
    assert toy.CALLS[-1] == "predictions of 2, 0", "also where it was found"
    monkeypatch.setattr("repro.study.runner.make_executor", make_executor)
    left = followed(4).context.progress.left
    assert toy.CALLS[-1] == "predictions of 2, 0" and left > 4 * 5, "serially it is counted, but not asked for"


@pytest.mark.parametrize("workers", [False, True])
def test_what_is_known_later_is_made_by_workers_too_and_what_went_wrong_stays_said(
    tmp_path: Path, workers: bool, request: pytest.FixtureRequest
) -> None:
    made = request.getfixturevalue("here") if workers else []
    first, later, wrong = asked(experts=1), asked(seed=1), asked(seed=2, fail=["base 2"])
    runner = Runner([first], toy.context(tmp_path))
    runner.run(first.steps)
    toy.CALLS.clear()
    left = runner.context.progress.left
    assert left == pytest.approx(0) and runner.context.progress.seconds(1.0) > 0, "what is made is counted"
    runner.add([first, later, wrong], "the trials")
    assert runner.context.progress.left - left == pytest.approx(2 * 27), "what stands is counted once"
    assert runner.context.progress.time_left().endswith(" left of the trials")
    with pytest.raises(TrainingError, match=r"^base 2: the loss is not finite$"):
        runner.run([*later.steps, *wrong.steps])
    assert len(toy.CALLS) == 5 + workers and bool(made) == workers, "two workers share the pass of three experts"
    assert set(wrong.steps) <= set(runner.failed) and later.steps[0] in runner.made
    runner.run([*first.steps, *later.steps])
    assert torch.equal(predictions(runner, later), predictions(run(tmp_path / "alone", later), later))
    late = asked(seed=3, late=["base 3"])
    runner.add([late], "what is known so far")
    with pytest.raises(TimeIsUpError, match="base 3: not begun"):
        runner.run(late.steps)
    assert Remaining([first, late], Store(tmp_path)).parts[1].finished == 0


def test_a_lost_worker_s_job_is_given_to_another_and_one_that_is_always_lost_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, here: list[Here]
) -> None:
    monkeypatch.setattr(Here, "losing", (1, 3))
    run(tmp_path, asked())
    assert here[0].count == 5 + 2 and Remaining([asked()], Store(tmp_path)).whole
    monkeypatch.setattr(Here, "losing", tuple(range(99)))
    with pytest.raises(ReproError, match=f"base 1: its worker was lost {TRIES} times"):
        run(tmp_path, asked(seed=1))


def test_an_error_that_is_no_training_s_stops_everything_and_a_store_that_is_not_shared_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, here: list[Here]
) -> None:
    with monkeypatch.context() as patch, pytest.raises(ReproError, match="the disk is full"):
        patch.setattr(Future, "result", lambda self: {"error": "the disk is full"})
        run(tmp_path / "a", asked())
    monkeypatch.setattr(Executor, "arguments", lambda self, job: (*job[:3], str(tmp_path / "b"), "cpu", 1, "off"))
    with pytest.raises(ReproError, match=r"base 0: a worker made it, and it is not in .*every worker sees"):
        run(tmp_path / "c", asked())


def test_a_failure_in_a_worker_stops_what_needs_it_alone(tmp_path: Path, here: list[Here]) -> None:
    bad, good = asked(fail=["gate of 3, 0"]), asked(seed=1)
    runner = Runner([bad, good], toy.context(tmp_path))
    with pytest.raises(TrainingError, match=r"^gate of 3, 0: the loss is not finite$"):
        runner.run(bad.steps)
    assert here[0].count == 2 + 5, "experts and predictions of a gate that failed are no jobs"
    runner.run(good.steps)


def test_a_killed_process_and_the_same_weights(tmp_path: Path) -> None:
    goal = asked(kill=["expert 2 of 3, 0"])
    runner = run(tmp_path, goal, executor="processes:1")
    assert not toy.CALLS, "workers make theirs in processes of their own"
    assert runner.context.progress.seconds(1.0) > 0, "and count it in its progress"
    assert (Store(tmp_path).folder / "expert").exists() and runner.summary().startswith("6 artifacts were made")
    assert torch.equal(predictions(runner, goal), predictions(run(tmp_path / "serial", asked()), asked()))
