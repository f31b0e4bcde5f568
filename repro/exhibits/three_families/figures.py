"""The figures: accuracy over multiply-adds, training and time, a panel a body; what gates know, a panel a place."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import fill
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from repro.exhibits.three_families.bodies import TR, Body
from repro.exhibits.three_families.families import FAMILIES, Family
from repro.exhibits.three_families.rivals import TRAINING, cell, curve_at
from repro.exhibits.three_families.run import CURVE, PLAIN
from repro.exhibits.three_families.verdicts import rows_of
from repro.report.claim import Cell
from repro.report.numbers import so_many, where_run
from repro.report.plots import PALETTE, common_legend, new_figure
from repro.report.statistics import summarise
from repro.report.verdict import summary_of
from repro.study.results import StudyResult, Table, evidence


class Axis(NamedTuple):
    """What accuracy is drawn over: a metric of the mixtures, and a column of the plain networks over a unit."""

    metric: str
    column: str
    unit: float
    label: str


MACS = Axis("macs_millions", "macs", 1e6, "inference MACs of an image, millions")
TRAINED = Axis("training_millions", "training", 1e6, "training MACs of an image, all epochs, millions")
KNOWN = ("class", "superclass", "mode", "mode within class")
"""What gates may know, beside each other's groups."""
TIME = Axis("ms_256", "ms", 1.0, "milliseconds of an image, 256 at a time")


def figures(results: Sequence[StudyResult]) -> dict[str, Figure]:
    """Accuracy over inference MACs (``main``), training MACs and milliseconds: a row a place, a panel a record and
    body; and what ``gates`` know.
    """
    rows: dict[str, list[tuple[StudyResult, Body]]] = {}
    for result in evidence(results):
        bodies = {family.body.name: family.body for family, _ in rows_of(result)}.values() or [TR]
        rows.setdefault(where_run(result), []).extend((result, body) for body in bodies)
    columns = max(map(len, rows.values()))
    drawn = {}
    for name, axis in (("main", MACS), ("training", TRAINED), ("time", TIME)):
        figure = new_figure(max(5.6, 3.6 * columns), 0.8 + 3.0 * len(rows))
        grid = figure.subplots(len(rows), columns, squeeze=False, sharey="row")
        for line, panels in zip(grid, rows.values(), strict=True):
            for axes, (result, body) in zip(line, panels, strict=False):
                _panel(axes, result, body, axis)
            for axes in line[len(panels) :]:
                axes.set_visible(False)
            line[0].set_ylabel(f"top-1 accuracy, % ({panels[0][0].evaluate} set)")
        common_legend(figure, grid.flat, columns=2)
        drawn[name] = figure
    return drawn | _what_gates_know(results)


def _what_gates_know(results: Sequence[StudyResult]) -> dict[str, Figure]:
    """``gates``: a panel a place, a row a family, dark where its gates know much of what the column is of."""
    import pandas as pd
    from seaborn import heatmap  # where it is used: an exhibit is also run where there is none

    places: dict[str, dict[str, dict[str, float]]] = {where_run(result): {} for result in results}
    for result in sorted(results, key=lambda result: len(result.seeds)):  # of two the one of more seeds counts
        for of in dict.fromkeys(Cell.of(m) for m in result.measurements if m.method == "gates"):
            means, (first, _, second) = places[where_run(result)], of.row.partition(" and ")
            if summary := summary_of(result, of):
                means.setdefault(first, {})[second or of.metric] = summary.mean
                if second:
                    means.setdefault(second, {})[first] = summary.mean
    places = {where: means for where, means in places.items() if means}
    if not places:
        return {}
    figure = new_figure(8.0, 0.6 + 2.6 * len(places))
    for axes, (where, means) in zip(figure.subplots(len(places), squeeze=False).flat, places.items(), strict=True):
        names = {family.name: fill(family.label, 20) for family in FAMILIES if family.name in means}
        columns = [of for of in KNOWN if any(of in row for row in means.values())]
        table = pd.DataFrame.from_dict(means, orient="index").reindex(index=list(names), columns=[*columns, *names])
        table = table.rename(index=names, columns=names)
        heatmap(table, ax=axes, vmin=0, vmax=1, cmap="Blues", annot=True, fmt=".2f", cbar=False, linewidths=1)
        axes.tick_params(axis="x", rotation=15, length=0)
        axes.tick_params(axis="y", rotation=0, length=0)
        axes.set_title(where)
        axes.grid(visible=False)
    return {"gates": figure}


