"""Appendix 3 shown: numbers and claims; and run."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from repro.exhibits.appendix_specialisation import COLUMNS, EXHIBIT, WHO, Parameters, run
from repro.report.claim import Cell
from repro.report.tables import claims_table
from repro.study.results import StudyResult

RecordOf = Callable[..., StudyResult]


def cells() -> dict[Cell, float]:
    made: dict[Cell, float] = {}
    for k in (5, 10):
        made |= {Cell(k, WHO, metric=metric): 20.0 / k for metric, _ in COLUMNS.values()}
        for part, value in (("training", 70.0), ("evaluation", 50.0)):
            made |= {Cell(k, "gate", part, "agreement"): value, Cell(k, "chance", part, "agreement"): 100 / k}
        made |= {Cell(k, WHO, "seeds", "likeness"): 0.5, Cell(k, "chance", "seeds", "likeness"): 0.1}
    return made | {Cell(10, WHO, "5-10", "likeness"): 0.6, Cell(10, "chance", "5-10", "likeness"): 0.1}


@pytest.fixture
def result(record_of: RecordOf) -> StudyResult:
    return record_of("appendix_specialisation", cells(), "tiny-imagenet")


def test_tables_say_shares_gate_and_stability(result: StudyResult) -> None:
    shown = EXHIBIT.tables(result)
    assert list(shown) == ["main", "gate", "stability"]
    assert shown["main"].frame.loc["5 experts", "smallest share, %"] == "4.10 ± 0.10"
    assert shown["gate"].frame.loc["10 experts", "test images, by chance"] == "10.1 ± 0.1"
    rows = ["5 experts, seed to seed", "10 experts, seed to seed", "5 and 10 experts"]
    assert list(shown["stability"].frame.index) == rows
    assert shown["stability"].frame.loc["5 and 10 experts", "each"] == "0.60 · 0.70 · 0.80"


def test_claims(result: StudyResult) -> None:
    claims = claims_table(EXHIBIT.judge(result))
    assert claims.loc["S/idle/10", "verdict"] == "holds (settled afterwards)"
    assert claims.loc["S/subsets/5", "verdict"] == "holds"
    assert list(claims.loc["S/split/5", ["ours", "verdict"]]) == ["+2.10", "holds (settled afterwards)"]
    assert claims.loc["S/split/10", "verdict"] == "undecided (settled afterwards)", "2.0 ± 0.1 experts a class"
    assert claims.loc["S/consistent/5-10", "verdict"] == "holds (settled afterwards)"
    assert list(claims.loc[["S/consistent/10-20", "S/idle/20"], "verdict"]) == ["not run"] * 2


def test_an_idle_expert_is_seen(record_of: RecordOf) -> None:
    idle = {**cells(), Cell(10, WHO, metric="smallest_share"): [0.0, 0.0, 0.0]}
    claims = claims_table(EXHIBIT.judge(record_of("appendix_specialisation", idle)))
    assert claims.loc["S/idle/10", "verdict"] == "opposite (settled afterwards)"


@pytest.fixture(scope="module")
def special(smoke_root: Path) -> StudyResult:
    return run(Parameters.check(scale="smoke", experts="2,3", root=smoke_root, device="cpu"))


def test_every_image_is_counted_once(special: StudyResult) -> None:
    for k in (2, 3):
        table = special.tables[f"classes-{k}"]
        rows: list[list[Any]] = [row[1:] for row in table.rows]
        assert len(rows) == 20 and sum(map(sum, rows)) == 400
        smallest = min(sum(column) for column in zip(*rows, strict=True)) / 4
        assert special.values("smallest_share", "least-loss", k) == [smallest]


def test_likeness_of_the_two_numbers_of_experts_has_its_chance(special: StudyResult) -> None:
    assert len(special.values("likeness", "least-loss", 3, "2-3")) == 1
    assert len(special.values("likeness", "chance", 3, "2-3")) == 1
    assert special.rows() == ["", "training", "evaluation", "2-3"]  # one seed has no other to be compared with
