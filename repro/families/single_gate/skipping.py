"""What a skipping forward really computes, counted: the cost that analyses expect, checked.

Analyses use the dense form (every expert on every image, what counts is decided afterwards).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from repro.families.single_gate.model import SingleGateMoE
from repro.families.single_gate.predict import predict


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
    with FlopCounterMode(display=False) as counter:
        prediction = predict(moe, images, tau)
    return Counted(prediction.scores, prediction.experts_used, counter.get_total_flops() // 2)
