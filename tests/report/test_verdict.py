"""The verdict rules, each kind once."""

from collections.abc import Callable
from typing import Any

import pytest

from repro.exhibits import exhibit
from repro.exhibits.table2_num_experts import PAIR, printed_value
from repro.report.claim import AS_GOOD, Cell, Claim
from repro.report.numbers import gain, look_up, mean_std
from repro.report.verdict import Verdict, is_model, judge, not_printed, summary_of, value_verdict
from repro.study.results import StudyResult
from tests.records import judged

MakeUp = Callable[..., StudyResult]
TABLE2 = exhibit("table2_num_experts")
BASE, ONE, TEN, TWENTY = ("backbone", 0), ("bagging", 1), ("bagging", 10), ("bagging", 20)
OURS = [61.0, 61.1, 61.2]


@pytest.mark.parametrize(
    ("ours", "model", "verdict"),
    [
        ([79.8, 79.9, 80.1], "tr18", Verdict.REPRODUCED),
        ([79.2, 79.3, 79.5], "tr18", Verdict.REPRODUCED),  # half a point off, and surely no more than one
        ([81.8, 81.9, 82.1], "tr18", Verdict.DIFFERS),
        ([77.8, 77.9, 78.1], "tr18", Verdict.DIFFERS),
        ([78.4, 79.9, 81.4], "tr18", Verdict.UNDECIDED),  # on the spot in the mean, but it may be anywhere
        ([79.9], "tr18", Verdict.ANECDOTE),
        ([79.9, 79.91], "tr18", Verdict.TWO_SEEDS),
        ([79.8, 79.9, 80.1], "tr10 at width 0.25", Verdict.OTHER_MODEL),
        ([], "tr18", Verdict.NOT_RUN),
    ],
)
def test_a_value_beside_the_printed_one(made_up: MakeUp, ours: list[float], model: str, verdict: Verdict) -> None:
    result = made_up({TWENTY: ours, BASE: [77.0]}, scale="paper", model=model)
    assert value_verdict(result, Cell(20), printed_value(result, Cell(20)), is_model(result, *PAIR)) == verdict


@pytest.mark.parametrize(
    ("more", "less", "key", "verdict"),
    [
        ([61.0, 61.1, 61.2], [60.0, 60.1, 60.1], "C2/20", Verdict.HOLDS),
        ([59.0, 59.1, 59.2], [60.0, 60.1, 60.1], "C2/20", Verdict.OPPOSITE),
        ([60.0, 60.5, 59.5], [60.0, 60.1, 60.1], "C2/20", Verdict.UNDECIDED),
        ([61.0], [60.0], "C2/20", Verdict.ANECDOTE),
        ([61.0, 61.01], [60.0, 60.01], "C2/20", Verdict.TWO_SEEDS),  # whatever their interval
        ([], [60.0], "C2/20", Verdict.NOT_RUN),
        ([60.1, 60.0, 60.1], [60.0] * 3, "C3", Verdict.HOLDS),  # changes little
        ([61.0, 61.1, 61.0], [60.0] * 3, "C3", Verdict.OPPOSITE),
        ([60.0, 60.6, 60.3], [60.0] * 3, "C3", Verdict.UNDECIDED),
    ],
)
def test_a_trend(made_up: MakeUp, more: list[float], less: list[float], key: str, verdict: Verdict) -> None:
    other = ONE if key == "C2/20" else TEN
    claims = judged(TABLE2, made_up({TWENTY: more, other: less, BASE: [50.0]}))
    assert claims[key].verdict == verdict and claims["C2/20"].paper == pytest.approx(79.90 - 78.99)


def test_pairs_of_seeds_in_a_ring_have_a_mean_and_values_but_no_interval(record_of: MakeUp) -> None:
    same, mixed = Cell(0, "two networks", "tr10 + tr10"), Cell(0, "two networks", "tr10 + tr18")
    values = {same: [59.0, 59.2, 59.4], mixed: [60.0, 60.2, 60.4], Cell(20): [61.0, 61.2, 61.5]}
    result = record_of("figure2_anytime", values)
    ring, seeds = summary_of(result, same), summary_of(result, mixed)
    assert ring and seeds and ring.interval is None and seeds.interval is not None
    assert mean_std(ring) == "59.20 (59.00, 59.20, 59.40)" and mean_std(seeds) == "60.20 ± 0.20"
    (claim,) = judge((Claim("X", "beats two networks", Cell(20), same),), result, not_printed)
    assert claim.verdict is Verdict.PAIRS and gain(claim.ours) == "+2.03 (+2.00, +2.00, +2.10)"
    assert Cell(20, "classes", metric="agreement").of_pairs and Cell(5, "least-loss", "seeds", "likeness").of_pairs
    for cell in (Cell(20), Cell(5, "gate", "evaluation", "agreement"), Cell(10, "least-loss", "5-10", "likeness")):
        assert not cell.of_pairs


