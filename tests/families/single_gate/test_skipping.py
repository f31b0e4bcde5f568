"""A forward that skips says what the equations say, and costs what they expect."""

import pytest
import torch

from repro.analysis.anytime import anytime
from repro.analysis.outputs import Outputs
from repro.families.single_gate.model import SingleGateMoE
from repro.families.single_gate.skipping import count_anytime
from repro.models.cost import model_cost
from repro.models.registry import build_backbone, build_head, freeze


@pytest.mark.parametrize("num_experts", [1, 3])
def test_expected_and_counted_macs_agree(num_experts: int) -> None:
    torch.manual_seed(0)
    base = build_backbone("tr10", 5, 0.0625)
    gate = torch.nn.Linear(base.head.fc.in_features, num_experts)
    moe = SingleGateMoE(base, gate, [build_head("tr10", 5, 0.0625) for _ in range(num_experts)])
    freeze(moe)
    images = torch.randn(6, 3, 16, 16)
    dense = moe(images)
    gates = dense.gate_probs if num_experts > 1 else torch.ones(6, 1)
    outputs = Outputs(dense.base_logits, gates, dense.expert_logits, torch.zeros(6, dtype=torch.int64))
    cost = model_cost("tr10", "tr10", 5, 16, num_experts, 0.0625)
    middle = float((gates * (1 - dense.base_logits.softmax(-1).amax(-1, keepdim=True))).median())
    counts = []
    for tau in (0.0, middle, 1.0):
        done = count_anytime(moe, images, tau)
        assert done.macs == int(cost.anytime_macs(done.used).sum())
        counts.append(done.macs)
        if tau != middle:  # at the median itself rounding decides
            torch.testing.assert_close(done.scores, anytime(outputs, tau)[0], atol=0.02, rtol=0)
            assert torch.equal(done.used, anytime(outputs, tau)[1])
    assert counts[0] > counts[1] > counts[2] == 6 * (cost.base_macs + cost.gate_macs)
