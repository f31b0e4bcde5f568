"""The any-time rule (Section 2.3): one threshold decides early exit and how many experts run.

Pure functions of :class:`Outputs`; nothing here runs a network. Axes: N images, K experts, C classes.
"""

from __future__ import annotations

import torch
from torch import Tensor

from repro.errors import SpecError
from repro.method.outputs import Outputs


def alpha(outputs: Outputs) -> Tensor:
    """α_k(x) = g(k|x) (1 - max_y φ(y|x)), ``[N, K]``: "not exited, and routed to expert k"."""
    confidence = outputs.base_logits.softmax(-1).amax(-1)
    return outputs.gate_probs * (1 - confidence)[:, None]


def selected_experts(outputs: Outputs, tau: float) -> Tensor:
    """1(α_k(x) >= τ), bool ``[N, K]``; a row without any is an early exit (Equation 2)."""
    if not 0 <= tau <= 1:
        raise SpecError(f"the threshold τ must lie in [0, 1], not {tau}")
    return alpha(outputs) >= tau


def anytime(outputs: Outputs, tau: float, ensembled: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Equation 3: scores ``[N, C]`` at threshold τ, and how many experts each image ran, int64 ``[N]``.

    ``ensembled`` ``[N, K, C]`` are the probabilities e'_k(y|x) of base and expert k joined; bagging
    on probabilities if not given. Scores of images that use experts sum to the gate's weight on the
    selected experts, not to 1, as the equation is printed (the argmax does not mind).
    """
    base = outputs.base_logits.softmax(-1)
    if ensembled is None:
        ensembled = (base[:, None] + outputs.expert_logits.softmax(-1)) / 2
    selected = selected_experts(outputs, tau)
    mixture = torch.einsum("nk,nkc->nc", selected * outputs.gate_probs, ensembled)
    exits = ~selected.any(1)
    return torch.where(exits[:, None], base, mixture), selected.sum(1)
