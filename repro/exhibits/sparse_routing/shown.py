"""What is shown of the inspections, and what of the paper stands beside it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from repro.data.shifts import KINDS, STRENGTHS
from repro.exhibits.sparse_routing.run import SHIFT
from repro.report.claim import Cell
from repro.report.numbers import NONE, where_run
from repro.report.pictures import close_together, show_tile
from repro.report.plots import PALETTE, common_legend, figure_style, new_figure
from repro.report.printed import PrintedValue, rows_of
from repro.report.tables import Captioned, Columns, about, frame, means
from repro.report.verdict import summary_of
from repro.study.results import Measurement, StudyResult, Table


def printed_value(result: StudyResult, asked: Cell) -> PrintedValue | None:
    """Experts that process an image, in number or percent, as the text has them ("in the last MoE layers")."""
    body, metric = asked.row.partition(" ")[0], asked.metric
    if metric in ("experts", "share"):
        for row in rows_of("sweetspot2024_experts_per_image"):
            if (row["model"], int(row["num_experts"])) == (body, asked.num_experts):
                count = float(row["experts"])
                value = count if metric == "experts" else 100 * count / asked.num_experts
                return PrintedValue(value, None, 1, row["experts"])
    return None


def _of_mixtures(result: StudyResult) -> list[Measurement]:
    """One measurement of each mixture."""
    found = {(m.num_experts, m.row): m for m in result.measurements if m.metric == "information"}
    return list(found.values())


def _networks(result: StudyResult) -> dict[str, Cell]:
    """The cells of clean top-1 by what readers call the networks."""
    found = {
        (m.num_experts, m.row): Cell(m.num_experts, m.method, m.row)
        for m in result.measurements if m.metric == "top1" and "," not in m.row
    }  # fmt: skip
    return {
        f"{c.row.partition(' ')[2]}, {c.num_experts} experts" if c.num_experts else "dense": c for c in found.values()
    }


def tables(result: StudyResult) -> dict[str, Captioned]:
    """``main``: what mixtures do with the evaluation images; ``shifts``: accuracy on corrupted ones."""
    each = _of_mixtures(result)
    metrics = {
        "experts": "experts an image", "share": "of all, %", "similarity": "likeness of experts",
        "information": "choice explained by class",
    }  # fmt: skip
    columns: Columns = {
        title: means(result, [Cell(m.num_experts, m.method, m.row, metric) for m in each])
        for metric, title in metrics.items()
    }
    paper = [printed_value(result, Cell(m.num_experts, m.method, m.row, "experts")) for m in each]
    columns["experts an image, paper"] = [NONE if value is None else value.digits for value in paper]
    caption = (
        f"{about(result, models=False)}; on the {result.evaluate} set. Likeness: mean S of pairs of experts, 1 where "
        "two have equally many tokens of each image, 0 where no image has both. Explained: mutual information of class "
        "and expert over the entropy of the experts; few tokens give more than 0 by chance. The paper's numbers are of "
        "its last mixtures, on ImageNet."
    )
    labels = [f"{m.row.partition(' ')[2]}, {m.num_experts} experts" for m in each]
    return {"main": Captioned(frame(columns, labels), caption), "shifts": _shifts(result)}


def _shifts(result: StudyResult) -> Captioned:
    rows = _networks(result)
    columns: Columns = {"clean": means(result, list(rows.values()))}
    for kind in KINDS:
        for strength in (STRENGTHS[0], STRENGTHS[-1]):
            columns[f"{kind} {strength}"] = means(result, [_under(c, f"{kind} {strength}") for c in rows.values()])
    columns["mean of all"] = means(result, [_under(c, SHIFT) for c in rows.values()])
    caption = (
        f"{about(result, models=False)}; top-1 in percent on our shifts of the {result.evaluate} set: {len(KINDS)} "
        f"kinds of corruption at {len(STRENGTHS)} strengths, the weakest and strongest of each. They stand in for "
        "ImageNet-V2, -A, -R and Sketch, which were not run."
    )
    return Captioned(frame(columns, list(rows)), caption)


def _under(clean: Cell, shift: str) -> Cell:
    return Cell(clean.num_experts, clean.method, f"{clean.row}, {shift}")


def figures(results: Sequence[StudyResult]) -> dict[str, Figure]:
    """``main``: classes, pairs of experts and CDF of tokens by mixture; ``maps``; ``shifts``: a row a result each."""
    return {"main": _inspections(results), "maps": _maps(results), "shifts": _curves(results)}


def _parts(table: Table) -> dict[str, np.ndarray]:
    """The numbers of each mixture, ``[rows, E]``."""
    return {
        name: np.array([row[2:] for row in table.where(mixture=name).rows], float)
        for name in dict.fromkeys(table.column("mixture"))
    }


def _inspections(results: Sequence[StudyResult]) -> Figure:
    shown = [result for result in results if result.tables]
    names = max((list(_parts(r.tables["similarity"])) for r in shown), key=len, default=["first"])
    with figure_style():
        figure = new_figure(max(3.1 * len(names), 6.0), 7.6 * max(len(shown), 1))
        grid = figure.subplots(3 * max(len(shown), 1), len(names), squeeze=False)
        for axes in grid.flat:
            axes.grid(False)
        for top, result in zip(range(0, len(grid), 3), shown, strict=False):
            by_class, alike, patches = (_parts(result.tables[name]) for name in ("occurrence", "similarity", "patches"))
            for place, name in enumerate(alike):
                first, second, third = grid[top : top + 3, place]
                shares = by_class[name] / by_class[name].sum(1, keepdims=True)
                first.imshow(shares.T, aspect="auto", cmap="viridis", vmin=0, interpolation="nearest")
                first.set_title(f"{where_run(result)}\n{name}: tokens of a class (0 to {shares.max():.0%})")
                first.set(xlabel="class", ylabel="expert")
                second.imshow(alike[name], cmap="viridis", vmin=0, vmax=1)
                second.set_title("likeness S of experts (0 to 1)")
                for expert, share in enumerate(patches[name].T):
                    colour = PALETTE[expert % len(PALETTE)]
                    third.plot(np.arange(1, len(share) + 1), share, color=colour, linewidth=1)
                third.set_ylim(0, 1.02)
                third.set(xlabel="tokens of an image, at most", ylabel="share of its images")
    return figure


def _maps(results: Sequence[StudyResult]) -> Figure:
    shown = [result.pictures["maps"] for result in results if "maps" in result.pictures]
    with figure_style():
        rows, columns = sum(p.count // p.columns for p in shown), max((p.columns for p in shown), default=1)
        figure = close_together(new_figure(1.25 * columns, 1.3 * max(rows, 1)))
        tiles = [tile for picture in shown for tile in picture.tiles()]
        for axes, tile in zip(figure.subplots(max(rows, 1), columns, squeeze=False).flat, tiles, strict=False):
            show_tile(axes, tile)
    return figure


def _curves(results: Sequence[StudyResult]) -> Figure:
    with figure_style():
        figure = new_figure(9.0, 2.9 * len(results))
        grid = figure.subplots(len(results), len(KINDS), squeeze=False, sharey="row", sharex=True)
        for panels, result in zip(grid, results, strict=True):
            for axes, kind in zip(panels, KINDS, strict=True):
                for colour, (name, clean) in zip(PALETTE, _networks(result).items(), strict=False):
                    cells = [clean, *(_under(clean, f"{kind} {strength}") for strength in STRENGTHS)]
                    found = [summary.mean if (summary := summary_of(result, c)) else np.nan for c in cells]
                    axes.plot((0, *STRENGTHS), found, "o-", color=colour, markersize=4, label=name)
                axes.set_title(f"{where_run(result)}\n{kind}" if axes is panels[0] else f"\n{kind}")
                axes.set_xlabel("strength")
            panels[0].set_ylabel("top-1 accuracy, %")
        common_legend(figure, grid.flat)
    return figure
