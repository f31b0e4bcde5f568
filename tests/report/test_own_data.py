"""Your own images, shown: the table, the picture and the sentences say what the record says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from repro.report import own_data
from repro.report.exhibits import NAMES, exhibit, exhibits
from repro.report.verdict import Cell
from repro.study.own_data import OwnDataParameters
from repro.study.results import Cost, StudyResult, Table

FOLDER = {"name": "pets", "num_train": 800, "num_validation": 100, "num_test": 100}
COSTS = [
    Cost(num_experts=k, macs=macs, params_inference=1, params_trainable=1) for k, macs in ((0, 10**7), (4, 2 * 10**7))
]


@pytest.fixture
def result(record_of: Callable[..., StudyResult]) -> StudyResult:
    values = {Cell(0): [80.0, 82.0], Cell(4): [84.0, 86.0]}
    for rule, top1, macs in (("no-loss", 83.0, 12.0), ("same-cost", 85.0, 19.0), ("best", 86.0, 25.0)):
        method = f"anytime-{rule}"
        values |= {Cell(4, method): [top1, top1], Cell(4, method, metric="macs_millions"): [macs, macs]}
        values |= {Cell(4, method, metric="exits"): [60.0, 70.0], Cell(4, method, metric="experts"): [0.4, 0.6]}
    values[Cell(4, "anytime-no-loss", metric="tau")] = [0.25, 0.3]
    columns = ["seed", "tau", "macs", "top1", "top1_on_validation", "exits", "experts"]
    rows = [[seed, tau, macs, 80.0, 81.0, 50.0, 0.5] for seed in (0, 1) for tau, macs in ((0.0, 2e7), (1.0, 1e7))]
    return record_of(
        "own_data", values, dataset="pets", scale="own", costs=COSTS, base="resnet18", expert="resnet18",
        spec={"folder": FOLDER}, tables={"sweep": Table(columns=columns, rows=rows)},
    )  # fmt: skip


def test_the_table(result: StudyResult) -> None:
    shown = own_data.tables(result)["main"]
    frame = shown.frame
    assert frame.iloc[0].tolist() == ["81.00 ± 1.41", "10.0", "100.0", "0", "–"]
    assert frame.iloc[1].tolist() == ["85.00 ± 1.41", "20.0", "0.0", "1", "–"]
    assert frame.iloc[2].tolist() == ["83.00 ± 0.00", "12.0 ± 0.0", "65.0 ± 7.1", "0.50 ± 0.14", "0.25, 0.3"]
    assert frame.iloc[4]["threshold τ"] == "–, –"
    assert "100 validation" in shown.caption and "pets: resnet18, 4 experts, 2 seeds, 100 test images" in shown.caption


def test_the_sentences(result: StudyResult) -> None:
    text = own_data.read(result)
    for words in ("81.00 ± 1.41 %", "85.00 ± 1.41 %", "65.0 ± 7.1 % of them exit early", "saves 40 % of the"):
        assert words in text


def test_the_picture(result: StudyResult) -> None:
    (axes,) = own_data.figures([result])["main"].axes
    drawn = {line.get_label(): (list(line.get_xdata()), list(line.get_ydata())) for line in axes.lines}
    assert drawn["any-time, over τ"] == ([20.0, 10.0], [80.0, 80.0])
    assert drawn["base alone"] == ([10.0], [81.0]) and drawn["one expert for every image"] == ([20.0], [85.0])


def test_it_is_found_by_its_name_and_is_none_of_the_papers() -> None:
    assert exhibit("own_data") is own_data.EXHIBIT and not own_data.EXHIBIT.claims
    assert "own_data" not in NAMES and own_data.EXHIBIT not in exhibits()


def test_where_only_records_are_shown_nothing_is_exported(tmp_path: Path) -> None:
    parameters = OwnDataParameters.check(recorded=True, root=str(tmp_path))
    assert own_data.export(parameters) is None
    assert "Nothing is exported" in str(own_data.show_use(parameters, None).data)