def _panel(axes: Axes, result: StudyResult, body: Body, axis: Axis) -> None:
    _plain_curve(axes, result, body, axis)
    for colour, family in zip(PALETTE, FAMILIES, strict=False):
        if family.body is not body:
            continue
        if axis is MACS:
            _trained_curves(axes, result, family, colour)
        budgets = [budget for f, budget in rows_of(result) if f is family]
        for method, mark, suffix in (("mixture", "o", ""), (TRAINING, "v", ": plain, trained as long")):
            many = axis is TIME and method == "mixture"
            x, y = (
                [summary_of(result, cell(family.name, budget, method, metric)) for budget in budgets]
                for metric in (axis.metric, "top1_many" if many else "top1")
            )
            points = [(a.mean, b) for a, b in zip(x, y, strict=True) if a and b]
            if points:
                axes.plot(
                    [a for a, _ in points], [b.mean for _, b in points], mark, color=colour, label=family.label + suffix
                )
            for a, b in points:
                if b.interval:
                    axes.plot([a, a], b.interval, color=colour, linewidth=0.8)
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_locator(LogLocator(2, (1, 1.5)))
    axes.xaxis.set_major_formatter("{x:g}")
    labels = dict.fromkeys(family.label for family, _ in rows_of(result) if family.body is body)
    models = fill(f"{'; '.join(labels) or 'nothing'} on {body.name}", 36, break_on_hyphens=False)
    axes.set_title(f"{where_run(result)}, {so_many(len(result.seeds))}\n{models}")
    axes.set_xlabel(axis.label)


def _plain_curve(axes: Axes, result: StudyResult, body: Body, axis: Axis) -> None:
    """The plain networks' mean over the seeds, with its 95 % interval."""
    table = result.tables.get("plain", Table(columns=PLAIN, rows=[])).where(body=body.name)
    by_cost: dict[float, list[float]] = {}
    for x, top1 in zip(table.column(axis.column), table.column("top1"), strict=True):
        by_cost.setdefault(x / axis.unit, []).append(top1)
    points = [(x, summarise(values)) for x, values in sorted(by_cost.items())]
    if points:
        x, means = [x for x, _ in points], [y.mean for _, y in points]
        axes.plot(x, means, "D-" if axis is not MACS else "D", color="#595959", markersize=4, label="plain")
        if axis is MACS:  # as mixtures are held against it
            between = np.geomspace(x[0], x[-1], 50)
            axes.plot(between, curve_at(between, x, means), color="#595959")
    band = np.array([(x, *y.interval) for x, y in points if y.interval]).reshape(-1, 3)
    axes.fill_between(band[:, 0], band[:, 1], band[:, 2], color="#595959", alpha=0.15)


def _trained_curves(axes: Axes, result: StudyResult, family: Family, colour: str) -> None:
    """The other ways to run a family's models, seed by seed: thresholds, or networks of other λ."""
    table = result.tables.get("curve", Table(columns=CURVE, rows=[])).where(family=family.name)
    for budget, seed in dict.fromkeys(zip(table.column("budget"), table.column("seed"), strict=True)):
        part = table.where(budget=budget, seed=seed)
        points = sorted(zip(part.column("macs"), part.column("top1"), strict=True))
        x, y = [macs / 1e6 for macs, _ in points], [top1 for _, top1 in points]
        axes.plot(x, y, "-", color=colour, linewidth=0.8, alpha=0.7)
