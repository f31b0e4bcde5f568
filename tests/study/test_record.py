"""What is trained beside a runner's own goals, and what is recorded when the time is up."""

import json
from pathlib import Path

import pytest

from repro.errors import TimeIsUpError
from repro.study.record import seed_by_seed, train_also
from repro.study.results import Measurement
from repro.study.runner import Runner
from tests.study import toy


def test_what_became_known_later_is_made_and_found_by_the_runner(tmp_path: Path) -> None:
    first, later = toy.goal(json.dumps({"seed": 0})), toy.goal(json.dumps({"seed": 1}))
    wrong = toy.goal(json.dumps({"seed": 2, "fail": ["base 2"]}))
    runner = Runner([first], toy.context(tmp_path))
    progress = runner.context.progress
    runner.run(first.steps)
    failed = train_also(runner, "serial", [later, wrong])
    assert {why for why in failed.values()} == {"base 2: the loss is not finite"} and wrong.steps[0] in failed
    late = toy.goal(json.dumps({"seed": 3, "late": ["base 3"]}))
    assert train_also(runner, "serial", [late]) == {}
    with pytest.raises(TimeIsUpError, match="base 3: not begun"):
        runner.load(late.steps[0])
    assert runner.context.progress is progress, "the runner goes on as it was"
    toy.CALLS.clear()
    runner.run(later.steps)
    assert toy.CALLS == [] and runner.load(later.steps[0]).tensors["logits"].shape[0] == 3


def test_the_seeds_that_are_whole_are_written_before_it_says_that_the_time_is_up() -> None:
    written: list[list[int]] = []

    def measure(seed: int) -> list[Measurement]:
        if seed == last:
            raise TimeIsUpError("not begun")
        return [Measurement(seed=seed, num_experts=0, method="backbone", metric="top1", value=1.0)]

    last = 1
    with pytest.raises(TimeIsUpError):
        seed_by_seed([0, 1, 2], measure, lambda found: written.append([m.seed for m in found]))  # type: ignore[arg-type, return-value, func-returns-value]
    assert written == [[0, 2]], "also one that comes after what is not"
    last = 0
    with pytest.raises(TimeIsUpError):
        seed_by_seed([0], measure, lambda found: written.append([]))  # type: ignore[arg-type, return-value, func-returns-value]
    assert written == [[0, 2]], "of no seed there is no record"
