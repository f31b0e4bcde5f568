"""Table 5 run, and shown: the paper's row beside both of ours, verdicts, modes."""

import pytest

from repro.exhibits.table5_per_class import EXHIBIT
from repro.report.claim import Cell
from repro.report.tables import claims_table
from repro.study.results import StudyResult
from tests.exhibits.conftest import Smoke
from tests.records import RecordOf


@pytest.fixture(scope="module")
def measured(smoke: Smoke) -> StudyResult:
    return smoke(EXHIBIT, experts=3)


def test_every_routing_has_its_rows(measured: StudyResult) -> None:
    for row in ("per-sample", "per-class", "confusion", "per-class-oracle", "confusion-oracle"):
        for method in ("expert", "bagging"):
            assert len(measured.values("top1", method, 3, row)) == 1, (row, method)
    assert len(measured.values("top1", "backbone", 0)) == 1
    assert "routing" not in measured.spec and measured.provenance.command.endswith("-p scale smoke -p experts 3")
    assert measured.values("ami-within", "gate", 3, "per-class-oracle") == [0.0], "by class nothing is found within it"
    gate, chance = (measured.values("ami-within", method, 3, "per-sample") for method in ("gate", "chance"))
    assert gate > chance


@pytest.mark.parametrize("level", ["per-class", "confusion"])
def test_right_and_wrong_make_up_the_whole(measured: StudyResult, level: str) -> None:
    (share,) = measured.values("routing", "gate", 3, level)
    for method in ("expert", "bagging"):
        (whole,), (right,), (wrong,) = (
            measured.values(metric, method, 3, level) for metric in ("top1", "top1-right", "top1-wrong")
        )
        assert (share * right + (100 - share) * wrong) / 100 == pytest.approx(whole, abs=0.01)
        assert measured.values("top1-right", method, 3, f"{level}-oracle") == [right]


def test_the_printed_row_stands_beside_both_groupings_and_modes_where_they_are_known(record_of: RecordOf) -> None:
    values = {Cell(0): 30.0, Cell(10, "expert", "per-sample"): 34.0, Cell(10, row="per-sample"): 36.0}
    for level in ("per-class", "confusion"):
        values |= {Cell(10, "expert", level): 32.0, Cell(10, "bagging", level): 35.0}
        values |= {Cell(10, "expert", f"{level}-oracle"): 45.0, Cell(10, "bagging", f"{level}-oracle"): 44.0}
        values[Cell(10, "gate", level, "routing")] = 60.0
        for metric, value in (("top1-right", 50.0), ("top1-wrong", 2.0)):
            values |= {Cell(10, method, level, metric): value for method in ("backbone", "expert", "bagging")}
            values |= {Cell(10, method, f"{level}-oracle", metric): value + 20 for method in ("expert", "bagging")}
    result = record_of("table5_per_class", values, "tiny-imagenet")
    main, routing = (EXHIBIT.tables(result)[name].frame for name in ("main", "routing"))
    assert main.loc["per-sample, with bagging", "paper"] == "65.72 ± 0.10"
    for label in ("class means + oracle", "confusion + oracle"):
        assert main.loc[f"{label}, expert alone", "paper"] == "68.80 ± 0.10"
    assert main.loc["per-class, class means, expert alone", "ours"] == "32.10 ± 0.10"
    assert main.loc["base model", "paper"] == "–"
    row = routing.loc["per-class, class means: wrongly routed"]
    assert (row["% of images"], row["expert"], row["right expert"]) == ("39.9", "2.10 ± 0.10", "22.10 ± 0.10")
    claims = claims_table(EXHIBIT.judge(result))
    assert list(claims.loc["C5/per-class/without", ["ours", "paper"]]) == ["+2.00", "+0.63"]
    assert list(claims.loc["C5/oracle/without", ["ours", "verdict"]]) == ["+13.00", "holds"]
    assert claims.loc["C5/wrong-ensembled", "verdict"] == "undecided"
    assert claims.loc["C5/wrong", "verdict"] == "undecided (settled afterwards)"
    assert claims.loc["C5/oracle-alone", "paper"] == "+0.81"
    assert "modes" not in EXHIBIT.tables(result)
    agreement = {Cell(10, "gate", "per-sample", metric): [0.5] * 3 for metric in ("ami", "ami-within")}
    modes = EXHIBIT.tables(record_of("table5_per_class", values | agreement, "modes", "quick"))["modes"].frame
    assert modes.loc["per-sample", "modes within a class"] == "0.50 ± 0.00"
