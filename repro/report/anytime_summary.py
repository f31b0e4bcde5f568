"""The any-time curves of all image sets in one panel: what the threshold buys."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from repro.report.claim import Cell
from repro.report.curves import Curve, draw
from repro.report.numbers import where_run
from repro.report.plots import COLOURS, PALETTE, common_legend, figure_style, new_figure
from repro.report.verdict import by_seed
from repro.study.results import StudyResult


def summary_figure(results: Sequence[StudyResult]) -> Figure:
    """Points gained over the base alone, over cost in units of the base's: the first pair of each result.

    Lines are means over the seeds, bands the seeds; the circle is the plain model, one expert for every image.
    """
    with figure_style():
        figure = new_figure(6.4, 4.0)
        axes = figure.subplots()
        axes.axhline(0, color=COLOURS["backbone"], linewidth=1)
        plain = [_gains(axes, result, shade) for result, shade in zip(results, PALETTE, strict=False)]
        axes.plot([], [], "o", color=COLOURS["backbone"], markeredgecolor="white", label="one expert for every image")
        axes.set_xlim(0.98, max((1 + 1.7 * (once - 1) for once in plain if once), default=2.0))
        axes.set_xlabel("multiply-adds an image, in units of the base alone")
        axes.set_ylabel("top-1 against the base alone, points")
        common_legend(figure, [axes], columns=1)
    return figure


def _gains(axes: Axes, result: StudyResult, shade: str) -> float | None:
    """Draw one result; returns the cost of its plain model in units of its base, ``None`` if there is no curve."""
    sweep = result.tables.get("sweep")
    if not sweep or not sweep.rows:
        return None
    pair, k = sweep.column("pair")[0], max(sweep.column("K"))
    base = pair.split("-")[0]
    costs = {(cost.row, cost.num_experts): cost.macs for cost in result.costs}
    alone, plain = by_seed(result, Cell(0, row=base)), by_seed(result, Cell(k, row=pair))
    seeds = [seed for seed in plain if seed in alone]
    if not seeds or (base, 0) not in costs or (pair, k) not in costs:
        return None
    unit, curves = costs[base, 0], []
    for seed in seeds:
        own = sweep.where(pair=pair, K=k, seed=seed)
        curves.append(Curve([x / unit for x in own.column("macs")], [y - alone[seed] for y in own.column("top1")]))
    draw(axes, curves, shade, f"{where_run(result)}, {pair}")
    once = costs[pair, k] / unit
    gain = math.fsum(plain[seed] - alone[seed] for seed in seeds) / len(seeds)
    axes.plot(once, gain, "o", color=shade, markeredgecolor="white", markersize=9, zorder=5)
    return once
