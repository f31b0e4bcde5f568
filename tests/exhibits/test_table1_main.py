"""Table 1 shown: what was run beside the paper's numbers, the rest "not run", and all 48 costs; and run."""

from pathlib import Path

import pytest

from repro.exhibits.table1_main import EXHIBIT, Parameters, run
from repro.report.claim import Cell
from repro.report.exact_costs import BACKBONES, PAIRS
from repro.report.verdict import Verdict
from tests.exhibits.conftest import Smoke
from tests.records import RecordOf, cost_of, judged

SMALL = {"pairs": "tr10-tr10", "experts": "2"}


def test_a_second_run_adds_rows_to_what_the_first_has_trained(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    asked = {"scale": "smoke", **SMALL, "root": str(tmp_path)}
    first = run(Parameters.check(**asked, backbones="none"))
    assert first.rows() == ["tr10-tr10", "tr10"] and first.numbers_of_experts() == [2]
    assert "artifacts were made and 0 found" in capfd.readouterr().err
    more = {"backbones": "tr10,tr18", "seeds": "0,1", "fewer_seeds": "tr10-tr10:1,tr10:1,tr18:1"}
    second = run(Parameters.check(**asked, **more))
    # tr18 is trained and run alone; the pair, and tr10 within it, are found.
    assert "2 artifacts were made and 5 found" in capfd.readouterr().err
    assert set(first.measurements) < set(second.measurements)
    assert {(m.row, m.seed) for m in second.measurements} == {("tr10-tr10", 0), ("tr10", 0), ("tr18", 0)}
    assert {(c.row, c.num_experts) for c in second.costs} == {("tr10-tr10", 2), ("tr10", 0), ("tr18", 0)}
    assert second.base == second.expert == "several" and "base" not in second.spec


def test_the_scale_decides_which_rows_there_are_unless_they_are_named() -> None:
    assert Parameters(scale="laptop", dataset="cifar100").rows() == (PAIRS, BACKBONES)
    assert Parameters().rows() == (("tr10-tr10", "tr18-tr10"), ("tr10", "tr18"))
    laptop = Parameters(scale="laptop", dataset="cifar100", seeds=(0, 1, 2), fewer_seeds="tr34-tr10:1,tr50:2")
    assert len(laptop.specs()) == 3 * 4 + 1 and len(laptop.bases()) == (3 * 3 + 2) + (3 * 4 + 1)  # and the controls


def test_a_control_is_the_pairs_base_trained_as_long_as_base_and_experts_and_costs_what_the_base_costs(
    smoke: Smoke,
) -> None:
    result = smoke(EXHIBIT, **SMALL, backbones="none", controls="tr10-tr10")
    assert [(m.row, m.method, m.num_experts) for m in result.measurements] == [
        ("tr10-tr10", "bagging", 2), ("tr10", "backbone", 0), ("tr10-tr10", "equal-training", 2)
    ]  # fmt: skip
    main, cost = (EXHIBIT.tables(result)[name].frame for name in ("main", "cost"))
    row = "tr10 trained as long as tr10-tr10"
    assert main.loc[[row, "tr10 alone"], "MACs here"].nunique() == 1
    bagged, _, longer = (m.value for m in result.measurements)
    assert cost.loc["tr10-tr10, 2 experts", "over that base, trained as long"] == f"{bagged - longer:+.2f}"
    assert cost.loc[row, "over that base, trained as long"] == "–"
    (axes, _) = EXHIBIT.figures([result])["main"].axes
    assert row in axes.get_legend_handles_labels()[1]


def test_rows_stand_beside_the_paper_and_what_was_not_run_says_so(record_of: RecordOf) -> None:
    values = {Cell(0, row="tr10"): [55.0, 55.2, 55.4], Cell(20, row="tr10-tr10"): [58.0, 58.1, 58.2]}
    values[Cell(0, row="tr18")] = [58.0]
    macs = {"tr10": 16_000_000, "tr10-tr10": 23_500_000, "tr18": 35_000_000}
    costs = [cost_of(cell.num_experts, macs[cell.row], cell.row) for cell in values]
    result = record_of("table1_main", values, costs=costs)
    tables, claims = EXHIBIT.tables(result), judged(EXHIBIT, result)
    table, cost = tables["main"].frame, tables["cost"].frame
    row = table.loc["tr10-tr10, 20 experts"]
    assert (row["paper"], row["ours"]) == ("77.96 ± 0.20", "58.10 ± 0.10")
    assert (row["MACs here"], row["at the paper's width"]) == ("23.5 M", "371 M")
    assert list(table.index).index("tr18 alone") < list(table.index).index("tr18-tr10, 20 experts")
    assert table.loc["tr34-tr10, 20 experts", "ours"] == "not run"
    assert table.loc["tr34-tr10, 20 experts", "at the paper's width"] == "1277 M"  # exact whatever was run
    assert "some rows: 1" in tables["main"].caption
    assert str(cost.loc["tr10-tr10, 20 experts", "gain over its own base"]).startswith("+2.90 (+2.65 to")
    assert cost.loc["tr18 alone", "gain over its own base"] == "–"
    assert claims["P4"].verdict == Verdict.ANECDOTE  # tr18 has one seed
    assert claims["P4"].paper == pytest.approx(0.01) and claims["P2"].paper == pytest.approx(1.18)
    assert claims["P2"].verdict == Verdict.NOT_RUN


def test_all_48_printed_costs_are_set_beside_exact_ones() -> None:
    tables = EXHIBIT.exact()
    assert all("24 of 24 match" in table.caption for table in tables.values()) and len(tables) == 2
    cifar = tables["cifar100"].frame
    assert cifar.loc["tr18-tr18", "exact, 1e9"] == "0.8240" and set(cifar["match"]) == {"3 of 3"}
