"""The any-time rule (Section 2.3): one threshold decides early exit and how many experts run.

Pure functions of what the base and the gate say, and of :class:`Outputs`; nothing here runs a network
(:mod:`repro.families.single_gate.predict` does, by the same rule). Axes: N images, K experts, C classes.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from repro.analysis.outputs import Outputs
from repro.errors import SpecError


class BaseAndGate(Protocol):
    """What decides: the base's logits ``[N, C]`` and the gate's probabilities ``[N, K]``."""

    @property
    def base_logits(self) -> Tensor: ...

    @property
    def gate_probs(self) -> Tensor: ...


def alpha(outputs: BaseAndGate) -> Tensor:
    """α_k(x) = g(k|x) (1 - max_y φ(y|x)), ``[N, K]``: "not exited, and routed to expert k"."""
    return outputs.gate_probs * (1 - confidence(outputs))[:, None]


def confidence(outputs: BaseAndGate) -> Tensor:
    """max_y φ(y|x), ``[N]``: how sure the base is."""
    return outputs.base_logits.softmax(-1).amax(-1)


def bagged(base_logits: Tensor, expert_logits: Tensor) -> Tensor:
    """The default ensembler e'_k: the mean of the probabilities of two networks, logits ``[..., C]`` of each."""
    return (base_logits.softmax(-1) + expert_logits.softmax(-1)) / 2


def selected_experts(outputs: BaseAndGate, tau: float | None) -> Tensor:
    """1(α_k(x) >= τ), bool ``[N, K]``; a row without any is an early exit (Equation 2)."""
    return alpha(outputs) >= checked_threshold(tau)


def selected_expert(outputs: BaseAndGate, tau: float | None) -> Tensor:
    """The rule of Tables 3 and 4, bool ``[N, K]``: an early exit if max_y φ(y|x) >= τ, else g_test(x) alone.

    τ is on the base's confidence here, so a *lower* one exits more; with None no image exits.
    """
    probs = outputs.gate_probs
    top = torch.zeros_like(probs, dtype=torch.bool).scatter_(1, probs.argmax(1, keepdim=True), True)
    return top if tau is None else top & (confidence(outputs) < checked_threshold(tau))[:, None]


def checked_threshold(tau: float | None) -> float:
    """``tau`` itself; :class:`SpecError` unless it lies in [0, 1]."""
    if tau is None or not 0 <= tau <= 1:
        raise SpecError(f"the threshold τ must lie in [0, 1], not {tau}")
    return tau


def anytime(outputs: Outputs, tau: float) -> tuple[Tensor, Tensor]:
    """Equation 3, with bagging: scores ``[N, C]`` at threshold τ, and how many experts each image ran, int64 ``[N]``.

    Scores of images that use experts sum to the gate's weight on the selected experts, not to 1, as the equation is
    printed (the argmax does not mind).
    """
    base = outputs.base_logits.softmax(-1)
    ensembled = bagged(outputs.base_logits[:, None], outputs.expert_logits)
    selected = selected_experts(outputs, tau)
    mixture = torch.einsum("nk,nkc->nc", selected * outputs.gate_probs, ensembled)
    exits = ~selected.any(1)
    return torch.where(exits[:, None], base, mixture), selected.sum(1)
