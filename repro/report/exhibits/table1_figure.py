"""Table 1 as a picture: top-1 accuracy against multiply-adds, ours and the paper's."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.ticker as ticker
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from repro.report.claim import Cell
from repro.report.numbers import DATASETS
from repro.report.plots import COLOURS, MARKERS, MODELS, PALETTE, common_legend, figure_style, new_figure
from repro.report.printed import drawn, printed
from repro.report.verdict import by_seed
from repro.study.exhibits.table1_main import PAIRS
from repro.study.results import StudyResult


def figures(results: Sequence[StudyResult]) -> dict[str, Figure]:
    """One row of panels a result, ours left, the paper's right, each with axes of its own.

    The grey line joins the backbones, a circle is a pair. Big marks are means; dashes our seeds, the paper's
    bars its printed ±. A row whose image set is not in the paper has the paper's CIFAR-100 beside it.
    """
    with figure_style():
        figure = new_figure(8.0, 3.3 * len(results) + 0.7)
        grid = figure.subplots(len(results), 2, squeeze=False)
        for (ours, paper), result in zip(grid, results, strict=True):
            _ours(ours, result)
            _paper(paper, result.dataset if drawn(result.dataset, "backbone") else "cifar100")
        common_legend(figure, [axes for row in grid for axes in row[::-1]], columns=3)
    return {"main": figure}


def _ours(axes: Axes, result: StudyResult) -> None:
    line: list[tuple[str, float, list[float]]] = []
    pairs: list[tuple[str, float, list[float]]] = []
    for cost in result.costs:
        each = list(by_seed(result, Cell(cost.num_experts, row=cost.row)).values())
        if each:
            (pairs if cost.num_experts else line).append((cost.row, cost.macs / 1e6, each))
    _backbones(axes, [(name, macs, sum(each) / len(each), min(each)) for name, macs, each in line])
    for place, (name, macs, each) in enumerate(pairs):
        colour = MODELS.get(name, PALETTE[place % len(PALETTE)])
        axes.plot([macs], [sum(each) / len(each)], MARKERS["bagging"], color=colour, markersize=8, label=name, zorder=4)
    for name, macs, each in line + pairs if len(result.seeds) > 1 else []:
        colour = MODELS.get(name, "#000000") if "-" in name else "#000000"
        axes.plot([macs] * len(each), each, "_", color=colour, markersize=16, zorder=2)
    axes.set_xlabel("multiply-adds of one image, millions")
    axes.set_ylabel(f"top-1 accuracy, % ({result.evaluate} set)")
    seeds = "dashes: its seeds" if len(result.seeds) > 1 else "one seed"
    data = DATASETS.get(result.dataset, result.dataset)
    axes.set_title(f"{data}, {result.scale} scale\nwidth {result.spec.get('width', 1):g}, {seeds}")
    _finish(axes)


def _paper(axes: Axes, dataset: str) -> None:
    # Figure 2 draws tr10 as well, which Table 1 leaves out.
    points = drawn(dataset, "backbone")
    names = ("tr10", "tr18", "tr34", "tr50")
    _backbones(axes, [(name, macs / 1e9, y, y) for name, (macs, y) in zip(names, points, strict=True)])
    for name in PAIRS:
        base, _, expert = name.partition("-")
        top1, macs = (printed(1, dataset, base, expert, 20, "bagging", metric) for metric in ("top1", "macs"))
        if top1 and macs:
            axes.errorbar(
                [macs.value / 1e9], [top1.value], yerr=[top1.std or 0.0], fmt=MARKERS["bagging"], color=MODELS[name],
                markersize=8, elinewidth=1, capsize=3, label=name, zorder=4,
            )  # fmt: skip
    axes.set_xlabel("multiply-adds of one image, billions")
    axes.set_title(f"the paper: {DATASETS[dataset]}\nfull width (bars: its printed ±)")
    _finish(axes)


def _backbones(axes: Axes, points: Sequence[tuple[str, float, float, float]]) -> None:
    """A line through name, multiply-adds, accuracy; the name stands below the lowest mark, the last of the four."""
    points = sorted(points, key=lambda point: point[1])
    axes.plot(
        [macs for _, macs, *_ in points], [top1 for _, _, top1, _ in points], "-", marker=MARKERS["backbone"],
        color=COLOURS["backbone"], markerfacecolor="white", label="backbone alone", zorder=3,
    )  # fmt: skip
    for name, macs, _, lowest in points:
        axes.annotate(name, (macs, lowest), (0, -8), textcoords="offset points", ha="center", va="top", fontsize=8)


def _finish(axes: Axes) -> None:
    axes.margins(x=0.1, y=0.18)
    axes.yaxis.set_major_locator(ticker.MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
