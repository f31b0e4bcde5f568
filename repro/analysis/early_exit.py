"""Early exit by the base's own confidence, as in Tables 3 and 4: pure functions of :class:`Outputs` and cost.

This τ is not that of Equation 2: there an image exits when every α_k is *below* τ, here when max φ reaches it, so a
larger τ exits fewer images. Axes: N images, C classes.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

from repro.analysis.anytime import selected_expert
from repro.analysis.ensemblers import bagging
from repro.analysis.outputs import Outputs, accuracy, percent
from repro.models.cost import ModelCost


class EarlyExit(NamedTuple):
    """A model with early exit: top-1 accuracy and the share of images that run the expert, in percent; and the mean
    multiply-adds of an image, over base, gate and what runs of the expert.
    """

    top1: float
    runs_expert: float
    macs: float


def at_confidence(outputs: Outputs, cost: ModelCost, tau: float) -> EarlyExit:
    """What threshold τ on the base's confidence comes to: an image gets the base alone, or bagged with its expert."""
    runs = selected_expert(outputs, tau).any(1)
    scores = torch.where(runs[:, None], bagging(outputs), outputs.base_logits.softmax(-1))
    macs = cost.anytime_macs(runs.long()).double().mean()
    return EarlyExit(accuracy(scores, outputs.labels), percent(runs), float(macs))
