"""The front page's answer, figure and findings follow from the records, whatever these say."""

from collections.abc import Callable

import pytest

from repro.book import front
from repro.book.forest import forest
from repro.book.front import CONTROLS, GROUPS, answer, cost, headlines, longer, older
from repro.errors import ReproError
from repro.exhibits.three_families.rivals import cell
from repro.report.claim import Cell
from repro.report.verdict import Verdict
from repro.study.results import StudyResult, Table
from tests.helpers import TABLE2, drawn_at

MakeUp = Callable[..., StudyResult]
ASKED, HOLDS, NOT, ABSENT = (
    "Do mixtures beat plain networks?",
    "What else holds",
    "What does not hold",
    "What was not run:",
)
BETTER = TABLE2 | {("equal-training", 20): [58.0, 58.1, 58.3], ("equal-inference", 1): [58.0, 58.2, 58.3]}


def answers_of(*results: StudyResult) -> dict[str, str]:
    """The answer, each sentence and its list in one."""
    return {opening: "; ".join((text, *items)) for opening, (text, items) in answer(results).items()}


def trained_as_long(result: StudyResult) -> str:
    """What the figure says of 20 experts and the base trained as long."""
    (effect,) = next(line for line in headlines([result]) if line.claim.key == "C2/20/equal-training").effects
    return effect.text


def test_a_gain_that_its_controls_lack_is_an_answer(made_up: MakeUp) -> None:
    answers = answers_of(made_up(BETTER))
    assert answers[ASKED].startswith(
        "Of 2 comparisons with plain networks that had as much compute for an image, in training, or both, three seeds"
    )
    assert "a mixture is ahead in 2 (base and 20 experts, CIFAR-100, laptop scale), behind in none." in answers[ASKED]
    assert trained_as_long(made_up(BETTER)).startswith("holds, +1.47 [+1.15, +1.78] (CIFAR-100")
    assert "20 experts beat one: CIFAR-100 +1.30 (laptop scale)" in answers[HOLDS]


def test_a_gain_that_a_control_has_too_is_not_the_mixtures(made_up: MakeUp) -> None:
    result = made_up(BETTER | {("equal-training", 20): [60.0, 60.1, 60.3]})
    answers = answers_of(result)
    assert "Of 2 comparisons" in answers[ASKED]
    assert "ahead in 1 (base and 20 experts, CIFAR-100, laptop scale), behind in 1 (base and 20" in answers[ASKED]
    assert trained_as_long(result).startswith("opposite, −0.53 [−0.85, −0.22] (CIFAR-100")
    assert HOLDS not in answers, "it does not beat its control"
    assert "20 experts beat one, but not each control: CIFAR-100 +1.30 (laptop scale)" in answers[NOT]
    assert "20 experts beat one" not in answers[ABSENT], "its controls were run"


def test_a_gain_without_control_is_not_said_to_hold(made_up: MakeUp) -> None:
    few = {key: BETTER[key] for key in (("bagging", 1), ("bagging", 20))}
    answers = answers_of(made_up(few))
    assert HOLDS not in answers and NOT not in answers
    (line,) = (one for one in headlines([made_up(few)]) if one.sentence == "20 experts beat one")
    assert [effect.text for effect in line.effects] == [
        "holds (without control), +1.30 [+1.30, +1.30] (CIFAR-100, laptop scale)"
    ]
    assert "controls of “20 experts beat one” (CIFAR-100, laptop scale)" in answers[ABSENT]
    assert "nowhere tested with enough seeds" in answers[ASKED]


def test_where_a_claim_that_holds_is_undecided_stands_beside_it(made_up: MakeUp) -> None:
    noisy = BETTER | {("bagging", 20): [57.5, 58.4, 59.7]}
    answers = answers_of(made_up(BETTER), made_up(noisy, dataset="tiny-imagenet"), made_up(noisy, scale="gpu"))
    assert (
        "20 experts beat one: CIFAR-100 +1.30, tiny-ImageNet +0.23 undecided (laptop scale); "
        "CIFAR-100 +0.23 undecided (gpu scale)"
    ) in answers[HOLDS]


