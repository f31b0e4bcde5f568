"""Table 5 run, and shown: the paper's row beside both of ours, verdicts, modes."""

from collections.abc import Callable
from pathlib import Path

import pytest

from repro.exhibits.table5_per_class import EXHIBIT, NAME, Parameters, run
from repro.report.claim import Cell
from repro.report.tables import claims_table
from repro.study.results import StudyResult, load_result


@pytest.fixture(scope="module")
def measured(smoke_root: Path) -> StudyResult:
    made = run(Parameters.check(scale="smoke", experts=3, root=smoke_root, device="cpu"))
    assert load_result(smoke_root / "results" / f"{NAME}-modes-smoke.json") == made
    return made


def test_every_routing_has_its_rows(measured: StudyResult) -> None:
    for row in ("per-sample", "per-class", "confusion", "per-class-oracle", "confusion-oracle"):
        for method in ("expert", "bagging"):
            assert len(measured.values("top1", method, 3, row)) == 1, (row, method)
    assert len(measured.values("top1", "backbone", 0)) == 1
    assert "routing" not in measured.spec and measured.provenance.command.endswith("-p scale smoke -p experts 3")


@pytest.mark.parametrize("level", ["per-class", "confusion"])
def test_right_and_wrong_make_up_the_whole(measured: StudyResult, level: str) -> None:
    (share,) = measured.values("routing", "gate", 3, level)
    for method in ("expert", "bagging"):
        (whole,), (right,), (wrong,) = (
            measured.values(metric, method, 3, level) for metric in ("top1", "top1-right", "top1-wrong")
        )
        assert (share * right + (100 - share) * wrong) / 100 == pytest.approx(whole, abs=0.01)
        assert measured.values("top1-right", method, 3, f"{level}-oracle") == [right]


def test_by_class_nothing_is_found_within_a_class(measured: StudyResult) -> None:
    assert measured.values("ami-within", "gate", 3, "per-class-oracle") == [0.0]
    found, chance = (measured.values("ami-within", method, 3, "per-sample") for method in ("gate", "chance"))
    assert found > chance


RecordOf = Callable[..., StudyResult]
VALUES = {Cell(0): 30.0, Cell(10, "expert", "per-sample"): 34.0, Cell(10, row="per-sample"): 36.0}
for level in ("per-class", "confusion"):
    VALUES |= {Cell(10, "expert", level): 32.0, Cell(10, "bagging", level): 35.0}
    VALUES |= {Cell(10, "expert", f"{level}-oracle"): 45.0, Cell(10, "bagging", f"{level}-oracle"): 44.0}
    VALUES[Cell(10, "gate", level, "routing")] = 60.0
    for metric, value in (("top1-right", 50.0), ("top1-wrong", 2.0)):
        VALUES |= {Cell(10, method, level, metric): value for method in ("backbone", "expert", "bagging")}
        VALUES |= {Cell(10, method, f"{level}-oracle", metric): value + 20 for method in ("expert", "bagging")}


@pytest.fixture
def result(record_of: RecordOf) -> StudyResult:
    return record_of("table5_per_class", VALUES, "tiny-imagenet")


def test_the_printed_row_stands_beside_both_groupings(result: StudyResult) -> None:
    table = EXHIBIT.tables(result)["main"].frame
    assert table.loc["per-sample, with bagging", "paper"] == "65.72 ± 0.10"
    for label in ("class means + oracle", "confusion + oracle"):
        assert table.loc[f"{label}, expert alone", "paper"] == "68.80 ± 0.10"
    assert table.loc["per-class, class means, expert alone", "ours"] == "32.10 ± 0.10"
    assert table.loc["base model", "paper"] == "–"


def test_claims_are_differences_on_the_same_seeds(result: StudyResult) -> None:
    claims = claims_table(EXHIBIT.judge(result))
    assert list(claims.loc["C5/per-class/without", ["ours", "paper"]]) == ["+2.00", "+0.63"]
    assert claims.loc["C5/oracle/without", "ours"] == "+13.00" and claims.loc["C5/oracle/without", "verdict"] == "holds"
    assert claims.loc["C5/wrong-ensembled", "verdict"] == "undecided"
    assert claims.loc["C5/wrong", "verdict"] == "undecided (settled afterwards)"
    assert claims.loc["C5/oracle-alone", "paper"] == "+0.81"


def test_routing_is_split_into_right_and_wrong(result: StudyResult) -> None:
    table = EXHIBIT.tables(result)["routing"].frame
    row = table.loc["per-class, class means: wrongly routed"]
    assert (row["% of images"], row["expert"], row["right expert"]) == ("39.9", "2.10 ± 0.10", "22.10 ± 0.10")


def test_modes_are_shown_where_they_are_known(record_of: RecordOf, result: StudyResult) -> None:
    assert "modes" not in EXHIBIT.tables(result)
    found = {Cell(10, "gate", "per-sample", metric): [0.5] * 3 for metric in ("ami", "ami-within")}
    table = EXHIBIT.tables(record_of("table5_per_class", VALUES | found, "modes", "quick"))["modes"].frame
    assert table.loc["per-sample", "modes within a class"] == "0.50 ± 0.00"
