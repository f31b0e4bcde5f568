"""The pictures of Table 5: accuracy by routing, rightly and wrongly routed images, and the modes that are found."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.ticker as ticker
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from repro.report.claim import Cell
from repro.report.numbers import where_run
from repro.report.plots import COLOURS, MARKERS, NAMES, common_legend, mark, new_figure
from repro.report.printed import printed
from repro.report.verdict import summary_of
from repro.study.results import StudyResult, evidence

PAIR = ("tr18", "tr18")
PAPER_EXPERTS = 10
LABELS = {
    "per-sample": "per-sample",
    "per-class": "per-class, class means",
    "confusion": "per-class, confusion",
    "per-class-oracle": "class means + oracle",
    "confusion-oracle": "confusion + oracle",
}
GROUPINGS = {"per-class": "class means", "confusion": "confused classes"}
"""The two ways to group classes."""
WITHOUT, WITH = "expert", "bagging"
ENSEMBLING = {WITHOUT: "no-ensembling", WITH: "bagging"}


def experts_of(result: StudyResult) -> int:
    """K of a result."""
    return max(result.numbers_of_experts(), default=PAPER_EXPERTS)


def recovers(result: StudyResult) -> bool:
    """Whether the image set has known modes, and they were compared with the routing."""
    return any(m.metric == "ami" for m in result.measurements)


def figures(results: Sequence[StudyResult]) -> dict[str, Figure]:
    """``main``: Table 5, ours left, the paper's right; ``routing``: rightly and wrongly routed images; ``modes``."""
    return {"main": _main_figure(results), "routing": _routing_figure(results), "modes": _modes_figure(results)}


def _main_figure(results: Sequence[StudyResult]) -> Figure:
    results = evidence(results)
    figure = new_figure(8.4, 3.6 * len(results) + 0.5)
    grid = figure.subplots(len(results), 2, squeeze=False, width_ratios=(5, 3))
    for index, ((ours, paper), result) in enumerate(zip(grid, results, strict=True)):
        _accuracies(ours, result)
        if index:
            paper.set_axis_off()  # the paper has one image set here
        else:
            _paper_panel(paper)
    common_legend(figure, grid[:, 0])
    return figure


def _accuracies(axes: Axes, result: StudyResult) -> None:
    k = experts_of(result)
    if base := summary_of(result, Cell(0)):
        axes.axhline(base.mean, color=COLOURS["backbone"], linestyle="--", linewidth=1, label=NAMES["backbone"])
    for method, shift in ((WITHOUT, -0.12), (WITH, 0.12)):
        _dots(axes, result, [Cell(k, method, row) for row in LABELS], method, shift)
    cells = [Cell(k, "backbone", row) for row in LABELS]
    _dots(axes, result, cells, "backbone", 0.34, "base told the group of classes")
    _names(axes, list(LABELS.values()))
    axes.set_ylabel(f"top-1 accuracy, % ({result.evaluate} set)")
    axes.set_title(f"{where_run(result)}\n{result.base}, {k} experts")


def _dots(
    axes: Axes, result: StudyResult, cells: Sequence[Cell], method: str, shift: float, label: str | None = None
) -> None:
    for x, cell in enumerate(cells):
        if found := summary_of(result, cell):
            face = COLOURS[method] if method == WITH else "white"
            mark(axes, x + shift, found, MARKERS[method], COLOURS[method], seeds_at=x + shift + 0.07,
                 markerfacecolor=face, label=label or NAMES[method])  # fmt: skip


