"""What a mixture is held against: the plain networks of its body."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

import numpy as np

from repro.exhibits.three_families.bodies import Asked, Body, Model, Point
from repro.exhibits.three_families.families import PARTNER
from repro.report.claim import Cell

TRAINING, INFERENCE = "equal-training", "equal-inference"
Trained = tuple[Model, Point]


def cell(family: str, budget: str, method: str = "mixture", metric: str = "top1") -> Cell:
    """Where the record holds a number of a family at a budget, or of what it is held against."""
    return Cell(0, method, f"{family}, {budget}", metric)


def rivals(body: Body, asked: Asked, mixture: Model, macs: float | None, as_large: bool) -> dict[str, list[Model]]:
    """The networks that are trained for a mixture alone, by what they are held against it for.

    equal-training    of its inference MACs, the next narrower and the next wider one where none is near, each trained
                      for its training MACs: whole epochs, rounded up
    ensemble          two of half its inference MACs
    equal-parameters  of as many parameters as it has in all, if ``as_large``

    Where its ``macs`` are not known yet there is only the last.
    """
    found: dict[str, list[Model]] = {}
    if macs is not None:
        epochs = {
            width: max(1, ceil(round(mixture.training / (3 * body.cost(asked, width)[0]), 6)))
            for width in body.around(asked, macs)
        }
        partner = asked._replace(spec=asked.spec.with_(seed=asked.spec.seed + PARTNER))
        half = body.width_for(asked, macs / 2)
        found[TRAINING] = [body.make(asked, width, each) for width, each in epochs.items()]
        found["ensemble"] = [body.make(one, half) for one in (asked, partner)]
    if as_large:
        width = body.width_for(asked, mixture.params, lambda width: body.cost(asked, width)[1])
        found["equal-parameters"] = [body.make(asked, width)]
    return found


def at_macs(networks: Sequence[Trained], macs: float) -> tuple[float, float, float, int]:
    """Top-1, MACs, training MACs and parameters at some MACs, straight between networks over log MACs; of one its own.

    The networks rise in MACs, and the MACs lie between theirs.
    """
    x = [point.macs for _, point in networks]
    at = macs if len(x) > 1 else x[0]

    def between(y: Sequence[float]) -> float:
        return float(np.interp(np.log(at), np.log(x), y))

    models = [model for model, _ in networks]
    return (
        between([point.top1 for _, point in networks]), at, between([model.training for model in models]),
        round(between([model.params for model in models])),
    )  # fmt: skip


def on_curve(networks: Sequence[Trained], macs: float) -> float | None:
    """Top-1 of the plain curve at some MACs; None beyond its ends."""
    inside = networks[0][1].macs <= macs <= networks[-1][1].macs
    return at_macs(networks, macs)[0] if inside else None


def between(at: float, x: Sequence[float], y: Sequence[float]) -> float | None:
    """y at some x, straight in log x and log y between those of rising ``x``; None beyond its ends."""
    if not x or not x[0] <= at <= x[-1]:
        return None
    return float(np.exp(np.interp(np.log(at), np.log(x), np.log(y))))


def as_fast(networks: Sequence[Trained], times: Sequence[float], time: float) -> float | None:
    """Top-1 of a plain network that takes some time, straight between those of the curve over log time.

    ``times`` are theirs, the narrowest first; a narrow one counts as no slower than a wider one. Where all are faster
    it is the most accurate one's; None where none is as fast.
    """
    top1 = [point.top1 for _, point in networks]
    x = np.minimum.accumulate(times[::-1])[::-1]
    if time < x[0]:
        return None
    if time > x[-1]:
        return max(accuracy for accuracy, each in zip(top1, times, strict=True) if each <= time)
    return float(np.interp(np.log(time), np.log(x), top1))
