"""Inference that skips work says what Equations 2 and 3 say of every expert's word."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from repro.analysis.anytime import alpha, anytime, confidence
from repro.analysis.ensemblers import bagging
from repro.analysis.outputs import Outputs
from repro.errors import SpecError
from repro.families.single_gate.model import SingleGateMoE
from repro.families.single_gate.predict import predict
from repro.models.backbone import Backbone, Head
from repro.models.cost import model_cost
from repro.models.inference import for_inference
from repro.models.registry import freeze
from tests.helpers import mixture

CPU = torch.device("cpu")
CLASSES = 7
pytestmark = pytest.mark.usefixtures("fp32")


def small_moe(num_experts: int, seed: int, spread: float = 3.0) -> SingleGateMoE:
    """Networks of one convolution; ``spread`` says how sure base and gate are of what."""
    torch.manual_seed(seed)
    pooled = (nn.AdaptiveAvgPool2d(2), nn.Flatten())
    base = Backbone("small", nn.Conv2d(3, 4, 3), Head(nn.Sequential(*pooled), nn.Linear(16, CLASSES), 4), 4)
    experts = [
        Head(nn.Sequential(nn.Conv2d(4, 5, 1), nn.ReLU(), *pooled), nn.Linear(20, CLASSES), 4)
        for _ in range(num_experts)
    ]
    moe = SingleGateMoE(base, nn.Linear(16, num_experts), experts)
    with torch.no_grad():
        moe.base.head.fc.weight.mul_(spread * 4)
        moe.gate.weight.mul_(spread * 4)
    return freeze(moe)


def real_moe(num_experts: int) -> SingleGateMoE:
    """Of tr10, whose gate is sure of something."""
    moe = mixture("tr10", 20, num_experts)
    nn.init.normal_(moe.gate.weight, std=4)
    return moe


def dense(moe: SingleGateMoE, images: Tensor) -> Outputs:
    with torch.no_grad():
        return Outputs(**moe(images)._asdict(), labels=torch.zeros(len(images), dtype=torch.int64))


def close(actual: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-5)


@settings(deadline=None, max_examples=40)
@given(
    num_experts=st.integers(1, 9),
    batch=st.sampled_from([1, 2, 5, 33]),
    tau=st.one_of(st.sampled_from([0.0, 1.0]), st.floats(0, 1), st.floats(0, 0.05)),
    seed=st.integers(0, 10**6),
    spread=st.sampled_from([0.0, 1.0, 3.0, 30.0]),
)
def test_it_is_equations_2_and_3(num_experts: int, batch: int, tau: float, seed: int, spread: float) -> None:
    moe, images = small_moe(num_experts, seed, spread), torch.randn(batch, 3, 6, 6)
    scores, used = anytime(dense(moe, images), tau)
    prediction = predict(moe, images, tau)
    close(prediction.scores, scores)
    assert torch.equal(prediction.experts_used, used)
    assert torch.equal(prediction.exits, used == 0)
    alone = torch.cat([predict(moe, image[None], tau).scores for image in images[:3]])
    close(alone, prediction.scores[:3])  # images do not depend on their neighbours


@settings(deadline=None, max_examples=20)
@given(num_experts=st.integers(1, 9), tau=st.one_of(st.none(), st.floats(0, 1)), seed=st.integers(0, 10**6))
def test_top_1_exits_where_the_base_is_sure_and_bags_elsewhere(num_experts: int, tau: float | None, seed: int) -> None:
    moe, images = small_moe(num_experts, seed), torch.randn(12, 3, 6, 6)
    outputs = dense(moe, images)
    exits = torch.zeros(12, dtype=torch.bool) if tau is None else confidence(outputs) >= tau
    prediction = predict(moe, images, tau, rule="top-1")
    assert torch.equal(prediction.exits, exits) and set(prediction.experts_used.tolist()) <= {0, 1}
    close(prediction.scores, torch.where(exits[:, None], outputs.base_logits.softmax(-1), bagging(outputs)))


@pytest.mark.parametrize("bf16", [True, False])
def test_a_real_network_ready_for_inference(bf16: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("repro.training.device.bf16_is_fast", lambda where: bf16)
    ready, images = for_inference(real_moe(3), CPU, bf16), torch.randn(16, 3, 32, 32)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        out = ready(images.contiguous(memory_format=torch.channels_last))
    outputs = Outputs(out.base_logits, out.gate_probs, out.expert_logits, torch.zeros(16, dtype=torch.int64))
    for tau in (0.0, 0.2, 1.0):
        scores, used = anytime(outputs, tau)
        prediction = predict(ready, images, tau)
        assert torch.equal(prediction.experts_used, used)
        torch.testing.assert_close(prediction.scores, scores, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("num_experts", [1, 3])
def test_the_multiply_adds_that_are_counted_are_those_expected(num_experts: int) -> None:
    moe, images = real_moe(num_experts), torch.randn(6, 3, 16, 16)
    cost = model_cost("tr10", "tr10", 20, 16, num_experts, 0.0625)
    middle, counts = float(alpha(dense(moe, images)).median()), []
    for tau in (0.0, middle, 1.0):
        with FlopCounterMode(display=False) as counter:
            used = predict(moe, images, tau).experts_used
        counts.append(counter.get_total_flops() // 2)
        assert counts[-1] == int(cost.anytime_macs(used).sum())
    assert counts[0] > counts[1] > counts[2] == 6 * (cost.base_macs + cost.gate_macs)


@pytest.mark.parametrize(("tau", "rule"), [(-0.1, "anytime"), (1.1, "anytime"), (1.1, "top-1"), (None, "anytime")])
def test_a_threshold_that_makes_no_sense(tau: float | None, rule: str) -> None:
    with pytest.raises(SpecError, match=r"\[0, 1\]"):
        predict(small_moe(2, 0), torch.randn(2, 3, 6, 6), tau, rule)  # type: ignore[arg-type]
