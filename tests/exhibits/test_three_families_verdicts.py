"""What a record of three families says: both outcomes of every verdict, from records made up for the test."""

from functools import partial

import numpy as np
import pytest

from repro.exhibits import exhibit
from repro.exhibits.three_families.asked import TRIALS
from repro.exhibits.three_families.families import BUDGETS, FAMILIES, RATES
from repro.exhibits.three_families.rivals import cell, curve_at
from repro.exhibits.three_families.run import PLAIN
from repro.exhibits.three_families.together import UNKNOWN
from repro.exhibits.three_families.verdicts import AGAINST, CLAIMS, headline, never_run
from repro.report.claim import Cell
from repro.report.verdict import Verdict, by_seed
from repro.study.places import results_folder
from repro.study.results import StudyResult, Table, load_results
from tests.records import RecordOf

EXHIBIT = exhibit("three_families")


def made(record_of: RecordOf, over: float, seeds: int = 3, **more: object) -> StudyResult:
    """Every mixture so many points over each of its rivals, give or take a tenth."""
    cells: dict[Cell, list[float]] = {}
    costs = {"macs_millions": 6.0, "params_millions": 0.2, "training_millions": 40.0}
    for of in (partial(cell, family.name, budget) for family in FAMILIES for budget in BUDGETS):
        cells |= {of(method): [60.0] * seeds for method in AGAINST}
        cells |= {of(metric=m): [60.0 + over + 0.1 * seed for seed in range(seeds)] for m in ("top1", "top1_many")}
        cells |= {of(metric=metric): [value] * seeds for metric, value in costs.items()}
    curve = [[body, s, m * 1e6, m * 1e4, m * 24e6, m / 10, 50.0 + m] for body in ("tr-network", "ConvNeXt", "resnet20")
             for s in range(seeds) for m in (3.0, 6.0, 12.0)]  # fmt: skip
    known = {"tables": {"plain": Table(columns=PLAIN, rows=curve)}} | more
    return record_of("three_families", cells, **known)


def part(record_of: RecordOf, family: str, over: float, seeds: int = 3) -> StudyResult:
    """One family alone, recorded apart."""
    of = made(record_of, over, seeds)
    lines = [m for m in of.measurements if m.row.startswith(f"{family}, ")]
    return of.model_copy(update={"part": family, "measurements": lines})


def test_every_claim_can_hold_and_can_come_out_opposite(record_of: RecordOf) -> None:
    assert len(CLAIMS) == (2 * 3 + 3) * len(FAMILIES)
    for over, verdict in ((1.0, Verdict.HOLDS), (-1.0, Verdict.OPPOSITE), (-0.1, Verdict.UNDECIDED)):
        assert {j.verdict for j in EXHIBIT.judge(made(record_of, over))} == {verdict}


def test_what_is_recorded_of_plain_networks_is_on_the_curve_of_the_record() -> None:
    """Each by the rule that code and figure have, also where another one had been recorded."""
    for result in load_results(results_folder(), EXHIBIT.name).values():
        for family, budget, seed in {tuple(row[:3]) for row in result.tables["curve"].rows}:
            own = result.tables["curve"].where(family=family, budget=budget, seed=seed)
            body = next(f.body.name for f in FAMILIES if f.name == family)
            plain = result.tables["plain"].where(body=body, seed=seed)
            expected = curve_at(np.array(own.column("macs")[:1]), plain.column("macs"), plain.column("top1"))
            where = cell(str(family), str(budget), "equal-inference")
            assert by_seed(result, where)[int(seed or 0)] == pytest.approx(expected[0], abs=0.001), result.name


def test_the_headline_says_what_the_record_says(record_of: RecordOf) -> None:
    better, worse, level = (headline([made(record_of, over)]) for over in (1.0, -1.0, -0.1))
    everyone = (
        "The single-gate mixture, DeepMoE with gates on outputs, sparse Last 2, DeepMoE with gates on inputs (Eqs. 3 "
        "to 5) and DeepMoE on resnet20 with gates on outputs"
    )
    assert f"{everyone} beat a plain network of the same inference cost, trained as long" in better
    assert f"{everyone} fall behind a plain network" in worse
    assert f"{everyone} are not found to beat a plain network" in level and "undecided" in level
    assert "+1.10 [+0.85 to +1.35], holds" in better
    assert "At the middle budget no mixture was held" in headline([record_of("three_families", {})])
    alone = headline([part(record_of, "sparse", -1.0)])
    assert alone.startswith("Sparse Last 2 falls behind a plain network of the same inference cost, trained as")
    assert alone.endswith(
        "points of top-1 accuracy, opposite). Not run: the single-gate mixture and DeepMoE with gates on outputs."
    )


