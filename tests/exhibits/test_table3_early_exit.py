"""Early exit at the base's confidence, on three images by hand."""

import pytest
import torch

from repro.analysis.outputs import Outputs
from repro.exhibits.table3_imagenet import at_confidence
from repro.models.cost import ModelCost

COST = ModelCost(
    num_experts=2, trunk_macs=60, head_macs=40, expert_macs=50, gate_macs=2,
    base_params=0, expert_params=0, gate_params=0, fc_params=0,
)  # fmt: skip
BASE = torch.tensor([[0.9, 0.1], [0.6, 0.4], [0.75, 0.25]])
EXPERTS = torch.tensor([[[0.1, 0.9], [0.5, 0.5]], [[0.5, 0.5], [0.1, 0.9]], [[0.2, 0.8], [0.5, 0.5]]])


@pytest.fixture
def outputs() -> Outputs:
    """Base right on image 0 alone; the selected experts right on images 1 and 2, and wrong on image 0."""
    gate = torch.tensor([[0.7, 0.3], [0.2, 0.8], [0.6, 0.4]])
    return Outputs(BASE.double().log(), gate.double(), EXPERTS.double().log(), torch.tensor([0, 1, 1]))


@pytest.mark.parametrize(
    ("tau", "top1", "runs", "macs"),
    [
        (0.0, 100 / 3, 0, 102),  # all exit: base and gate
        (0.7, 200 / 3, 100 / 3, 102 + 50 / 3),
        (0.8, 100, 200 / 3, 102 + 100 / 3),
        (1.0, 200 / 3, 100, 152),  # nobody exits, and image 0 is spoilt by its expert
    ],
)
def test_accuracy_share_and_cost(outputs: Outputs, tau: float, top1: float, runs: float, macs: float) -> None:
    outputs.expert_logits[0, 0] = torch.tensor([0.05, 0.95]).double().log()
    found = at_confidence(outputs, COST, tau)
    assert found == pytest.approx({"top1": top1, "runs_expert": runs, "macs_millions": macs / 1e6})


def test_reaching_the_threshold_is_enough() -> None:
    undecided = Outputs(torch.zeros(1, 2), torch.ones(1, 1), torch.zeros(1, 1, 2), torch.tensor([0]))
    assert at_confidence(undecided, COST, 0.5)["runs_expert"] == 0
