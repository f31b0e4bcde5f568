"""Table 4 shown: ours beside the others as printed, and what its columns hold."""

from collections.abc import Callable
from pathlib import Path

import pytest

from repro.exhibits.table4_dynamic_routing import EXHIBIT, Parameters, run
from repro.report.claim import Cell
from repro.report.verdict import Verdict
from repro.study.results import Cost, StudyResult


def test_gains_exits_and_costs_of_one_seed(smoke_root: Path) -> None:
    asked = {"scale": "smoke", "pair": "tr10-tr10", "experts": 2, "root": smoke_root}
    result = run(Parameters.check(**asked))
    (base,), (whole,) = result.values("top1", "backbone", 0), result.values("top1", "bagging", 2)
    assert result.values("gain", "bagging", 2) == [pytest.approx(whole - base, abs=1e-3)]
    (runs,) = result.values("runs_expert", "bagging tau=0.75", 2)
    (macs,) = result.values("macs_millions", "bagging tau=0.75", 2)
    alone, mixture = (cost.macs / 1e6 for cost in result.costs)
    assert 0 <= runs <= 100 and alone < macs <= mixture + 1e-4


def test_the_model_is_table_4s_unless_another_is_asked_for() -> None:
    (spec,) = Parameters().specs()
    assert (spec.pair, spec.num_experts) == ("tr18-tr10", 10)
    (spec,) = Parameters(scale="paper", dataset="imagenet").specs()
    assert (spec.pair, spec.num_experts, spec.pretrained) == ("resnet18-resnet18", 4, True)


EARLY = "bagging tau=0.75"
COSTS = [
    Cost(num_experts=0, macs=35_000_000, params_inference=1, params_trainable=1),
    Cost(num_experts=10, macs=42_400_000, params_inference=2, params_trainable=20),
]


@pytest.fixture
def result(record_of: Callable[..., StudyResult]) -> StudyResult:
    values = {
        Cell(0): [50.0, 50.2, 50.4],
        Cell(10): [53.0, 53.2, 53.4],
        Cell(10, EARLY): [53.0, 53.1, 53.3],
        Cell(10, metric="gain"): [3.0, 3.0, 3.0],
        Cell(10, EARLY, metric="gain"): [3.0, 2.9, 2.9],
        Cell(10, EARLY, metric="runs_expert"): [60.0, 61.0, 62.0],
        Cell(10, EARLY, metric="macs_millions"): [40.0, 40.1, 40.2],
    }
    models = {"base": "tr18 at width 0.25", "expert": "tr10 at width 0.25"}
    return record_of("table4_dynamic_routing", values, "tiny-imagenet", costs=COSTS, **models)


def test_ours_stands_beside_rmn_as_printed(result: StudyResult) -> None:
    main = EXHIBIT.tables(result)["main"].frame
    assert main["paper"].tolist() == ["60.42", "64.66", "64.58", "64.30"]
    assert main.loc["RMN (no SE), as printed", "ours"] == "not run"


def test_gains_are_set_against_cost(result: StudyResult) -> None:
    shown = EXHIBIT.tables(result)["trade_off"]
    assert list(shown.frame.loc["ours, 10 experts"]) == ["+4.24", "3.00 ± 0.00", "100", "42.4"]
    assert list(shown.frame.loc["ours, exit at 0.75"])[2:] == ["61.0 ± 1.0", "40.1 ± 0.1"]
    assert "RMN gains +2.52 points over a base of its own, at 61.78 %" in shown.caption


def test_the_training_column_holds_multiply_adds() -> None:
    frame = EXHIBIT.exact()["counts"].frame
    matches = {(what, row["by our count"]): row["match"] for what, row in frame.iterrows()}
    assert matches["ours, training", "multiply-adds of base and 4 experts"] == "match"
    assert matches["ours, training", "parameters of 4 experts"] == "mismatch"
    assert matches["DeepMoE, training", "multiply-adds of a dense ResNet-18 twice as wide"] == "match"
    assert matches["RMN, parameters", "8 whole tr18"] == "match"
    assert matches["tr18-tr10, parameters", "base, gate and 10 experts"] == "mismatch"
    assert list(matches.values()).count("match") == 7 and len(matches) == 12
    assert EXHIBIT.exact()["share"].frame.iloc[0, 0] == "46.8"


def test_claims_and_reading(result: StudyResult) -> None:
    judged = {j.claim.key: j for j in EXHIBIT.judge(result)}
    assert judged["R1"].verdict == judged["R2"].verdict == Verdict.HOLDS and "W1" not in judged
    assert judged["R1"].paper == pytest.approx(4.24) and judged["R2"].paper == pytest.approx(-0.08)


def test_imagenet_stands_beside_deepmoe(record_of: Callable[..., StudyResult]) -> None:
    values = {Cell(0): [69.76], Cell(4): [72.1]}
    costs = [COSTS[0], COSTS[1].model_copy(update={"num_experts": 4})]
    shown = EXHIBIT.tables(record_of("table4_dynamic_routing", values, "imagenet", "paper", costs, base="resnet18"))
    assert shown["main"].frame["paper"].tolist() == ["69.76", "72.17", "72.11", "70.95"]
