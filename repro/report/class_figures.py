"""Figure 3 drawn: the images of a class, expert by expert, and how split all classes are."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from repro.families.single_gate.class_pictures import COMPANIONS, OWN_TILES, TILES_EACH, short
from repro.report.claim import Cell
from repro.report.numbers import where_run
from repro.report.pictures import close_together, show_tile
from repro.report.plots import COLOURS, PALETTE, mark, new_figure
from repro.report.verdict import summary_of
from repro.study.results import StudyResult


def class_of(result: StudyResult) -> str:
    """The pictured class, e.g. ``king penguin``."""
    table = result.tables.get("experts")
    return short(str(table.column("class")[0])) if table and table.rows else "the class"


def ranked(result: StudyResult, num_experts: int) -> tuple[list[str], list[float], list[float]]:
    """Names, effective experts and largest shares (percent) of all classes, the most split first."""
    table = result.tables["ranking"].where(experts=num_experts)
    return [short(str(name)) for name in table.column("class")], table.column("effective"), table.column("largest")


def pictures(results: Sequence[StudyResult]) -> Figure:
    """A band a result: the experts that have most of the class, its images left, those of the other classes right."""
    shown = [r for r in results if "tiles" in r.pictures]
    counts = [len(set(r.tables["tiles"].column("expert"))) for r in shown]
    heights = [1.75 * count + 0.35 for count in counts]
    figure = close_together(new_figure(8.0, sum(heights) + 0.1))
    if shown:
        bands = figure.subfigures(len(shown), 1, height_ratios=heights, squeeze=False)
        for band, result in zip(bands[:, 0], shown, strict=True):
            _result_band(band, result)
    return figure


def _result_band(band: SubFigure, result: StudyResult) -> None:
    tiles, rows = result.pictures["tiles"].tiles(), result.tables["tiles"].rows
    experts = list(dict.fromkeys(row[0] for row in rows))
    modes = sorted({row[3] for row in rows if row[2] == "own" and row[3] is not None})
    frames = {mode: PALETTE[place % len(PALETTE)] for place, mode in enumerate(modes)}
    words = f"; frames: the {len(modes)} true modes of {class_of(result)}" if modes else ""
    band.suptitle(
        f"{where_run(result)}, K = {result.most_experts()}{words}",
        fontsize=10, x=0.01, ha="left",
    )  # fmt: skip
    for part, expert in zip(band.subfigures(len(experts), 1, squeeze=False)[:, 0], experts, strict=True):
        here = [(row, tiles[index]) for index, row in enumerate(rows) if row[0] == expert]
        _expert_band(part, result, here, frames)


def _expert_band(part: SubFigure, result: StudyResult, here: list, frames: dict) -> None:
    """Two rows of the class's own images on the left, and a column for each companion on the right."""
    half = OWN_TILES // 2
    own = [(row, tile) for row, tile in here if row[2] == "own"]
    names = list(dict.fromkeys(row[1] for row, _ in here if row[2] == "companion"))
    grid = part.subplots(2, half + 1 + COMPANIONS, squeeze=False, width_ratios=[1] * half + [0.25] + [1] * COMPANIONS)
    for axes in grid.flat:
        axes.set_axis_off()
    for index, (row, tile) in enumerate(own):
        axes = grid[index // half, index % half]
        axes.set_axis_on()
        show_tile(axes, tile, frame=frames.get(row[3]))
    for place, name in enumerate(names):
        found = [tile for row, tile in here if row[1] == name and row[2] == "companion"][:TILES_EACH]
        for line, tile in enumerate(found):
            axes = grid[line, half + 1 + place]
            axes.set_axis_on()
            show_tile(axes, tile, _wrapped(short(str(name))) if line == 0 else "")
    expert = here[0][0][0]
    table = result.tables["experts"].where(seed=result.seeds[0], experts=result.most_experts(), expert=expert)
    share = f": {table.column('share')[0]:.0f} % of its images" if table.rows else ""
    words = f"{class_of(result)} in expert {expert}{share}"
    label = grid[0, 0].text(0, 1.1, words, fontsize=9, transform=grid[0, 0].transAxes)
    label.set_in_layout(False)  # it is as wide as several pictures, and stands at the height of the names beside it


def _wrapped(name: str) -> str:
    """A name short enough to stand over a picture."""
    return name if len(name) <= 12 else name[:11] + "…"


def split(results: Sequence[StudyResult]) -> Figure:
    """A row a result: all classes by how split they are; how real the split is, beside what chance gives."""
    figure = new_figure(8.0, 2.9 * max(len(results), 1))
    grid = figure.subplots(max(len(results), 1), 2, squeeze=False, width_ratios=[1.15, 1])
    for (curve, bars), result in zip(grid, results, strict=False):
        _ranking_panel(curve, result)
        _real_panel(bars, result)
    return figure


def _ranking_panel(axes: Axes, result: StudyResult) -> None:
    table = result.tables.get("ranking")
    for colour, k in zip(PALETTE, sorted(set(table.column("experts"))) if table else [], strict=False):
        names, effective, _ = ranked(result, k)
        axes.plot(range(1, len(names) + 1), effective, color=colour)
        axes.annotate(f"K = {k}", (1, effective[0]), (4, 4), textcoords="offset points", color=colour)
        if class_of(result) in names:
            rank = names.index(class_of(result))
            axes.plot([rank + 1], [effective[rank]], "o", color=colour)
            axes.annotate(class_of(result), (rank + 1, effective[rank]), (6, 4), textcoords="offset points", fontsize=9)
    axes.set_ylim(bottom=1, top=1.08 * axes.get_ylim()[1])
    axes.set_xlabel("class, by how split it is")
    axes.set_title(f"{where_run(result)}\nexperts that a class effectively uses")


def _real_panel(axes: Axes, result: StudyResult) -> None:
    k = result.most_experts()
    rows = (
        ("pixels", "classes", "classes by chance", "pixel variance\nexplained"),
        ("agreement", "classes", "", "agreement of\ntwo seeds (AMI)"),
        ("modes", "classes", "", "agreement with\ntrue modes (AMI)"),
        ("confused", "expert", "chance", "confused class\nin the expert"),
    )
    known = [row for row in rows if summary_of(result, Cell(k, row[1], metric=row[0]))]
    for y, (metric, method, chance, _) in enumerate(known):
        if summary := summary_of(result, Cell(k, method, metric=metric)):
            label = "" if y else "the mean class"
            mark(axes, y, summary, "o", COLOURS["expert"], interval=True, flat=True, label=label)
        blind = summary_of(result, Cell(k, chance, metric=metric)) if chance else None
        axes.plot([blind.mean if blind else 0], [y], "x", color="black", label="" if y else "by chance")
    axes.set_yticks(range(len(known)), [label for *_, label in known])
    axes.set_ylim(max(len(known), 1) - 0.5, -0.5)
    axes.grid(True, axis="x")
    axes.set_xlim(left=-2)
    axes.set_xlabel(f"% (K = {k})")
    axes.set_title("is the split real?\n")
    if known:
        axes.legend(frameon=False, loc="best")