def test_a_claim_that_is_put_to_two_pairs_is_said_once_with_all_verdicts(made_up: MakeUp) -> None:
    top1 = {"tr10-tr18": 50.0, "tr18-tr10": 52.0, "tr34-tr10": 60.0, "tr18-tr18": 61.0}
    measured = [
        Cell(20, row=pair).measurement(seed, value + 0.1 * seed * (pair < "tr18-tr18"))
        for pair, value in top1.items() for seed in range(3)
    ]  # fmt: skip
    answers = answers_of(made_up({}).model_copy(update={"study": "table1_main", "measurements": measured}))
    assert "“a deeper base beats deeper experts”: CIFAR-100 +2.00 holds, CIFAR-100 −" in answers[NOT]
    assert "a deeper base beats deeper experts" not in answers.get(HOLDS, "")


def test_controls_that_are_absent_are_named_with_their_place(made_up: MakeUp) -> None:
    bare = made_up({key: BETTER[key] for key in (("bagging", 1), ("bagging", 20))}, dataset="tiny-imagenet")
    absent = answers_of(made_up(BETTER | {("equal-training", 20): [60.0, 60.1, 60.3]}), bare)[ABSENT]
    assert "controls of “20 experts beat one” (tiny-ImageNet, laptop scale)" in absent, "on CIFAR-100 they were run"


def test_records_of_an_earlier_version_are_named_by_place(made_up: MakeUp) -> None:
    recipe = {"base_recipe": {"epochs": 12}, "expert_recipe": {"epochs": 4}}
    past = made_up(BETTER).model_copy(update={"spec": recipe, "study": "table1_main"})
    other = past.model_copy(update={"study": "figure1_gradcam"})
    present = past.model_copy(update={"spec": recipe | {"expert_length": 1.0}, "study": "table2_num_experts"})
    assert ": CIFAR-100, laptop scale (bases of 12 epochs, of 24 now): Table 1, Figure 1. " in older(
        [past, other, present]
    )
    assert older([present, past.model_copy(update={"scale": "quick", "dataset": "modes"})]) == ""


def test_one_seed_and_the_embedded_set_decide_nothing(made_up: MakeUp) -> None:
    one_seed = made_up({key: values[:1] for key, values in BETTER.items()})
    answers = answers_of(one_seed, made_up(BETTER, scale="quick", dataset="modes"))
    assert "nowhere tested" in answers[ASKED]
    assert trained_as_long(one_seed) == "one seed: an anecdote, +1.50 (CIFAR-100, laptop scale)"
    assert "the paper's own scale" in answers[ABSENT]
    assert "DeepMoE with gates on inputs beats a plain network of equal cost, trained as long" in answers[ABSENT]


def test_each_headline_has_its_effects_in_the_order_of_the_scales(made_up: MakeUp) -> None:
    results = [made_up(BETTER, scale="gpu"), made_up(BETTER), made_up(BETTER, dataset="modes", scale="quick")]
    lines = headlines(results)
    assert [line.sentence for line in lines] == [sentence for group in GROUPS.values() for _, _, sentence in group]
    assert {line.group for line in lines} == set(GROUPS)
    trained = next(line for line in lines if line.claim.key == "C2/20/equal-training")
    assert [effect.result.scale for effect in trained.effects] == ["laptop", "gpu"]
    assert [effect.judged.verdict for effect in trained.effects] == [Verdict.HOLDS] * 2


def test_another_reading_of_a_table_does_not_take_its_place(made_up: MakeUp) -> None:
    values = {("deepmoe", 0): [50.0, 50.1, 50.2], ("equal-cost", 0): [55.0, 55.1, 55.2]}
    table = made_up(values).model_copy(update={"study": "deepmoe_table2_cifar"})
    other = made_up(values | {("deepmoe", 0): [60.0, 60.1, 60.2]})
    other = other.model_copy(update={"study": table.study, "part": "gates-on-inputs"})
    (effect,) = next(line for line in headlines([table, other]) if line.claim.key == "DM2").effects
    assert effect.result is table


def test_a_claim_that_does_not_exist_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(front, "GROUPS", {CONTROLS: (("table2_num_experts", "C9", "nothing"),)})
    with pytest.raises(ReproError, match="table2_num_experts has no claim 'C9'"):
        headlines([])


