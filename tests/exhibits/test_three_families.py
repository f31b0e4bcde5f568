"""Three families: a run at smoke scale, and both outcomes of every verdict from records made up for the test."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from repro.errors import SpecError, TrainingError
from repro.exhibits import exhibit
from repro.exhibits.three_families.asked import ThreeFamiliesParameters
from repro.exhibits.three_families.bodies import CONVNEXT, TR, Body, Model, Point
from repro.exhibits.three_families.families import FAMILIES, RATES
from repro.exhibits.three_families.rivals import Trained, as_fast, at_macs, cell, on_curve
from repro.exhibits.three_families.run import CURVE, PLAIN, SPEED, _tried, three_families
from repro.exhibits.three_families.shown import AGAINST, CLAIMS, UNKNOWN, headline
from repro.exhibits.three_families.speed import BATCHES
from repro.exhibits.three_families.trials import TRIALS, best, tuned
from repro.report.claim import Cell
from repro.report.verdict import Verdict
from repro.study.graph import ordered
from repro.study.record import open_runner
from repro.study.results import StudyResult, Table
from repro.study.store import Store

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
        for method, batch in BATCHES.items():  # a mixture may be faster than every plain network of the curve
            (ms,) = run.values(f"ms_{batch}", "mixture", 0, row)
            plain = run.tables["speed"].where(body=family.body.name, batch=batch)
            others = [t for name, t in zip(plain.column("model"), plain.column("ms"), strict=True) if "plain" in name]
            assert ms > 0 and min(others) > 0
            assert (run.values("top1", method, 0, row) != []) == (min(others) <= ms)
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
    assert {row[0] for row in run.tables["curve"].rows} == {family.name for family in three}
    lambdas = set(run.tables["curve"].where(family="DeepMoE").column("how"))
    assert lambdas == {"λ = 2", "λ = 1", "λ = 0.7", "λ = 0.5"}
    known = [m for m in run.measurements if m.method == "gates"]
    assert len(known) == 3 * 3 + 3 and all(-1 <= m.value <= 1 for m in known)
    assert run.tables["trials"].rows == [] and "no trials" in SHOWN.advice(run)


def test_a_run_with_one_seed_decides_nothing(run: StudyResult) -> None:
    assert "With one seed it is not decided" in headline([run])
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
            many = [60.0 + over + 0.1 * seed for seed in range(seeds)]
            cells[cell(family.name, budget, metric="top1_many")] = many
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
    better, worse, level = (headline([made(record_of, over)]) for over in (1.0, -1.0, -0.1))
    all_four = "Single-gate mixture, DeepMoE, sparse Last 2 and DeepMoE on resnet20"
    assert f"{all_four} beat a plain network of the same inference cost, trained as long" in better
    assert f"{all_four} fall behind a plain network" in worse
    assert f"{all_four} are not found to beat a plain network" in level and "undecided" in level
    assert "+1.10 [+0.85 to +1.35], holds" in better
    assert "At the middle budget no mixture was held" in headline([record_of("three_families", {})])


def test_a_headline_of_one_family_speaks_of_that_one(record_of: Callable[..., StudyResult]) -> None:
    worse, level = (
        headline([result.model_copy(update={"measurements": [m for m in result.measurements if "sparse" in m.row]})])
        for result in (made(record_of, -1.0), made(record_of, -0.1))
    )
    assert worse.startswith("Sparse Last 2 falls behind a plain network")
    assert level.startswith("Sparse Last 2 is not found to beat a plain network")
    assert worse.endswith("opposite; not run: single-gate mixture and DeepMoE).")


def test_families_recorded_apart_are_one_answer(record_of: Callable[..., StudyResult]) -> None:
    """As if they stood in one record; each by itself has only the claims that it is about."""

    def part(name: str, over: float) -> StudyResult:
        of = made(record_of, over)
        lines = [m for m in of.measurements if m.row.startswith(f"{name}, ")]
        return of.model_copy(update={"part": name, "measurements": lines})

    names = ("single-gate", "DeepMoE")
    parts = [part(name, over) for name, over in zip(names, (1.0, -1.0), strict=True)]
    assert [result.name for result in parts] == [f"{made(record_of, 1.0).name}-{part}" for part in names]
    together = headline(parts)
    assert together.startswith("Single-gate mixture beats a plain network") and "DeepMoE −0.90" in together
    assert together.endswith("not run: sparse Last 2).") and "not run" not in SHOWN.advice(parts[0])
    assert {j.claim.key.partition("/")[0] for j in SHOWN.judge(parts[1])} == {"DeepMoE"}
    assert len(SHOWN.figures(parts)["main"].axes) == 2, "each beside the plain networks of its own run"
    assert "DeepMoE, 3 seeds" in SHOWN.tables(parts[1])["main"].caption


def test_one_family_may_win_alone(record_of: Callable[..., StudyResult]) -> None:
    worse = made(record_of, -1.0)
    row = cell("sparse", "middle").row
    lines = [
        m.model_copy(update={"value": m.value + 3}) if (m.row, m.method, m.metric) == (row, "mixture", "top1") else m
        for m in worse.measurements
    ]
    better = headline([worse.model_copy(update={"measurements": lines})])
    assert better.startswith("Sparse Last 2 beats a plain network")


def test_when_to_use_which_has_a_number_or_says_that_it_has_none(record_of: Callable[..., StudyResult]) -> None:
    when = SHOWN.tables(made(record_of, -1.0))["when"].frame
    assert set(when.loc["images a second count, 256 at a time"]) == {"−0.90 [−1.15 to −0.65], opposite"}
    assert when.loc["training compute is short as well: middle budget", "DeepMoE"] == "−0.90 [−1.15 to −0.65], opposite"
    assert when.loc["parameters", "sparse Last 2"] == "3.3 times the plain network's"
    unmeasured = [m for m in made(record_of, 1.0).measurements if m.method != "equal-inference"]
    result = made(record_of, 1.0).model_copy(update={"measurements": unmeasured})
    assert set(SHOWN.tables(result)["when"].frame.loc["inference compute is short: small budget"]) == {UNKNOWN}


def test_times_stand_beside_a_plain_network_of_equal_cost(record_of: Callable[..., StudyResult]) -> None:
    """By hand: single gate and the middle plain network have 6 M, DeepMoE too; it takes 3 of its 2 milliseconds."""
    times = [("plain 0", 1.0), ("plain 1", 2.0), ("plain 2", 4.0), ("DeepMoE", 3.0), ("single-gate", 2.0)]
    rows = [["tr-network", model, batch, ms / batch] for model, ms in times for batch in BATCHES.values()]
    result = made(record_of, 1.0)
    assert "service" not in SHOWN.tables(result)
    tables = result.tables | {"speed": Table(columns=SPEED, rows=rows)}
    found = SHOWN.tables(result.model_copy(update={"tables": tables}))["service"].frame
    assert list(found["times a plain network's, one at a time"]) == ["–", "–", "–", "1.00", "1.50"]
    assert found.loc["DeepMoE on tr-network", "times a plain network's, 256 at a time"] == "1.50"
    assert list(found.index[:3]) == [f"plain on tr-network, {m}.0 M" for m in (3, 6, 12)]


def test_trials_are_recorded_and_as_many_for_everybody(record_of: Callable[..., StudyResult], tmp_path: Path) -> None:
    rows: list[list[str | int | float | None]] = [
        [who, rate, None if rate == 2 else 50.0, 6e6, int(rate == 1)]
        for who in ("tr-network", "DeepMoE")
        for rate in RATES
    ]
    tables = {"trials": Table(columns=TRIALS, rows=rows), "curve": Table(columns=CURVE, rows=[])}
    result = made(record_of, 1.0, tables=tables)
    assert "in 4 trials for every mixture and every plain network." in SHOWN.advice(result)
    assert "may lie beyond" not in SHOWN.advice(result), "1 is neither the least nor the most"
    rows = [[*row[:-1], int(row[1] == 0.25)] for row in rows]
    ended = made(record_of, 1.0, tables=tables | {"trials": Table(columns=TRIALS, rows=rows)})
    assert "Of tr-network (0.25) and DeepMoE (0.25) the best was the largest" in SHOWN.advice(ended)
    assert list(SHOWN.tables(result)["trials"].frame["top1"]) == 2 * ["50", "50", "–", "50"]
    asked = ThreeFamiliesParameters.check(scale="laptop", dataset="cifar100", root=tmp_path)
    tries = [goal for goal in asked.goals() if '"evaluate":"validation"' in goal.config]
    assert asked.tried() == 4 and len(tries) == 4 * (3 + 2)  # three families, two bodies
    lengths = [json.loads(goal.config)["recipe"]["epochs"] for goal in tries if '"lam"' in goal.config]
    assert len(lengths) == 4 and min(lengths) > 12, "λ decides the cost, which falls until the end"
    assert asked.asked(0, short=True).spec.base_recipe.epochs == 8 < asked.asked(0).spec.base_recipe.epochs


def test_a_mixture_cheaper_than_the_plain_curve_has_its_own_equal(tmp_path: Path) -> None:
    parameters = ThreeFamiliesParameters.check(scale="laptop", dataset="cifar100", families="DeepMoE", root=tmp_path)
    asked = parameters.asked(0)
    mixture = next(m for m in parameters.mixtures(TR, asked, {"DeepMoE": 2.0}) if m.budget == "middle")
    narrowest = TR.cost(asked, parameters.widths(TR, asked)[0])[0]
    (own,) = parameters.rivals(TR, asked, mixture, 0.4 * narrowest)["equal-inference"]
    assert (
        own.macs is not None
        and own.macs < narrowest
        and "equal-inference" not in parameters.rivals(TR, asked, mixture, narrowest)
    )


def test_the_middle_mixture_is_the_scales_own(tmp_path: Path) -> None:
    """Its artifacts are those of the other exhibits, so that nothing is trained twice."""
    ours = ThreeFamiliesParameters.check(scale="gpu", dataset="cifar100")
    asked = ours.asked(0)
    model = FAMILIES[0].make(asked, ours.macs(asked)["middle"], 1.0)
    theirs = exhibit("table2_num_experts").parameters.check(scale="gpu", dataset="cifar100").goals()
    assert model.goal.steps[0] in [step for goal in theirs for step in goal.steps]


def test_budgets_are_met_and_seeds_share_no_network() -> None:
    parameters = ThreeFamiliesParameters.check(scale="quick", seeds="0,1,2")
    assert parameters.at("middle") == (0, 1, 2) and parameters.at("small") == (0,)
    (gated,) = (family for family in FAMILIES if family.name == "DeepMoE")
    asked_for = (("middle", 0), ("middle", 1), ("large", 0))
    drawn = [parameters.drawn(gated, budget, seed, 1.0) for budget, seed in asked_for]
    assert drawn == [[1.0, 2.0, 0.7, 0.5], [1.0], [1.0]]
    keys = [TR.make(parameters.asked(seed), 0.125).goal.steps[0].key for seed in (0, 1, 2, 1000, 1001, 1002)]
    assert len(set(keys)) == 6


@pytest.mark.parametrize("scale", ["quick", "laptop", "gpu"])
def test_every_mixture_meets_its_budget(scale: str, tmp_path: Path) -> None:
    dataset = "modes" if scale == "quick" else "cifar100"
    parameters = ThreeFamiliesParameters.check(scale=scale, dataset=dataset, root=tmp_path)
    asked, met = parameters.asked(0), 0
    for body in parameters.bodies():
        for mixture in parameters.mixtures(body, asked, dict.fromkeys(["single-gate", "DeepMoE", "sparse"], 1.0)):
            if mixture.model.macs is not None:
                met += 1
                assert mixture.model.macs == pytest.approx(parameters.macs(asked)[mixture.budget], rel=0.1)
    assert met == 2 * 3


def test_a_record_of_some_families_says_so_in_its_name() -> None:
    def part(families: str) -> str:
        return ThreeFamiliesParameters.check(scale="smoke", families=families).part()

    assert (part(""), part("single-gate,sparse,DeepMoE")) == ("", "")
    assert (part("DeepMoE"), part("DeepMoE,single-gate")) == ("DeepMoE", "single-gate+DeepMoE")


def test_what_was_taken_in_the_trials_is_what_is_planned(tmp_path: Path) -> None:
    parameters = ThreeFamiliesParameters.check(scale="quick", budgets="middle", families="DeepMoE", root=tmp_path)
    first = {"tr-network": 1.0, "DeepMoE": 2.0}
    usual, other = parameters.planned(first), parameters.planned(first | {"tr-network": 0.5})
    assert len(usual) == len(other) and not {g.steps[0].key for g in usual} & {g.steps[0].key for g in other}
    assert [g.steps[0].key for g in parameters.goals()] == [g.steps[0].key for g in usual], "no trials at this scale"


def rate_of(model: Model) -> float:
    """Of a DeepMoE, in its recipe's."""
    recipe = json.loads(model.goal.config)["recipe"]
    return (
        float(recipe["learning_rate"]) / ThreeFamiliesParameters.check(scale="quick").asked(0).trained().learning_rate
    )


