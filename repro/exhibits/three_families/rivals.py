"""What lies between the plain networks that a mixture is held against, and where a record holds it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.interpolate import PchipInterpolator

from repro.exhibits.three_families.bodies import Model, Point
from repro.exhibits.three_families.families import MANY
from repro.report.claim import Cell

TRAINING, INFERENCE = "equal-training", "equal-inference"
BATCHES = {"equal-latency": 1, "equal-throughput": MANY}
"""Images that come together where a plain network is held to the time that a mixture takes."""
CLOCK = 0.05
"""Times that differ by this share of the lesser count as equal: the clock is read once."""
Trained = tuple[Model, Point]


def cell(family: str, budget: str, method: str = "mixture", metric: str = "top1") -> Cell:
    """Where the record holds a number of a family at a budget, or of what it is held against."""
    return Cell(0, method, f"{family}, {budget}", metric)


def at_macs(networks: Sequence[Trained], macs: float) -> tuple[float, float, float, int]:
    """Top-1, MACs, training MACs and parameters at some MACs, straight between networks over log MACs; of one its own.

    The networks rise in MACs, and the MACs lie between theirs.
    """
    x = [point.macs for _, point in networks]
    at = macs if len(x) > 1 else x[0]
    each = [(point.top1, model.training, model.params) for model, point in networks]
    top1, training, params = (float(np.interp(np.log(at), np.log(x), y)) for y in zip(*each, strict=True))
    return top1, at, training, round(params)


def on_curve(networks: Sequence[Trained], macs: float) -> float | None:
    """Top-1 of the plain curve (:func:`curve_at`) at some MACs; None beyond its ends."""
    inside = networks[0][1].macs <= macs <= networks[-1][1].macs
    top1 = curve_at(np.array([macs]), *zip(*((point.macs, point.top1) for _, point in networks), strict=True))
    return float(top1[0]) if inside else None


def curve_at(at: np.ndarray, macs: Sequence[float], top1: Sequence[float]) -> np.ndarray:
    """Top-1 at some MACs (or times) on the curve through networks of rising ``macs``, a monotone cubic in their log.

    The curve bends: a straight line between networks this far apart runs up to half a point below it, which would
    favour a mixture. Of one network it is that one's.
    """
    if len(macs) == 1:
        return np.full(at.shape, top1[0])
    return np.asarray(PchipInterpolator(np.log(macs), top1)(np.log(at)))


def between(at: float, x: Sequence[float], y: Sequence[float]) -> float | None:
    """y at some x, straight in log x and log y between those of rising ``x``; None beyond its ends."""
    if not x or not x[0] <= at <= x[-1]:
        return None
    return float(np.exp(np.interp(np.log(at), np.log(x), np.log(y))))


def as_fast(networks: Sequence[Trained], times: Sequence[float], time: float) -> float | None:
    """Top-1 of a plain network that takes some time, on the curve (:func:`curve_at`) over log time.

    ``times`` are theirs, the narrowest first; a narrow one counts as no slower than a wider one. Beyond the ends of the
    curve by :data:`CLOCK` at most it is the end's. Slower than that it is the most accurate of all that are as fast;
    faster, None.
    """
    top1 = [point.top1 for _, point in networks]
    x = np.minimum.accumulate(times[::-1])[::-1]
    if time * (1 + CLOCK) < x[0]:
        return None
    if time > x[-1] * (1 + CLOCK):
        return max(accuracy for accuracy, each in zip(top1, times, strict=True) if each <= time)
    widest = dict(zip(x, top1, strict=True))  # of those that are as fast as each other
    return float(curve_at(np.clip([time], x[0], x[-1]), list(widest), list(widest.values()))[0])
