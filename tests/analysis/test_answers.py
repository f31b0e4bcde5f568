"""Accuracy against MACs from what each number of experts answers: by hand, and against Equation 3 itself."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from repro.analysis.answers import THRESHOLDS, Answers, answers, sweep
from repro.analysis.anytime import anytime
from repro.analysis.outputs import Outputs


def log(*rows: list[float]) -> torch.Tensor:
    return torch.tensor(rows).log()


def three_samples() -> Outputs:
    """Two classes, two experts; the third sample's second expert is the one the gate prefers."""
    return Outputs(
        base_logits=log([0.9, 0.1], [0.6, 0.4], [0.5, 0.5]),
        gate_probs=torch.tensor([[0.8, 0.2], [0.7, 0.3], [0.4, 0.6]]),
        expert_logits=torch.stack(
            [log([0.2, 0.8], [0.1, 0.9], [0.01, 0.99]), log([0.5, 0.5], [1.0, 1e-9], [0.9, 0.1])], 1
        ),
        labels=torch.tensor([0, 1, 0]),
    )


def test_answers_by_hand() -> None:
    found = answers(three_samples())
    # Sample 2: base 0.6/0.4 wrong; with its first expert 0.35/0.65 right; with both 0.7*(0.35, 0.65) + 0.3*(0.8, 0.2)
    # = (0.485, 0.515) right. Sample 3: a tie counts as class 0; first (0.7, 0.3) right; both 0.6*(0.7, 0.3)
    # + 0.4*(0.255, 0.745) = (0.522, 0.478) right.
    assert found.right.tolist() == [[True, True, True], [False, True, True], [True, True, True]]
    torch.testing.assert_close(found.alpha, torch.tensor([[0.08, 0.02], [0.28, 0.12], [0.3, 0.2]]))
    assert found.used(0.15).tolist() == [0, 1, 2] and found.num_experts == 2
    assert found.right_with(torch.tensor([0, 0, 0])).tolist() == [True, False, True]


def test_a_sweep_by_hand() -> None:
    told = sweep(answers(three_samples()), (0.0, 0.15, 0.25, 1.0))
    assert told.exits == pytest.approx([0, 100 / 3, 100 / 3, 100])
    assert told.experts_of_others == pytest.approx([2, 1.5, 1, 0])
    assert told.top1 == pytest.approx([100, 100, 100, 200 / 3])


def test_thresholds_go_from_every_expert_to_none() -> None:
    assert THRESHOLDS[0] == 0 and THRESHOLDS[-1] == 1 and list(THRESHOLDS) == sorted(set(THRESHOLDS))


@st.composite
def any_outputs(draw: st.DrawFn) -> Outputs:
    n, k, c = draw(st.integers(1, 8)), draw(st.integers(1, 5)), draw(st.integers(2, 5))
    g = torch.Generator().manual_seed(draw(st.integers(0, 10**6)))
    gate = torch.randn(n, k, generator=g).softmax(-1)
    labels = torch.randint(c, (n,), generator=g)
    return Outputs(torch.randn(n, c, generator=g) * 3, gate, torch.randn(n, k, c, generator=g) * 3, labels)


@given(any_outputs(), st.floats(0, 1))
def test_it_is_equation_3_at_every_threshold(outputs: Outputs, tau: float) -> None:
    scores, used = anytime(outputs, tau)
    found: Answers = answers(outputs)
    assert torch.equal(found.used(tau), used)
    assert torch.equal(found.right_with(used), scores.argmax(1) == outputs.labels)