def test_a_gain_is_judged_against_its_controls_or_says_that_it_was_not(record_of: MakeUp) -> None:
    gains = {Cell(20): [61.0, 61.1, 61.2], Cell(1): [60.0, 60.1, 60.1]}
    controls = {Cell(20, "equal-training"): [62.0, 62.1, 62.2], Cell(1, "equal-inference"): [61.0, 60.0, 62.0]}
    old, new = (judged(TABLE2, record_of(TABLE2.name, each)) for each in (gains, gains | controls))
    for key, before, after in (
        ("C2/20", "holds (without control)", "holds"),
        ("C2/20/equal-training", "not run", "opposite"),
        ("C2/20/equal-inference", "not run", "undecided"),
    ):
        assert (old[key].text, new[key].text) == (before, after)
    longer = "the base trained as long as base and experts together"
    assert new["C2/20/equal-training"].claim.text == f"20 experts beat {longer}"
    steps = {claim.key: claim.text for claim in exhibit("appendix_em").claims}
    assert steps["EM/1/with/as-long"].endswith("with ensembling, and more than Algorithm 1 trained as long")
    routed = Cell(20, metric="routed")
    quotes = [look_up(record_of(TABLE2.name, {routed: of}), routed.key).text for of in ([21.2] * 3, [21.1, 21.2, 21.3])]
    assert quotes == ["21.20", "21.20 ± 0.10"], "a count has no spread"


@pytest.mark.parametrize(
    ("more", "values", "text"),
    [
        # to be as good is not refuted by being better
        ({"less": Cell(10), "within": AS_GOOD}, {TEN: [58.0, 58.1, 58.19]}, "holds"),
        ({"less": Cell(10), "within": AS_GOOD}, {TEN: [61.3, 61.4, 61.49]}, "holds"),
        ({"less": Cell(10), "within": AS_GOOD}, {TEN: [61.6, 61.7, 61.79]}, "opposite"),
        ({"less": Cell(10), "settled_after": True}, {TEN: [60.0] * 3}, "holds (settled afterwards)"),
        ({"less": Cell(10), "settled_after": True}, {}, "not run"),
        ({"bar": 60.0}, {}, "holds"),
        ({"bar": 62.0}, {}, "opposite"),
        ({"bar": 61.1}, {}, "undecided"),
        ({"bar": 10.0, "premise": (Cell(0), 50.0)}, {BASE: [49.0] * 3}, "premise not met here"),
        ({"bar": 10.0, "premise": (Cell(0), 50.0)}, {BASE: [50.0] * 3}, "holds"),
        ({"bar": 10.0, "premise": (Cell(0), 50.0)}, {}, "not run"),
        ({"bar": 10.0, "datasets": ("tiny-imagenet",)}, {}, None),  # about other image sets
    ],
)
def test_a_claim_of_another_form(
    made_up: MakeUp, more: dict[str, Any], values: dict[tuple[str, int], list[float]], text: str | None
) -> None:
    claims = judge((Claim("X", "more", Cell(20), **more),), made_up(values | {TWENTY: OURS}), not_printed)
    assert [one.text for one in claims] == ([] if text is None else [text])
    if more == {"bar": 62.0}:
        assert claims[0].ours and claims[0].ours.mean == pytest.approx(61.1 - 62) and claims[0].paper is None


def test_only_seeds_that_have_both_rows_are_compared(made_up: MakeUp) -> None:
    ours = judged(TABLE2, made_up({TWENTY: [61.0, 61.1], ONE: [60.0, 60.1, 99.0]}))["C2/20"].ours
    assert ours is not None and ours.n == 2 and ours.mean == pytest.approx(1.0)
