"""Your own images, shown: the table, the picture and the sentences say what the record says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from repro.report import own_data
from repro.report.claim import Cell
from repro.report.exhibits import NAMES, exhibit, exhibits
from repro.study.own_data import OwnDataParameters
from repro.study.results import Cost, Measurement, StudyResult, Table

FOLDER = {"name": "pets", "num_train": 800, "num_validation": 100, "num_test": 100}
COSTS = [
    Cost(num_experts=k, macs=macs, params_inference=1, params_trainable=1) for k, macs in ((0, 10**7), (4, 2 * 10**7))
]


@pytest.fixture
def result(record_of: Callable[..., StudyResult]) -> StudyResult:
    values = {Cell(0): [80.0, 82.0], Cell(4): [84.0, 86.0]}
    values |= {Cell(0, "chance"): [10.0, 10.0], Cell(0, "majority"): [12.0, 12.0]}
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
    assert frame.index[:3].tolist() == [*own_data.SIMPLE.values()]
    assert frame["top-1, %"].tolist()[:3] == ["10.00 ± 0.00", "12.00 ± 0.00", "–"]
    frame = frame.iloc[3:]
    assert frame.iloc[0].tolist() == ["81.00 ± 1.41", "10.0", "100.0", "0", "–"]
    assert frame.iloc[1].tolist() == ["85.00 ± 1.41", "20.0", "0.0", "1", "–"]
    assert frame.iloc[2].tolist() == ["83.00 ± 0.00", "12.0 ± 0.0", "65.0 ± 7.1", "0.50 ± 0.14", "0.25, 0.3"]
    assert frame.iloc[4]["threshold τ"] == "–, –"
    assert "100 validation" in shown.caption and "pets: resnet18, 4 experts, 2 seeds, 100 test images" in shown.caption


def test_the_sentences(result: StudyResult) -> None:
    text = own_data.read(result)
    for words in ("81.00 ± 1.41 %", "85.00 ± 1.41 %", "65.0 ± 7.1 % of them exit early", "saves 40 % of the"):
        assert words in text
    assert "With 100 test images, differences of up to 10.1 points are within chance." in text and "beats" not in text


@pytest.mark.parametrize(("macs", "words"), [(20.05, "and saves 0 % of"), (21.0, "and costs 5 % more multiply-adds")])
def test_what_is_saved_may_be_less_than_nothing(result: StudyResult, macs: float, words: str) -> None:
    changed = [
        m.model_copy(update={"value": macs}) if (m.method, m.metric) == ("anytime-no-loss", "macs_millions") else m
        for m in result.measurements
    ]
    assert words in own_data.read(result.model_copy(update={"measurements": changed}))


def test_what_does_not_beat_a_simple_rule_is_said(result: StudyResult) -> None:
    near = [Measurement(seed=s, num_experts=0, method="neighbours", metric="top1", value=80.0) for s in (0, 1)]
    told = own_data.read(result.model_copy(update={"measurements": [*result.measurements, *near]}))
    assert "**None of this beats 5 nearest neighbours on 16 × 16 pixels (80.00 %) by more than chance" in told


def test_chance_is_a_matter_of_how_many_images() -> None:
    """Two fair coins of 10,000 tosses differ by 1.386 points in 19 of 20 cases; no number of images is certain."""
    assert own_data.by_chance(50.0, 10_000) == pytest.approx(1.386, abs=1e-3)
    assert own_data.by_chance(100.0, 20) > own_data.by_chance(100.0, 2000) > 0


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