def test_a_family_with_fewer_than_three_seeds_is_no_finding(record_of: RecordOf) -> None:
    sentences = headline([part(record_of, "single-gate", -1.0), part(record_of, "sparse", -1.0, seeds=2)])
    assert sentences.startswith("The single-gate mixture falls behind a plain network of the same inference cost")
    assert "Fewer than three seeds do not decide whether sparse Last 2 beats one (−0.95 [" in sentences
    alone = headline([part(record_of, "sparse", -1.0, seeds=1)])
    assert alone.startswith("Fewer than three seeds do not decide whether sparse Last 2 beats a plain network of the")
    whole, fewer = made(record_of, -1.0), part(record_of, "single-gate", 1.0, seeds=1)
    assert headline([whole, fewer]) == headline([fewer, whole]) == headline([whole]), "that of more seeds speaks"


def test_families_recorded_apart_are_one_answer_and_one_may_win_alone(record_of: RecordOf) -> None:
    """As if they stood in one record; each by itself has only the claims that it is about."""
    parts = [part(record_of, name, over) for name, over in (("single-gate", -1.0), ("DeepMoE", 1.0))]
    assert [result.name for result in parts] == [f"{made(record_of, 1.0).name}-{each.part}" for each in parts]
    together = headline(parts)
    assert together.startswith("DeepMoE with gates on outputs beats a plain network")
    assert "); the single-gate mixture falls behind it (−0.90 [−1.15 to −0.65] points of top-1 accuracy" in together
    assert together.endswith("Not run: sparse Last 2.") and "Not run" not in EXHIBIT.advice(parts[0])
    assert {j.claim.key.partition("/")[0] for j in EXHIBIT.judge(parts[1])} == {"DeepMoE"}
    assert len(EXHIBIT.figures(parts)["main"].axes) == 2, "each beside the plain networks of its own run"
    assert "DeepMoE, 3 seeds" in EXHIBIT.tables(parts[1])["main"].caption


def test_when_to_use_which_has_a_number_or_says_that_it_has_none(record_of: RecordOf) -> None:
    when = EXHIBIT.together([made(record_of, -1.0)])["when"].frame
    behind = "−0.90 [−1.15 to −0.65], opposite"
    for line in ("images a second count, 256 at a time", "two networks can be trained instead"):
        assert set(when.loc[line]) == {f"{behind} (settled afterwards)"}, "a mark stands wherever its verdict does"
    assert when.loc["training compute is short as well: middle budget", "DeepMoE, gates on outputs"] == behind
    assert when.loc["parameters", "sparse Last 2"] == "3.3 times the plain network's"
    unmeasured = [m for m in made(record_of, 1.0).measurements if m.method != "equal-inference"]
    result = made(record_of, 1.0).model_copy(update={"measurements": unmeasured})
    assert set(EXHIBIT.together([result])["when"].frame.loc["inference compute is short: small budget"]) == {UNKNOWN}


def test_families_and_budgets_recorded_apart_stand_side_by_side(record_of: RecordOf) -> None:
    """Also a record of one seed at other budgets, beside that of three seeds at the middle one."""
    gate, deep = part(record_of, "single-gate", -1.0), part(record_of, "DeepMoE", 1.0)
    middle = [m for m in gate.measurements if m.row.endswith("middle")]
    fewer = part(record_of, "single-gate", 2.0, seeds=1)
    small = [m for m in fewer.measurements if m.row.endswith("small")]
    apart = [gate.model_copy(update={"measurements": middle}), deep,
             fewer.model_copy(update={"part": "single-gate-small", "measurements": small})]  # fmt: skip
    when = EXHIBIT.together(apart)["when"]
    line = when.frame.loc["inference compute is short: middle budget"]
    assert list(line) == ["−0.90 [−1.15 to −0.65], opposite", "+1.10 [+0.85 to +1.35], holds"]
    assert list(when.frame["single-gate mixture"][:3])[::2] == ["+2.00, one seed: an anecdote", UNKNOWN]
    assert "single-gate, 3 seeds; DeepMoE, 3 seeds; single-gate-small, 1 seed: when" in when.caption


