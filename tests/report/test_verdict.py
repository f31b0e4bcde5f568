"""The verdict rules, each kind once."""

from collections.abc import Callable

import pytest

from repro.report.exhibits import exhibit
from repro.report.exhibits.table2_num_experts import PAIR, of_the_paper
from repro.report.printed import printed
from repro.report.verdict import Cell, Claim, Verdict, is_model, judge, not_printed, value_verdict
from repro.study.results import StudyResult

MakeUp = Callable[..., StudyResult]
TABLE2 = exhibit("table2_num_experts")
BASE, ONE, TWENTY = ("backbone", 0), ("bagging", 1), ("bagging", 20)


def test_printed_numbers_are_looked_up() -> None:
    twenty = of_the_paper("cifar100", 20)
    assert twenty is not None and (twenty.value, twenty.std, twenty.text()) == (79.90, 0.22, "79.90 ± 0.22")
    base = of_the_paper("tiny-imagenet", 0)
    assert base is not None and (base.value, base.std) == (60.42, None)
    assert of_the_paper("modes", 20) is None and printed(2, "cifar100", "tr18", "tr18", 7, "bagging", "top1") is None


@pytest.mark.parametrize(
    ("ours", "scale", "model", "verdict"),
    [
        ([79.8, 79.9, 80.1], "paper", "tr18", Verdict.REPRODUCED),
        ([81.8, 81.9, 82.1], "paper", "tr18", Verdict.BETTER),
        ([77.8, 77.9, 78.1], "paper", "tr18", Verdict.DIFFERS),
        ([79.9], "paper", "tr18", Verdict.ANECDOTE),
        ([79.8, 79.9, 80.1], "laptop", "tr18", Verdict.OTHER_SCALE),
        ([79.8, 79.9, 80.1], "paper", "tr10 at width 0.25", Verdict.OTHER_MODEL),
        ([], "paper", "tr18", Verdict.NOT_RUN),
    ],
)
def test_a_value_beside_the_printed_one(
    made_up: MakeUp, ours: list[float], scale: str, model: str, verdict: Verdict
) -> None:
    result = made_up({TWENTY: ours, BASE: [77.0]}, scale=scale, model=model)
    assert value_verdict(result, Cell(20), of_the_paper("cifar100", 20), is_model(result, *PAIR)) == verdict


@pytest.mark.parametrize(
    ("more", "less", "key", "verdict"),
    [
        ([61.0, 61.1, 61.2], [60.0, 60.1, 60.1], "C2/20", Verdict.HOLDS),
        ([59.0, 59.1, 59.2], [60.0, 60.1, 60.1], "C2/20", Verdict.OPPOSITE),
        ([60.0, 60.5, 59.5], [60.0, 60.1, 60.1], "C2/20", Verdict.UNDECIDED),
        ([61.0], [60.0], "C2/20", Verdict.ANECDOTE),
        ([], [60.0], "C2/20", Verdict.NOT_RUN),
    ],
)
def test_a_trend(made_up: MakeUp, more: list[float], less: list[float], key: str, verdict: Verdict) -> None:
    judged = {c.claim.key: c for c in TABLE2.judge(made_up({TWENTY: more, ONE: less, BASE: [50.0]}))}
    assert judged[key].verdict == verdict
    assert judged[key].paper == pytest.approx(79.90 - 78.99)


@pytest.mark.parametrize(
    ("gains", "verdict"),
    [([0.1, 0.0, 0.1], Verdict.HOLDS), ([1.0, 1.1, 1.0], Verdict.OPPOSITE), ([0.0, 0.6, 0.3], Verdict.UNDECIDED)],
)
def test_changes_little(made_up: MakeUp, gains: list[float], verdict: Verdict) -> None:
    result = made_up({("bagging", 10): [60.0] * 3, TWENTY: [60 + gain for gain in gains]})
    assert {c.claim.key: c.verdict for c in TABLE2.judge(result)}["C3"] == verdict


def test_only_seeds_that_have_both_rows_are_compared(made_up: MakeUp) -> None:
    result = made_up({TWENTY: [61.0, 61.1], ONE: [60.0, 60.1, 99.0]})
    ours = {c.claim.key: c.ours for c in TABLE2.judge(result)}["C2/20"]
    assert ours is not None and ours.n == 2 and ours.mean == pytest.approx(1.0)


def test_a_claim_about_one_number_is_held_against_its_bar(made_up: MakeUp) -> None:
    result = made_up({TWENTY: [61.0, 61.1, 61.2]})
    for bar, verdict in ((60.0, Verdict.HOLDS), (62.0, Verdict.OPPOSITE), (61.1, Verdict.UNDECIDED)):
        (judged,) = judge((Claim("X", "more than the bar", Cell(20), bar=bar),), result, not_printed)
        assert judged.verdict == verdict and judged.paper is None
        assert judged.ours is not None and judged.ours.mean == pytest.approx(61.1 - bar)


def test_a_claim_about_other_image_sets_is_not_judged(made_up: MakeUp) -> None:
    claim = Claim("X", "of tiny-ImageNet", Cell(20), datasets=("tiny-imagenet",))
    assert judge((claim,), made_up({TWENTY: [61.0]}), not_printed) == []
