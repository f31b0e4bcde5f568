"""Any-time inference that skips what it says it skips (Section 2.3).

Trunk, base head and gate run on the whole batch. Images whose threshold is met leave; the others go,
grouped by expert, through the experts that the rule selects and no others. The result is that of
:func:`repro.analysis.anytime.anytime`, which computes it from every expert's logits on every image.

Axes: B images of a batch, K experts, P selected pairs of an image and an expert, C classes.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from repro.analysis.anytime import bagged, selected_expert, selected_experts
from repro.families.single_gate.model import Mixture
from repro.training.device import autocast

Rule = Literal["anytime", "top-1"]


class Prediction(NamedTuple):
    """What the model says of a batch, in the order of its images, and what ran.

    scores        float32 ``[B, C]``; the argmax is the predicted class
    experts_used  int64 ``[B]``: how many experts each image ran; 0 is an early exit
    """

    scores: Tensor
    experts_used: Tensor

    @property
    def exits(self) -> Tensor:
        """Bool ``[B]``: the images that the base alone answers."""
        return self.experts_used == 0


@torch.no_grad()
def predict(moe: Mixture, images: Tensor, tau: float | None, rule: Rule = "anytime") -> Prediction:
    """Predict normalised ``images`` ``[B, 3, H, W]`` at threshold ``tau``, running only what the rule asks for.

    rule  ``anytime``: Equations 2 and 3; several experts an image, weighed by the gate; ``tau`` in [0, 1]
          ``top-1``: an early exit if the base's confidence is at least ``tau``, else the most probable
          expert alone (Tables 3 and 4); with None no image exits

    The model should be frozen; :func:`repro.models.inference.for_inference` makes it fast as well. The
    host waits for the device once, for the sizes of the experts' batches. Raises :class:`SpecError` for
    a threshold that makes no sense.
    """
    with autocast(images.device):
        features = moe.trunk(images.contiguous(memory_format=torch.channels_last))
        out = moe.base_and_gate(features)
        selected = selected_expert(out, tau) if rule == "top-1" else selected_experts(out, tau)
        used, base = selected.sum(1), out.base_logits.softmax(-1)
        # The selected pairs (expert, image) in order of expert: each expert's images are one slice and one call.
        pairs = torch.nonzero_static(selected.t(), size=selected.numel())  # of a fixed size: nothing is waited for yet
        counts = selected.sum(0).tolist()
        if not any(counts):
            return Prediction(base, used)
        of_P = pairs[: sum(counts), 1]
        batches = zip(moe.experts, features[of_P].split(counts), strict=True)
        expert_logits_PC = torch.cat([expert(own) for expert, own in batches if len(own)])
    weights = out.gate_probs if rule == "anytime" else torch.ones_like(out.gate_probs)
    joined_PC = bagged(out.base_logits[of_P], expert_logits_PC)
    mixture = joined_PC.new_zeros(base.shape)
    # An expert sees an image once, so sums have one order and the result is the same every time, on a GPU too.
    for rows, scores, weight_B in zip(of_P.split(counts), joined_PC.split(counts), weights.unbind(1), strict=True):
        mixture.index_add_(0, rows, weight_B[rows, None] * scores)
    return Prediction(torch.where((used == 0)[:, None], base, mixture), used)
