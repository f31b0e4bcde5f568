"""Rules for exiting early, compared: who should be content with the base's answer, and who should run the expert?

A rule is a score of each image: the higher, the sooner it exits. The model is the same for all of them, base and one
selected expert, bagged; a curve goes from no exits (the full mixture) to all (the base alone).
Axes: N images, K experts, C classes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits
from torch import Tensor

from repro.analysis.anytime import alpha, confidence
from repro.analysis.ensemblers import bagging
from repro.analysis.outputs import Outputs, percent
from repro.randomness import derive

TOP = 5
"""Entries of the base's sorted probabilities that a learned rule sees."""


@dataclass(frozen=True)
class Stakes:
    """Is the base right, and is the full mixture (base and selected expert, bagged) right; bool ``[N]`` each."""

    base: Tensor
    full: Tensor

    @property
    def gain(self) -> Tensor:
        """What the expert is worth to an image: 1 it saves the answer, -1 it spoils it, 0 it makes no difference."""
        return self.full.to(torch.int64) - self.base.to(torch.int64)


def stakes(outputs: Outputs) -> Stakes:
    """:class:`Stakes` of every image."""
    base = outputs.base_logits.argmax(1) == outputs.labels
    return Stakes(base, bagging(outputs).argmax(1) == outputs.labels)


def paper_rule(outputs: Outputs) -> Tensor:
    """Equation 2: exit where the largest α_k(x) = g(k|x) (1 - max φ) is small."""
    return -alpha(outputs).amax(1)


def entropy(outputs: Outputs) -> Tensor:
    """Exit where the entropy of φ is small."""
    log_probs = outputs.base_logits.log_softmax(-1)
    return (log_probs.exp() * log_probs).sum(1)


def margin(outputs: Outputs) -> Tensor:
    """Exit where the base's first class is far ahead of its second."""
    best = outputs.base_logits.softmax(-1).topk(2, dim=1).values
    return best[:, 0] - best[:, 1]


def gate_confidence(outputs: Outputs) -> Tensor:
    """Exit where the gate is undecided: Equation 2 without the base's part."""
    return -outputs.gate_probs.amax(1)


RULES: dict[str, Callable[[Outputs], Tensor]] = {
    "paper": paper_rule,
    "confidence": confidence,  # Table 3's rule
    "entropy": entropy,
    "margin": margin,
    "gate": gate_confidence,
}
"""Rules that need no fitting; scores ``[N]``, the higher the sooner an image exits."""


def features(outputs: Outputs) -> np.ndarray:
    """What a learned rule sees, ``[N, F]``: the base's top probabilities (sorted), its entropy, the gate's top two and
    entropy, and the largest α.
    """
    base = outputs.base_logits.softmax(-1).topk(min(TOP, outputs.base_logits.shape[1]), dim=1).values
    gate = outputs.gate_probs
    top = gate.topk(min(2, gate.shape[1]), dim=1).values
    gate_entropy = -torch.special.xlogy(gate, gate).sum(1, keepdim=True)
    columns = [base, -entropy(outputs)[:, None], top, gate_entropy, -paper_rule(outputs)[:, None]]
    return torch.cat(columns, 1).double().numpy()


LEARNED: dict[str, Callable[[int], object]] = {
    "logistic": lambda seed: make_pipeline(StandardScaler(), LogisticRegression(C=1.0, max_iter=1000)),
    "boosting": lambda seed: HistGradientBoostingClassifier(
        max_depth=3, max_iter=60, learning_rate=0.1, random_state=derive(seed, "exit rule") % 2**32
    ),
}
"""Learned rules: a linear one and a small ensemble of trees, with fixed settings (nothing is tuned)."""


def learned_rule(name: str, outputs: Outputs, at_stake: Stakes, halves: Sequence[Tensor], seed: int) -> Tensor:
    """Scores ``[N]`` of a classifier of "the full mixture is right and the base is wrong", cross-fitted: each half
    of the images is scored by the one that was fitted on the other. A half on which nothing is at stake teaches
    nothing: its scores are 0.
    """
    seen, target = features(outputs), (at_stake.gain > 0).numpy()
    scores = torch.zeros(len(target), dtype=torch.float64)
    for mine, other in ((0, 1), (1, 0)):
        fitted_on, used_on = halves[other].numpy(), halves[mine].numpy()
        if target[fitted_on].any() and not target[fitted_on].all():
            with threadpool_limits(1):
                model = LEARNED[name](seed)
                model.fit(seen[fitted_on], target[fitted_on])  # type: ignore[attr-defined]
                probabilities = model.predict_proba(seen[used_on])[:, 1]  # type: ignore[attr-defined]
            scores[halves[mine]] = -torch.from_numpy(probabilities)
    return scores


def accuracies(score: Tensor, at_stake: Stakes, halves: Sequence[Tensor], shares: Sequence[float]) -> list[float]:
    """Accuracy in percent when each of these shares of the images exits, those with the highest score first.

    Ranked within each half, because a learned rule's two halves have scales of their own; no label takes part. Images
    with equal scores exit together or not at all in truth, here in the order of a fixed shuffle.
    """
    right = torch.zeros(len(shares), dtype=torch.float64)
    for half in halves:
        order = half[score[half].argsort(descending=True, stable=True)]
        lost = torch.cat([torch.zeros(1, dtype=torch.int64), at_stake.gain[order].cumsum(0)])
        exits = [round(share * len(half)) for share in shares]
        right += int(at_stake.full[half].sum()) - lost[exits].double()
    return [float(value) for value in 100 * right / sum(len(half) for half in halves)]


def oracle(at_stake: Stakes) -> Tensor:
    """The ceiling: first those whom the expert would spoil, then those to whom it makes no difference."""
    return -at_stake.gain.double()


def chance(at_stake: Stakes, shares: Sequence[float]) -> list[float]:
    """The floor: accuracy in percent when images exit at random, exactly the line between both ends."""
    base, full = (percent(right) for right in (at_stake.base, at_stake.full))
    return [full + share * (base - full) for share in shares]


def area(shares: Sequence[float], values: Sequence[float]) -> float:
    """Mean of a curve over shares in ascending order, by the trapezoidal rule."""
    return float(np.trapezoid(values, shares)) / (shares[-1] - shares[0])
