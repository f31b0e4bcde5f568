"""What DeepMoE's text leaves open: what differs of each row, a run at smoke scale, and what is shown of a record."""

from pathlib import Path

import pytest

from repro.exhibits.deepmoe_choices import ALTERNATIVES, DEFAULT, EXHIBIT, Parameters
from repro.exhibits.deepmoe_table2_cifar.channels import CHANNELS
from repro.exhibits.three_families import EXHIBIT as THREE_FAMILIES
from repro.families.deepmoe.steps import steps
from repro.report.claim import Cell
from repro.report.verdict import Verdict
from repro.study.results import StudyResult, Table
from tests.exhibits.conftest import Smoke
from tests.helpers import drawn_at
from tests.records import RecordOf


def test_each_row_is_another_network_and_the_default_is_the_three_families(tmp_path: Path) -> None:
    asked = {"scale": "laptop", "dataset": "cifar100", "root": str(tmp_path)}
    rows = {row: steps(made) for row, made in Parameters.check(**asked).rows(0).items()}
    assert len({step.needs[0].key for step in rows.values()}) == len(rows) == 1 + len(ALTERNATIVES) + 3
    for family, own in (("DeepMoE", {DEFAULT, "λ = 0.5", "λ = 1", "λ = 2"}), ("DeepMoE-inputs", {"gates on inputs"})):
        trials = THREE_FAMILIES.parameters.check(**asked, families=family, budgets="middle").goals()
        tried = {step.key for goal in trials for step in goal.steps}
        assert {row for row, step in rows.items() if step.key in tried} == own


def test_a_run_records_every_row_beside_a_plain_network_of_its_cost(smoke: Smoke) -> None:
    result = smoke(EXHIBIT, alternatives="λ = 0,never frozen,sum of channels", curve="0.5", lam=0.7)
    rows = [row for row in result.rows() if result.values("top1", "deepmoe", 0, row)]
    assert rows == [DEFAULT, "λ = 0", "never frozen", "sum of channels", "λ = 0.5"]
    plain = result.tables["plain"]
    for row in rows:
        (macs,), (top1,) = result.values("macs_millions", "deepmoe", 0, row), result.values("top1", "plain", 0, row)
        assert plain.column("macs")[0] < 1e6 * macs < plain.column("macs")[-1]
        assert min(plain.column("top1")) <= top1 <= max(plain.column("top1"))
    opened = result.tables["channels"]
    assert opened.where(layer="block 4, convolution 2").column("row") == rows
    assert len(opened.rows) == 9 * len(rows) and max(opened.column("always")) > 0
    assert result.evaluate == "validation"


@pytest.fixture
def recorded(record_of: RecordOf) -> StudyResult:
    cells: dict[Cell, list[float]] = {}
    for row, top1, macs in ((DEFAULT, 52.0, 6.0), ("λ = 0", 60.0, 11.0), ("λ = 2", 40.0, 3.0)):
        cells |= {Cell(0, "deepmoe", row): [top1, top1 + 0.4, top1 - 0.3], Cell(0, "plain", row): [57.0, 57.1, 56.8]}
        cells |= {Cell(0, "deepmoe", row, metric): [macs] * 3 for metric in ("macs_millions", "active", "embedding")}
    cells[Cell(0, "deepmoe", "sum of channels", "collapsed")] = [1.0] * 3
    cells |= {Cell(0, "deepmoe", "PyTorch's start", metric): [0.6] * 3 for metric in ("top1", "macs_millions")}
    rows = [[seed, 1e6 * macs, top1] for seed in range(3) for macs, top1 in ((3, 49), (6, 57), (14, 62))]
    plain = Table(columns=["seed", "macs", "top1"], rows=rows)
    return record_of("deepmoe_choices", cells, dataset="cifar100", scale="laptop", tables={"plain": plain})


def test_each_row_is_held_against_its_own_cost_and_the_figure_draws_the_default_over_lambda(
    recorded: StudyResult,
) -> None:
    table = EXHIBIT.tables(recorded)["main"].frame
    against = {DEFAULT: "−4.93", "λ = 0": "+3.07", "PyTorch's start": "beyond the curve"}
    against |= {"sum of channels": "collapsed", "λ = 2": "−16.93"}
    assert dict(table["against a plain network of its MACs"]) == against and list(table.index) == list(against)
    known = {judged.claim.key.removeprefix("open/"): judged.verdict for judged in EXHIBIT.judge(recorded)}
    verdicts = {DEFAULT: Verdict.OPPOSITE, "λ = 0": Verdict.HOLDS, "PyTorch's start": Verdict.BEYOND}
    verdicts["sum of channels"] = Verdict.COLLAPSED
    assert {row: verdict for row, verdict in known.items() if verdict is not Verdict.NOT_RUN} == verdicts
    (axes,) = EXHIBIT.figures([recorded])["main"].axes
    lines = {line.get_label(): line for line in axes.lines}
    assert "λ = 0" in lines and "sum of channels" not in lines, "it collapsed"
    assert drawn_at(lines["DeepMoE, gates on outputs, at several λ"])[0] == [3.0, 6.0]


def test_what_is_open_is_counted_over_layers_and_seeds_and_may_be_absent(recorded: StudyResult) -> None:
    assert list(EXHIBIT.tables(recorded)) == ["main"], "an earlier record"
    rows = [[DEFAULT, seed, layer, 4, never, 1] for seed in (0, 1) for layer, never in (("stem", seed), ("block", 3))]
    channels = Table(columns=CHANNELS, rows=[*rows, ["λ = 0", 0, "stem", 4, 0, 4], ["λ = 0", 0, "block", 4, 0, 4]])
    tables = EXHIBIT.tables(recorded.model_copy(update={"tables": {**recorded.tables, "channels": channels}}))
    by_row, by_layer = tables["channels"].frame, tables["layers"].frame
    assert list(by_row) == ["channels", "never open, %", "always open, %", "by image, %"]
    assert by_row.T[DEFAULT].tolist() == by_layer.T["all layers"].tolist() == ["8", "43.8", "25.0", "31.2"]
    assert by_row.T["λ = 0"].tolist() == ["8", "0.0", "100.0", "0.0"]
    assert by_layer.T["stem"].tolist() == ["4", "12.5", "25.0", "62.5"] and by_layer.index[0] == "stem"
