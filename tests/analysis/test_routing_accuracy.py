"""The oracle gate and what else Table 5 asks of a per-class routing, on three images worked by hand."""

import pytest
import torch

from repro.analysis.ensemblers import no_ensembling
from repro.analysis.outputs import Outputs, accuracy
from repro.analysis.routing_accuracy import base_with_oracle, rightly_routed, routed_by_base, with_oracle_gate

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
    oracle = with_oracle_gate(outputs, EXPERT_OF)
    assert oracle.gate_probs.tolist() == [[1, 0], [1, 0], [0, 1]]
    assert accuracy(no_ensembling(outputs), outputs.labels) == pytest.approx(100 / 3)
    assert accuracy(no_ensembling(oracle), outputs.labels) == 100
    assert outputs.gate_probs[0, 0] == pytest.approx(0.9), "the outputs themselves stay as they are"


def test_rightly_routed(outputs: Outputs) -> None:
    assert rightly_routed(outputs, EXPERT_OF).tolist() == [True, False, False]
    assert rightly_routed(with_oracle_gate(outputs, EXPERT_OF), EXPERT_OF).all()


def test_the_base_routes_by_the_sum_over_each_group(outputs: Outputs) -> None:
    """Image 1: class 2 is its likeliest (0.4), but classes 0 and 1 together have 0.6."""
    assert routed_by_base(outputs, EXPERT_OF).tolist() == [0, 0, 0]


def test_the_base_told_the_group_chooses_within_it(outputs: Outputs) -> None:
    told = base_with_oracle(outputs, EXPERT_OF)
    expected = [[0.625, 0.375, 0.0], [0.25 / 0.6, 0.35 / 0.6, 0.0], [0.0, 0.0, 1.0]]
    torch.testing.assert_close(told, torch.tensor(expected))
    assert accuracy(told, outputs.labels) == 100
