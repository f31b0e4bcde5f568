"""Figures: one style, and the same colour for the same thing in every one of them."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal, TypeVar

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from repro.report.printed import PrintedValue
from repro.report.statistics import Summary

T = TypeVar("T")

_LOOKS = {
    "backbone": ("#595959", "D", "base alone"),
    "expert": ("#0072B2", "s", "expert alone"),
    "bagging": ("#D55E00", "o", "base + expert, bagging"),
    "stacking": ("#009E73", "^", "stacking"),
    "top-2": ("#CC79A7", "P", "top-2 experts"),
    "bagging-logits": ("#E69F00", "X", "bagging of logits"),
    "equal-training": ("#CC79A7", "v", "base trained as long"),
    "equal-inference": ("#56B4E9", "*", "plain network of equal inference"),
}
COLOURS, MARKERS, NAMES = ({method: look[i] for method, look in _LOOKS.items()} for i in range(3))
"""By method. The colours are Okabe and Ito's, which readers with any colour vision tell apart; the base is grey."""

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#595959", "#000000")
"""The same colours in the order in which things that have no colour of their own take them."""

MODELS = {
    "tr10": "#999999", "tr18": "#595959", "tr34": "#333333", "tr50": "#000000",
    "tr10-tr10": "#56B4E9", "tr10-tr18": "#0072B2", "tr18-tr10": "#E69F00", "tr18-tr18": "#D55E00",
    "tr34-tr10": "#CC79A7",
}  # fmt: skip
"""Backbones are grey, the darker the deeper; each pair has its colour in every figure."""

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


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of ``width`` x ``height`` inches that lays itself out; use it within :func:`figure_style`."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def panels(
    results: Sequence[T], *drawn: Callable[[Axes, T], None], height: float, **grid: Any
) -> tuple[Figure, np.ndarray]:
    """A figure with a row of panels a result, each filled by one function, and the panels ``[results, functions]``.

    ``height`` is that of a row, in inches; a legend has room above them. ``grid``: matplotlib's own, of subplots.
    """
    figure = new_figure(8.0, height * len(results) + 0.7)
    axes = figure.subplots(len(results), len(drawn), squeeze=False, **grid)
    for row, result in zip(axes, results, strict=True):
        for panel, draw in zip(row, drawn, strict=True):
            draw(panel, result)
    return figure, axes


def mark(
    axes: Axes,
    at: float,
    summary: Summary,
    marker: str,
    colour: str,
    seeds_at: float | None = None,
    interval: bool = False,
    **style: Any,
) -> None:
    """A mean as a large mark, its seeds as small ones, and its 95 % interval as a line."""
    if interval and summary.interval:
        axes.plot([at, at], summary.interval, "-", color=colour, linewidth=2)
    if summary.n > 1:
        shape, size = ("_", 9) if interval else (".", 4)
        place = at if seeds_at is None else seeds_at
        axes.plot([place] * summary.n, summary.values, shape, color=colour, markersize=size, alpha=0.6)
    axes.plot([at], [summary.mean], marker, color=colour, zorder=4, **style)


def mark_printed(
    axes: Axes, places: Sequence[float], values: Sequence[PrintedValue | None], marker: str, colour: str, **style: Any
) -> None:
    """The paper's numbers, those that it prints, each with its printed ± as a bar."""
    known = [(place, value) for place, value in zip(places, values, strict=True) if value]
    axes.errorbar(
        [place for place, _ in known], [value.value for _, value in known], [value.std or 0.0 for _, value in known],
        marker=marker, color=colour, elinewidth=1, capsize=3, **style,
    )  # fmt: skip


def few_ticks(axes: Axes, most: int = 5) -> None:
    """A few round numbers up the side."""
    axes.yaxis.set_major_locator(MaxNLocator(most, steps=[1, 2, 2.5, 5, 10]))


def common_legend(
    figure: Figure,
    axes: Iterable[Axes],
    columns: int | None = None,
    loc: Literal["outside upper left", "outside upper right"] = "outside upper left",
) -> None:
    """One legend over all panels, each label once."""
    handles: dict[Any, Any] = {}
    for panel in axes:
        handles |= {label: h for h, label in zip(*panel.get_legend_handles_labels(), strict=True)}
    columns = columns or len(handles)
    figure.legend(list(handles.values()), list(handles), loc=loc, ncols=columns, frameon=False)


def as_svg(figure: Figure, title: str) -> str:
    """A figure as vector graphics; its title is what a screen reader says where nothing else is said."""
    buffer = io.StringIO()
    with figure_style():
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Title": title})
    return buffer.getvalue()