def test_a_family_is_tried_at_the_rate_that_its_body_took(tmp_path: Path) -> None:
    """By hand: the body is best at half its rate, λ = 0.7 is over the budget, λ = 1 collapses, λ = 0.5 is best."""
    asked = {"scale": "quick", "trials": 4, "families": "DeepMoE", "budgets": "middle", "root": tmp_path}
    parameters = ThreeFamiliesParameters.check(**asked)
    rates: list[float] = []

    def answered(models: list[Model]) -> list[Point | None]:
        if models[0].macs is not None:
            return [Point("", top1, 6e6) for top1 in (50.0, 60.0, 55.0, 40.0)]  # at RATES: 1, 0.5, 2, 0.25
        rates.extend(map(rate_of, models))
        return [Point("", 50, 5e6), None, Point("", 70, 9e6), Point("", 55, 6e6)]  # at λ = 2, 1, 0.7, 0.5

    found = tuned(parameters, answered)
    assert found.taken == {"tr-network": 0.5, "DeepMoE": 0.5} and rates == [0.5] * 4
    assert found.trials.where(model="DeepMoE", choice=1.0).rows == [["DeepMoE", 1.0, None, None, 0]]
    assert tuned(parameters, lambda models: None).taken == {"tr-network": 1.0, "DeepMoE": 2.0}, "the first choices"


