"""What is found, made, made again, skipped and resumed, whatever the kinds are."""

from pathlib import Path
from typing import Any

import pytest
import torch

from repro.errors import TrainingError
from repro.study.contents import WEIGHTS
from repro.study.graph import Goal, Step, ordered
from repro.study.remaining import Remaining
from repro.study.runner import Runner
from repro.study.store import Store
from tests.helpers import flip_a_byte
from tests.stopping import Stop
from tests.study import toy
from tests.study.toy import asked, predictions, run


def step(goal: Goal, label: str) -> Step:
    return next(step for step in ordered(goal.steps) if step.label == label)


def test_made_once_and_then_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    two, three = asked(experts=2), asked(experts=3)
    first = run(tmp_path, two, three)
    assert toy.CALLS[:4] == ["base 0", "gate of 2, 0", "expert 0 of 2, 0, expert 1 of 2, 0", "predictions of 2, 0"]
    assert len(toy.CALLS) == 7, "the base once, each pass once"
    assert "made: gate of 3, 0; 3 experts; predictions of 3, 0" in capsys.readouterr().err
    assert first.summary().startswith("10 artifacts were made and 0 found")
    toy.CALLS.clear()
    again = run(tmp_path, two, three)
    assert toy.CALLS == [] and again.summary().startswith("all 10 artifacts were found in the store")
    assert torch.equal(predictions(first, three), predictions(again, three)) and again.seconds == first.seconds


def damage(root: Path, goal: Goal, label: str) -> None:
    flip_a_byte(Store(root).path(step(goal, label)) / WEIGHTS)


def test_of_a_pass_only_what_is_missing_and_not_made_by_others_meanwhile_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    goal = asked()
    whole = predictions(run(tmp_path / "a", goal), goal)
    alone = Runner([], toy.context(tmp_path / "b"))
    alone.load(step(goal, "expert 1 of 3, 0"))
    toy.CALLS.clear()
    assert torch.equal(predictions(run(tmp_path / "b", goal), goal), whole)
    assert toy.CALLS == ["expert 0 of 3, 0, expert 2 of 3, 0", "predictions of 3, 0"]
    claim = Store.claim

    def late(*arguments: Any) -> Any:
        monkeypatch.setattr(Store, "claim", claim)
        run(tmp_path / "c", goal)
        return claim(*arguments)

    toy.CALLS.clear()
    monkeypatch.setattr(Store, "claim", late)
    runner = run(tmp_path / "c", goal)
    assert len(toy.CALLS) == 4 and runner.summary().startswith("all 6 artifacts were found")


def test_what_was_made_from_a_parent_that_was_made_anew_is_stale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Trained in one precision; the base is damaged and made again in another, so it has other weights."""
    goal = asked()
    before = predictions(run(tmp_path, goal), goal)
    damage(tmp_path, goal, "base 0")
    toy.CALLS.clear()
    run(tmp_path, goal)
    assert toy.CALLS == ["base 0"], "with the same weights it makes nothing stale"
    damage(tmp_path, goal, "base 0")
    monkeypatch.setenv("TOY_ROUNDING", "0.5")
    toy.CALLS.clear()
    after = run(tmp_path, goal)
    printed = capsys.readouterr().err
    assert "base 0 is damaged" in printed
    assert "gate of 3, 0 is stale: the base that it was made from was made anew and has other weights" in printed
    assert len(toy.CALLS) == 4 and not torch.equal(predictions(after, goal), before)
    clean = predictions(run(tmp_path / "clean", goal), goal)
    assert torch.equal(predictions(after, goal), clean), "nothing in the store rests on the old base"
    assert len(Store(tmp_path).set_aside()) == 7


def test_a_checkpoint_begun_on_another_parent_is_not_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stops: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    goal, stops[1] = asked(experts=1), 2
    with pytest.raises(Stop):
        run(tmp_path, goal)
    damage(tmp_path, goal, "base 0")
    monkeypatch.setenv("TOY_ROUNDING", "0.5")
    resumed = predictions(run(tmp_path, goal), goal)
    assert "expert 0 of 1, 0: what it was begun on is not the same any more; it begins again" in capsys.readouterr().err
    assert torch.equal(resumed, predictions(run(tmp_path / "clean", goal), goal))


@pytest.mark.parametrize("epochs", [1, 5, 9])
def test_stopped_anywhere_and_resumed_no_epoch_is_repeated(tmp_path: Path, stops: list[int], epochs: int) -> None:
    goal, stops[1] = asked(), epochs
    with pytest.raises(Stop):
        run(tmp_path, goal)
    assert sum(row["epochs_done"] for row in Store(tmp_path).half_done()) == epochs
    resumed = predictions(run(tmp_path, goal), goal)
    assert len(toy.EPOCHS) == 9 and not list(Store(tmp_path).half_done())
    assert torch.equal(resumed, predictions(run(tmp_path / "clean", goal), goal))


def test_what_remains_of_a_stopped_study(tmp_path: Path, stops: list[int]) -> None:
    done, half = asked(seed=1), asked()
    nothing = Remaining([half, asked(experts=2)], Store(tmp_path))
    assert [(part.finished, part.needed) for part in nothing.parts] == [(0, 6), (0, 5)]
    assert "remains   toy of 2, seed 0: 0 of 5 artifacts are there\nthe same command goes on" in nothing.report()
    run(tmp_path, done)
    stops[1] = stops[0] + 3
    with pytest.raises(Stop):
        run(tmp_path, half)
    left = Remaining([done, half], Store(tmp_path))
    assert left.report().startswith(
        "finished  toy of 3, seed 1\nremains   toy of 3, seed 0: 2 of 6 artifacts are there"
    )
    damage(tmp_path, done, "base 1")
    run(tmp_path, half)
    assert Remaining([done, half], Store(tmp_path)).whole, "a damaged file is seen when it is read, not before"


def test_what_rests_on_a_failure_is_skipped_and_the_rest_is_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad, good = asked(fail=["expert 1 of 3, 0"]), asked(seed=1)
    runner = Runner([bad, good], toy.context(tmp_path))
    with pytest.raises(TrainingError, match=r"^expert 1 of 3, 0: the loss is not finite$"):
        runner.run(bad.steps)
    assert "predictions of 3, 0: skipped, as it rests on what went wrong" in capsys.readouterr().err
    standing = [each.label for each in ordered([*bad.steps, *good.steps]) if Store(tmp_path).has(each)]
    assert len(standing) == 10 and not {"expert 1 of 3, 0", "predictions of 3, 0"} & set(standing)
    (row,) = Store(tmp_path).half_done()
    assert (row["label"], row["failed"]) == ("expert 1 of 3, 0", "expert 1 of 3, 0: the loss is not finite")
    toy.CALLS.clear()
    with pytest.raises(TrainingError):
        runner.run(bad.steps)
    runner.run(good.steps)
    assert toy.CALLS == [], "a failure is remembered"
    run(tmp_path, asked())  # a new run tries again, and these do not go wrong
    assert toy.CALLS == ["expert 1 of 3, 0", "predictions of 3, 0"] and not list(Store(tmp_path).half_done())
