"""Goals are judged by code, and the chapter says what was not run. The records are made up."""

from pathlib import Path

import pytest

from repro.book import performance
from repro.study.benchmarks import Goal, PerformanceRecord, load_performance
from repro.study.results import Table
from tests.book.test_build import built
from tests.records import recorded as made_up

MADE_UP = made_up([], study="any", dataset="any", scale="any", costs=[]).provenance


def record(quick: bool = False) -> PerformanceRecord:
    return PerformanceRecord(
        name="time_to_table", claim="It is quick.", method="Once.", quick=quick, provenance=MADE_UP,
        goals=[Goal(text="seconds", measured=90, bound=120, at_most=True), Goal(text="memory", measured=None, bound=4)],
        tables={"Times": Table(columns=["what", "seconds"], rows=[["first", 90.0], ["second", None]])},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("measured", "at_most", "met"),
    [(1.0, False, True), (0.99, False, False), (1.0, True, True), (1.01, True, False), (None, True, None)],
)
def test_a_goal_is_met_or_missed_or_not_measured(measured: float | None, at_most: bool, met: bool | None) -> None:
    assert Goal(text="it", measured=measured, bound=1.0, at_most=at_most).met is met


def test_a_record_is_read_as_it_was_written_and_a_quick_one_is_none(tmp_path: Path) -> None:
    assert load_performance(tmp_path, "time_to_table") is None
    record().save(tmp_path)
    assert load_performance(tmp_path, "time_to_table") == record()
    record(quick=True).save(tmp_path)
    assert load_performance(tmp_path, "time_to_table") is None
    assert performance.figures(performance.load_all(tmp_path)) == {}


def test_known_speed_runs_stand_beside_ours() -> None:
    alone = performance.speed_runs_html(None)
    assert "<td>94.01</td><td>2.59 s</td>" in alone and "<td>not run</td>" in alone
    goal = Goal(text="seconds of tr18 on CIFAR-100, 30 epochs at scale gpu", measured=41.26, bound=45, at_most=True)
    beside = performance.speed_runs_html(record().model_copy(update={"goals": [goal]}))
    ours = "<td>tr18 on CIFAR-100</td><td>a machine</td><td>1</td><td>30</td><td>–</td><td>41.3 s</td>"
    assert ours in beside and "not run" not in beside


def test_the_chapter_shows_goals_and_tables_and_what_was_not_run(recorded: Path, tmp_path: Path) -> None:
    record().save(recorded / "performance")
    page, warnings = built(
        tmp_path,
        "```{performance-count}\n```\n\n```{performance-goals}\n```\n\n```{speed-runs}\n```\n\n"
        "```{performance} time_to_table\n```\n\n"
        "```{performance} experts_one_pass\n```\n\n```{recorded-figure} performance_anytime\n:alt: It\n\nIt.\n```",
    )
    assert warnings == ""
    commands = [f"benchmarks/{name}.py</code> fills" for name in ("experts_one_pass", "anytime_wallclock")]
    lead = ("Of 2 goals 1 are met.", "Goal: It is quick. <em>1 of 2 bounds met.")
    for text in (*lead, ">met</td>", ">not run</td>", "at most 120", "a machine", *commands):
        assert text in page, text
