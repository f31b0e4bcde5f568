"""The book's own drawing of the method: base, gate, experts, ensembler and early exit, in two themes.

One drawing, made anew for each step of Algorithm 1 with the parts that the step is about lit and the rest faint.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from repro.files import write_aside
from repro.report.plots import figure_style

SELECTED = 3
"""The expert that the drawing's gate selects."""


@dataclass(frozen=True)
class Theme:
    """Colours on a ground: ink for words and lines, and one colour a part (Okabe and Ito's, lighter on dark)."""

    ink: str
    colours: dict[str, str]


THEMES = {
    "light": Theme(
        "#1A1A1A",
        {"base": "#595959", "gate": "#007A5A", "experts": "#0072B2", "ensembler": "#B34E00", "exit": "#9B3D77"},
    ),
    "dark": Theme(
        "#F0F0F0",
        {"base": "#B8B8B8", "gate": "#2FC79A", "experts": "#56B4E9", "ensembler": "#F0A050", "exit": "#E59AC6"},
    ),
}

PARTS = tuple(THEMES["light"].colours)
"""What a drawing can light: base, gate, experts, ensembler, exit."""


@dataclass(frozen=True)
class Step:
    """A drawing of the book: the parts that are lit, and what it shows, in words."""

    lit: tuple[str, ...]
    words: str


STEPS = {
    "method": Step(
        PARTS,
        "An image passes the trunk and the head of the base model. From the head a gate picks one of K experts, which "
        "runs on the trunk's features. An ensembler averages base and expert into the answer. Where the base is sure, "
        "its own answer is given and no expert runs.",
    ),
    "base": Step(("base",), "The same drawing with the base model lit: trunk and base head."),
    "gate": Step(("gate",), "The same drawing with the gate lit, between the base head and the experts."),
    "experts": Step(("experts",), "The same drawing with the K experts lit; each is fed by the trunk."),
    "ensembler": Step(("ensembler",), "The same drawing with the ensembler lit, which joins base and expert."),
    "exit": Step(("exit", "gate"), "The same drawing with early exit and gate lit: they decide what runs."),
}
"""The drawings of the book by name: the whole method, and each step."""

WIDTH = "560px"
"""On a page; a phone shows them smaller."""

FAINT = 0.35


def drawings() -> dict[str, Figure]:
    """Every drawing in every theme: ``drawing_method_light``, ``drawing_method_dark``, ``drawing_base_light`` ..."""
    return {
        f"drawing_{name}_{theme}": draw(colours, step.lit)
        for name, step in STEPS.items()
        for theme, colours in THEMES.items()
    }


def save_drawings(folder: Path) -> list[Path]:
    """Write every drawing to ``folder`` as SVG, without a ground; the same drawing, the same bytes."""
    paths = []
    for name, figure in drawings().items():
        paths.append(Path(folder) / f"{name}.svg")
        with figure_style(), write_aside(paths[-1]) as aside:
            figure.savefig(aside, format="svg", transparent=True, metadata={"Date": None})
    return paths


def draw(theme: Theme, lit: Collection[str] = PARTS) -> Figure:
    """The method, read from left to right; the parts of ``lit`` in full colour. The ground is transparent."""
    with figure_style():
        figure = Figure(figsize=(5.1, 3.75))
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        axes.set_xlim(0, 112)
        axes.set_ylim(0, 82)
        pen = _Pen(axes, theme, frozenset(lit))
        _base(pen)
        _gate(pen)
        _experts(pen)
        _ensembler(pen)
        _exit(pen)
    return figure


