"""The EM variant (Section 2.2): after training, ask which expert explains an image best, and train again.

The likelihood is Equation 1's, Σ_k g(k|x) e_k(y|x), with the expert's index as the hidden variable.
Axes: N training images, K experts.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from repro.models.cost import ModelCost


def posterior(gate_probs: Tensor, expert_losses: Tensor) -> Tensor:
    """E-step: ``p(k | x, y) = g(k|x) e_k(y|x) / Σ_j g(j|x) e_j(y|x)``, ``[N, K]``; rows sum to 1.

    expert_losses  ``-log e_k(y|x)`` of every image and expert, ``[N, K]``

    The M-step trains the gate on it as Algorithm 1's step 3 trains it on g0, and every expert on its share.
    """
    return torch.softmax(gate_probs.double().clamp_min(1e-30).log() - expert_losses.double(), dim=1).float()


def moved(before: Tensor, after: Tensor) -> float:
    """The share of images whose most probable expert an E-step changes, of assignments ``[N, K]``; in [0, 1]."""
    return float((before.argmax(1) != after.argmax(1)).double().mean())


def mean_entropy(assignment: Tensor) -> float:
    """Mean entropy in nats of an assignment ``[N, K]``: 0 where every image has one expert, log K where none has."""
    return float(torch.special.entr(assignment.double()).sum(1).mean())


def training_macs(cost: ModelCost, num_images: int, epochs: int, visits: Sequence[float]) -> float:
    """Multiply-adds of training gate and experts, the base being there already.

    epochs  of every expert in each round
    visits  of each round: how often an image is visited in an epoch by all experts together, ``Σ_k Γ(g0(k|x))``

    A visit runs the trunk forward and the expert forward and backward (three times its forward). The first round
    embeds every image once; each further one runs the base and all experts once on every image, for the E-step.
    The linear gate on kept embeddings is left out: it is less than a thousandth.
    """
    visit = cost.trunk_macs + 3 * cost.expert_macs
    e_step = cost.base_macs + cost.num_experts * cost.expert_macs
    return num_images * (cost.base_macs + (len(visits) - 1) * e_step + epochs * sum(visits) * visit)
