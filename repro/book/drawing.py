"""The drawing of the method, ``book/_static/method.svg``, for each step of Algorithm 1 with the step's parts lit."""

from __future__ import annotations

from html import escape
from typing import NamedTuple

PARTS = ("base", "gate", "experts", "ensembler", "exit")
"""Groups of the drawing; the book's style gives each its colour in either theme."""


class Step(NamedTuple):
    """A drawing of the book: the parts that are lit, and what it shows, in words."""

    lit: tuple[str, ...]
    words: str


STEPS = {
    "method": Step(
        PARTS,
        "An image passes the trunk and the head of the base model. From the head a gate picks one of K experts, which "
        "runs on the trunk's features. An ensembler averages base and expert into the prediction. Where the base is "
        "confident, its own prediction is given and no expert runs.",
    ),
    "base": Step(("base",), "The same drawing with the base model lit: trunk and base head."),
    "gate": Step(("gate",), "The same drawing with the gate lit, between the base head and the experts."),
    "experts": Step(("experts",), "The same drawing with the K experts lit; each is fed by the trunk."),
    "ensembler": Step(("ensembler",), "The same drawing with the ensembler lit, which joins base and expert."),
    "exit": Step(("exit", "gate"), "The same drawing with early exit and gate lit: they decide what runs."),
}
"""The drawings of the book by name: the whole method, and each step."""


def drawing(name: str, svg: str) -> str:
    """HTML of one of :data:`STEPS`, of the drawing's own text; the parts that the step is not about are faint."""
    step = STEPS[name]
    for part in PARTS:
        if part not in step.lit:
            svg = svg.replace(f'<g class="{part}">', f'<g class="{part} faint">')
    svg = svg.replace("<svg ", f'<svg role="img" aria-label="{escape(step.words)}" ', 1)
    return f'<div class="repro-drawing">{svg}</div>'
