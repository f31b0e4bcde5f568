"""Table 4: run, and shown: ours beside the others as printed, and what its columns hold."""

from pathlib import Path

import pytest

from repro.errors import ReproError, TimeIsUpError, TrainingError
from repro.exhibits.table4_dynamic_routing import EXHIBIT, NAME, Parameters
from repro.families.deepmoe.cost import deepmoe_cost
from repro.report.claim import Cell
from repro.report.verdict import Verdict
from repro.study.results import load_results
from tests.exhibits.conftest import Collapse, Smoke
from tests.records import RecordOf, cost_of, judged

SMALL = {"pair": "tr10-tr10", "experts": 2, "deepmoe": "all"}


def test_gains_exits_and_costs_of_one_seed(smoke: Smoke) -> None:
    result = smoke(EXHIBIT, **SMALL, lam="0.5,8")
    (base,), (whole,) = result.values("top1", "backbone", 0), result.values("top1", "bagging", 2)
    assert result.values("gain", "bagging", 2) == [pytest.approx(whole - base, abs=1e-3)]
    (runs,), (macs,) = (result.values(m, "bagging tau=0.75", 2) for m in ("runs_expert", "macs_millions"))
    alone, mixture = (cost.macs / 1e6 for cost in result.costs)
    assert 0 <= runs <= 100 and alone < macs <= mixture + 1e-4
    (top1,), (macs,) = (result.values(metric, "deepmoe", 0) for metric in ("top1", "macs_millions"))
    assert result.values("gain", "deepmoe", 0) == [pytest.approx(top1 - base, abs=1e-3)]
    like = 100 * min(macs / mixture, mixture / macs)
    assert result.values("like_ours", "deepmoe", 0) == [pytest.approx(like, abs=0.01)]
    scan, tables = result.tables["scan"], EXHIBIT.tables(result)
    assert scan.column("lam") == [0.5, 8.0] and sum(scan.column("taken")) == 1
    assert tables["scan"].frame["taken"].tolist().count("taken") == 1
    assert "The DeepMoE gates the base's network" in tables["main"].caption


def test_a_deepmoe_is_trained_where_it_is_asked_for_or_the_scale_is_no_demonstration() -> None:
    laptop = {"scale": "laptop", "dataset": "cifar100", "seeds": "0,1"}
    assert not Parameters.check().others() and not Parameters.check(**laptop, deepmoe="none").others()
    imagenet = {"scale": "paper", "dataset": "imagenet"}
    assert not Parameters.check(**imagenet).others(), "its base comes trained"
    assert Parameters.check(**imagenet, deepmoe="all", lam="1").others()
    parameters = Parameters.check(**laptop)
    assert [asked.spec.evaluate for asked in parameters.scan()] == ["validation"] * 4
    assert len(parameters.others()) == 4 and len(Parameters.check(**laptop, lam="1").others()) == 2
    spec = parameters.specs()[1]
    asked = parameters.gated(spec, 1.0)
    assert (asked.model.backbone, asked.spec.seed, asked.model.lam) == ("tr18", 1, 1.0)
    assert deepmoe_cost(asked.model).dense_macs == pytest.approx(1.75 * spec.cost.macs, rel=0.05)
    assert asked.recipe_two and asked.recipe.epochs + asked.recipe_two.epochs == spec.base_recipe.epochs


@pytest.mark.parametrize(
    ("lam", "error", "sentence"),
    [
        ("0.5,8", TrainingError("stem: no channel is active"), "all 2 trials collapsed; choose other values of lam"),
        ("0.5,8", TimeIsUpError("DeepMoE: not begun"), "not begun"),
    ],
)
def test_mixtures_and_controls_are_recorded_before_a_deepmoe_that_was_not_made_is_named(
    lam: str, error: ReproError, sentence: str, smoke: Smoke, smoke_root: Path, collapse: Collapse
) -> None:
    collapse(EXHIBIT, lambda asked: True, error)
    with pytest.raises(type(error), match=sentence) as raised:
        smoke(EXHIBIT, **SMALL, controls="all", lam=lam)
    assert isinstance(raised.value, ReproError) and raised.value.recorded
    (result,) = load_results(smoke_root / "results", NAME).values()
    assert result.values("top1", "bagging", 2) and result.values("top1", "equal-training", 2)
    assert not result.values("top1", "deepmoe", 0)