def _paper_panel(axes: Axes) -> None:
    rows = [row for row in LABELS if "confusion" not in row]
    for method, shift in ((WITHOUT, -0.12), (WITH, 0.12)):
        how = [f"{row} {ENSEMBLING[method]}" for row in rows]
        values = [printed(5, "tiny-imagenet", *PAIR, PAPER_EXPERTS, name, "top1") for name in how]
        axes.errorbar(
            [x + shift for x, _ in enumerate(rows)],
            [value.value if value else float("nan") for value in values],
            yerr=[(value.std or 0.0) if value else 0.0 for value in values],
            linestyle="none",
            marker=MARKERS[method],
            color=COLOURS[method],
            markerfacecolor=COLOURS[method] if method == WITH else "white",
            elinewidth=1,
            capsize=3,
        )
    _names(axes, ["per-sample", "per-class", "per-class + oracle"])
    axes.set_title(f"the paper: tiny-ImageNet\n{'-'.join(PAIR)}, {PAPER_EXPERTS} experts (bars: ±)")


def _names(axes: Axes, names: Sequence[str]) -> None:
    axes.set_xticks(range(len(names)), [name.replace(", ", ",\n").replace(" + ", "\n+ ") for name in names])
    axes.tick_params(axis="x", labelsize=8)
    axes.set_xlim(-0.5, len(names) - 0.4)
    axes.yaxis.set_major_locator(ticker.MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))


def _routing_figure(results: Sequence[StudyResult]) -> Figure:
    figure = new_figure(8.4, 3.3 * len(results) + 0.5)
    grid = figure.subplots(len(results), 2, squeeze=False, sharey="row")
    for panels, result in zip(grid, results, strict=True):
        for axes, level in zip(panels, GROUPINGS, strict=True):
            _right_and_wrong(axes, result, level)
        top = panels[0].get_ylim()[1]  # shared: it knows both panels
        panels[0].set_ylim(-0.03 * top, top)
        panels[0].set_ylabel(f"top-1 accuracy, % ({result.evaluate} set)")
    common_legend(figure, grid[:, 0])
    return figure


def _right_and_wrong(axes: Axes, result: StudyResult, level: str) -> None:
    k = experts_of(result)
    for method, shift in (("backbone", -0.2), (WITHOUT, 0.0), (WITH, 0.2)):
        cells = [Cell(k, method, level, metric) for metric in ("top1-right", "top1-wrong")]
        cells.append(Cell(k, method, f"{level}-oracle", "top1-wrong"))
        _dots(axes, result, cells, method, shift)
    share = summary_of(result, Cell(k, "gate", level, "routing"))
    parts = ["", ""] if share is None else [f"\n({part:.0f} % of images)" for part in (share.mean, 100 - share.mean)]
    _names(axes, [f"rightly routed{parts[0]}", f"wrongly routed{parts[1]}", "these by\nthe right expert"])
    axes.set_title(f"{where_run(result)}\n{LABELS[level]}")


def _modes_figure(results: Sequence[StudyResult]) -> Figure:
    known = [result for result in results if recovers(result)]
    figure = new_figure(8.4, 3.3 * max(len(known), 1))
    if not known:
        figure.text(0.5, 0.5, "not run: no recorded image set has known modes", ha="center", va="center")
        return figure
    grid = figure.subplots(len(known), 2, squeeze=False, sharey="row")
    for panels, result in zip(grid, known, strict=True):
        for axes, metric in zip(panels, ("ami", "ami-within"), strict=True):
            _recovered(axes, result, metric)
            axes.set_title(f"{where_run(result)}\n{'all images' if metric == 'ami' else 'within each class'}")
        panels[0].set_ylim(bottom=-0.03 * panels[0].get_ylim()[1])  # shared: it knows both panels
        panels[0].set_ylabel("adjusted mutual information\nof expert and true mode")
    return figure


def _recovered(axes: Axes, result: StudyResult, metric: str) -> None:
    k = experts_of(result)
    _dots(axes, result, [Cell(k, "gate", row, metric) for row in LABELS], WITHOUT, 0.0)
    for x, row in enumerate(LABELS):
        if level := summary_of(result, Cell(k, "chance", row, metric)):
            axes.plot([x - 0.3, x + 0.3], [level.mean] * 2, color=COLOURS["backbone"], linestyle=":")
    _names(axes, list(LABELS.values()))
    axes.tick_params(axis="x", labelsize=7)
