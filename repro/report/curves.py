"""Curves of a record: one a seed, and their mean point by point."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes

from repro.study.results import Table


class Curve(NamedTuple):
    """Places and values."""

    xs: list[float]
    ys: list[float]


def each_seed(table: Table, x: str, y: str) -> list[Curve]:
    """The curve of every seed, in the order of the record."""
    seeds = dict.fromkeys(table.column("seed"))
    return [Curve(part.column(x), part.column(y)) for part in (table.where(seed=seed) for seed in seeds)]


def mean(curves: Sequence[Curve]) -> Curve:
    """Point by point the mean of curves with as many points each (the i-th of all belong together)."""
    return Curve(*([math.fsum(at) / len(at) for at in zip(*axis, strict=True)] for axis in zip(*curves, strict=True)))


def in_millions(curves: Sequence[Curve]) -> list[Curve]:
    """Curves over millions of what they are over."""
    return [Curve([x / 1e6 for x in curve.xs], curve.ys) for curve in curves]


def draw(axes: Axes, curves: Sequence[Curve], colour: str, label: str, **style: object) -> None:
    """The mean as a line, and a band from the lowest to the highest seed."""
    if not curves:
        return
    centre = mean(curves)
    if len(curves) > 1:
        each = np.array([curve.ys for curve in curves])
        axes.fill_between(centre.xs, each.min(0), each.max(0), color=colour, alpha=0.2, linewidth=0)
    axes.plot(*centre, color=colour, label=label, **{"linewidth": 2, **style})  # type: ignore[arg-type]


def pooled(table: Table) -> tuple[list[float], list[float]]:
    """Mean confidence and accuracy of each bin over all seeds and pairs of a table, bins with few images left out."""
    total = sum(table.column("count"))
    xs, ys = list[float](), list[float]()
    for index in sorted(set(table.column("bin"))):
        part = table.where(bin=index)
        counts = part.column("count")
        if sum(counts) >= 0.005 * total:
            for values, name in ((xs, "confidence"), (ys, "accuracy")):
                values.append(float(np.average(part.column(name), weights=counts)))
    return xs, ys
