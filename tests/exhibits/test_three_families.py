"""Three families: a run at smoke scale, and both outcomes of every verdict from records made up for the test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from repro.errors import SpecError
from repro.exhibits import exhibit
from repro.exhibits.three_families.asked import ThreeFamiliesParameters
from repro.exhibits.three_families.bodies import CONVNEXT, TR
from repro.exhibits.three_families.families import FAMILIES, RATES
from repro.exhibits.three_families.rivals import cell
from repro.exhibits.three_families.run import CURVE, PLAIN, TRIALS, three_families
from repro.exhibits.three_families.shown import AGAINST, CLAIMS, UNKNOWN, headline
from repro.exhibits.three_families.speed import BATCHES
from repro.report.claim import Cell
from repro.report.verdict import Verdict
from repro.study.results import StudyResult, Table

SHOWN = exhibit("three_families")
MIDDLE = {"scale": "smoke", "budgets": "middle"}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> StudyResult:
    """The middle budget at smoke scale."""
    return three_families(ThreeFamiliesParameters.check(**MIDDLE, root=tmp_path_factory.mktemp("root")))


def test_a_run_holds_every_family_against_every_rival(run: StudyResult) -> None:
    three = [family for family in FAMILIES if family.name != "DeepMoE-native"]
    for family in three:
        for method in ("mixture", *(method for method in AGAINST if method not in BATCHES)):
            where = cell(family.name, "middle", method)
            (top1,) = run.values("top1", method, 0, where.row)
            assert 0 <= top1 <= 100
        row = cell(family.name, "middle").row
        for method, batch in BATCHES.items():  # a mixture may be slower than every plain network of the curve
            (ms,) = run.values(f"ms_{batch}", "mixture", 0, row)
            plain = run.tables["speed"].where(body=family.body.name, batch=batch)
            others = [t for name, t in zip(plain.column("model"), plain.column("ms"), strict=True) if "plain" in name]
            assert ms > 0 and min(others) > 0
            assert (run.values("top1", method, 0, row) != []) == (others[0] <= ms <= max(others))
        (macs,), (trained,) = (run.values(f"{m}_millions", "mixture", 0, row) for m in ("macs", "training"))
        (rivals_macs,) = run.values("macs_millions", "equal-training", 0, row)
        (longer,) = run.values("training_millions", "equal-training", 0, row)
        assert rivals_macs == pytest.approx(macs, rel=0.1)
        assert trained <= longer * (1 + 1e-9) and longer <= trained + 3 * rivals_macs  # whole epochs, rounded up
        (both,) = run.values("macs_millions", "ensemble", 0, row)
        assert both == pytest.approx(macs, rel=0.35)  # a ConvNeXt's widths are far apart when it is small
        (params,), (as_many) = (run.values("params_millions", m, 0, row) for m in ("mixture", "equal-parameters"))
        assert as_many == [pytest.approx(params, rel=0.15)]
    assert {row[0] for row in run.tables["curve"].rows} == {family.name for family in three}
    lambdas = set(run.tables["curve"].where(family="DeepMoE").column("how"))
    assert lambdas == {"λ = 2", "λ = 1", "λ = 4", "λ = 0.5"}
    known = [m for m in run.measurements if m.method == "gates"]
    assert len(known) == 3 * 3 + 3 and all(-1 <= m.value <= 1 for m in known)
    assert run.tables["trials"].rows == [] and "no trials" in SHOWN.advice(run)


def test_a_run_with_one_seed_decides_nothing(run: StudyResult) -> None:
    assert "with one seed it is not decided" in headline(run)
    assert {j.verdict for j in SHOWN.judge(run)} == {Verdict.ANECDOTE, Verdict.NOT_RUN}
    assert list(SHOWN.figures([run])) == ["main", "training", "time"]
    assert len(SHOWN.figures([run])["main"].axes) == 2  # tr-network and ConvNeXt


def made(record_of: Callable[..., StudyResult], over: float, seeds: int = 3, **more: object) -> StudyResult:
    """Every mixture so many points over each of its rivals, give or take a tenth."""
    cells: dict[Cell, list[float]] = {}
    for family in FAMILIES:
        for budget in ("small", "middle", "large"):
            rivals = {method: 60.0 for method in AGAINST} | {"mixture": 60.0 + over}
            for method, top1 in rivals.items():
                shake = 0.1 if method == "mixture" else 0.0
                cells[cell(family.name, budget, method)] = [top1 + shake * seed for seed in range(seeds)]
            for metric, value in (("macs_millions", 6.0), ("params_millions", 0.2), ("training_millions", 40.0)):
                cells[cell(family.name, budget, metric=metric)] = [value] * seeds
    curve = [[body, s, m * 1e6, m * 1e4, m * 24e6, m / 10, 50.0 + m] for body in ("tr-network", "ConvNeXt", "resnet20")
             for s in range(seeds) for m in (3.0, 6.0, 12.0)]  # fmt: skip
    known = {"tables": {"plain": Table(columns=PLAIN, rows=curve)}} | more
    return record_of("three_families", cells, **known)


def test_every_claim_can_hold_and_can_come_out_opposite(record_of: Callable[..., StudyResult]) -> None:
    assert len(CLAIMS) == (2 * 3 + 2) * len(FAMILIES)
    for over, verdict in ((1.0, Verdict.HOLDS), (-1.0, Verdict.OPPOSITE), (-0.1, Verdict.UNDECIDED)):
        assert {j.verdict for j in SHOWN.judge(made(record_of, over))} == {verdict}


def test_the_headline_says_what_the_record_says(record_of: Callable[..., StudyResult]) -> None:
    better, worse, level = (headline(made(record_of, over)) for over in (1.0, -1.0, -0.1))
    assert "single-gate mixture and DeepMoE and sparse Last 2 and DeepMoE on resnet20 beat a plain network" in better
    assert "none of the mixtures beats a plain network of the same inference cost, trained as long" in worse
    assert "no mixture is found to beat a plain network" in level and "undecided" in level
    assert "+1.10 [+0.85 to +1.35], holds" in better
    assert "at the middle budget no mixture was held" in headline(record_of("three_families", {}))


def test_one_family_may_win_alone(record_of: Callable[..., StudyResult]) -> None:
    worse = made(record_of, -1.0)
    row = cell("sparse", "middle").row
    lines = [
        m.model_copy(update={"value": m.value + 3}) if (m.row, m.method, m.metric) == (row, "mixture", "top1") else m
        for m in worse.measurements
    ]
    assert "scale: sparse Last 2 beats a plain network" in headline(worse.model_copy(update={"measurements": lines}))


def test_when_to_use_which_has_a_number_or_says_that_it_has_none(record_of: Callable[..., StudyResult]) -> None:
    when = SHOWN.tables(made(record_of, -1.0))["when"].frame
    assert set(when.loc["images a second count, 256 at a time"]) == {"−0.90 [−1.15 to −0.65], opposite"}
    assert when.loc["training compute is short as well: middle budget", "DeepMoE"] == "−0.90 [−1.15 to −0.65], opposite"
    assert when.loc["parameters", "sparse Last 2"] == "3.3 times the plain network's"
    unmeasured = [m for m in made(record_of, 1.0).measurements if m.method != "equal-inference"]
    result = made(record_of, 1.0).model_copy(update={"measurements": unmeasured})
    assert set(SHOWN.tables(result)["when"].frame.loc["inference compute is short: small budget"]) == {UNKNOWN}


def test_trials_are_recorded_and_as_many_for_everybody(record_of: Callable[..., StudyResult]) -> None:
    rows = [[who, rate, 50.0, 6e6, int(rate == 1)] for who in ("tr-network", "single-gate") for rate in RATES]
    tables = {"trials": Table(columns=TRIALS, rows=rows), "curve": Table(columns=CURVE, rows=[])}
    result = made(record_of, 1.0, tables=tables)
    assert "in 4 trials for every mixture and every plain network" in SHOWN.advice(result)
    assert len(SHOWN.tables(result)["trials"].frame) == 8
    asked = ThreeFamiliesParameters.check(scale="laptop", dataset="cifar100")
    labels = [goal.label for goal in asked.goals()]
    assert asked.tried() == 4 and len(labels) == 4 * (3 + 2)  # three families, two bodies
    assert asked.asked(0, "validation").spec.base_recipe.epochs == 8 < asked.asked(0).spec.base_recipe.epochs
    assert all('"evaluate":"validation"' in goal.config for goal in asked.goals())


def test_the_middle_mixture_is_the_scales_own(tmp_path: Path) -> None:
    """Its artifacts are those of the other exhibits, so that nothing is trained twice."""
    ours = ThreeFamiliesParameters.check(scale="gpu", dataset="cifar100")
    asked = ours.asked(0)
    model = FAMILIES[0].make(asked, ours.macs(asked)["middle"], 1.0)
    theirs = exhibit("table2_num_experts").parameters.check(scale="gpu", dataset="cifar100").goals()
    assert model.goal.steps[0] in [step for goal in theirs for step in goal.steps]


def test_budgets_are_met_and_seeds_share_no_network() -> None:
    parameters = ThreeFamiliesParameters.check(scale="quick", seeds="0,1,2")
    asked = parameters.asked(0)
    for budget in parameters.macs(asked).values():
        for body, slack in ((TR, 0.1), (CONVNEXT, 0.3)):
            assert body.cost(asked, body.width_for(asked, budget))[0] == pytest.approx(budget, rel=slack)
    assert parameters.at("middle") == (0, 1, 2) and parameters.at("small") == (0,)
    (gated,) = (family for family in FAMILIES if family.name == "DeepMoE")
    asked_for = (("middle", 0), ("middle", 1), ("large", 0))
    drawn = [parameters.drawn(gated, budget, seed, 1.0) for budget, seed in asked_for]
    assert drawn == [[1.0, 2.0, 4.0, 0.5], [1.0], [1.0]]
    keys = [TR.make(parameters.asked(seed), 0.125).goal.steps[0].key for seed in (0, 1, 2, 1000, 1001, 1002)]
    assert len(set(keys)) == 6


def test_what_was_taken_in_the_trials_is_what_is_planned() -> None:
    parameters = ThreeFamiliesParameters.check(scale="quick", trials="2", budgets="middle", families="single-gate")
    assert [goal.label for goal in parameters.goals()].count(parameters.goals()[0].label) == 2, "two rates"
    usual, other = parameters.goals({}), parameters.goals({"tr-network": 0.5, "single-gate": 0.5})
    assert len(usual) == len(other) and not {g.steps[0].key for g in usual} & {g.steps[0].key for g in other}


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"families": "dense"}, "families: there is no 'dense'; choose of single-gate, DeepMoE"),
        ({"budgets": "huge"}, "budgets: there is no 'huge'; choose of small, middle, large"),
        ({"scale": "paper", "dataset": "cifar100"}, "sparse networks have no 'paper'"),
    ],
)
def test_what_cannot_be_asked_for_ends_in_a_sentence(asked: dict[str, str], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        ThreeFamiliesParameters.check(**asked)
