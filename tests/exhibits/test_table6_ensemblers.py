"""Table 6: run, and shown with hand-worked numbers."""

from dataclasses import replace

import pytest

from repro.exhibits.table6_ensemblers import EXHIBIT, START
from repro.families.single_gate.pairs import MEAN
from repro.report.claim import Cell
from repro.report.curves import pooled
from repro.study.results import StudyResult, Table
from tests.exhibits.conftest import Smoke
from tests.records import RecordOf, judged

PAIR = "tr10-tr10"


def test_every_method_is_measured_and_the_diagram_gives_back_the_ece(smoke: Smoke) -> None:
    result = smoke(EXHIBIT, experts="3", seeds="0,1")
    for method in ("expert", "top-2", "bagging", "bagging-logits", "stacking"):
        for metric in ("top1", "ece", "overconfidence"):
            values = result.values(metric, method, 3, PAIR)
            assert len(values) == 2 and result.values(metric, method, 3, MEAN) == values
    assert result.values("top1", "backbone", 0, MEAN) == result.values("top1", "backbone", 0, "tr10")
    # Untrained, stacking is the sum of log-probabilities: the classes of bagged logits, with more confidence.
    logits = result.values("top1", "bagging-logits", 3, PAIR)
    assert result.values("top1", START, 3, PAIR) == pytest.approx(logits)
    sure = [result.values("overconfidence", name, 3, PAIR) for name in (START, "bagging-logits")]
    assert all(start > bagged for start, bagged in zip(*sure, strict=True))
    assert len(result.values("training-loss", "backbone", 0, "tr10")) == 2
    diagram = result.tables["reliability"].where(method="bagging", seed=1)
    counts, confident, right = (diagram.column(name) for name in ("count", "confidence", "accuracy"))
    ece = sum(n * abs(a - c) for n, c, a in zip(counts, confident, right, strict=True)) / 2
    assert sum(counts) == 200 and ece == pytest.approx(result.values("ece", "bagging", 3, PAIR)[1], abs=0.05)


TOP1 = {"expert": 58.0, "top-2": 59.0, "stacking": 61.0, "bagging": 60.9, "bagging-logits": 60.8}


def of_table6(record_of: RecordOf, sure: float = 90.0, more: dict[Cell, float] | None = None) -> StudyResult:
    cells = {Cell(0, "backbone", row): 56.0 for row in ("tr10", MEAN)}
    cells |= {Cell(20, method, row): top1 for method, top1 in TOP1.items() for row in (PAIR, "tr10-tr18", MEAN)}
    values = {
        replace(cell, metric=metric): value
        for cell, top1 in cells.items()
        for metric, value in (("top1", top1), ("ece", 5.0), ("overconfidence", 4.0))
    }
    values |= {Cell(0, "backbone", "tr10", "training-sure"): sure, Cell(0, "backbone", "tr10", "training-loss"): 1.0}
    return record_of(EXHIBIT.name, values | (more or {}), "tiny-imagenet")


def test_the_paper_stands_beside_ours_and_what_was_measured_besides(record_of: RecordOf) -> None:
    tables = EXHIBIT.tables(of_table6(record_of))
    main, calibration = tables["main"].frame, tables["calibration"].frame
    assert main.loc["tr10-tr18: stacking", "paper"] == "64.63" and main.loc["tr10-tr10: base model", "paper"] == "56.29"
    assert main.loc["tr10-tr10: bagging", "ours"] == "61.00 ± 0.10"
    assert main.loc["tr10-tr10: bagging of logits", "paper"] == "–"
    assert calibration.loc["tr10-tr10: bagging", "ECE, points"] == "5.10 ± 0.10"
    assert list(tables["training"].frame.index) == ["tr10: base model"]
    more = {Cell(1, "bagging", PAIR): 57.0, Cell(1, "equal-inference", PAIR): 56.5}
    more |= {Cell(20, START, PAIR, metric): value for metric, value in (("top1", 60.8), ("ece", 20.0))}
    tables = EXHIBIT.tables(of_table6(record_of, more=more))
    index, before = list(tables["main"].frame.index), "tr10-tr10: stacking before its training"
    assert index.count("tr10-tr10: base model") == 1, "what is the same for every number of experts stands once"
    assert "tr10-tr10, 1 expert: bagging" in index and "tr10-tr10, 1 expert: base model" not in index
    assert [row for row in index if "a plain network" in row] == [
        "tr10-tr10: control: a plain network of the cost of base and one expert"
    ]
    assert str(tables["calibration"].frame.loc[before, "ECE, points"]).startswith("20.10")
    assert before not in {*index, *calibration.index}  # it picks the classes that bagging of logits picks


def test_claims_use_the_mean_over_the_same_pairs(record_of: RecordOf) -> None:
    claims = judged(EXHIBIT, of_table6(record_of))
    assert str(claims["E1/base"].verdict) == str(claims["E4"].verdict) == str(claims["E5"].verdict) == "holds"
    few = judged(EXHIBIT, of_table6(record_of, sure=4.4))
    assert few["E5"].text == "premise not met here (settled afterwards)"
    assert claims["E1/base"].paper == pytest.approx((57.80 + 59.53) / 2 - 56.29)


def test_bins_are_pooled_by_their_images() -> None:
    rows = [[0, 30, 0.2, 0.1], [0, 10, 0.4, 0.5], [1, 60, 0.9, 0.8]]
    xs, ys = pooled(Table(columns=["bin", "count", "confidence", "accuracy"], rows=rows))
    assert xs == pytest.approx([0.25, 0.9]) and ys == pytest.approx([0.2, 0.8])
