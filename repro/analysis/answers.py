"""Right or wrong after 0, 1, ... K experts: all that accuracy against MACs depends on under the any-time rule.

α_k(x) = g(k|x) (1 - max φ) orders the experts of an image as the gate does, so a threshold decides only *how many*
of them run. What each number of experts answers is therefore worked out once, and any threshold is then a look-up.
Axes: N images, K experts, C classes, T thresholds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from repro.analysis.anytime import alpha
from repro.analysis.outputs import Outputs, percent

THRESHOLDS = (
    0.0,
    *(round(10 ** (-6 + i / 4), 9) for i in range(17)),
    *(round(0.02 * i, 2) for i in range(1, 51)),
)
"""The thresholds τ that curves are drawn over: none, four a decade from 1e-6 to 0.01, then steps of 0.02 up to 1."""


@dataclass(frozen=True)
class Answers:
    """What a model answers, by the number of experts that it is given.

    right  bool ``[N, K + 1]``: is the answer right with the base alone (0), with the m most probable experts (m)
    alpha  ``[N, K]``: α of the experts, largest first (Equation 2)
    """

    right: Tensor
    alpha: Tensor

    @property
    def num_experts(self) -> int:
        """K."""
        return self.alpha.shape[1]

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
