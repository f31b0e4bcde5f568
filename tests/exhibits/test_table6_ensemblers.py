"""Table 6: run, and shown with hand-worked numbers."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from repro.exhibits.table6_ensemblers import EXHIBIT, START, Parameters, run
from repro.families.single_gate.pairs import MEAN
from repro.report.claim import Cell
from repro.report.curves import pooled
from repro.study.results import StudyResult, Table

ASKED = {"experts": "3", "seeds": "0,1", "scale": "smoke"}


@pytest.fixture(scope="module")
def ensemblers(smoke_root: Path) -> StudyResult:
    return run(Parameters.check(**ASKED, root=smoke_root))


def test_every_method_is_measured(ensemblers: StudyResult) -> None:
    for method in ("expert", "top-2", "bagging", "bagging-logits", "stacking"):
        for metric in ("top1", "ece", "overconfidence"):
            values = ensemblers.values(metric, method, 3, "tr10-tr10")
            assert len(values) == 2 and ensemblers.values(metric, method, 3, MEAN) == values
    assert ensemblers.values("top1", "backbone", 0, MEAN) == ensemblers.values("top1", "backbone", 0, "tr10")
    # Untrained, stacking is the sum of log-probabilities: the classes of bagged logits, with more confidence.
    logits = ensemblers.values("top1", "bagging-logits", 3, "tr10-tr10")
    assert ensemblers.values("top1", START, 3, "tr10-tr10") == pytest.approx(logits)
    sure = [ensemblers.values("overconfidence", name, 3, "tr10-tr10") for name in (START, "bagging-logits")]
    assert all(start > bagged for start, bagged in zip(*sure, strict=True))
    assert len(ensemblers.values("training-loss", "backbone", 0, "tr10")) == 2


def test_the_diagram_holds_every_image_and_gives_back_the_ece(ensemblers: StudyResult) -> None:
    part = ensemblers.tables["reliability"].where(method="bagging", seed=1)
    counts, sure, right = (part.column(name) for name in ("count", "confidence", "accuracy"))
    assert sum(counts) == 200
    ece = sum(n * abs(a - c) for n, c, a in zip(counts, sure, right, strict=True)) / 2
    assert ece == pytest.approx(ensemblers.values("ece", "bagging", 3, "tr10-tr10")[1], abs=0.05)


RecordOf = Callable[..., StudyResult]
TOP1 = {"expert": 58.0, "top-2": 59.0, "stacking": 61.0, "bagging": 60.9, "bagging-logits": 60.8}


def of_table6(record_of: RecordOf, sure: float = 90.0, more: dict[Cell, float] | None = None) -> StudyResult:
    cells = {Cell(0, "backbone", row): 56.0 for row in ("tr10", MEAN)}
    cells |= {Cell(20, method, row): top1 for method, top1 in TOP1.items() for row in ("tr10-tr10", "tr10-tr18", MEAN)}
    values = {
        replace(cell, metric=metric): value
        for cell, top1 in cells.items()
        for metric, value in (("top1", top1), ("ece", 5.0), ("overconfidence", 4.0))
    }
    values |= {Cell(0, "backbone", "tr10", "training-sure"): sure, Cell(0, "backbone", "tr10", "training-loss"): 1.0}
    return record_of(EXHIBIT.name, values | (more or {}), "tiny-imagenet")


def test_what_is_the_same_for_every_number_of_experts_stands_once(record_of: RecordOf) -> None:
    more = {Cell(1, "bagging", "tr10-tr10"): 57.0, Cell(1, "equal-inference", "tr10-tr10"): 56.5}
    index = list(EXHIBIT.tables(of_table6(record_of, more=more))["main"].frame.index)
    assert index.count("tr10-tr10: base model") == 1 and "tr10-tr10, 1 expert: bagging" in index
    assert [row for row in index if "a plain network" in row] == [
        "tr10-tr10: control: a plain network of the cost of base and one expert"
    ]
    assert "tr10-tr10, 1 expert: base model" not in index


def test_the_paper_stands_beside_ours(record_of: RecordOf) -> None:
    shown = EXHIBIT.tables(of_table6(record_of))
    main = shown["main"].frame
    assert main.loc["tr10-tr18: stacking", "paper"] == "64.63" and main.loc["tr10-tr10: base model", "paper"] == "56.29"
    assert main.loc["tr10-tr10: bagging", "ours"] == "61.00 ± 0.10"
    assert main.loc["tr10-tr10: bagging of logits", "paper"] == "–"
    assert shown["calibration"].frame.loc["tr10-tr10: bagging", "ECE, points"] == "5.10 ± 0.10"
    assert list(shown["training"].frame.index) == ["tr10: base model"]


def test_stacking_is_shown_before_its_training_too_where_that_was_measured(record_of: RecordOf) -> None:
    row = "tr10-tr10: stacking before its training"
    assert row not in EXHIBIT.tables(of_table6(record_of))["calibration"].frame.index
    start = {Cell(20, START, "tr10-tr10", metric): value for metric, value in (("top1", 60.8), ("ece", 20.0))}
    shown = EXHIBIT.tables(of_table6(record_of, more=start))
    assert str(shown["calibration"].frame.loc[row, "ECE, points"]).startswith("20.10")
    assert row not in shown["main"].frame.index  # it picks the classes that bagging of logits picks


def test_claims_use_the_mean_over_the_same_pairs(record_of: RecordOf) -> None:
    judged = {j.claim.key: j for j in EXHIBIT.judge(of_table6(record_of))}
    assert str(judged["E1/base"].verdict) == str(judged["E4"].verdict) == str(judged["E5"].verdict) == "holds"
    few = {j.claim.key: j for j in EXHIBIT.judge(of_table6(record_of, sure=4.4))}
    assert few["E5"].text == "premise not met here (settled afterwards)"
    assert judged["E1/base"].paper == pytest.approx((57.80 + 59.53) / 2 - 56.29)


def test_bins_are_pooled_by_their_images() -> None:
    rows = [[0, 30, 0.2, 0.1], [0, 10, 0.4, 0.5], [1, 60, 0.9, 0.8]]
    xs, ys = pooled(Table(columns=["bin", "count", "confidence", "accuracy"], rows=rows))
    assert xs == pytest.approx([0.25, 0.9]) and ys == pytest.approx([0.2, 0.8])
