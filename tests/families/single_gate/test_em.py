"""The E-step by hand."""

import math

import pytest
import torch

from repro.families.single_gate.em import mean_entropy, moved, posterior, training_macs
from repro.models.cost import ModelCost


def test_the_posterior_by_hand() -> None:
    """g = (0.8, 0.2), e = (0.1, 0.6): 0.08 against 0.12."""
    found = posterior(torch.tensor([[0.8, 0.2]]), -torch.tensor([[0.1, 0.6]]).log())
    torch.testing.assert_close(found, torch.tensor([[0.4, 0.6]]))


def test_equal_experts_leave_the_gate_and_an_even_gate_leaves_the_experts() -> None:
    gate = torch.tensor([[0.7, 0.2, 0.1]])
    torch.testing.assert_close(posterior(gate, torch.full((1, 3), 1.3)), gate)
    likelihood = torch.tensor([[0.5, 0.3, 0.2]])
    torch.testing.assert_close(posterior(torch.full((1, 3), 1 / 3), -likelihood.log()), likelihood)


@pytest.mark.parametrize("loss", [0.0, 1e-8, 200.0, 2000.0])
def test_rows_sum_to_one_however_large_or_small(loss: float) -> None:
    found = posterior(torch.tensor([[1.0, 0.0], [1e-20, 1.0]]), torch.tensor([[loss, 0.0], [0.0, loss]]))
    assert torch.isfinite(found).all()
    torch.testing.assert_close(found.sum(1), torch.ones(2))


def test_images_that_moved_and_entropy() -> None:
    before, after = torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([[0.5, 0.5], [0.9, 0.1]])
    assert moved(before, after) == 0.5 and moved(after, after) == 0
    assert mean_entropy(before) == 0
    expected = (math.log(2) - 0.9 * math.log(0.9) - 0.1 * math.log(0.1)) / 2
    assert mean_entropy(after) == pytest.approx(expected)


def test_what_training_takes_by_hand() -> None:
    """Trunk 10, head 5, expert 20: a visit is 10 + 3 * 20 = 70; an E-step with 2 experts 15 + 2 * 20 = 55 an image."""
    cost = ModelCost(2, 10, 5, 20, 1, 0, 0, 0, 0)
    assert training_macs(cost, 100, 3, [1.5]) == 100 * (15 + 3 * 1.5 * 70)
    assert training_macs(cost, 100, 3, [1.5, 2.0]) == 100 * (15 + 55 + 3 * 3.5 * 70)