@dataclass(frozen=True)
class _Pen:
    """Draws in a theme, faint where a part is not lit."""

    axes: Axes
    theme: Theme
    lit: frozenset[str]

    def strength(self, part: str) -> float:
        return 1.0 if part in self.lit else FAINT

    def box(
        self, part: str, x: float, y: float, width: float, height: float, words: str, size: float = 10.5,
        dashed: bool = False,
    ) -> None:  # fmt: skip
        """A rounded box with its lower left corner at (x, y)."""
        colour, alpha = self.theme.colours[part], self.strength(part)
        shape: dict[str, Any] = {"boxstyle": "round,pad=0,rounding_size=2", "linewidth": 1.8}
        ground = FancyBboxPatch((x, y), width, height, facecolor=colour, edgecolor="none", alpha=0.16 * alpha, **shape)
        line = (0, (2.5, 2)) if dashed else "-"
        edge = FancyBboxPatch(
            (x, y), width, height, facecolor="none", edgecolor=colour, alpha=alpha, linestyle=line, **shape
        )
        self.axes.add_patch(ground)
        self.axes.add_patch(edge)
        self.words(part, x + width / 2, y + height / 2, words, size)

    def frame(self, part: str, x: float, y: float, width: float, height: float) -> None:
        """A thin line around what belongs together."""
        shape: dict[str, Any] = {"boxstyle": "round,pad=0,rounding_size=3", "linewidth": 1.0, "linestyle": (0, (4, 3))}
        edge = FancyBboxPatch((x, y), width, height, facecolor="none", edgecolor=self.theme.colours[part],
                              alpha=self.strength(part), **shape)  # fmt: skip
        self.axes.add_patch(edge)

    def words(self, part: str, x: float, y: float, words: str, size: float = 10.5, **style: object) -> None:
        """Words centred at (x, y)."""
        alpha = max(self.strength(part), 0.6)
        given = {"ha": "center", "va": "center", "color": self.theme.ink, "linespacing": 1.25, **style}
        self.axes.text(x, y, words, fontsize=size, alpha=alpha, **given)  # type: ignore[arg-type]

    def arrow(self, part: str, *points: tuple[float, float], dashed: bool = False, head: bool = True) -> None:
        """A line through points; with a head, unless told otherwise, at its end."""
        line = "--" if dashed else "-"
        style = {"color": self.theme.colours[part], "alpha": self.strength(part), "linewidth": 1.8, "linestyle": line}
        bends = points[:-1] if head else points
        self.axes.plot(*zip(*bends, strict=True), solid_capstyle="round", solid_joinstyle="round", **style)  # type: ignore[arg-type]
        if head:
            shape = {"arrowstyle": "-|>", "mutation_scale": 13, "shrinkA": 0, "shrinkB": 0}
            self.axes.add_patch(FancyArrowPatch(points[-2], points[-1], **shape, **style))  # type: ignore[arg-type]


def _base(pen: _Pen) -> None:
    pen.frame("base", 15, 51, 62.5, 23)
    pen.words("base", 15, 78, "base model φ: sees every image, then frozen", ha="left")
    pen.words("base", 5.5, 62.5, "image\n$x$")
    pen.box("base", 17.5, 53.5, 22, 18, "trunk\nstem,\nstages 1, 2")
    pen.box("base", 50, 53.5, 25, 18, "head\nstages 3, 4,\nlinear layer")
    pen.arrow("base", (11.5, 62.5), (17, 62.5))
    pen.arrow("base", (40, 62.5), (49.5, 62.5))


def _gate(pen: _Pen) -> None:
    pen.arrow("gate", (62.5, 53), (62.5, 46.5))
    pen.box("gate", 48, 34, 29, 12, "gate g\none linear layer")


def _experts(pen: _Pen) -> None:
    left, width, step, bus = 17.5, 11.5, 14.2, 28.5
    pen.arrow("experts", (23.2, 53), (23.2, bus), head=False)
    for index, name in enumerate(("e$_1$", "e$_2$", "e$_3$", "…", "e$_K$")):
        x, chosen = left + index * step, index == SELECTED - 1
        if name == "…":
            pen.words("experts", x + width / 2, 16.5, name, 14)
            continue
        pen.arrow("experts", (23.2, bus), (x + width / 2, bus), (x + width / 2, 23.5), dashed=not chosen)
        pen.box("experts", x, 11, width, 12, name, 13, dashed=not chosen)
    at = left + (SELECTED - 1) * step + width
    pen.arrow("gate", (62.5, 33.5), (62.5, 25), (at + 0.4, 18.5))
    pen.words("experts", 17.5, 2.5, "K experts: the upper half again, one of them runs", ha="left")


def _ensembler(pen: _Pen) -> None:
    pen.box("ensembler", 89.5, 11, 21.5, 15, "ensem-\nbler d$_k$")
    pen.arrow("ensembler", (51.7, 10.5), (51.7, 6.7), (100.2, 6.7), (100.2, 10.5))
    pen.arrow("ensembler", (75.5, 58), (83.5, 58), (83.5, 30.5), (94, 30.5), (94, 26.5))
    pen.arrow("ensembler", (104, 26.5), (104, 35.5))
    pen.words("ensembler", 101.5, 39.5, "answer", 11.5)


def _exit(pen: _Pen) -> None:
    pen.arrow("exit", (75.5, 66), (89, 66))
    pen.box("exit", 89.5, 58, 21.5, 15, "early exit\nif φ is\nsure")
    pen.arrow("exit", (104, 57.5), (104, 43.5))
