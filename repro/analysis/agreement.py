"""How well two ways to group the same things agree, beside what chance gives: adjusted mutual information.

0 is what two unrelated groupings score in expectation, 1 is the same grouping; numbering does not matter.
Axes: N images (or classes) that both groupings group.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from repro.randomness import generator

PERMUTATIONS = 39
"""A grouping that has nothing to do with the other beats the best of 39 permuted ones once in 40 times (2.5 %)."""


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