def test_trials_train_nothing_of_what_is_planned_with_other_choices(tmp_path: Path) -> None:
    """With workers a runner trains all that it was asked for as soon as it trains one."""
    asked = {**MIDDLE, "families": "DeepMoE", "trials": 1, "executor": "processes:1", "root": tmp_path}
    parameters = ThreeFamiliesParameters.check(**asked)
    found = tuned(parameters, partial(_tried, open_runner(parameters), parameters.executor))
    tried = {step.key for goal in found.goals for step in ordered(goal.steps)}
    assert len(found.trials.rows) == 2 and {about["hash"] for about in Store(tmp_path).finished()} == tried


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
        return len(ThreeFamiliesParameters.check(**asked).goals())

    # trained as long: two widths; of the two networks one is the curve's; as large: first seed
    assert planned("single-gate", "0") == 3 + 1 + 2 + 1 + 1 and planned("single-gate", "0,1") == 8 + 7
    assert planned("sparse", "0") == 3 + 1 + 1 + 1 + 1, "one width is near enough"
    assert planned("DeepMoE", "0") == 3 + 4 + 1, "four λ; as large"


def made_body(*macs: int) -> Body:
    """Network i, of ``macs[i]``, is that of widths from ``1 + i / 4`` on."""
    return Body("made up", 1, lambda asked, width: (macs[min(int(4 * (width - 1)), len(macs) - 1)], 7), None)  # type: ignore[arg-type]


