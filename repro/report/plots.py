"""Figures: one style, and the same colour for the same thing in every one of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.ticker as ticker
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from repro.errors import ReproError
from repro.files import write_aside
from repro.report.numbers import DATASETS, summary_of
from repro.report.printed import PAPER_PAIR, PrintedValue, printed_table2
from repro.report.tables import PAPER_EXPERTS
from repro.report.verdict import by_seed
from repro.study.results import StudyResult

COLOURS = {
    "backbone": "#595959",
    "expert": "#0072B2",
    "bagging": "#D55E00",
    "stacking": "#009E73",
}
"""Okabe and Ito's colours, which readers with any colour vision tell apart; the base is grey."""

MARKERS = {"backbone": "D", "expert": "s", "bagging": "o", "stacking": "^"}
NAMES = {
    "backbone": "base alone",
    "expert": "expert alone",
    "bagging": "base + expert, bagging",
    "stacking": "stacking",
}

STYLE: dict[Any, Any] = {
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": "#E6E6E6",
    "lines.linewidth": 1.4,
    "lines.markersize": 6,
    "svg.fonttype": "path",
    "svg.hashsalt": "repro",
}


@contextmanager
def figure_style() -> Iterator[None]:
    """The style of every figure, for the length of a ``with`` block."""
    with mpl.rc_context(STYLE):
        yield


def plot_table2(results: Sequence[StudyResult]) -> Figure:
    """Top-1 accuracy over the number of experts: one row of panels a result, ours left, the paper's right.

    Thick lines are means, thin ones the seeds; the dashed line is the mean of the base model alone. The paper's bars
    are its printed ± (no interval). Each panel has an axis of its own. A row whose image set is not in the paper has
    the paper's CIFAR-100 beside it.

    Raises:
        ReproError: no results to plot.
    """
    if not results:
        raise ReproError("There is no result to plot: run notebooks/table2_num_experts.ipynb first.")
    with figure_style():
        figure = Figure(figsize=(8.0, 3.1 * len(results) + 0.6), layout="constrained")
        FigureCanvasAgg(figure)
        grid = figure.subplots(len(results), 2, squeeze=False)
        for (ours, paper), result in zip(grid, results, strict=True):
            ticks = ["base", *(str(k) for k in _experts(result))]
            _ours_panel(ours, result)
            _paper_panel(paper, result.dataset if printed_table2(result.dataset, 0) else "cifar100")
            _finish(paper, ["base", *(str(k) for k in PAPER_EXPERTS)])
            _finish(ours, ticks)
        shown = {
            label: handle for ours, _ in grid for handle, label in zip(*ours.get_legend_handles_labels(), strict=True)
        }
        figure.legend(list(shown.values()), list(shown), loc="outside upper left", ncols=len(shown), frameon=False)
    return figure


def _experts(result: StudyResult) -> list[int]:
    return sorted({*PAPER_EXPERTS, *result.numbers_of_experts()})


def _ours_panel(axes: Axes, result: StudyResult) -> None:
    base = summary_of(result, "top1", "backbone", 0)
    if base:
        axes.axhline(base.mean, color=COLOURS["backbone"], linestyle="--", linewidth=1)
        _series(axes, result, "backbone", [0], [0.0])
    experts = _experts(result)
    for method, shift in (("expert", -0.14), ("bagging", 0.0), ("stacking", 0.14)):
        _series(axes, result, method, experts, [i + 1 + shift for i in range(len(experts))])
    axes.set_ylabel(f"top-1 accuracy, % ({result.evaluate} set)")
    axes.set_title(f"{DATASETS.get(result.dataset, result.dataset)}, {result.scale} scale\n{result.base}")


def _series(axes: Axes, result: StudyResult, method: str, experts: list[int], places: list[float]) -> None:
    points = [(x, k, summary_of(result, "top1", method, k)) for x, k in zip(places, experts, strict=True)]
    measured = [(x, k, summary) for x, k, summary in points if summary]
    if not measured:
        return
    colour = COLOURS[method]
    # A line a seed: seeds differ by their base, so a rise shows along a line, not in the spread at one number.
    for seed in result.seeds if len(result.seeds) > 1 else []:
        places_of_seed = [(x, by_seed(result, "top1", method, k).get(seed)) for x, k, _ in measured]
        xs, ys = zip(*((x, y) for x, y in places_of_seed if y is not None), strict=True)
        axes.plot(xs, ys, "-", marker=".", color=colour, linewidth=0.8, markersize=4, alpha=0.45)
    axes.plot(
        [x for x, _, _ in measured],
        [s.mean for _, _, s in measured],
        color=colour,
        marker=MARKERS[method],
        markerfacecolor="white" if method != "bagging" else colour,
        linestyle="-" if len(measured) > 1 else "none",
        linewidth=2,
        zorder=4,
        label=NAMES[method],
    )


def _paper_panel(axes: Axes, dataset: str) -> None:
    numbers = [printed_table2(dataset, k) for k in (0, *PAPER_EXPERTS)]
    known: list[tuple[int, PrintedValue]] = [(x, value) for x, value in enumerate(numbers) if value]
    (_, base), *rest = known
    axes.axhline(base.value, color=COLOURS["backbone"], linestyle="--", linewidth=1)
    axes.plot([0], [base.value], color=COLOURS["backbone"], marker=MARKERS["backbone"], markerfacecolor="white")
    axes.errorbar(
        [x for x, _ in rest],
        [value.value for _, value in rest],
        yerr=[value.std or 0.0 for _, value in rest],
        color=COLOURS["bagging"],
        marker=MARKERS["bagging"],
        elinewidth=1,
        capsize=3,
    )
    axes.set_title(f"the paper: {DATASETS[dataset]}\n{'-'.join(PAPER_PAIR)} (bars: its printed ±)")


def _finish(axes: Axes, ticks: list[str]) -> None:
    axes.set_xticks(range(len(ticks)), ticks)
    axes.set_xlim(-0.4, len(ticks) - 0.6)
    axes.set_xlabel("number of experts")
    axes.yaxis.set_major_locator(ticker.MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))


def save_figure(figure: Figure, stem: Path) -> tuple[Path, Path]:
    """Write ``<stem>.svg`` and ``<stem>.png`` (200 dpi), each whole or not at all; the same figure, the same bytes."""
    stem = Path(stem)
    paths = stem.with_name(f"{stem.name}.svg"), stem.with_name(f"{stem.name}.png")
    with figure_style():
        for path in paths:
            with write_aside(path) as aside:
                metadata = {"Date": None} if path.suffix == ".svg" else None
                figure.savefig(aside, dpi=200, metadata=metadata)
    return paths