@pytest.mark.parametrize("narrow", [False, True])
def test_the_figure_draws_every_effect_and_says_what_was_not_run(made_up: MakeUp, narrow: bool) -> None:
    lines = headlines([made_up(BETTER)])
    (axes,) = forest(lines, narrow).axes
    texts = [text.get_text() for text in axes.texts]
    assert texts.count("not run") == sum(not line.effects for line in lines)
    means = {x[0] for x, _ in map(drawn_at, axes.lines) if len(x) == 1}
    assert {round(e.judged.ours.mean, 6) for line in lines for e in line.effects if e.judged.ours} <= {
        round(x, 6) for x in means
    }
    assert sum(text.endswith("†") for text in texts) == sum(line.claim.settled_after for line in lines) > 0


def test_the_figure_points_where_an_interval_goes_on_and_two_seeds_are_faint(made_up: MakeUp) -> None:
    (axes,) = forest(headlines([made_up(BETTER), made_up(BETTER | {("bagging", 20): [40.0, 80.0]}, scale="gpu")])).axes
    _, right = axes.get_xlim()
    two = [(line.get_alpha(), drawn_at(line)[0][1]) for line in axes.lines if len(drawn_at(line)[0]) == 2]
    far = {alpha for alpha, end in two if abs(end) > 2 * right}
    assert far == {0.5} and {"<", ">"} <= {line.get_marker() for line in axes.lines}


def test_the_three_families_verdict_comes_first(made_up: MakeUp) -> None:
    families = made_up({}).model_copy(update={"study": "three_families"})
    values = {"mixture": [50.0, 50.2, 50.1], "equal-training": [51.0, 51.2, 51.3]}
    measured = [
        cell("single-gate", "middle", method).measurement(seed, value)
        for method, each in values.items() for seed, value in enumerate(each)
    ]  # fmt: skip
    answers = answer([made_up(BETTER), families.model_copy(update={"measurements": measured})])
    text, items = next(iter(answers.values()))
    assert text.startswith("CIFAR-100, laptop scale: The single-gate mixture falls behind a plain network of the same")
    assert items == [] and list(answers)[1] == ASKED
    other = {"measurements": measured, "spec_hash": "1" * 16, "part": "single-gate"}
    twice = answer([families.model_copy(update={"measurements": measured}), families.model_copy(update=other)])
    assert next(iter(twice.values()))[0].count("falls behind") == 2, "what was not trained alike is not joined"
    fewer = families.model_copy(
        update={"measurements": measured[:1] + measured[3:4], "seeds": [0], "part": "single-gate"}
    )
    lines = headlines([families.model_copy(update={"measurements": measured, "seeds": [0, 1, 2]}), fewer])
    (effect,) = next(line for line in lines if line.claim.key == "single-gate/middle/equal-training").effects
    assert effect.judged.ours is not None and effect.judged.ours.n == 3
    assert next(iter(answer([made_up(BETTER)]))) == ASKED, "not run, not said"


def test_cost_is_in_units_of_the_base(made_up: MakeUp) -> None:
    result = made_up(BETTER)
    base = result.costs[0].model_copy(update={"num_experts": 0, "macs": 1_000_000})
    control = base.model_copy(update={"row": "equal-inference of 1", "macs": 1_400_000})
    assert cost([result]) == []
    with_base = result.model_copy(update={"costs": [*result.costs, base, control]})
    assert cost([with_base]) == ["CIFAR-100, laptop scale: 1.50 times for an image"], "a control is no base"
    columns = ["control", "experts", "width", "epochs", "inference", "training"]
    rows = [["equal-training", 1, 0.25, 30, 60.0, 103.0], ["equal-training", 20, 0.25, 33, 60.0, 110.0]]
    trained = {"spec": {"base_recipe": {"epochs": 20}}, "tables": {"controls": Table(columns=columns, rows=rows)}}
    assert cost([with_base.model_copy(update=trained)]) == [
        "CIFAR-100, laptop scale: 1.50 times for an image, 1.50 times to train"
    ]


def test_what_twice_the_training_would_gain_a_base_is_said_beside_the_effects(made_up: MakeUp) -> None:
    result = made_up({("backbone", 0): [62.5]})
    table = Table(columns=["epochs", "top1"], rows=[[24, 62.5], [48, 65.2]])
    sentence = longer([result.model_copy(update={"tables": {"longer": table}})])
    assert "+2.7 (CIFAR-100, laptop scale, one seed)" in sentence
    assert longer([result]) == ""
