"""Figure 1's pictures drawn: images under their class maps, and how focused the maps are."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from repro.families.single_gate.class_pictures import short
from repro.families.single_gate.gradcam import TARGETS
from repro.report.claim import Cell
from repro.report.numbers import where_run
from repro.report.pictures import (
    SIDE,
    blend,
    close_together,
    difference,
    draw_box,
    enlarged,
    from_hex,
    show_tile,
    strip,
)
from repro.report.plots import COLOURS, PALETTE, common_legend, mark, new_figure, panels
from repro.report.verdict import summary_of
from repro.study.results import StudyResult

TRUE, OWN = TARGETS
METRICS = {
    "spread": "spread, % of the image",
    "spread_shown": "spread as drawn, %",
    "in_box": "in the box, %",
    "pointing": "points into the box, %",
    "empty": "empty maps, %",
}
OTHERS_COLOUR = PALETTE[3]
SEVERAL_RESULTS_ROWS, MAPS_SHOWN = 4, 4
NOTHING_TO_SEE = 4
"""Positions a side up to which a map tells which quarter of an image counts, and no more."""


def pictures(results: Sequence[StudyResult]) -> Figure:
    """A band a result, a row an image: itself, then under the maps of base, selected expert and other experts."""
    shown = [r for r in results if "examples" in r.pictures]
    most = SEVERAL_RESULTS_ROWS if len(shown) > 1 else 12
    rows = [min(r.pictures["examples"].count, most) for r in shown]
    figure = close_together(new_figure(8.0, 1.52 * sum(rows) + 0.55 * len(shown) + 0.1))
    if shown:
        bands = figure.subfigures(len(shown), 1, height_ratios=[1.52 * n + 0.55 for n in rows], squeeze=False)
        for band, result, number in zip(bands[:, 0], shown, rows, strict=True):
            _picture_band(band, result, number)
    return figure


def _picture_band(band: SubFigure, result: StudyResult, number: int) -> None:
    maps, images = result.tables["maps"], result.tables["images"]
    width = 2 + min(MAPS_SHOWN, max(maps.column("tile").count(tile) for tile in range(number)))
    for tile, axes in enumerate(band.subplots(number, width, squeeze=False)):
        shown = _under_maps(result, tile, MAPS_SHOWN)
        sides = [float(side) for side in images.where(tile=tile).rows[0][3:] if side is not None]
        for place in axes[len(shown) - 1 : -1]:
            place.set_axis_off()
        for place, (picture, title, below) in zip([*axes[: len(shown) - 1], axes[-1]], shown, strict=True):
            show_tile(place, picture, title if tile == 0 else "", below)
            if sides:
                draw_box(place, sides, SIDE)
    size, side = result.pictures["examples"].size, len(from_hex(str(maps.rows[0][-1])))
    coarse = f"at {size} pixels a map has {side} × {side} positions: there is nothing to see. "
    band.suptitle(
        f"{where_run(result)}: {coarse if side <= NOTHING_TO_SEE else ''}"
        f"One of {result.most_experts()} experts is selected;\nbelow each map its spread (and share in the box); "
        "last, the difference: red +1, white 0, blue −1",
        fontsize=9, x=0.01, ha="left",
    )  # fmt: skip


def _under_maps(result: StudyResult, tile: int, most: int | None = None) -> list[tuple[np.ndarray, str, str]]:
    """A recorded image, it under its maps, and how two of them differ; each with what stands above and below it."""
    image = result.pictures["examples"].tiles()[tile]
    maps = result.tables["maps"].where(tile=tile).rows[:most]
    titles = {"base": "base", "selected": "selected\nexpert", "other": "not\nselected"}
    found = [(enlarged(image, SIDE), "image", short(str(result.tables["images"].where(tile=tile).column("class")[0])))]
    for _, role, expert, spread, inside, text in maps:
        words = ("" if role == "base" else f"e{expert}: ") + f"{spread:.0f} %"
        words += "" if inside is None else f", box {inside:.0f} %"
        found.append((blend(image, from_hex(str(text))), titles[str(role)], words))
    by_role = {str(row[1]): from_hex(str(row[-1])) for row in maps}
    return [*found, (difference(by_role["selected"], by_role["base"]), "selected\nminus base", "")]


def one_image(result: StudyResult | None, image: int) -> str:
    """HTML: a recorded image, its maps, and how those of the selected expert and of the base differ."""
    if result is None or "examples" not in result.pictures:
        return "<p>Nothing is recorded.</p>"
    pictures, titles, words = zip(*_under_maps(result, image), strict=True)
    below = [f"{title}: {text}".strip(": ") for title, text in zip(titles, words, strict=True)]
    return f"<p>{where_run(result)}</p>" + strip(np.stack(pictures), below)


def numbers(results: Sequence[StudyResult]) -> Figure:
    """A row a result: spread, share in the box, pointing game; means, seeds and 95 % intervals."""
    drawn = (partial(_panel, metric=metric) for metric in ("spread", "in_box", "pointing"))
    figure, axes = panels(results, *drawn, height=2.9)
    common_legend(figure, axes.flat, columns=2)
    return figure


def _panel(axes: Axes, result: StudyResult, metric: str) -> None:
    k = result.most_experts()
    places = {
        "base": (0, "backbone"),
        "one\nexpert": (1, "expert"),
        "selected": (k, "expert"),
        "not\nselected": (k, "others"),
    }
    colours = {"backbone": COLOURS["backbone"], "expert": COLOURS["expert"], "others": OTHERS_COLOUR}
    names = {name: at for name, at in places.items() if summary_of(result, Cell(at[0], at[1], TRUE, metric))}
    if not names:
        axes.set_axis_off()
        return
    for x, (experts, method) in enumerate(names.values()):
        for row, shift, filled in ((TRUE, -0.14, True), (OWN, 0.14, False)):
            if summary := summary_of(result, Cell(experts, method, row, metric)):
                face = colours[method] if filled else "white"
                mark(axes, x + shift, summary, "o", colours[method], interval=True, markerfacecolor=face)
    for row, face in ((TRUE, "black"), (OWN, "white")):
        axes.plot([], [], "o", color="black", markerfacecolor=face, label=f"map of the {row}")
    for name, style in (("uniform", ":"), ("centre", "--")):
        if blind := summary_of(result, Cell(0, name, "", metric)):
            label = {"uniform": "a uniform map", "centre": "the image's centre"}[name]
            axes.axhline(blind.mean, color="black", linestyle=style, linewidth=1, label=label)
    axes.set_xticks(range(len(names)), list(names))
    axes.set_xlim(-0.5, len(names) - 0.5)
    axes.set_title(f"{where_run(result) if metric == 'spread' else ''}\n{METRICS[metric]}")
