"""Ensemblers and the any-time rule on three samples worked by hand; both are pure functions of Outputs."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from repro.analysis.answers import THRESHOLDS, answers, sweep
from repro.analysis.anytime import alpha, anytime, selected_experts
from repro.analysis.ensemblers import bagging, bagging_logits, no_ensembling, top_k_experts
from repro.analysis.outputs import Outputs, accuracy, accuracy_among
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


@pytest.mark.parametrize("k", [0, 3])
def test_top_k_of_what_is_not_there(k: int) -> None:
    with pytest.raises(SpecError, match="between 1 and 2 experts"):
        top_k_experts(three_samples(), k)


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


@given(any_outputs())
def test_tau_1_exits_every_sample_and_tau_0_uses_every_expert(outputs: Outputs) -> None:
    scores, used = anytime(outputs, 1.0)
    assert (used == 0).all()
    torch.testing.assert_close(scores, outputs.base_logits.softmax(-1))
    scores, used = anytime(outputs, 0.0)
    assert (used == outputs.num_experts).all()
    torch.testing.assert_close(scores.sum(1), torch.ones(len(scores)))


@given(any_outputs(), st.floats(0, 1), st.floats(0, 1))
def test_a_higher_threshold_never_runs_more(outputs: Outputs, one: float, two: float) -> None:
    low, high = sorted([one, two])
    assert (anytime(outputs, low)[1] >= anytime(outputs, high)[1]).all()


@given(any_outputs())
def test_one_expert_is_the_ensembling_baseline(outputs: Outputs) -> None:
    one = Outputs(outputs.base_logits, torch.ones(len(outputs.labels), 1), outputs.expert_logits[:, :1], outputs.labels)
    torch.testing.assert_close(bagging(one), anytime(one, 0.0)[0])


def test_answers_by_hand() -> None:
    found = answers(three_samples())
    # Sample 2: base 0.6/0.4 wrong; with its first expert 0.35/0.65 right; with both 0.7*(0.35, 0.65) + 0.3*(0.8, 0.2)
    # = (0.485, 0.515) right. Sample 3: a tie counts as class 0; first (0.7, 0.3) right; both 0.6*(0.7, 0.3)
    # + 0.4*(0.4, 0.6) = (0.58, 0.42) right.
    assert found.right.tolist() == [[True, True, True], [False, True, True], [True, True, True]]
    torch.testing.assert_close(found.alpha, torch.tensor([[0.08, 0.02], [0.28, 0.12], [0.3, 0.2]]))
    assert found.used(0.15).tolist() == [0, 1, 2] and found.num_experts == 2
    assert found.right_with(torch.tensor([0, 0, 0])).tolist() == [True, False, True]


def test_a_sweep_by_hand() -> None:
    found = sweep(answers(three_samples()), (0.0, 0.15, 0.25, 1.0))
    assert found.exits == pytest.approx([0, 100 / 3, 100 / 3, 100])
    assert found.experts_of_others == pytest.approx([2, 1.5, 1, 0])
    assert found.top1 == pytest.approx([100, 100, 100, 200 / 3])


def test_classes_that_no_image_has_may_be_left_out() -> None:
    """Class 0 has the highest score of both images, and is of neither; of classes 1 and 2 one answer is right."""
    scores, labels = torch.tensor([[9.0, 5.0, 4.0], [9.0, 5.0, 4.0]]), torch.tensor([2, 1])
    assert (accuracy(scores, labels), accuracy_among(scores, labels)) == (0, 50)


def test_thresholds_go_from_every_expert_to_none() -> None:
    assert THRESHOLDS[0] == 0 and THRESHOLDS[-1] == 1 and list(THRESHOLDS) == sorted(set(THRESHOLDS))


@given(any_outputs(), st.floats(0, 1))
def test_it_is_equation_3_at_every_threshold(outputs: Outputs, tau: float) -> None:
    scores, used = anytime(outputs, tau)
    found = answers(outputs)
    assert torch.equal(found.used(tau), used)
    assert torch.equal(found.right_with(used), scores.argmax(1) == outputs.labels)
