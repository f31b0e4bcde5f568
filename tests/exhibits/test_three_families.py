"""Three families: a run at smoke scale, what is planned, and what a mixture is held against."""

import json
import re
import sys
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import pytest

from repro.errors import SpecError, TrainingError
from repro.exhibits import exhibit
from repro.exhibits.table2_num_experts import Parameters as Table2
from repro.exhibits.three_families.asked import ThreeFamiliesParameters, best, tuned
from repro.exhibits.three_families.bodies import CONVNEXT, TR, Body, Model, Point
from repro.exhibits.three_families.families import BUDGETS, FAMILIES
from repro.exhibits.three_families.rivals import BATCHES, CLOCK, Trained, as_fast, at_macs, cell, on_curve
from repro.exhibits.three_families.run import _tried, three_families
from repro.exhibits.three_families.verdicts import AGAINST
from repro.families.single_gate.steps import steps
from repro.report.verdict import Verdict
from repro.study.graph import ordered
from repro.study.record import open_runner
from repro.study.remaining import Remaining
from repro.study.store import Store

EXHIBIT = exhibit("three_families")
MIDDLE = {"scale": "smoke", "budgets": "middle"}


def test_a_run_holds_every_family_against_every_rival(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The middle budget at smoke scale, its networks timed once each."""
    monkeypatch.setattr(sys.modules[three_families.__module__], "REPETITIONS", 1)
    parameters, empty = (ThreeFamiliesParameters.check(**MIDDLE, root=root) for root in (tmp_path, tmp_path / "empty"))
    run, again = three_families(parameters), parameters.goals()
    assert len(again) > len(empty.goals()) and Remaining(again, Store(tmp_path)).whole, "what gates decided is planned"
    assert {about["hash"] for about in Store(tmp_path).finished()} == {s.key for g in again for s in ordered(g.steps)}
    three = [family for family in FAMILIES if family.usual]
    for family in three:
        row = cell(family.name, "middle").row
        for method in {"mixture", *AGAINST} - {*BATCHES}:
            assert len(run.values("top1", method, 0, row)) == 1
        for method, batch in BATCHES.items():  # a mixture may be faster than every plain network of the curve
            (ms,) = run.values(f"ms_{batch}", "mixture", 0, row)
            plain = run.tables["speed"].where(body=family.body.name, batch=batch)
            others = [t for name, t in zip(plain.column("model"), plain.column("ms"), strict=True) if "plain" in name]
            assert ms > 0 and min(others) > 0
            assert (run.values("top1", method, 0, row) != []) == (min(others) <= (1 + CLOCK) * ms)
        (many,), (each,) = (run.values(metric, "mixture", 0, row) for metric in ("top1_many", "top1"))
        assert many == each or family.name == "DeepMoE"
        (macs,), (trained,) = (run.values(f"{m}_millions", "mixture", 0, row) for m in ("macs", "training"))
        (rivals_macs,) = run.values("macs_millions", "equal-training", 0, row)
        (longer,) = run.values("training_millions", "equal-training", 0, row)
        assert rivals_macs == pytest.approx(macs, rel=0.02)
        assert trained <= longer * (1 + 1e-6) and longer <= trained + 6 * rivals_macs  # whole epochs, rounded up
        (share,) = run.values("share", "ensemble", 0, row)
        assert share == pytest.approx(100, rel=0.35)  # networks this narrow are far apart
        (params,), (as_many) = (run.values("params_millions", m, 0, row) for m in ("mixture", "equal-parameters"))
        assert as_many == [pytest.approx(params, rel=0.15)]
        fitted = {m.method for m in run.measurements if (m.row, m.metric) == (row, "training_top1")}
        own = set() if family.name == "single-gate" else {"mixture"}  # the single gate's networks are trained in turn
        assert fitted == {"equal-inference", "equal-training", "equal-parameters"} | own
    assert {row[0] for row in run.tables["curve"].rows} == {family.name for family in three}
    lambdas = set(run.tables["curve"].where(family="DeepMoE").column("how"))
    assert lambdas == {"λ = 2", "λ = 1", "λ = 0.7", "λ = 0.5"}
    known = [m for m in run.measurements if m.method == "gates"]
    assert len(known) == 3 * 3 + 3 and all(-1 <= m.value <= 1 for m in known)
    assert run.tables["trials"].rows == [] and "no trials" in EXHIBIT.advice(run)
    assert {j.verdict for j in EXHIBIT.judge(run)} == {Verdict.ANECDOTE, Verdict.NOT_RUN}
    assert list(EXHIBIT.figures([run])) == ["main", "training", "time", "gates"]
    assert len(EXHIBIT.figures([run])["main"].axes) == 2  # tr-network and ConvNeXt


LAPTOP = {"scale": "laptop", "dataset": "cifar100"}


def test_everybody_has_as_many_trials(tmp_path: Path) -> None:
    asked = ThreeFamiliesParameters(**LAPTOP, root=tmp_path)
    tries = tuned(asked, lambda models: None).goals
    assert all('"evaluate":"validation"' in goal.config for goal in tries)
    assert asked.tried() == 4 and len(tries) == 4 * (3 + 2)  # three families, two bodies
    lengths = [json.loads(goal.config)["recipe"]["epochs"] for goal in tries if '"lam"' in goal.config]
    assert len(lengths) == 4 and min(lengths) > 12, "λ decides the cost, which falls until the end"
    assert asked.asked(0, short=True).spec.base_recipe.epochs == 8 < asked.asked(0).spec.base_recipe.epochs


def test_a_mixture_cheaper_than_the_plain_curve_has_its_own_equal(tmp_path: Path) -> None:
    parameters = ThreeFamiliesParameters(**LAPTOP, families="DeepMoE", root=tmp_path)
    asked = parameters.asked(0)
    mixture = next(m for m in parameters.mixtures(TR, asked, {"DeepMoE": 2.0}) if m.budget == "middle")
    narrowest = TR.cost(asked, parameters.widths(TR, asked)[0])[0]
    (own,) = parameters.rivals(mixture, 0.4 * narrowest)["equal-inference"]
    assert own.macs and own.macs < narrowest and "equal-inference" not in parameters.rivals(mixture, narrowest)


def test_the_first_seed_has_all_budgets_and_the_curve_of_lambda_and_seeds_share_no_network() -> None:
    parameters = ThreeFamiliesParameters(scale="quick", seeds="0,1,2", families="DeepMoE")
    shared = [parameters.asked(seed) for seed in (0, 1)]
    each = [(m.budget, len(m.others)) for asked in shared for m in parameters.mixtures(TR, asked, {"DeepMoE": 1.0})]
    assert each == [("small", 0), ("middle", 3), ("large", 0), ("middle", 0)]
    keys = {TR.make(parameters.asked(seed), 0.125).goal.steps[0].key for seed in (0, 1, 2, 1000, 1001, 1002)}
    assert len(keys) == 6


@pytest.mark.parametrize(("scale", "dataset"), [("quick", "modes"), ("laptop", "cifar100"), ("gpu", "cifar100")])
def test_every_mixture_meets_its_budget_and_the_middle_one_is_the_scales_own(
    scale: str, dataset: str, tmp_path: Path
) -> None:
    parameters = ThreeFamiliesParameters(scale=scale, dataset=dataset, root=tmp_path)
    asked, choice_of = parameters.asked(0), dict.fromkeys(["single-gate", "DeepMoE", "sparse"], 1.0)
    mixtures = [one for body in parameters.bodies() for one in parameters.mixtures(body, asked, choice_of)]
    macs = [(one.model.macs, parameters.macs(asked)[one.budget]) for one in mixtures if one.model.macs is not None]
    assert len(macs) == 2 * 3 and all(ours == pytest.approx(budget, rel=0.1) for ours, budget in macs)
    if scale == "gpu":  # its artifacts are those of the other exhibits, so that nothing is trained twice
        model = FAMILIES[0].make(asked, parameters.macs(asked)["middle"], 1.0)
        theirs = Table2(scale=scale, dataset=dataset).specs()
        assert model.goal.steps[0] in [steps(spec).predictions for spec in theirs]


@pytest.mark.parametrize("place", [LAPTOP, {"scale": "gpu", "dataset": "cifar100"}])
def test_deepmoe_on_resnet20_is_refused_where_no_width_of_it_costs_the_budget(
    place: dict[str, str], tmp_path: Path
) -> None:
    """Channels come in fours, which steps over small budgets; on a GPU the widest is too cheap."""
    for budget in BUDGETS:
        refused = budget == "small" or place != LAPTOP
        wrong = pytest.raises(SpecError, match="a mixture on resnet20 was to have") if refused else nullcontext()
        with wrong:
            ThreeFamiliesParameters.check(**place, families="DeepMoE-native", trials=0, root=tmp_path, budgets=budget)


def test_other_budgets_are_recorded_apart_and_train_nothing_of_the_middle_anew(tmp_path: Path) -> None:
    """Trials are those of the middle budget, and so are the networks that both curves have."""

    def asked(budgets: str, families: str = "single-gate") -> ThreeFamiliesParameters:
        return ThreeFamiliesParameters.check(**LAPTOP, families=families, budgets=budgets, root=tmp_path)

    names = {
        ("middle", ""): "", ("middle", "single-gate,sparse,DeepMoE"): "", ("small,large", ""): "small+large",
        ("large,small", "single-gate"): "single-gate-small+large", ("small,middle,large", "DeepMoE"): "DeepMoE",
        ("middle", "DeepMoE,single-gate"): "single-gate+DeepMoE",
    }  # fmt: skip
    assert {of: asked(*of).part() for of in names} == names
    middle, others = asked("middle"), asked("small,large")
    trials, same = (
        {goal.steps[0].key for goal in one.goals() if '"evaluate":"validation"' in goal.config}
        for one in (middle, others)
    )
    assert trials == same and len(trials) == 8
    mixtures = others.mixtures(TR, others.asked(0), {"single-gate": 1.0})
    assert [mixture.budget for mixture in mixtures] == ["small", "large"]
    assert set(middle.widths(TR, middle.asked(0))[:2]) < set(others.widths(TR, others.asked(0)))


def test_a_family_is_tried_at_the_rate_that_its_body_took(tmp_path: Path) -> None:
    """By hand: the body is best at half its rate, λ = 0.7 is over the budget, λ = 1 collapses, λ = 0.5 is best."""
    asked = {"scale": "quick", "trials": 4, "families": "DeepMoE", "budgets": "middle", "root": tmp_path}
    parameters = ThreeFamiliesParameters.check(**asked)
    rates, usual = list[float](), parameters.asked(0).trained().learning_rate

    def answered(models: list[Model]) -> list[Point | None]:
        if models[0].macs is not None:
            return [Point("", top1, 6e6) for top1 in (50.0, 60.0, 55.0, 40.0)]  # at RATES: 1, 0.5, 2, 0.25
        rates.extend(json.loads(model.goal.config)["recipe"]["learning_rate"] / usual for model in models)
        return [Point("", 50, 5e6), None, Point("", 70, 9e6), Point("", 55, 6e6)]  # at λ = 2, 1, 0.7, 0.5

    tuning = tuned(parameters, answered)
    assert tuning.choice_of == {"tr-network": 0.5, "DeepMoE": 0.5} and rates == [0.5] * 4
    assert tuning.trials.where(model="DeepMoE", choice=1.0).rows == [["DeepMoE", 1.0, None, None, 0]]
    first = tuned(parameters, lambda models: None).choice_of
    assert first == {"tr-network": 1.0, "DeepMoE": 2.0}, "the first choices"
    untried = parameters.model_copy(update={"trials": 0})
    planned = untried.planned(first), untried.planned(first | {"tr-network": 0.5}), untried.goals()
    chosen, other, goals = ({goal.steps[0].key for goal in each} for each in planned)
    assert goals == chosen and len(chosen) == len(other) and not chosen & other, "what was chosen is what is planned"


def test_choices_of_earlier_trials_are_not_tried_again(tmp_path: Path) -> None:
    asked = {**LAPTOP, "families": "DeepMoE", "budgets": "small", "root": tmp_path}
    parameters = ThreeFamiliesParameters.check(**asked, choices="tr-network=2.0,DeepMoE=0.7")
    goals, planned = ({goal.steps[0].key for goal in goals} for goals in (
        parameters.goals(), parameters.planned({"tr-network": 2.0, "DeepMoE": 0.7})
    ))  # fmt: skip
    assert goals == planned and tuned(parameters, lambda models: None).trials.column("taken") == [1, 1]
    assert parameters.part() == ThreeFamiliesParameters.check(**asked).part(), "of the same record"
    for choices, says in (
        ("tr-network=2", "say DeepMoE=... with one of 2, 1, 0.7, 0.5"), ("DeepMoE=0.7,tr-network=3", "tr-network=..."),
        ("tr-network=2,DeepMoE=0.7,sparse=0", "there is no 'sparse' here"),
        ("tr-network,DeepMoE=1", "write names and numbers"),
    ):  # fmt: skip
        with pytest.raises(SpecError, match=re.escape(says)):
            ThreeFamiliesParameters.check(**asked, choices=choices)


@pytest.mark.usefixtures("here")
def test_trials_train_nothing_of_what_is_planned_with_other_choices(tmp_path: Path) -> None:
    """With workers a runner trains all that it was asked for as soon as it trains one."""
    asked = {**MIDDLE, "families": "DeepMoE", "trials": 1, "root": tmp_path}
    parameters = ThreeFamiliesParameters.check(**asked)
    tuning = tuned(parameters, partial(_tried, open_runner(parameters, [])))
    tried = {step.key for goal in tuning.goals for step in ordered(goal.steps)}
    assert len(tuning.trials.rows) == 2 and {about["hash"] for about in Store(tmp_path).finished()} == tried


def test_where_no_trial_is_within_the_budget_the_cheapest_is_taken() -> None:
    assert best([Point("", 70, 9.0), Point("", 50, 7.0), Point("", 60, 8.0)], allowed=5.0) == 1
    assert best([Point("", 70, 9.0), Point("", 50, 7.0), Point("", 60, 8.0)], allowed=8.0) == 2
    assert best([None, Point("", 50, 7.0)], allowed=8.0) == 1
    with pytest.raises(TrainingError, match="DeepMoE: all 2 trials collapsed"):
        best([None, None], 1.0, "DeepMoE")


def test_all_but_the_rivals_of_gated_mixtures_is_planned(tmp_path: Path) -> None:
    """Seed 0: a curve of three and a mixture; its rivals are planned where gates do not decide about their MACs."""

    def planned(family: str, seeds: str) -> int:
        asked = {"scale": "smoke", "budgets": "middle", "families": family, "seeds": seeds, "root": tmp_path}
        return len(ThreeFamiliesParameters(**asked).goals())

    # trained as long: two widths; of the two networks one is the curve's; as large: first seed
    assert planned("single-gate", "0") == 3 + 1 + 2 + 1 + 1 and planned("single-gate", "0,1") == 8 + 7
    assert planned("sparse", "0") == 3 + 1 + 1 + 1 + 1, "one width is near enough"
    assert planned("DeepMoE", "0") == 3 + 4 + 1, "four λ; as large"


def test_a_rival_is_near_in_macs_or_between_its_neighbours() -> None:
    """Network i is that of widths from ``1 + i / 4`` on."""
    macs, asked = (100, 200, 400), ThreeFamiliesParameters(scale="smoke").asked(0)
    body = Body("made up", 1, lambda asked, width: (macs[min(int(4 * (width - 1)), 2)], 7), None)  # type: ignore[arg-type]
    assert body.around(asked, 199) == [1.25] and body.around(asked, 300) == [1.25, 1.5]
    assert body.around(asked, 90) == [1] and body.around(asked, 500) == [1.5], "there is no other"
    with pytest.raises(SpecError, match=r"made up .* nearest has 0.0002; leave out this budget"):
        body.budgeted(asked, 260)
    assert body.budgeted(asked, 210) == 1.25

    def trained(macs: float, training: float, params: int, top1: float) -> Trained:
        return CONVNEXT.make(asked, 0.25)._replace(training=training, params=params), Point("", top1, macs)

    narrow, wide = trained(100, 600, 10, 50), trained(400, 800, 30, 60)
    assert at_macs([narrow, wide], 200) == pytest.approx((55, 200, 700, 20)), "half-way in log MACs"
    assert at_macs([narrow], 101) == (50, 100, 600, 10), "alone it stands for its own MACs"


def trained_at(*points: tuple[float, float]) -> list[Trained]:
    """Plain networks of such accuracies and MACs."""
    model = TR.make(ThreeFamiliesParameters(scale="smoke").asked(0), 0.125)
    return [(model, Point("", top1, macs)) for top1, macs in points]


def test_a_mixture_slower_than_every_plain_network_is_held_against_the_best() -> None:
    curve = trained_at((50, 1), (60, 2), (70, 4), (65, 8))
    assert as_fast(curve, [1, 2, 4, 8], 9) == 70 and as_fast(curve, [1, 2, 4, 8], 0.5) is None
    assert as_fast(curve, [1, 4, 4, 8], 4) == 70 and 50 < (as_fast(curve, [1, 4, 4, 8], 2) or 0) < 70
    assert as_fast(curve, [1, 6, 4, 8], 4) == 70, "the wide one is as fast, whatever a narrow one takes"
    assert as_fast(curve, [1, 2, 9, 8], 8) == 65 and as_fast(curve, [1, 2, 4, 4], 4) == pytest.approx(65)
    assert as_fast(curve, [1, 2, 4, 8], 8.2) == 65, "a clock that is read once tells no times apart that are close"
    assert as_fast(curve, [1, 2, 4, 8], 0.97) == 50 and as_fast(curve, [1, 2, 4, 8], 0.9) is None


def test_the_plain_curve_is_not_read_off_chords() -> None:
    """Three recorded networks (CIFAR-100, laptop scale): a straight line gives 57.21, which favours a mixture."""
    curve = trained_at((49.06, 3.02), (56.04, 5.61), (61.36, 13.75))
    assert on_curve(curve, 6.83) == pytest.approx(57.55, abs=0.1) and on_curve(curve, 5.61) == pytest.approx(56.04)
    assert on_curve(curve, 2) is None and on_curve(curve, 14) is None
