"""Ensemblers without parameters, which join the base's answer and the experts' (Section 2.2, Table 6).

Pure functions of :class:`~repro.analysis.outputs.Outputs`. Axes: N images, K experts, C classes.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from repro.analysis.anytime import bagged
from repro.analysis.outputs import Outputs
from repro.errors import SpecError


def no_ensembling(outputs: Outputs) -> Tensor:
    """The selected expert alone: probabilities ``[N, C]`` ("no ensembling" of Table 6)."""
    return outputs.chosen_logits(outputs.top_experts(1))[:, 0].softmax(-1)


def top_k_experts(outputs: Outputs, k: int = 2) -> Tensor:
    """The k most probable experts, weighted by the gate (renormalised over them), without the base: ``[N, C]``."""
    if not 1 <= k <= outputs.num_experts:
        raise SpecError(f"top-{k} needs between 1 and {outputs.num_experts} experts")
    experts = outputs.top_experts(k)
    weights = outputs.gate_probs.gather(1, experts)
    weights = weights / weights.sum(1, keepdim=True)
    return (weights[..., None] * outputs.chosen_logits(experts).softmax(-1)).sum(1)


def bagging(outputs: Outputs) -> Tensor:
    """Average of the base's and the selected expert's probabilities, ``[N, C]``: the paper's default."""
    return bagged(outputs.base_logits, outputs.chosen_logits(outputs.top_experts(1))[:, 0])


def bagging_logits(outputs: Outputs) -> Tensor:
    """The same average taken over logits instead (the poster's ``φ + e_k`` does not say which), ``[N, C]``."""
    expert = outputs.chosen_logits(outputs.top_experts(1))[:, 0]
    return ((outputs.base_logits + expert) / 2).softmax(-1)


ENSEMBLERS: dict[str, Callable[[Outputs], Tensor]] = {
    "expert": no_ensembling,
    "top-2": top_k_experts,
    "bagging": bagging,
    "bagging-logits": bagging_logits,
}
