"""What a reproducer must know: the swing of the final accuracy that each unstated choice causes, in one picture."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib import ticker
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from repro.report.claim import CHANGES_LITTLE, LITTLE, Cell, Claim
from repro.report.exhibits.exhibit import Exhibit
from repro.report.numbers import interval, mean_std, signed, where_run
from repro.report.plots import COLOURS, common_legend, figure_style, new_figure
from repro.report.statistics import Summary
from repro.report.tables import Columns, Shown, about, frame
from repro.report.verdict import difference, summary_of
from repro.study.exhibits.unstated_choices import (
    ALTERNATIVES,
    DEFAULT,
    NAME,
    SPACE,
    ChoicesParameters,
    alternative,
    unstated_choices,
)
from repro.study.results import StudyResult

CLAIMS = (
    Claim(
        "U1", "Re-weighting the loss and sampling the batches 'yield similar results'",
        Cell(10, row="re-weighted loss"), Cell(10, row=DEFAULT), CHANGES_LITTLE, section="2.2",
    ),
    Claim(
        "U2", "Routing non-assigned samples to experts helps: γ above 0 beats γ = 0",
        Cell(10, row=DEFAULT), Cell(10, row="γ = 0"), section="2.2",
    ),
)  # fmt: skip
"""The two choices of which the paper says how much they matter."""

FAR = 5.0
"""Points. A choice that moves the accuracy by more would squeeze all others to a line; an arrow says how far it is."""

ORDER = [*(choice.name for choice in ALTERNATIVES), SPACE]
"""The rows, in the order of the paper."""


def _rows(result: StudyResult) -> list[str]:
    """The alternatives that were measured."""
    return sorted((row for row in result.rows() if row not in ("", DEFAULT)), key=ORDER.index)


def _experts(result: StudyResult) -> int:
    return result.numbers_of_experts()[0]


def swing(result: StudyResult, row: str, method: str = "bagging") -> Summary | None:
    """Top-1 of an alternative minus the default's, in points, seed by seed."""
    k = _experts(result)
    return difference(result, Cell(k, method, row), Cell(k, method, DEFAULT))


def tables(result: StudyResult) -> dict[str, Shown]:
    """``main``: every alternative with its accuracy and its difference to the default."""
    k, rows = _experts(result), _rows(result)
    columns: Columns = {
        "the choice": ["", *(alternative(row).choice for row in rows)],
        "ours": [mean_std(summary_of(result, Cell(k, row=row))) for row in (DEFAULT, *rows)],
        "against the default": ["", *(signed(s.mean) if (s := swing(result, row)) else "not run" for row in rows)],
        "95 % interval": ["", *(interval(swing(result, row), sign=True) for row in rows)],
        "expert alone": ["", *(signed(s.mean) if (s := swing(result, row, "expert")) else "–" for row in rows)],
    }
    caption = (
        f"{about(result)}; {k} experts, top-1 accuracy on the {result.evaluate} set in percent (bagging), and the "
        "difference that one choice makes, all others at their default, in points, seed by seed."
    )
    return {"main": Shown(frame(columns, ["all choices at their default", *rows]), caption)}


def read(result: StudyResult) -> str:
    """The numbers in sentences."""
    swings = {row: found for row in _rows(result) if (found := swing(result, row))}
    if not swings:
        return "No alternative was run."
    ranked = sorted(swings, key=lambda row: -abs(swings[row].mean))
    sentences = [
        f"With {_experts(result)} experts the default reaches "
        f"{mean_std(summary_of(result, Cell(_experts(result), row=DEFAULT)))} %.",
        f"The largest swing is that of {_named(ranked[0], swings[ranked[0]])}, "
        f"the smallest that of {_named(ranked[-1], swings[ranked[-1]])}.",
    ]
    told = [row for row in ranked if (ends := swings[row].interval) and (ends[0] > 0 or ends[1] < 0)]
    if len(result.seeds) > 1:
        names = ", ".join(_named(row, swings[row]) for row in told)
        sentences.append(
            f"Of {len(ranked)} alternatives {len(told)} can be told from the default with {len(result.seeds)} seeds"
            + (f": {names}." if told else ".")
        )
    return " ".join(sentences)


def _named(row: str, found: Summary) -> str:
    return f"*{row}* ({signed(found.mean)} points)"


def figures(results: Sequence[StudyResult]) -> dict[str, Figure]:
    """One panel a result: every alternative's difference to the default, with interval and seeds."""
    shown = [result for result in results if _rows(result)]
    names = sorted({row for result in shown for row in _rows(result)}, key=ORDER.index)
    if not names:
        return {}
    with figure_style():
        figure = new_figure(8.0, 0.34 * len(names) + 1.5)
        panels = figure.subplots(1, len(shown), squeeze=False, sharey=True)[0]
        for axes, result in zip(panels, shown, strict=True):
            _panel(axes, result, names)
        panels[0].set_yticks(range(len(names)), names)
        panels[0].invert_yaxis()
        common_legend(figure, panels)
    return {"main": figure}


def _panel(axes: Axes, result: StudyResult, names: Sequence[str]) -> None:
    axes.axvspan(-LITTLE, LITTLE, color="#F0F0F0", zorder=0, label=f"±{LITTLE:g} points")
    axes.axvline(0, color=COLOURS["backbone"], linewidth=1)
    axes.grid(visible=False, axis="y")
    axes.grid(visible=True, axis="x")
    k = _experts(result)
    swings = {row: found for row in names if (found := swing(result, row))}
    for row in set(names) - set(swings):
        axes.annotate(
            "not run", (0, names.index(row)), (5, 0), textcoords="offset points", va="center", fontsize=8,
            color=COLOURS["backbone"],
        )  # fmt: skip
    far = {row for row, found in swings.items() if abs(found.mean) > FAR}
    if len(far) == len(swings):
        far = set()
    for row, found in swings.items():
        place = names.index(row)
        if row in far:
            _arrow(axes, place, found.mean)
            continue
        if ends := found.interval:
            axes.plot(ends, [place] * 2, color=COLOURS["bagging"], linewidth=1.4, label="95 % interval")
        default = result.values("top1", "bagging", k, DEFAULT)
        seeds = [a - b for a, b in zip(result.values("top1", "bagging", k, row), default, strict=False)]
        axes.plot(seeds, [place] * len(seeds), "|", color="#595959", markersize=8, label="each seed")
        axes.plot([found.mean], [place], "o", color=COLOURS["bagging"], label="mean")
    axes.margins(x=0.12)  # room for the arrows
    axes.xaxis.set_major_locator(ticker.MaxNLocator(3))
    axes.set_xlabel("top-1 against\nthe default, points")
    axes.set_title(f"{where_run(result)}\n{k} experts, bagging")


def _arrow(axes: Axes, place: int, mean: float) -> None:
    """An arrow at the panel's edge, and the mean that lies beyond it."""
    edge, side, towards = (0.0, "left", "<") if mean < 0 else (1.0, "right", ">")
    across = axes.get_yaxis_transform()
    axes.plot([edge], [place], towards, color=COLOURS["bagging"], transform=across, clip_on=False, label="beyond")
    inwards = 10 if mean < 0 else -10
    axes.annotate(
        signed(mean), (edge, place), (inwards, 0), xycoords=across, textcoords="offset points", ha=side, va="center",
        fontsize=9,
    )  # fmt: skip


EXHIBIT = Exhibit(
    NAME, "What the text leaves open: the swing of each choice", ChoicesParameters, unstated_choices, tables, read,
    CLAIMS, figures=figures,
)  # fmt: skip
