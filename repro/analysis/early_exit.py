"""Early exit by the base's own confidence, as in Tables 3 and 4: pure functions of :class:`Outputs` and cost.

This τ is not that of Equation 2: there an image exits when every α_k is *below* τ, here when max φ reaches it, so a
larger τ exits fewer images. Axes: N images, C classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from repro.analysis.anytime import checked_threshold, confidence
from repro.analysis.ensemblers import bagging
from repro.analysis.outputs import Outputs, accuracy, percent
from repro.models.cost import ModelCost


def exits_by_confidence(outputs: Outputs, tau: float) -> Tensor:
    """``max_y φ(y|x) >= τ``, bool ``[N]``: the images that the base alone answers (caption of Table 3)."""
    return confidence(outputs) >= checked_threshold(tau)


def with_early_exit(outputs: Outputs, exits: Tensor) -> Tensor:
    """Probabilities ``[N, C]``: the base's where ``exits`` ``[N]``, else base and selected expert, bagged."""
    return torch.where(exits[:, None], outputs.base_logits.softmax(-1), bagging(outputs))


@dataclass(frozen=True)
class EarlyExit:
    """A model with early exit: top-1 accuracy and the share of images that run the expert, in percent; and the mean
    multiply-adds of an image, over base, gate and what runs of the expert.
    """

    top1: float
    runs_expert: float
    macs: float


def at_confidence(outputs: Outputs, cost: ModelCost, tau: float) -> EarlyExit:
    """What threshold τ on the base's confidence comes to, over all images."""
    exits = exits_by_confidence(outputs, tau)
    used = (~exits).long()
    return EarlyExit(
        top1=accuracy(with_early_exit(outputs, exits), outputs.labels),
        runs_expert=percent(used),
        macs=float(cost.anytime_macs(used).double().mean()),
    )


def share_that_runs(macs: float, base_macs: float, expert_macs: float) -> float:
    """The share of images, in percent, that must run the expert for the mean cost to be ``macs``."""
    return 100 * (macs - base_macs) / expert_macs