def test_a_seed_whose_deepmoe_went_wrong_costs_the_others_nothing(
    smoke: Smoke, smoke_root: Path, collapse: Collapse
) -> None:
    collapse(EXHIBIT, lambda asked: asked.spec.seed == 0)
    with pytest.raises(TrainingError, match="no channel is active"):
        smoke(EXHIBIT, **SMALL, lam="1", seeds="0,1")
    (result,) = load_results(smoke_root / "results", NAME).values()
    assert [m.seed for m in result.measurements if (m.method, m.metric) == ("deepmoe", "top1")] == [1]
    assert len(result.values("top1", "bagging", 2)) == 2


def test_the_model_is_table_4s_unless_another_is_asked_for() -> None:
    (spec,) = Parameters().specs()
    assert (spec.pair, spec.num_experts) == ("tr18-tr10", 10)
    (spec,) = Parameters(scale="paper", dataset="imagenet").specs()
    assert (spec.pair, spec.num_experts, spec.pretrained) == ("resnet18-resnet18", 4, True)


EARLY = "bagging tau=0.75"
COSTS = [cost_of(0, 35_000_000), cost_of(10, 42_400_000)]


def test_ours_stands_beside_rmn_as_printed_and_gains_are_set_against_cost(record_of: RecordOf) -> None:
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
    result = record_of("table4_dynamic_routing", values, "tiny-imagenet", costs=COSTS, **models)
    tables, claims = EXHIBIT.tables(result), judged(EXHIBIT, result)
    main, trade_off = tables["main"].frame, tables["trade_off"].frame
    assert main["paper"].tolist() == ["60.42", "64.66", "64.58", "–", "64.30"]
    for row in ("a DeepMoE of its multiply-adds", "RMN (no SE), as printed"):
        assert main.loc[row, "ours"] == "not run"
    assert "The DeepMoE" not in tables["main"].caption
    assert list(trade_off.loc["single gate, 10 experts"]) == ["+4.24", "3.00 ± 0.00", "100", "42.4"]
    assert list(trade_off.loc["single gate, exit at 0.75"])[2:] == ["61.0 ± 1.0", "40.1 ± 0.1"]
    assert "RMN gains +2.52 points over a base of its own, at 61.78 %" in tables["trade_off"].caption
    assert claims["R1"].verdict == claims["R2"].verdict == Verdict.HOLDS and "W1" not in claims
    assert claims["R3"].verdict == Verdict.NOT_RUN
    few = record_of("table4_dynamic_routing", values | {Cell(10, EARLY, metric="runs_expert"): [80.0] * 3}, "cifar100")
    assert judged(EXHIBIT, few)["R2"].verdict == Verdict.NO_PREMISE, "few images exit"
    assert claims["R1"].paper == pytest.approx(4.24) and claims["R2"].paper == pytest.approx(-0.08)
    top1, costs = {Cell(0): [69.76], Cell(4): [72.1]}, [COSTS[0], cost_of(4, 42_400_000)]
    imagenet = record_of("table4_dynamic_routing", top1, "imagenet", "paper", costs, base="resnet18")
    assert EXHIBIT.tables(imagenet)["main"].frame["paper"].tolist() == ["69.76", "72.17", "72.11", "–", "70.95"]


def test_the_training_column_holds_multiply_adds() -> None:
    frame = EXHIBIT.exact()["counts"].frame
    matches = {(what, row["by our count"]): row["match"] for what, row in frame.iterrows()}
    assert matches["single gate, training", "multiply-adds of base and 4 experts"] == "match"
    assert matches["single gate, training", "parameters of 4 experts"] == "mismatch"
    assert matches["DeepMoE, training", "multiply-adds of a dense ResNet-18 twice as wide"] == "match"
    assert matches["RMN, parameters", "8 whole tr18"] == "match"
    assert matches["tr18-tr10, parameters", "base, gate and 10 experts"] == "mismatch"
    assert list(matches.values()).count("match") == 7 and len(matches) == 12
    assert EXHIBIT.exact()["share"].frame.iloc[0, 0] == "46.8"


@pytest.mark.parametrize(
    ("top1", "like", "verdict"),
    [(52.0, 97.0, Verdict.HOLDS), (55.0, 97.0, Verdict.OPPOSITE), (52.0, 90.0, Verdict.NO_PREMISE)],
)
def test_ours_is_held_against_our_deepmoe_of_its_cost(
    top1: float, like: float, verdict: Verdict, record_of: RecordOf
) -> None:
    values = {Cell(10): [53.0, 53.2, 53.4], Cell(0, "deepmoe"): [top1, top1 + 0.2, top1 + 0.1]}
    values[Cell(0, "deepmoe", metric="like_ours")] = [like] * 3
    claim = judged(EXHIBIT, record_of("table4_dynamic_routing", values, "cifar100", costs=COSTS))["R3"]
    assert claim.verdict == verdict and claim.paper is None
