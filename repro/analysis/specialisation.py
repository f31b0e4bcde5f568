"""Which images each expert has, and how that splits the classes (Section 4, Figure 3; Appendix 3).

Whose images: by the initial gate, or by the least loss. How well two ways to group the same things agree is their
adjusted mutual information, beside what chance gives: 0 is what two unrelated groupings score in expectation, 1 is the
same grouping; numbering does not matter.
Axes: N images (or classes), C classes, K experts, P numbers that describe an image.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from repro.analysis.outputs import Outputs
from repro.data.dataset import ImageDataset
from repro.randomness import generator

PERMUTATIONS = 39
"""A grouping that has nothing to do with the other beats the best of 39 permuted ones once in 40 times (2.5 %)."""


def class_counts(g0: Tensor, labels: Tensor, num_classes: int) -> Tensor:
    """Images of each class in each expert, ``[C, K]``, from the initial gate ``[N, K]`` (soft: in parts)."""
    return torch.zeros(num_classes, g0.shape[1], dtype=torch.float64).index_add(0, labels, g0.double())


def expert_losses(outputs: Outputs) -> Tensor:
    """Cross-entropy in nats of every expert on every image of the outputs, ``[N, K]``."""
    labels = outputs.labels[:, None].expand(-1, outputs.num_experts)
    return F.cross_entropy(outputs.expert_logits.movedim(2, 1), labels, reduction="none")


def shares_of_classes(counts: Tensor) -> Tensor:
    """Shares along the last axis of counts ``[..., K]``; those of nothing are 0."""
    return counts.double() / counts.sum(-1, keepdim=True).clamp(min=1e-12)


def effective_number(counts: Tensor) -> Tensor:
    """exp of the entropy of the shares along the last axis: K if all are equal, 1 if one has everything."""
    return torch.special.entr(shares_of_classes(counts)).sum(-1).exp()


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


def companions(counts: Tensor, label: int, expert: int, number: int) -> list[int]:
    """The classes with most images in an expert (counts ``[C, K]``), without ``label`` and classes it has none of."""
    there = counts[:, expert].clone()
    there[label] = 0
    order = there.argsort(descending=True, stable=True)[:number].tolist()
    return [c for c in order if there[c] > 0]


def explained(features: np.ndarray, group: np.ndarray) -> float:
    """Percent of the variance of features ``[N, P]`` that lies between groups ``[N]`` (η² of a one-way analysis)."""
    values = features.astype(np.float64) - features.mean(0, dtype=np.float64)
    total = float((values**2).sum())
    between = sum(len(own) * float((own.mean(0) ** 2).sum()) for own in (values[group == g] for g in np.unique(group)))
    return 100 * between / total if total > 0 else 0.0


def explained_by_chance(group: np.ndarray) -> float:
    """What :func:`explained` gives on average over all ways to deal the images to groups of the same sizes."""
    count, groups = len(group), len(np.unique(group))
    return 100 * (groups - 1) / (count - 1) if count > 1 else 0.0


def agreement_within_class(one: np.ndarray, other: np.ndarray, labels: np.ndarray, label: int) -> float | None:
    """Adjusted mutual information, in percent, of two ways to split the images of a class (0: chance, 100: the same).

    ``None`` where neither splits it: then there is nothing to agree on.
    """
    a, b = one[labels == label], other[labels == label]
    if len(np.unique(a)) < 2 and len(np.unique(b)) < 2:
        return None
    return 100 * agreement(torch.from_numpy(a), torch.from_numpy(b))


def agreement_within_classes(one: np.ndarray, other: np.ndarray, labels: np.ndarray) -> float | None:
    """The mean of :func:`agreement_within_class` over the classes that are split; ``None`` if none is."""
    agreements = (agreement_within_class(one, other, labels, int(label)) for label in np.unique(labels))
    split = [value for value in agreements if value is not None]
    return math.fsum(split) / len(split) if split else None


def confused_classes_share_the_expert(outputs: Outputs, shares: Tensor) -> tuple[float, float] | None:
    """Of the classes that images are taken for by mistake, the percentage that is in the image's own expert; by chance.

    For each evaluation image that the base gets wrong: the share (of training images, ``shares`` ``[C, K]``) of the
    wrongly predicted class that the image's selected expert has. By chance: the same with the expert of a random
    image of the same true class, so that a whole class's neighbourhood counts for nothing. ``None`` without mistakes.
    """
    predicted, expert = outputs.base_logits.argmax(1), outputs.top_experts()[:, 0]
    wrong = predicted != outputs.labels
    if not bool(wrong.any()):
        return None
    counts = class_counts(torch.eye(outputs.num_experts)[expert], outputs.labels, len(shares))
    own = shares[predicted[wrong], expert[wrong]]
    chance = (shares[predicted[wrong]] * shares_of_classes(counts)[outputs.labels[wrong]]).sum(1)
    return 100 * float(own.mean()), 100 * float(chance.mean())


def pixels_explained(images: ImageDataset, group: np.ndarray) -> tuple[dict[int, float | None], dict[int, float]]:
    """Percent of each class's pixel variance that its split explains (None: not split), and by chance.

    Pixels, since the embeddings are what the split was made in: there it could not fail.
    """
    between: dict[int, float | None] = {}
    chance: dict[int, float] = {}
    for label in range(images.num_classes):
        members = np.flatnonzero(images.labels == label)
        own = group[members]
        is_split = len(np.unique(own)) > 1
        between[label] = explained(images.images[members].reshape(len(members), -1), own) if is_split else None
        chance[label] = explained_by_chance(own) if is_split else 0.0
    return between, chance


def agreement(first: Tensor, second: Tensor) -> float:
    """Adjusted mutual information of two groupings ``[N]`` (group indices); 0 where either has a single group."""
    if (first == first[0]).all() or (second == second[0]).all():
        return 0.0  # what the formula gives as well, without its work
    from sklearn.metrics import adjusted_mutual_info_score  # seconds, for whoever compares something

    return float(adjusted_mutual_info_score(first.numpy(), second.numpy()))


def agreement_within(first: Tensor, second: Tensor, parts: Tensor) -> float:
    """The same within each part of the things (``parts`` ``[N]``: their class), averaged by the parts' sizes.

    A part in which ``second`` has a single group has nothing to be found and is left out; 0 if all are.
    """
    total, weight = 0.0, 0
    for part in parts.unique():
        rows = parts == part
        if len(second[rows].unique()) > 1:
            size = int(rows.sum())
            total, weight = total + size * agreement(first[rows], second[rows]), weight + size
    return total / weight if weight else 0.0


def chance(score: Callable[[Tensor], float], grouping: Tensor, seed: int, parts: Tensor | None = None) -> float:
    """The largest ``score`` of ``grouping`` ``[N]`` with its entries permuted, within each of ``parts`` if given.

    The permutations, of which there are :data:`PERMUTATIONS`, are a pure function of the seed.
    """
    return max(score(grouping[_permutation(len(grouping), seed, i, parts)]) for i in range(PERMUTATIONS))


def _permutation(count: int, seed: int, number: int, parts: Tensor | None) -> Tensor:
    order = torch.randperm(count, generator=generator(seed, "permutation", number))
    if parts is None:
        return order
    places = parts.argsort(stable=True)  # the things, part by part ...
    shuffled = order[parts[order].argsort(stable=True)]  # ... and shuffled, part by part
    permutation = torch.empty_like(order)
    permutation[places] = shuffled
    return permutation
