"""The any-time rule as it would be deployed: an expert runs on the images that call for it, and on no other.

Analyses use the dense form (every expert on every image, what counts is decided afterwards). This one is here to show
that the cost which those analyses expect is what a skipping forward really computes.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from repro.method.anytime import selected_experts
from repro.method.device import autocast
from repro.method.outputs import Outputs
from repro.models.backbone import in_float32
from repro.models.moe import SingleGateMoE


class Counted(NamedTuple):
    """Scores ``[B, C]`` of Equation 3, experts used ``[B]``, and the multiply-adds counted over the whole batch."""

    scores: Tensor
    used: Tensor
    macs: int


@torch.no_grad()
def count_anytime(moe: SingleGateMoE, images: Tensor, tau: float) -> Counted:
    """Run the any-time model (Equation 3, bagging) on images ``[B, 3, H, W]``, skipping; torch's counter counts.

    The model is frozen and on the images' device. With one expert there is no gate to run.
    """
    with FlopCounterMode(display=False) as counter, autocast(images.device):
        scores, used = _forward(moe, images, tau)
    return Counted(scores, used, counter.get_total_flops() // 2)


def _forward(moe: SingleGateMoE, images: Tensor, tau: float) -> tuple[Tensor, Tensor]:
    features = moe.base.trunk(images)
    embedding = moe.base.head.embed(features)
    base_logits = in_float32(moe.base.head.fc, embedding)
    base = base_logits.softmax(-1)
    gate = in_float32(moe.gate, embedding).softmax(-1) if moe.num_experts > 1 else base.new_ones(len(images), 1)
    nothing = base.new_empty(len(images), 0, 0)
    selected = selected_experts(Outputs(base_logits, gate, nothing, base.argmax(1)), tau)
    mixture = torch.zeros_like(base)
    for k, expert in enumerate(moe.experts):
        rows = selected[:, k].nonzero()[:, 0]
        if len(rows):
            joined = (base[rows] + expert(features[rows]).float().softmax(-1)) / 2
            mixture.index_add_(0, rows, gate[rows, k, None] * joined)
    return torch.where(selected.any(1)[:, None], mixture, base), selected.sum(1)
