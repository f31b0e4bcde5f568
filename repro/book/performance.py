"""The benchmarks' records as tables and figures."""

from __future__ import annotations

import html
from collections.abc import Mapping
from pathlib import Path

from matplotlib import ticker
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from repro.report.numbers import NONE
from repro.report.plots import MODELS, PALETTE, common_legend, new_figure
from repro.report.printed import rows_of
from repro.report.tables import html_table
from repro.study.benchmarks import BENCHMARKS, PerformanceRecord, load_performance
from repro.study.results import Table

VERDICTS = {True: "met", False: "missed", None: "not run"}
FIGURES = {"performance_anytime": "anytime_wallclock"}
"""Each figure, and the benchmark that it is made of."""

CURVE, BACKBONES = "The any-time curve", "Dense backbones of the same width"


def load_all(folder: Path) -> dict[str, PerformanceRecord]:
    """The records below ``folder``, by name, of those benchmarks that were run."""
    records = {name: load_performance(folder, name) for name in BENCHMARKS}
    return {name: record for name, record in records.items() if record}


def goals_html(record: PerformanceRecord) -> str:
    """What was aimed at, what was measured, and whether it was met; empty where there was no goal."""
    if not record.goals:
        return ""
    rows = []
    for goal in record.goals:
        bound = f"{'at most' if goal.at_most else 'at least'} {goal.bound:.4g} {goal.unit}"
        measured = "not run" if goal.measured is None else f"{goal.measured:.3g}"
        rows.append((html.escape(goal.text), bound, measured, VERDICTS[goal.met]))
    return html_table(("goal", "bound", "measured", ""), rows, "the goals of a benchmark")


def table_html(title: str, table: Table) -> str:
    """One table of measurements below its title."""
    head = [html.escape(column) for column in table.columns]
    rows = [[html.escape(_cell(value)) for value in row] for row in table.rows]
    return f'<p class="repro-caption">{html.escape(title)}</p>{html_table(head, rows, title)}'


def speed_runs_html(ours: PerformanceRecord | None) -> str:
    """Known speed runs as they are printed, and below them what ``gpu_training`` measured, on images of noise."""
    rows = [[html.escape(cell) or NONE for cell in row.values()] for row in rows_of("speed_runs")]
    timed = [goal for goal in ours.goals if goal.measured] if ours else []
    for goal in timed:
        training, _, rest = goal.text.removeprefix("seconds of ").partition(", ")
        card = html.escape(ours.provenance.hardware) if ours else NONE
        rows.append(["this study", html.escape(training), card, "1", rest.split()[0], NONE, f"{goal.measured:.3g} s"])
    if not timed:
        rows.append(["this study", "tr18, CIFAR-100", *[NONE] * 4, VERDICTS[None]])
    return html_table(("whose", "training", "card", "runs", "epochs", "top-1, %", "time"), rows, "known speed runs")


def figures(records: Mapping[str, PerformanceRecord]) -> dict[str, Figure]:
    """The figures that can be drawn of these records, by name."""
    return {name: plot_anytime(records[of]) for name, of in FIGURES.items() if of in records}


def plot_anytime(record: PerformanceRecord) -> Figure:
    """The any-time curve over expected multiply-adds and over measured images/s, and the speed-up that was realised.

    Accuracy is up; where the model was untrained it is the number of experts an image runs instead.
    """
    table = record.tables[CURVE]
    height = "top-1, %" if table.rows[0][table.columns.index("top-1, %")] is not None else "experts an image"
    figure = new_figure(10.0, 3.6)
    over_macs, over_rate, ratio = figure.subplots(1, 3)
    one = table.where(threads=1)
    over_macs.plot(one.column("MMACs an image"), one.column(height), "o-", color=PALETTE[1], label="1 thread")
    over_macs.set_xlabel("expected multiply-adds\nan image, millions")
    over_macs.set_ylabel(height)
    for number, colour in ((1, PALETTE[1]), (2, PALETTE[0])):
        of, label = table.where(threads=number), f"{number} thread{'s' * (number > 1)}"
        over_rate.plot(of.column("images/s"), of.column(height), "o-", color=colour, label=label)
        ratio.plot(of.column("MMACs an image"), of.column("realised / promised"), "o-", color=colour, label=label)
    _mark_backbones(record, over_macs, over_rate)
    over_rate.set_xlabel("measured images/s")
    ratio.axhline(0.9, color=PALETTE[6], linestyle="--", linewidth=1)
    ratio.set_xlabel("expected multiply-adds\nan image, millions")
    ratio.set_ylabel("realised / promised speed-up")
    ratio.set_ylim(bottom=0)
    for axes in (over_macs, over_rate, ratio):
        _logarithmic(axes)
    common_legend(figure, (over_macs, over_rate, ratio))
    return figure


def _mark_backbones(record: PerformanceRecord, over_macs: Axes, over_rate: Axes) -> None:
    """Upright lines where the dense backbones lie, which were timed in the same rounds."""
    table = record.tables[BACKBONES]
    for number, style in ((1, ":"), (2, "-")):
        of = table.where(threads=number)
        macs, rates = of.column("MMACs an image"), of.column("images/s")
        for name, cost, rate in zip(of.column("backbone"), macs, rates, strict=True):
            label = f"dense {name}"
            over_rate.axvline(rate, color=MODELS[name], linestyle=style, linewidth=1)
            if number == 1:
                over_macs.axvline(cost, color=MODELS[name], linestyle=style, linewidth=1, label=label)


def _logarithmic(axes: Axes) -> None:
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(ticker.StrMethodFormatter("{x:g}"))
    axes.xaxis.set_minor_formatter(ticker.NullFormatter())


def _cell(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, (int, float)) and abs(value) >= 1e4:
        return f"{value:,.0f}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
