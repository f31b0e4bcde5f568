"""Means, spreads and 95 % intervals of a handful of seeds; what one test set leaves open.

Three seeds are few: a t-interval of three is 2.48 standard deviations wide to each side, so a difference has to
be large, or steady from seed to seed, before it shows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean, stdev

from scipy import stats

LEVEL = 0.95


@dataclass(frozen=True)
class Summary:
    """``n`` values in the values' own unit: mean, sample standard deviation, and 95 % interval of the mean.

    ``std`` and ``interval`` are ``None`` when there is one value, which says nothing about its spread, and when the
    ``values`` depend on each other.
    """

    mean: float
    std: float | None
    n: int
    interval: tuple[float, float] | None
    values: tuple[float, ...] = ()


def _around(mean: float, error: float, degrees: float, level: float = LEVEL) -> tuple[float, float]:
    half = float(stats.t.ppf((1 + level) / 2, degrees)) * error
    return mean - half, mean + half


def summarise(values: Sequence[float]) -> Summary:
    """Mean of ``values [n]`` with Student's 95 % interval (n - 1 degrees of freedom).

    Raises:
        ValueError: no values, or one that is not a number.
    """
    if not values or not all(map(math.isfinite, values)):
        raise ValueError(f"no values, or not all are numbers: {list(values)}")
    mean, n = fmean(values), len(values)
    if n == 1:
        return Summary(mean, None, 1, None, tuple(values))
    std = stdev(values)
    return Summary(mean, std, n, _around(mean, std / math.sqrt(n), n - 1), tuple(values))


def paired_difference(a: Sequence[float], b: Sequence[float]) -> Summary:
    """``a - b`` seed by seed (``a[i]`` and ``b[i]`` come from the same seed), summarised."""
    return summarise([x - y for x, y in zip(a, b, strict=True)])


def unpaired_difference(a: Sequence[float], b: Sequence[float]) -> Summary:
    """``a - b`` of runs that share the number of a seed and nothing that follows from it.

    Their interval is Welch's, or the paired one where that is wider: a narrow one of runs that only happen to rise and
    fall together says nothing.
    """
    paired, other = paired_difference(a, b), summarise(b)
    apart = welch(a, other.mean, other.std, other.n)
    if paired.interval is None or apart.interval is None:
        return paired
    lows, highs = zip(paired.interval, apart.interval, strict=True)
    return replace(paired, interval=(min(lows), max(highs)))


def welch(
    ours: Sequence[float], paper_mean: float, paper_std: float | None, paper_n: int, level: float = LEVEL
) -> Summary:
    """``ours - paper`` with Welch's interval of a level (unequal variances, Welch-Satterthwaite degrees of freedom).

    Where the paper prints no spread (``paper_std`` is ``None``) its value is taken as exact, and the interval is
    that of our seeds alone. ``std`` of the summary is the standard error of the difference, ``n`` our seeds.
    One value of ours gives no interval.
    """
    own = summarise(ours)
    difference = own.mean - paper_mean
    if own.std is None:
        return Summary(difference, None, own.n, None)
    own_error = own.std**2 / own.n
    paper_error = (paper_std or 0.0) ** 2 / paper_n
    error = own_error + paper_error
    degrees = own.n - 1.0
    if error > 0 and paper_n > 1:
        degrees = error**2 / (own_error**2 / (own.n - 1) + paper_error**2 / (paper_n - 1))
    return Summary(difference, math.sqrt(error), own.n, _around(difference, math.sqrt(error), degrees, level))


def without_interval(summary: Summary) -> Summary:
    """Mean and values alone, where the values depend on each other: a spread of them would look too small."""
    return replace(summary, std=None, interval=None)


def binomial_error(percent: float, images: int) -> float:
    """Standard error, in points, of an accuracy in ``percent`` that was measured on so many ``images``."""
    return math.sqrt(percent * (100 - percent) / images)


def by_chance(top1: float, num_images: int) -> float:
    """Points by which two equally good models near ``top1`` percent differ at most, in 19 of 20 such sets of images."""
    p = _share(top1, num_images)
    return 196 * math.sqrt(2 * p * (1 - p) / num_images)


def by_chance_of_pairs(discordant: float, num_images: int) -> float:
    """The same of two models on the same images, of which ``discordant`` percent are right in one of the two alone."""
    return 196 * math.sqrt(_share(discordant, num_images) / num_images)


def _share(percent: float, num_images: int) -> float:
    return (percent / 100 * num_images + 1) / (num_images + 2)  # two answers added, so that 100 % is no certainty
