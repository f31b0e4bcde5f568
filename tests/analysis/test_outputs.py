"""Ensemblers, the any-time rule, calibration, and what Table 5 asks of a per-class routing, worked by hand."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from repro.analysis.anytime import alpha, answers, anytime, selected_experts, sweep
from repro.analysis.ensemblers import bagging, bagging_logits, no_ensembling, top_k_experts
from repro.analysis.outputs import (
    Outputs,
    accuracy,
    accuracy_among,
    base_with_oracle,
    fit_of,
    reliability,
    rightly_routed,
    routed_by_base,
    with_oracle_gate,
)
from repro.errors import SpecError
from repro.families.single_gate.stacking import Stacking, stacking


def log(*rows: list[float]) -> torch.Tensor:
    return torch.tensor(rows).log()


def three_samples() -> Outputs:
    """Two classes, two experts; probabilities chosen so that every step can be checked by hand."""
    return Outputs(
        base_logits=log([0.9, 0.1], [0.6, 0.4], [0.5, 0.5]),
        gate_probs=torch.tensor([[0.8, 0.2], [0.7, 0.3], [0.4, 0.6]]),
        expert_logits=torch.stack(
            [log([0.2, 0.8], [0.1, 0.9], [0.3, 0.7]), log([0.5, 0.5], [1.0, 1e-9], [0.9, 0.1])], 1
        ),
        labels=torch.tensor([0, 1, 0]),
    )


def close(actual: torch.Tensor, expected: list[list[float]]) -> None:
    torch.testing.assert_close(actual, torch.tensor(expected), atol=1e-5, rtol=1e-5)


def test_ensemblers_by_hand() -> None:
    outputs = three_samples()
    close(no_ensembling(outputs), [[0.2, 0.8], [0.1, 0.9], [0.9, 0.1]])
    close(bagging(outputs), [[0.55, 0.45], [0.35, 0.65], [0.7, 0.3]])
    assert accuracy(bagging(outputs), outputs.labels) == 100
    a, b = math.sqrt(0.9 * 0.2), math.sqrt(0.1 * 0.8)
    close(bagging_logits(outputs)[:1], [[a / (a + b), b / (a + b)]])  # a geometric mean
    close(top_k_experts(outputs)[:1], [[0.8 * 0.2 + 0.2 * 0.5, 0.8 * 0.8 + 0.2 * 0.5]])  # weighed by the gate
    mixture = torch.einsum("nk,nkc->nc", outputs.gate_probs, outputs.expert_logits.softmax(-1))
    torch.testing.assert_close(top_k_experts(outputs, 2), mixture)  # of all experts: the full mixture
    with pytest.raises(SpecError, match="between 1 and 2 experts"):
        top_k_experts(outputs, 3)


def test_stacking_starts_at_the_product_and_uses_the_selected_expert() -> None:
    outputs = three_samples()
    scores = stacking(outputs, [Stacking(2), Stacking(2)])
    close(scores[:1], [[0.18 / 0.26, 0.08 / 0.26]])
    other = Stacking(2)
    with torch.no_grad():
        other.linear.bias.copy_(torch.tensor([0.0, 50.0]))
    only_third = stacking(outputs, [Stacking(2), other])
    torch.testing.assert_close(only_third[:2], scores[:2])
    assert only_third[2, 1] > 0.99


def test_equations_2_and_3_by_hand() -> None:
    scores, used = anytime(three_samples(), 0.15)
    assert used.tolist() == [0, 1, 2]  # exits; expert 0 only; both
    close(scores[:1], [[0.9, 0.1]])  # the base's word
    close(scores[1:2], [[0.7 * 0.35, 0.7 * 0.65]])  # g(0|x) e'_0: weights do not sum to one, as printed
    third = [0.4 * (0.5 + 0.3) / 2 + 0.6 * (0.5 + 0.9) / 2, 0.4 * (0.5 + 0.7) / 2 + 0.6 * (0.5 + 0.1) / 2]
    close(scores[2:], [third])


def test_the_threshold_is_inclusive() -> None:
    outputs = three_samples()
    close(alpha(outputs), [[0.08, 0.02], [0.28, 0.12], [0.2, 0.3]])
    assert selected_experts(outputs, float(alpha(outputs)[2, 1]))[2].tolist() == [False, True]


@st.composite
def any_outputs(draw: st.DrawFn) -> Outputs:
    n, k, c = draw(st.integers(1, 6)), draw(st.integers(1, 5)), draw(st.integers(2, 5))
    g = torch.Generator().manual_seed(draw(st.integers(0, 10**6)))
    gate = torch.randn(n, k, generator=g).softmax(-1)
    labels = torch.randint(c, (n,), generator=g)
    return Outputs(torch.randn(n, c, generator=g) * 3, gate, torch.randn(n, k, c, generator=g) * 3, labels)


def test_a_sweep_by_hand() -> None:
    curve = sweep(answers(three_samples()), (0.0, 0.15, 0.25, 1.0))
    assert curve.exits == pytest.approx([0, 100 / 3, 100 / 3, 100])
    assert curve.experts_of_others == pytest.approx([2, 1.5, 1, 0])
    assert curve.top1 == pytest.approx([100, 100, 100, 200 / 3])


def test_classes_that_no_image_has_may_be_left_out() -> None:
    """Class 0 has the highest score of both images, and is of neither; of classes 1 and 2 one answer is right."""
    scores, labels = torch.tensor([[9.0, 5.0, 4.0], [9.0, 5.0, 4.0]]), torch.tensor([2, 1])
    assert (accuracy(scores, labels), accuracy_among(scores, labels)) == (0, 50)


@settings(deadline=None, max_examples=50)
@given(any_outputs(), st.floats(0, 1))
def test_it_is_equation_3_at_every_threshold(outputs: Outputs, tau: float) -> None:
    scores, used = anytime(outputs, tau)
    answered = answers(outputs)
    assert torch.equal(answered.used(tau), used)
    assert torch.equal(answered.right_with(used), scores.argmax(1) == outputs.labels)


PROBABILITIES = torch.tensor([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.4, 0.6]], dtype=torch.float64)


def test_two_bins_by_hand() -> None:
    # All four confidences (0.9, 0.8, 0.7, 0.6) lie above 1/2: one bin; three of four answers are right.
    diagram = reliability(PROBABILITIES, torch.tensor([0, 0, 1, 0]), bins=2)
    assert diagram.count.tolist() == [0, 4]
    assert diagram.confidence[1] == pytest.approx(0.75) and diagram.accuracy[1] == pytest.approx(0.75)
    assert diagram.ece == pytest.approx(0) and diagram.overconfidence == pytest.approx(0)
    on_the_edge = torch.tensor([[0.5, 0.5], [1.0, 0.0]])
    assert reliability(on_the_edge, torch.tensor([0, 0]), bins=2).count.tolist() == [1, 1], "bins are closed above"
    one = reliability(torch.tensor([[0.8, 0.2]]), torch.tensor([0]))
    assert (one.ece, one.overconfidence) == pytest.approx((20, -20)) and len(one.count) == 15
    assert fit_of(-torch.tensor([0.95, 0.5]).log()) == pytest.approx((-math.log(0.95 * 0.5) / 2, 50))


def test_bins_of_opposite_faults_do_not_cancel_in_the_ece() -> None:
    # Four bins of 0.25: {0.7, 0.6} in the third, {0.9, 0.8} in the fourth.
    diagram = reliability(PROBABILITIES, torch.tensor([1, 1, 1, 1]), bins=4)  # sure and wrong, unsure and right
    assert diagram.count.tolist() == [0, 0, 2, 2]
    assert diagram.ece == pytest.approx(100 * (0.5 * 0.35 + 0.5 * 0.85))
    assert diagram.overconfidence == pytest.approx(100 * (0.75 - 0.5))


EXPERT_OF = torch.tensor([0, 0, 1])  # classes 0 and 1 are expert 0's, class 2 is expert 1's


@pytest.fixture
def outputs() -> Outputs:
    """Image 0 is routed rightly; images 1 and 2 wrongly. Each expert is right on the classes that it owns."""
    base = torch.tensor([[0.5, 0.3, 0.2], [0.25, 0.35, 0.4], [0.45, 0.15, 0.4]])
    experts = torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.2, 0.7]])
    logits = experts.log().expand(3, 2, 3).clone()
    logits[1, 0] = torch.tensor([0.2, 0.7, 0.1]).log()
    gate = torch.tensor([[0.9, 0.1], [0.3, 0.7], [0.6, 0.4]])
    return Outputs(base.log(), gate, logits, torch.tensor([0, 1, 2]))


def test_the_oracle_selects_the_owner_of_the_class(outputs: Outputs) -> None:
    assert rightly_routed(outputs, EXPERT_OF).tolist() == [True, False, False]
    oracle = with_oracle_gate(outputs, EXPERT_OF)
    assert oracle.gate_probs.tolist() == [[1, 0], [1, 0], [0, 1]] and rightly_routed(oracle, EXPERT_OF).all()
    assert accuracy(no_ensembling(outputs), outputs.labels) == pytest.approx(100 / 3)
    assert accuracy(no_ensembling(oracle), outputs.labels) == 100
    assert outputs.gate_probs[0, 0] == pytest.approx(0.9), "the outputs themselves stay as they are"


def test_the_base_routes_by_the_sum_over_each_group(outputs: Outputs) -> None:
    """Image 1: class 2 is its likeliest (0.4), but classes 0 and 1 together have 0.6."""
    assert routed_by_base(outputs, EXPERT_OF).tolist() == [0, 0, 0]


def test_the_base_told_the_group_chooses_within_it(outputs: Outputs) -> None:
    probabilities = base_with_oracle(outputs, EXPERT_OF)
    expected = [[0.625, 0.375, 0.0], [0.25 / 0.6, 0.35 / 0.6, 0.0], [0.0, 0.0, 1.0]]
    torch.testing.assert_close(probabilities, torch.tensor(expected))
    assert accuracy(probabilities, outputs.labels) == 100
