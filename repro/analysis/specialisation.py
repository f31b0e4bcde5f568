"""Which expert has the least loss on which images (end of Section 4, Appendix 3), and how that splits the classes.

Axes: N images, K experts, C classes.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from repro.analysis.outputs import Outputs

SPLIT = 0.2
"""A class counts as split if two experts or more have at least this share of its images each."""


def least_loss_experts(losses: Tensor) -> Tensor:
    """The expert with the least cross-entropy on each image, ``[N]``, of losses ``[N, K]``."""
    return losses.argmin(1)


def expert_losses(outputs: Outputs) -> Tensor:
    """Cross-entropy in nats of every expert on every image of the outputs, ``[N, K]``."""
    labels = outputs.labels[:, None].expand(-1, outputs.num_experts)
    return F.cross_entropy(outputs.expert_logits.movedim(2, 1), labels, reduction="none")


def class_counts(experts: Tensor, labels: Tensor, num_classes: int, num_experts: int) -> Tensor:
    """How many images of each class have which expert, int64 ``[C, K]``; ``experts``, ``labels`` ``[N]``."""
    return torch.bincount(labels * num_experts + experts, minlength=num_classes * num_experts).view(num_classes, -1)


def shares_of_classes(counts: Tensor) -> Tensor:
    """Shares along the last axis of counts ``[..., K]``; those of nothing are 0."""
    return counts.double() / counts.sum(-1, keepdim=True).clamp(min=1e-12)


def effective_number(counts: Tensor) -> Tensor:
    """exp of the entropy of the shares along the last axis: K if all are equal, 1 if one has everything."""
    return torch.special.entr(shares_of_classes(counts)).sum(-1).exp()


def split_classes(counts: Tensor) -> Tensor:
    """Whether each class of counts ``[C, K]`` is split (see :data:`SPLIT`), bool ``[C]``."""
    return (shares_of_classes(counts) >= SPLIT).sum(1) >= 2


def main_expert(counts: Tensor) -> Tensor:
    """The expert that has most images of each class, ``[C]``: a partition of the classes."""
    return counts.argmax(1)


def together(counts: Tensor) -> Tensor:
    """How probably an image of one class and one of another have the same expert, ``[C, C]``, of counts ``[C, K]``."""
    shares = shares_of_classes(counts)
    return shares @ shares.T


def likeness(first: Tensor, second: Tensor) -> float:
    """Correlation over all pairs of different classes of two :func:`together` ``[C, C]``: is the pattern the same?

    It needs no matching of experts, so the two may have different numbers of them. 0 if either has no pattern.
    """
    rows, columns = torch.triu_indices(len(first), len(first), 1)
    pairs = torch.stack([first[rows, columns], second[rows, columns]])
    pairs = pairs - pairs.mean(1, keepdim=True)
    norms = pairs.norm(dim=1)
    return float(pairs[0] @ pairs[1] / norms.prod()) if norms.min() > 1e-12 else 0.0


def chance_of_agreement(first: Tensor, second: Tensor, num_experts: int) -> float:
    """How often two choices ``[N]`` of an expert would be the same if they were unrelated, in [0, 1]."""
    shares = [torch.bincount(choice, minlength=num_experts).double() / len(choice) for choice in (first, second)]
    return float((shares[0] * shares[1]).sum())


def in_order(counts: Tensor) -> tuple[Tensor, Tensor]:
    """Order of classes ``[C]`` and experts ``[K]`` in which the structure of counts ``[C, K]`` shows.

    Experts by how many images they have, most first; classes by their main expert, and by its share within.
    """
    experts = counts.sum(0).argsort(descending=True, stable=True)
    shares = shares_of_classes(counts[:, experts])
    key = shares.argmax(1) * 2.0 - shares.amax(1)
    return key.argsort(stable=True), experts
