"""Choices made on one half of the images and reported on the other (Figure 2, early exits).

The paper draws the envelope of its any-time curves and does not say on which images the best threshold was chosen.
Chosen on the images that it is reported on, an envelope is optimistic: it picks what happened to do well. Here every
choice is made on one half and its accuracy taken from the other, then the halves swap; every image is reported once.
Axes: N images, T operating points (a model at a threshold).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from repro.analysis.anytime import Answers
from repro.analysis.outputs import percent
from repro.models.cost import ModelCost
from repro.randomness import generator

F64 = torch.float64
Choice = Callable[[Tensor, Tensor], int | None]
"""From accuracies ``[T]`` and mean MACs ``[T]`` on the fitting half to the point that is chosen, if any will do."""


def halves(num_images: int, seed: int) -> tuple[Tensor, Tensor]:
    """Indices of two disjoint halves of the images, a pure function of number and seed."""
    order = torch.randperm(num_images, generator=generator(seed, "halves", num_images))
    return order[: num_images // 2], order[num_images // 2 :]


@dataclass(frozen=True)
class Points:
    """Operating points on both halves, of these ``sizes``: accuracy in percent and mean MACs, each ``[2, T]``."""

    top1: Tensor
    macs: Tensor
    sizes: tuple[int, int]

    @classmethod
    def of(cls, answers: Answers, cost: ModelCost, parts: tuple[Tensor, Tensor]) -> Points:
        """Points from each of a model's :meth:`~repro.analysis.anytime.Answers.ways`, and the indices of the halves."""
        ways = [(answers.right_with(used), cost.anytime_macs(used).double()) for used in answers.ways()]
        top1 = [[percent(right[part]) for right, _ in ways] for part in parts]
        macs = [[float(macs[part].mean()) for _, macs in ways] for part in parts]
        return cls(torch.tensor(top1, dtype=F64), torch.tensor(macs, dtype=F64), (len(parts[0]), len(parts[1])))

    @classmethod
    def joined(cls, several: Sequence[Points]) -> Points:
        """The points of several models, one after the other; all on the same halves."""
        return cls(
            torch.cat([points.top1 for points in several], 1),
            torch.cat([points.macs for points in several], 1),
            several[0].sizes,
        )

    def whole(self, values: Tensor) -> Tensor:
        """Values ``[2, T]`` of the halves as values ``[T]`` of all images."""
        weights = torch.tensor(self.sizes, dtype=F64) / sum(self.sizes)
        return weights @ values


class Held(NamedTuple):
    """What choices came to on images that had no part in them; ``chosen`` on the first half, and on the second."""

    top1: float
    macs: float
    chosen: tuple[int, int]


def held_out(points: Points, choose: Choice) -> Held | None:
    """Choose on each half, report on the other; ``None`` if on either half nothing will do."""
    first = choose(points.top1[0], points.macs[0])
    second = choose(points.top1[1], points.macs[1])
    if first is None or second is None:
        return None
    swapped = torch.tensor([second, first])[:, None]  # reported on half 0: chosen on half 1
    top1, macs = (values.gather(1, swapped)[:, 0] for values in (points.top1, points.macs))
    return Held(float(points.whole(top1)), float(points.whole(macs)), (first, second))


def chosen_on_test(points: Points, choose: Choice) -> Held | None:
    """The optimistic way: chosen and reported on the same images, all of them."""
    top1, macs = points.whole(points.top1), points.whole(points.macs)
    best = choose(top1, macs)
    return None if best is None else Held(float(top1[best]), float(macs[best]), (best, best))


def within(budget: float) -> Choice:
    """The most accurate point that costs at most ``budget`` MACs an image; of equals, the cheapest."""

    def choose(top1: Tensor, macs: Tensor) -> int | None:
        allowed = macs <= budget * (1 + 1e-12)
        return _best(top1, macs, allowed) if bool(allowed.any()) else None

    return choose


def most_accurate(top1: Tensor, macs: Tensor) -> int | None:
    """The most accurate point at any cost; of equals, the cheapest."""
    return _best(top1, macs, torch.ones_like(top1, dtype=torch.bool))


def cheapest_reaching(reference: int, slack: float) -> Choice:
    """The cheapest point within ``slack`` points of accuracy of the point ``reference``."""

    def choose(top1: Tensor, macs: Tensor) -> int | None:
        good = top1 >= top1[reference] - slack - 1e-9
        return int(torch.where(good, macs, torch.inf).argmin())

    return choose


def rules(plain: int, slack: float, budget: float) -> dict[str, Choice]:
    """``no-loss``: at most ``slack`` below point ``plain``; ``same-cost``: within ``budget`` MACs; ``best``: at any."""
    return {"no-loss": cheapest_reaching(plain, slack), "same-cost": within(budget), "best": most_accurate}


def _best(top1: Tensor, macs: Tensor, allowed: Tensor) -> int:
    best = torch.where(allowed, top1, -torch.inf).max()
    return int(torch.where(allowed & (top1 == best), macs, torch.inf).argmin())
