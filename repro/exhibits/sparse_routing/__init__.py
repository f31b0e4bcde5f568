"""What tokens choose (the sweet-spot paper's "Model inspection", Figures 3, 4 and 7; its claims V6 to V8 and V10).

Of the networks that ``sparse_placement`` trains: where an image's tokens go, what experts have to do with classes and
with one another, and whether mixtures help or harm on corrupted images.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
from matplotlib.figure import Figure

from repro.data.imagenet import OTHER_SETS
from repro.exhibits.sparse_routing.run import NAME, SHIFT, Parameters, cell, run
from repro.exhibits.sparse_routing.shifts import KINDS, STRENGTHS
from repro.report.claim import Cell, Claim
from repro.report.exhibit import Exhibit
from repro.report.numbers import NONE, which_run
from repro.report.pictures import close_together, show_tile
from repro.report.plots import PALETTE, common_legend, new_figure
from repro.report.printed import PrintedValue, rows_of
from repro.report.tables import Captioned, Columns, about, frame, means, metric_columns
from repro.report.verdict import by_seed
from repro.study.results import StudyResult, Table

ABOUT = (-10.0, 10.0)
"""Points around half of the experts that process an image, by the paper's 15.8 of 32 ("almost half"). Tokens that chose
at random would visit 87 % (64 of them in the first mixture of a small ConvNeXt), so that there is an upper end."""


def _claims(body: str, name: str) -> Iterator[Claim]:
    last_2 = partial(cell, body, "last-2")
    yield Claim(
        f"V6/{body}", f"{name}, 32 experts: an image's tokens go to about half of them (first mixture, percent)",
        last_2("first", "share", 32), bar=50, within=ABOUT, section="Number of experts involved per image",
    )  # fmt: skip
    information = partial(last_2, metric="information")
    yield Claim(
        f"V7/{body}", f"{name}: the class explains more of the choice in the last mixture than in the first",
        information("last"), information("first"), section="Figure 4",
    )  # fmt: skip
    if body == "vit":  # a ConvNeXt's last mixtures have fewer tokens, which by itself makes experts less alike
        alike = partial(last_2, metric="similarity")
        text = f"{name}: experts share images more in the first mixture than in the last"
        yield Claim(f"V8/{body}", text, alike("first"), alike("last"), section="Figure 4")
    yield Claim(
        f"V10/{body}", f"{name}: under our shifts too, Last 2 beats the dense one", last_2(SHIFT),
        cell(body, "none", SHIFT), paired=False, settled_after=True, section="Table 9",
    )  # fmt: skip


CLAIMS = tuple(claim for body, name in (("convnext", "ConvNeXt"), ("vit", "ViT")) for claim in _claims(body, name))
"""Of Last 2, 8 experts unless said otherwise. ConvNeXt-micro's and ViTs' first mixtures have 64 tokens or more."""


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


def _name(cell: Cell) -> str:
    """How readers call a network or a mixture."""
    return f"{cell.row.partition(' ')[2]}, {cell.num_experts} experts" if cell.num_experts else "dense"


def _networks(result: StudyResult) -> dict[str, Cell]:
    """The cells of clean top-1 by what readers call the networks."""
    cells = map(Cell.of, result.measurements)
    return {_name(cell): cell for cell in cells if cell.metric == "top1" and "," not in cell.row}


def tables(result: StudyResult) -> dict[str, Captioned]:
    """``main``: what mixtures do with the evaluation images; ``shifts``: accuracy on corrupted ones."""
    mixtures = {_name(cell): cell for cell in map(Cell.of, result.measurements) if cell.metric == "experts"}
    metrics = {
        "experts an image": ("experts", 2), "of all, %": ("share", 2), "likeness of experts": ("similarity", 2),
        "choice explained by class": ("information", 2),
    }  # fmt: skip
    columns = metric_columns(result, list(mixtures.values()), metrics)
    paper = [printed_value(result, cell) for cell in mixtures.values()]
    columns["experts an image, paper"] = [NONE if value is None else value.digits for value in paper]
    caption = (
        f"{about(result, models=False)}; on the {result.evaluate} set. Likeness: mean S of pairs of experts, 1 where "
        "two have equally many tokens of each image, 0 where no image has both; where tokens are few it is lower by "
        "chance. Explained: mutual information of class "
        "and expert over the entropy of the experts; few tokens give more than 0 by chance. The paper's numbers are of "
        "its last mixtures, on ImageNet."
    )
    return {"main": Captioned(frame(columns, list(mixtures)), caption), "shifts": _shifts(result)}


def _shifts(result: StudyResult) -> Captioned:
    rows = _networks(result)
    columns: Columns = {"clean": means(result, list(rows.values()))}
    for kind in KINDS:
        for strength in (STRENGTHS[0], STRENGTHS[-1]):
            columns[f"{kind} {strength}"] = means(result, [_under(c, f"{kind} {strength}") for c in rows.values()])
    columns["mean of all"] = means(result, [_under(c, SHIFT) for c in rows.values()])
    others = {name: [_under(c, name) for c in rows.values()] for name in OTHER_SETS}
    absent = [name for name, cells in others.items() if not any(by_seed(result, cell) for cell in cells)]
    columns |= {name: means(result, cells) for name, cells in others.items() if name not in absent}
    caption = (
        f"{about(result, models=False)}; top-1 in percent on our shifts of the {result.evaluate} set: {len(KINDS)} "
        f"kinds of corruption at {len(STRENGTHS)} strengths, the weakest and strongest of each."
    )
    if len(absent) < len(others):
        caption += " Beside them other images of ImageNet's classes, each set among the classes that it has."
    if absent:
        caption += f" Our shifts stand in for {', '.join(absent)}: not run."
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
    names = max((list(_parts(r.tables["similarity"])) for r in results), key=len)
    figure = new_figure(max(3.1 * len(names), 6.0), 7.6 * len(results))
    grid = figure.subplots(3 * len(results), len(names), squeeze=False)
    for axes in grid.flat:
        axes.grid(False)
    for top, result in zip(range(0, len(grid), 3), results, strict=True):
        by_class, alike, patches = (_parts(result.tables[name]) for name in ("occurrence", "similarity", "patches"))
        for place, name in enumerate(alike):
            first, second, third = grid[top : top + 3, place]
            shares = by_class[name] / by_class[name].sum(1, keepdims=True).clip(1)
            first.imshow(shares.T, aspect="auto", cmap="viridis", vmin=0, interpolation="nearest")
            first.set_title(f"{which_run(result)}\n{name}: tokens of a class (0 to {shares.max():.0%})")
            first.set(xlabel="class", ylabel="expert")
            second.imshow(alike[name], cmap="viridis", vmin=0, vmax=1)
            second.set_title("likeness S of experts (0 to 1)")
            third.set_prop_cycle(color=PALETTE)
            third.plot(np.arange(1, len(patches[name]) + 1), patches[name], linewidth=1)
            third.set_ylim(0, 1.02)
            third.set(xlabel="tokens of an image, at most", ylabel="share of its images")
    return figure


def _maps(results: Sequence[StudyResult]) -> Figure:
    pictures = [result.pictures["maps"] for result in results]
    rows, columns = sum(p.count // p.columns for p in pictures), max(p.columns for p in pictures)
    figure = close_together(new_figure(1.25 * columns, 1.3 * rows))
    tiles = [tile for picture in pictures for tile in picture.tiles()]
    for axes, tile in zip(figure.subplots(rows, columns, squeeze=False).flat, tiles, strict=True):
        show_tile(axes, tile)
    return figure


def _curves(results: Sequence[StudyResult]) -> Figure:
    figure = new_figure(9.0, 2.9 * len(results))
    grid = figure.subplots(len(results), len(KINDS), squeeze=False, sharey="row", sharex=True)
    for panels, result in zip(grid, results, strict=True):
        for axes, kind in zip(panels, KINDS, strict=True):
            for colour, (name, clean) in zip(PALETTE, _networks(result).items(), strict=False):
                cells = [clean, *(_under(clean, f"{kind} {strength}") for strength in STRENGTHS)]
                each = [list(by_seed(result, cell).values()) for cell in cells]
                axes.plot((0, *STRENGTHS), np.mean(each, 1), "o-", color=colour, markersize=4, label=name)
            axes.set_title(f"{which_run(result)}\n{kind}" if axes is panels[0] else f"\n{kind}")
            axes.set_xlabel("strength")
        panels[0].set_ylabel("top-1 accuracy, %")
    common_legend(figure, grid.flat)
    return figure


EXHIBIT = Exhibit(
    NAME, "What tokens choose (sweet spot, Figures 3, 4 and 7)", Parameters, run, tables, CLAIMS, printed_value,
    figures, place=17,
)  # fmt: skip
