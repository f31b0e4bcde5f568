"""The page on running everything again: from chapters and records."""

from collections.abc import Callable

import pytest

from repro.report.reruns import benchmark_runs, campaign_runs, command_of, exhibit_runs, runs_named
from repro.study.benchmarks import BENCHMARKS
from repro.study.results import StudyResult

PAGE = '{result}`table2_num_experts-cifar100-laptop:C1` and chapter.tables("modes-quick")'


def test_a_chapters_runs_are_those_it_names() -> None:
    assert runs_named("table2_num_experts", PAGE) == [("modes", "quick"), ("cifar100", "laptop")]
    assert runs_named("table1_main", PAGE) == [("modes", "quick")]  # its own notebook alone is asked
    assert [] == runs_named("table2_num_experts", "table2_num_experts-cifar100-huge")


def test_a_recorded_run_shows_its_own_command_and_time(made_up: Callable[..., StudyResult]) -> None:
    recorded = made_up({("bagging", 1): [1.0]})
    elsewhere = made_up({("bagging", 1): [1.0]}, dataset="tiny-imagenet")  # recorded, though no chapter names it
    runs = exhibit_runs("table2_num_experts", PAGE, {r.name: r for r in (recorded, elsewhere)})
    assert [run.what for run in runs] == ["modes, quick", "cifar100, laptop", "tiny-imagenet, laptop"]
    assert (runs[0].command, runs[0].time, runs[0].hardware) == (
        command_of("table2_num_experts", "modes", "quick"), "–", "not run",
    )  # fmt: skip
    assert (runs[1].command, runs[1].time) == ("uv run repro run it", "2 min 00 s")
    assert runs[1].hardware == "a machine, fp32"


@pytest.mark.parametrize(("runs", "count"), [(benchmark_runs({}), len(BENCHMARKS)), (campaign_runs([]), 4)])
def test_what_was_not_measured_still_has_its_command(runs: list, count: int) -> None:
    assert len(runs) == count and all(run.time == "–" and run.command.startswith("uv run python") for run in runs)