def test_what_gates_know_is_drawn_of_families_and_of_pairs(record_of: RecordOf) -> None:
    known = {("class", "single-gate"): 0.3, ("class", "sparse"): 0.2, ("each other", "single-gate and sparse"): 0.4}
    cells = {Cell(0, "gates", row, metric): [value] for (metric, row), value in known.items()}
    (axes,) = EXHIBIT.figures([record_of("three_families", cells)])["gates"].axes
    assert [text.get_text() for text in axes.texts] == ["0.30", "0.40", "0.20", "0.40"]


def test_what_records_lack_is_said(record_of: RecordOf) -> None:
    assert never_run([made(record_of, 1.0)]) == ["tiny-ImageNet"]
    gate = part(record_of, "single-gate", 1.0)
    less = [m for m in gate.measurements if m.row.endswith("middle") and m.method != "equal-parameters"]
    lacking = never_run([gate.model_copy(update={"measurements": less})])
    assert lacking == [
        "2 of 3 budgets (small and large)", "plain networks of as many parameters in all", "tiny-ImageNet",
        *(family.phrase for family in FAMILIES[1:]),
    ]  # fmt: skip


def test_the_table_says_how_long_rivals_were_trained_and_what_was_fitted_where_it_was_measured(
    record_of: RecordOf,
) -> None:
    """The recorded sparse network: 413.93 M in training, its rival 25 epochs of 5.7234 M, three passes a step."""
    of = partial(cell, "sparse", "middle")
    costs = {of(metric="training_millions"): [413.9297], of("equal-training", "macs_millions"): [5.7234]}
    costs[of("equal-training", "training_millions")] = [429.2568]
    fitted = {of(metric="training_top1"): [66.0], of("equal-inference", "training_top1"): [58.0]}
    column, fitted_column = (
        EXHIBIT.tables(record_of("three_families", values))["main"].frame["sparse Last 2, middle"]
        for values in (costs, costs | fitted)
    )
    assert column["training MACs of the one trained as long, % of the mixture's"] == "103.7"
    plain = {"plain": Table(columns=PLAIN, rows=[["ConvNeXt", 0, 5723424, 156588, 24 * 3 * 5723424.0, 0.2, 47.0]])}
    costs[of(metric="macs_millions")] = [5.749]
    sentences = EXHIBIT.advice(record_of("three_families", costs, tables=plain))
    assert "percent of the mixture's): sparse Last 2 25.0 (104 %) and 24 (100 %)." in sentences
    assert column["its epochs"] == "25.0" and not [name for name in column.index if "while training" in name]
    assert fitted_column["top-1 while training"] == "66.00"
    assert fitted_column["top-1 while training of a plain network of equal inference MACs"] == "58.00"


def test_trials_are_told_and_so_is_a_best_one_at_an_end(record_of: RecordOf) -> None:
    def with_trials(chosen: float) -> StudyResult:
        rows = [[who, rate, None if rate == 2 else 50.0, 6e6, int(rate == chosen)]
                for who in ("tr-network", "DeepMoE") for rate in RATES]  # fmt: skip
        return made(record_of, 1.0, tables={"trials": Table(columns=TRIALS, rows=rows)})

    result, ended = with_trials(1), with_trials(0.25)
    assert "in 4 trials for every mixture and every plain network." in EXHIBIT.advice(result)
    assert "may lie beyond" not in EXHIBIT.advice(result), "1 is neither the least nor the most"
    assert EXHIBIT.advice(ended).endswith("lie beyond: tr-network (0.25) and DeepMoE with gates on outputs (0.25).")
    assert list(EXHIBIT.tables(result)["trials"].frame["top-1"]) == 2 * ["50.00", "50.00", "–", "50.00"]
    before = Table(columns=TRIALS, rows=[["tr-network", 2.0, None, None, 1], ["DeepMoE", 0.7, None, None, 1]])
    result = made(record_of, 1.0, tables={"trials": before})
    assert "earlier trials, at the middle budget (tr-network 2, DeepMoE with gates on outputs 0.7)" in EXHIBIT.advice(
        result
    )
    assert "trials" not in EXHIBIT.tables(result)