def test_a_rival_is_near_in_macs_or_between_its_neighbours() -> None:
    body, asked = made_body(100, 200, 400), ThreeFamiliesParameters.check(scale="smoke").asked(0)
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


def test_a_mixture_slower_than_every_plain_network_is_held_against_the_best() -> None:
    model = TR.make(ThreeFamiliesParameters.check(scale="smoke").asked(0), 0.125)
    curve = [(model, Point("", top1, macs)) for top1, macs in ((50, 1), (60, 2), (70, 4), (65, 8))]
    assert as_fast(curve, [1, 2, 4, 8], 9) == 70 and as_fast(curve, [1, 2, 4, 8], 0.5) is None
    assert as_fast(curve, [1, 4, 4, 8], 2) == pytest.approx(55 + 0), "half-way in log time"
    assert as_fast(curve, [1, 6, 4, 8], 4) == 70, "the wide one is as fast, whatever a narrow one takes"
    assert as_fast(curve, [1, 2, 9, 8], 8) == 65 and as_fast(curve, [1, 2, 9, 8], 8.5) == 65
    assert on_curve(curve, 3) == pytest.approx(60 + 10 * 0.5849625) and on_curve(curve, 9) is None


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"families": "dense"}, "families: there is no 'dense'; choose of single-gate, DeepMoE"),
        ({"budgets": "huge"}, "budgets: there is no 'huge'; choose of small, middle, large"),
        ({"scale": "paper", "dataset": "cifar100"}, "sparse networks have no 'paper'"),
        ({"scale": "gpu", "dataset": "cifar100", "families": "DeepMoE-native"}, "budgets: a mixture on resnet20 was"),
    ],
)
def test_what_cannot_be_asked_for_ends_in_a_sentence(asked: dict[str, str], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        ThreeFamiliesParameters.check(**asked)
