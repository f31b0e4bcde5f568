"""Directives for the two interactive pieces, which need no server: the page holds their numbers, and a script.

    ```{anytime-slider}```      the threshold of Figure 2 as a slider
    ```{routing-explorer}```    how the images of a class are dealt to the experts

Without JavaScript a sentence stands in their place; the figures beside them show the same.
"""

from __future__ import annotations

import html
import json
from pathlib import Path
from typing import Any

from docutils import nodes
from repro_pages import file_link, not_run, raw
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from repro.report import interactive
from repro.study.exhibits.figure2_anytime import NAME as FIGURE2
from repro.study.exhibits.figure3_king_penguin import NAME as FIGURE3
from repro.study.parameters import results_folder
from repro.study.results import load_results


class Widget(SphinxDirective):
    """A box that its script fills."""

    study: str
    script: str
    title: str

    def data(self) -> list[dict[str, Any]]:
        raise NotImplementedError

    def run(self) -> list[nodes.Node]:
        self.env.note_dependency(str(results_folder()))
        data = self.data()
        if not data:
            return [not_run(f"uv run repro run {self.study}")]
        text = json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
        title = html.escape(self.title)
        return [
            raw(
                f'<section class="repro-widget" id="{self.script}" aria-label="{title}" hidden>'
                f'<p class="repro-widget-title">{title}</p>'
                f'<script type="application/json">{text}</script></section>'
                f'<noscript><p class="repro-source">{title}: needs JavaScript; the figures say it too.</p></noscript>'
                f'<script src="{file_link(self.env, f"_static/{self.script}.js")}" defer></script>'
            )
        ]


class AnytimeSlider(Widget):
    """The threshold of Figure 2 as a slider."""

    study = FIGURE2
    script = "anytime-slider"
    title = "Turn the threshold"

    def data(self) -> list[dict[str, Any]]:
        return interactive.anytime(list(load_results(results_folder(), FIGURE2).values()))


class RoutingExplorer(Widget):
    """Figure 3 for every class."""

    study = FIGURE3
    script = "routing-explorer"
    title = "Choose a class, and see its experts"

    def data(self) -> list[dict[str, Any]]:
        return interactive.routing(list(load_results(results_folder(), FIGURE3).values()))


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directives."""
    app.add_directive("anytime-slider", AnytimeSlider)
    app.add_directive("routing-explorer", RoutingExplorer)
    return {"version": Path(__file__).stem, "parallel_read_safe": True, "parallel_write_safe": True}
