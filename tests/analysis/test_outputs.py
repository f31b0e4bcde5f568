"""Ensemblers and the any-time rule on three samples worked by hand; both are pure functions of Outputs."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from repro.analysis.anytime import alpha, anytime, selected_experts
from repro.analysis.ensemblers import bagging, bagging_logits, no_ensembling, top_k_experts
from repro.analysis.outputs import Outputs, accuracy
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


def test_the_selected_expert_alone() -> None:
    close(no_ensembling(three_samples()), [[0.2, 0.8], [0.1, 0.9], [0.9, 0.1]])


def test_bagging_averages_probabilities() -> None:
    close(bagging(three_samples()), [[0.55, 0.45], [0.35, 0.65], [0.7, 0.3]])
    assert accuracy(bagging(three_samples()), three_samples().labels) == 100


def test_bagging_of_logits_is_a_geometric_mean() -> None:
    first = bagging_logits(three_samples())[0]
    a, b = math.sqrt(0.9 * 0.2), math.sqrt(0.1 * 0.8)
    close(first[None], [[a / (a + b), b / (a + b)]])


def test_top_2_weighs_experts_by_the_gate() -> None:
    close(top_k_experts(three_samples())[:1], [[0.8 * 0.2 + 0.2 * 0.5, 0.8 * 0.8 + 0.2 * 0.5]])


def test_top_k_of_all_experts_is_the_full_mixture() -> None:
    outputs = three_samples()
    mixture = torch.einsum("nk,nkc->nc", outputs.gate_probs, outputs.expert_logits.softmax(-1))
    torch.testing.assert_close(top_k_experts(outputs, 2), mixture)


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


def test_alpha_by_hand() -> None:
    close(alpha(three_samples()), [[0.08, 0.02], [0.28, 0.12], [0.2, 0.3]])


def test_equations_2_and_3_by_hand() -> None:
    scores, used = anytime(three_samples(), 0.15)
    assert used.tolist() == [0, 1, 2]  # exits; expert 0 only; both
    close(scores[:1], [[0.9, 0.1]])  # the base's word
    close(scores[1:2], [[0.7 * 0.35, 0.7 * 0.65]])  # g(0|x) e'_0: weights do not sum to one, as printed
    third = [0.4 * (0.5 + 0.3) / 2 + 0.6 * (0.5 + 0.9) / 2, 0.4 * (0.5 + 0.7) / 2 + 0.6 * (0.5 + 0.1) / 2]
    close(scores[2:], [third])


def test_the_threshold_is_inclusive() -> None:
    outputs = three_samples()
    exact = float(alpha(outputs)[2, 1])
    assert selected_experts(outputs, exact)[2].tolist() == [False, True]


@st.composite
def any_outputs(draw: st.DrawFn) -> Outputs:
    n, k, c = draw(st.integers(1, 6)), draw(st.integers(1, 5)), draw(st.integers(2, 5))
    g = torch.Generator().manual_seed(draw(st.integers(0, 10**6)))
    gate = torch.randn(n, k, generator=g).softmax(-1)
    labels = torch.zeros(n, dtype=torch.int64)
    return Outputs(torch.randn(n, c, generator=g) * 3, gate, torch.randn(n, k, c, generator=g) * 3, labels)


@given(any_outputs())
def test_tau_1_exits_every_sample(outputs: Outputs) -> None:
    scores, used = anytime(outputs, 1.0)
    assert (used == 0).all()
    torch.testing.assert_close(scores, outputs.base_logits.softmax(-1))


@given(any_outputs())
def test_tau_0_uses_every_expert(outputs: Outputs) -> None:
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


@pytest.mark.parametrize("tau", [-0.1, 1.1])
def test_a_threshold_that_makes_no_sense(tau: float) -> None:
    with pytest.raises(SpecError, match=r"\[0, 1\]"):
        anytime(three_samples(), tau)
