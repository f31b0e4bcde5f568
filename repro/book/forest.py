"""The headline claims in one figure: effect and interval of every run, by scale and image set, and what was printed."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import fill

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from repro.book.front import SCALES, Effect, Headline
from repro.report.numbers import DATASETS
from repro.report.plots import PALETTE, new_figure
from repro.report.verdict import Verdict

MARKERS = dict(zip(SCALES, "os^", strict=True))
COLOURS = {"cifar100": PALETTE[0], "tiny-imagenet": PALETTE[1], "cifar10": PALETTE[2], "imagenet": PALETTE[3]}
ROW, GAP, TITLE = 1.0, 0.5, 1.3
"""Heights: of an effect or a line of text, between two claims, and of a heading."""
SHORT = {Verdict.ANECDOTE: "one seed", Verdict.TWO_SEEDS: "two seeds", Verdict.PAIRS: "pairs of seeds"}


def forest(lines: Sequence[Headline], narrow: bool = False) -> Figure:
    """A claim under the other; ``narrow``, for a phone, has its text above its marks instead of beside them.

    Filled marks are means over the seeds, faint where fewer than three decide nothing; lines are 95 % intervals, with
    an arrow where they go on beyond the figure; hollow diamonds the paper's own difference; † is a rule that was
    settled with its numbers in sight.
    """
    figure = new_figure(4.0, 1.0)
    axes = figure.subplots()
    means = [0.0, *(e.judged.ours.mean for line in lines for e in line.effects if e.judged.ours)]
    means += [e.judged.paper for line in lines for e in line.effects if e.judged.paper is not None]
    axes.set_xlim(min(means) - 1, max(means) + 1)
    bottom = 0.0
    for place, line in enumerate(lines):
        if place == 0 or line.group != lines[place - 1].group:
            title = fill(line.group, 46 if narrow else 80)
            bottom += TITLE + title.count("\n")
            _write(axes, title, bottom - 0.4 - title.count("\n") / 2, narrow, weight="bold")
        bottom = _claim(axes, line, bottom, narrow)
    figure.set_size_inches(4.2 if narrow else 8.0, 1.1 + 0.19 * bottom)
    axes.set_ylim(bottom, 0)
    axes.axvline(0, color="#595959", linewidth=1, zorder=0)
    axes.set_yticks([])
    axes.grid(True, axis="x")
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("difference of top-1 accuracy, points")
    _legend(figure, axes, [effect for line in lines for effect in line.effects], narrow)
    return figure


def _claim(axes: Axes, line: Headline, top: float, narrow: bool) -> float:
    """Draw a claim from ``top`` downwards; returns where it ends."""
    text = fill(line.sentence + (" †" if line.claim.settled_after else ""), 54 if narrow else 50)
    lines = text.count("\n") + 1
    _write(axes, text, top + lines / 2, narrow)
    y = top + 0.5 + (lines if narrow else (lines - max(len(line.effects), 1)) / 2 if lines > len(line.effects) else 0)
    printed: set[str] = set()
    for effect in line.effects:
        _mark(axes, effect, y)
        if effect.judged.paper is not None and effect.result.dataset not in printed:
            colour = COLOURS.get(effect.result.dataset, "black")
            axes.plot(effect.judged.paper, y, "D", markersize=8, color=colour, markerfacecolor="none", zorder=4)
            printed.add(effect.result.dataset)
        y += ROW
    if not line.effects:
        axes.annotate("not run", (0, y), (5, 0), textcoords="offset points", va="center", fontsize=8, color="#595959")
        y += ROW
    return max(y - 0.5, top + lines) + GAP


def _write(axes: Axes, text: str, y: float, narrow: bool, weight: str = "normal") -> None:
    axes.text(0.0 if narrow else -0.02, y, text, transform=axes.get_yaxis_transform(), va="center", fontsize=9,
              ha="left" if narrow else "right", weight=weight, linespacing=1.15)  # fmt: skip


def _mark(axes: Axes, effect: Effect, y: float) -> None:
    """Mean and interval, and the verdict at the right edge; what too few seeds were measured of is faint."""
    ours, colour = effect.judged.ours, COLOURS.get(effect.result.dataset, "black")
    assert ours is not None
    faint = 0.5 if effect.judged.verdict in SHORT else 1.0
    if ours.interval:
        axes.plot(ours.interval, [y, y], color=colour, linewidth=1.6, alpha=faint, zorder=2)
        for end, at, arrow in zip(ours.interval, np.clip(ours.interval, *axes.get_xlim()), "<>", strict=True):
            if end != at:  # it goes on beyond the figure
                axes.plot(at, y, arrow, color=colour, alpha=faint, markersize=4, clip_on=False)
    axes.plot(ours.mean, y, MARKERS[effect.result.scale], color=colour, markersize=5, alpha=faint, zorder=3)
    verdict = SHORT.get(effect.judged.verdict, str(effect.judged.verdict))
    label = verdict + ("" if effect.judged.controlled else "*")
    axes.text(1.01, y, label, transform=axes.get_yaxis_transform(), va="center", fontsize=8, color=colour)


def _legend(figure: Figure, axes: Axes, effects: Sequence[Effect], narrow: bool) -> None:
    for dataset in dict.fromkeys(e.result.dataset for e in effects):
        axes.plot([], [], "-", color=COLOURS.get(dataset, "black"), linewidth=3, label=DATASETS.get(dataset, dataset))
    for scale in [name for name in SCALES if any(e.result.scale == name for e in effects)]:
        axes.plot([], [], MARKERS[scale], color="#595959", label=f"{scale} scale")
    axes.plot([], [], "D", color="#595959", markerfacecolor="none", label="printed by the paper")
    figure.legend(loc="outside upper left", ncols=2 if narrow else 5, frameon=False, fontsize=9,
                  columnspacing=1.2, handletextpad=0.4)  # fmt: skip
