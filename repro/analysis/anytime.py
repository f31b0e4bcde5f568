"""The any-time rule (Section 2.3): one threshold decides early exit and how many experts run.

Pure functions of what the base and the gate say, and of :class:`Outputs`; nothing here runs a network
(:mod:`repro.families.single_gate.predict` does, by the same rule).

α_k(x) = g(k|x) (1 - max φ) orders the experts of an image as the gate does, so a threshold decides only *how many*
of them run. What each number of experts answers is therefore worked out once (:class:`Answers`), and any threshold is
then a look-up. Axes: N images, K experts, C classes, T thresholds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from repro.analysis.outputs import Outputs, percent
from repro.errors import SpecError

THRESHOLDS = (
    0.0,
    *(round(10 ** (-6 + i / 4), 9) for i in range(17)),
    *(round(0.02 * i, 2) for i in range(1, 51)),
)
"""The thresholds τ that curves are drawn over: none, four a decade from 1e-6 to 0.01, then steps of 0.02 up to 1."""


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


@dataclass(frozen=True)
class Answers:
    """What a model answers, by the number of experts that it is given.

    right  bool ``[N, K + 1]``: is the answer right with the base alone (0), with the m most probable experts (m)
    alpha  ``[N, K]``: α of the experts, largest first (Equation 2)
    """

    right: Tensor
    alpha: Tensor

    def used(self, tau: float) -> Tensor:
        """How many experts each image runs at threshold τ, int64 ``[N]``; 0 is an early exit."""
        return (self.alpha >= tau).sum(1)

    def ways(self) -> list[Tensor]:
        """The experts that each image runs ``[N]``, at each of :data:`THRESHOLDS`, and last one for every image."""
        return [*(self.used(tau) for tau in THRESHOLDS), torch.ones(len(self.right), dtype=torch.int64)]

    def right_with(self, used: Tensor) -> Tensor:
        """Whether each image is answered rightly with ``used`` ``[N]`` experts, bool ``[N]``."""
        return self.right.gather(1, used[:, None])[:, 0]


def answers(outputs: Outputs) -> Answers:
    """:class:`Answers` of a model under Equation 3, with bagging of probabilities as the ensembler."""
    base = outputs.base_logits.softmax(-1)
    order = outputs.top_experts(outputs.num_experts)
    weights = outputs.gate_probs.gather(1, order)
    right = [base.argmax(1) == outputs.labels]
    mixture = torch.zeros_like(base)
    for m in range(outputs.num_experts):
        expert = outputs.chosen_logits(order[:, m : m + 1])[:, 0].softmax(-1)
        mixture += weights[:, m : m + 1] * (base + expert) / 2
        right.append(mixture.argmax(1) == outputs.labels)
    return Answers(torch.stack(right, 1), alpha(outputs).gather(1, order))


@dataclass(frozen=True)
class Sweep:
    """A model at each threshold: accuracy in percent, share of images that exit in percent, and how many experts the
    others use on average (0 where all exit); each a list of T.
    """

    top1: list[float]
    exits: list[float]
    experts_of_others: list[float]


def sweep(answers: Answers, thresholds: Sequence[float] = THRESHOLDS) -> Sweep:
    """Accuracy, exits and experts over the thresholds: nothing is chosen, so all images may be used."""
    result = Sweep([], [], [])
    for tau in thresholds:
        used = answers.used(tau)
        exits = used == 0
        others = int((~exits).sum())
        result.top1.append(percent(answers.right_with(used)))
        result.exits.append(percent(exits))
        result.experts_of_others.append(int(used.sum()) / others if others else 0.0)
    return result
