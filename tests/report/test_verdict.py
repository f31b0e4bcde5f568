"""The verdict rules, each kind once."""

from collections.abc import Callable

import pytest

from repro.exhibits import exhibit
from repro.exhibits.table2_num_experts import PAIR, printed_value
from repro.report.claim import AS_GOOD, Cell, Claim
from repro.report.numbers import gain, mean_std
from repro.report.verdict import Verdict, is_model, judge, not_printed, summary_of, value_verdict
from repro.study.results import StudyResult

MakeUp = Callable[..., StudyResult]
TABLE2 = exhibit("table2_num_experts")
BASE, ONE, TWENTY = ("backbone", 0), ("bagging", 1), ("bagging", 20)


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
    other = ONE if key == "C2/20" else ("bagging", 10)
    judged = {c.claim.key: c for c in TABLE2.judge(made_up({TWENTY: more, other: less, BASE: [50.0]}))}
    assert judged[key].verdict == verdict
    assert judged["C2/20"].paper == pytest.approx(79.90 - 78.99)


def test_a_claim_of_being_as_good_is_not_refuted_by_being_better(made_up: MakeUp) -> None:
    claim = Claim("X", "as good", Cell(20), Cell(10), AS_GOOD)
    for by, verdict in ((3.0, Verdict.HOLDS), (-0.3, Verdict.HOLDS), (-0.6, Verdict.OPPOSITE)):
        result = made_up({("bagging", 10): [60.0, 60.1, 60.2], TWENTY: [60 + by, 60.1 + by, 60.21 + by]})
        (judged,) = judge((claim,), result, not_printed)
        assert judged.verdict == verdict


def test_pairs_of_seeds_in_a_ring_have_a_mean_and_values_but_no_interval(record_of: MakeUp) -> None:
    same, mixed = Cell(0, "two networks", "tr10 + tr10"), Cell(0, "two networks", "tr10 + tr18")
    values = {same: [59.0, 59.2, 59.4], mixed: [60.0, 60.2, 60.4], Cell(20): [61.0, 61.2, 61.5]}
    result = record_of("figure2_anytime", values)
    ring, seeds = summary_of(result, same), summary_of(result, mixed)
    assert ring and seeds and ring.interval is None and seeds.interval is not None
    assert mean_std(ring) == "59.20 (59.00, 59.20, 59.40)" and mean_std(seeds) == "60.20 ± 0.20"
    (judged,) = judge((Claim("X", "beats two networks", Cell(20), same),), result, not_printed)
    assert judged.verdict is Verdict.PAIRS and gain(judged.ours) == "+2.03 (+2.00, +2.00, +2.10)"
    for cell in (Cell(1, "two networks"), Cell(20, "classes", metric="agreement"),
                 Cell(5, "least-loss", "seeds", "likeness")):  # fmt: skip
        assert cell.of_pairs
    for cell in (Cell(20), Cell(5, "gate", "evaluation", "agreement"), Cell(10, "least-loss", "5-10", "likeness")):
        assert not cell.of_pairs


def test_a_gain_is_judged_against_its_controls_or_says_that_it_was_not(record_of: MakeUp) -> None:
    gains = {Cell(20): [61.0, 61.1, 61.2], Cell(1): [60.0, 60.1, 60.1]}
    controls = {Cell(20, "equal-training"): [62.0, 62.1, 62.2], Cell(1, "equal-inference"): [61.0, 60.0, 62.0]}
    old = {j.claim.key: j for j in TABLE2.judge(record_of(TABLE2.name, gains))}
    new = {j.claim.key: j for j in TABLE2.judge(record_of(TABLE2.name, gains | controls))}
    for key, before, after in (
        ("C2/20", "holds (without control)", "holds"),
        ("C2/20/equal-training", "not run", "opposite"),
        ("C2/20/equal-inference", "not run", "undecided"),
    ):
        assert (old[key].text, new[key].text) == (before, after)
    assert "the base trained as long" in new["C2/20/equal-training"].claim.text


def test_a_rule_that_was_settled_afterwards_carries_its_mark(made_up: MakeUp) -> None:
    claim = Claim("X", "more", Cell(20), Cell(10), settled_after=True)
    result = made_up({("bagging", 10): [60.0] * 3, TWENTY: [61.0, 61.1, 61.2]})
    (judged,) = judge((claim,), result, not_printed)
    assert judged.text == "holds (settled afterwards)"
    (missing,) = judge((claim,), made_up({TWENTY: [61.0]}), not_printed)
    assert missing.text == "not run"


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


def test_a_premise_that_is_not_met_leaves_nothing_to_judge(made_up: MakeUp) -> None:
    claim = Claim("X", "more", Cell(20), bar=10.0, premise=(Cell(0), 50.0))
    for base, verdict in ((49.0, "premise not met here"), (50.0, "holds"), (None, "not run")):
        values = {TWENTY: [61.0, 61.1, 61.2]} | ({BASE: [base] * 3} if base else {})
        (judged,) = judge((claim,), made_up(values), not_printed)
        assert judged.text == verdict


def test_a_claim_about_other_image_sets_is_not_judged(made_up: MakeUp) -> None:
    claim = Claim("X", "of tiny-ImageNet", Cell(20), datasets=("tiny-imagenet",))
    assert judge((claim,), made_up({TWENTY: [61.0]}), not_printed) == []
