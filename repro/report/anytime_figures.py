"""Figure 2: the paper's as digitised from the poster's vector plots, and the picture with ours beside it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from repro.families.single_gate.controls import EQUAL_INFERENCE, EQUAL_TRAINING
from repro.report.claim import Cell
from repro.report.curves import draw, each_seed, mean
from repro.report.exact_costs import TABLE1_DATASETS, paper_cost
from repro.report.numbers import DATASETS, where_run
from repro.report.plots import MARKERS, MODELS, PALETTE, common_legend, few_ticks, mark, new_figure
from repro.report.printed import PrintedValue, drawn
from repro.report.verdict import summary_of
from repro.study.results import StudyResult, evidence

IMAGES = TABLE1_DATASETS
"""The two image sets that it draws."""

NEAR = 1e-3
"""Relative tolerance at which a digitised cost is a computed one (they were read to about 1e-4 G)."""

BLACK = "#000000"
"""Of the envelope, and of models that have no colour of their own."""
TWO = PALETTE[2]
MARKS = {
    "backbone": ("D", "base alone"),
    "moe": ("o", "one expert for every image"),
    "one": ("^", "1 expert, shared trunk (Table 2)"),
    "two": ("v", "1 expert as two whole networks (poster)"),
    EQUAL_INFERENCE: (MARKERS[EQUAL_INFERENCE], "plain network of the pair's cost"),
    EQUAL_TRAINING: ("s", "base trained as long as the pair"),
}
LINES = ("-", "--", ":")
"""By number of experts, where a pair was run with several."""


def paper_macs(dataset: str, base: str, expert: str | None = None) -> int:
    """Multiply-adds of a backbone or of a pair with 20 experts, at the paper's own width and image size."""
    return paper_cost(dataset, base, expert, 20 if expert else 0).macs


def marker(dataset: str, name: str, macs: int) -> PrintedValue | None:
    """The mean of a series' markers at a cost, if it has any there."""
    near = [top1 for cost, top1 in drawn(dataset, name) if abs(cost - macs) <= NEAR * macs]
    return PrintedValue(sum(near) / len(near), None) if near else None


def anytime_at(dataset: str, macs: int) -> PrintedValue | None:
    """The paper's any-time curve at a cost, on the line between its markers; its last value beyond its end."""
    points = sorted(drawn(dataset, "anytime"))
    if not points or macs < points[0][0] * (1 - NEAR):
        return None
    value = float(np.interp(macs, [cost for cost, _ in points], [top1 for _, top1 in points]))
    return PrintedValue(round(value, 2), None)


def figures(results: Sequence[StudyResult]) -> dict[str, Figure]:
    """``main``, a row a result: our curves left, the paper's digitised figure right, once, each on its own axes.

    Lines are means over the seeds at the same threshold (of the envelope: at the same budget), bands the seeds. The
    paper's panel stands once for each image set; the embedded set is drawn where there is nothing else.
    """
    results = evidence(results)
    figure, seen = new_figure(8.0, 3.5 * len(results) + 0.8), set[str]()
    grid = figure.subplots(len(results), 2, squeeze=False)
    for (ours, paper), result in zip(grid, results, strict=True):
        _ours(ours, result)
        if result.dataset in IMAGES and result.dataset not in seen:
            seen.add(result.dataset)
            _paper(paper, result.dataset)
        else:
            paper.set_axis_off()
    common_legend(figure, grid.flat, columns=2)
    return {"main": figure}


def _ours(axes: Axes, result: StudyResult) -> None:
    sweep, envelope = result.tables["sweep"], result.tables["envelope"]
    keys = dict.fromkeys(zip(sweep.column("pair"), sweep.column("K"), strict=True))
    numbers = sorted({k for _, k in keys}, reverse=True)
    for pair, k in keys:
        curves = each_seed(sweep.where(pair=pair, K=k), "macs", "top1")
        name = f"{pair}, any-time" if k == numbers[0] else f"{pair}, any-time, {k} experts"
        draw(axes, curves, MODELS.get(pair, BLACK), name, linestyle=LINES[numbers.index(k) % len(LINES)])
    if len(set(envelope.column("model"))) > 1:  # the envelope of one model is its curve
        draw(axes, each_seed(envelope, "budget", "top1"), BLACK, "envelope", linewidth=2.2)
        naive = [mean(each_seed(envelope, "budget", "top1_on_test"))]
        draw(axes, naive, BLACK, "envelope, chosen on test", linestyle=":", linewidth=1.3)
    _markers(axes, result)
    low, high = min(envelope.column("budget")), max(envelope.column("budget"))
    pad = 0.04 * (high - low)
    axes.set_xlim(low - pad, high + pad)
    axes.relim(visible_only=True)
    axes.autoscale_view(scalex=False)  # accuracies from the lowest that is drawn in the range of budgets
    _in_millions(axes)
    axes.set_ylabel(f"top-1 accuracy, % ({result.evaluate} set)")
    axes.set_title(where_run(result))
    few_ticks(axes, 6)


def _markers(axes: Axes, result: StudyResult) -> None:
    """Plain models, means large and seeds small: bases, pairs, and both one-expert baselines."""
    costs = {(cost.row, cost.num_experts): cost.macs for cost in result.costs}
    cells = dict.fromkeys((m.num_experts, m.method, m.row) for m in result.measurements if m.metric == "top1")
    for k, method, row in cells:
        if method == "two networks":
            place, kind = sum(costs.get((part, 0), 0) for part in row.split(" + ")), "two"
        elif method in ("backbone", "bagging"):
            place, kind = costs.get((row, k), 0), {0: "backbone", 1: "one"}.get(k, "moe")
        elif method in (EQUAL_INFERENCE, EQUAL_TRAINING):
            place, kind = costs.get((f"{method} of {row}", 0), 0), method
        else:
            continue
        summary = summary_of(result, Cell(k, method, row))
        if place and summary:
            shade = TWO if kind in ("one", "two") else MODELS.get(row, BLACK)
            size = 15 if kind == EQUAL_INFERENCE else 9  # a star has little of its square
            mark(axes, place, summary, MARKS[kind][0], shade, markeredgecolor="white", markersize=size)
            _legend(axes, kind)


def _legend(axes: Axes, kind: str) -> None:
    marker, label = MARKS[kind]
    shade = TWO if kind in ("one", "two") else "#595959"
    axes.plot([], [], marker, color=shade, markersize=7, label=label)


def _paper(axes: Axes, dataset: str) -> None:
    axes.plot(*zip(*sorted(drawn(dataset, "anytime")), strict=True), color=BLACK, linewidth=2.4,
              label="envelope")  # fmt: skip
    known = {paper_macs(dataset, *pair.split("-")): pair for pair in MODELS}
    for name, kind in (("one_expert", "two"), ("backbone", "backbone"), ("moe", "moe")):
        for macs, top1 in drawn(dataset, name):
            near = min(known, key=lambda cost: abs(cost - macs))
            pair = known[near] if abs(near - macs) <= NEAR * macs else ""
            shade = TWO if kind == "two" else MODELS.get(pair, BLACK)
            axes.plot(macs, top1, MARKS[kind][0], color=shade, markeredgecolor="white", markersize=7, zorder=4)
        _legend(axes, kind)
    _in_millions(axes)
    axes.set_title(f"the paper: {DATASETS[dataset]}\n(digitised from the poster)")


def _in_millions(axes: Axes) -> None:
    axes.set_xlabel("multiply-adds an image, millions")
    axes.xaxis.set_major_formatter(lambda macs, _: f"{macs / 1e6:g}")
