"""Roles and directives through which pages quote the recorded campaigns of ``benchmarks/``.

    {reliability}`faults:kills`      a figure of a campaign, with its provenance as a tooltip
    ```{reliability-table} faults```   its table, and the command that makes it

A campaign that was not run shows "not run"; a name or key that does not exist is a warning.
"""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

from docutils import nodes
from repro_numbers import NumberRole
from repro_pages import RESULTS, html_table, link, not_run, raw
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from repro.errors import ReproError
from repro.report import reliability
from repro.report.numbers import Quote
from repro.study.parameters import results_folder
from repro.study.reliability import CAMPAIGNS, FOLDER, load_campaign


class ReliabilityRole(NumberRole):
    """A figure of a campaign."""

    def quote(self, text: str) -> Quote:
        name, _, key = text.partition(":")
        self.env.note_dependency(str(results_folder() / FOLDER / f"{name}.json"))
        return reliability.fact(name, key, load_campaign(name, results_folder()))


class ReliabilityTable(SphinxDirective):
    """The table of a campaign."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        name = self.arguments[0]
        self.env.note_dependency(str(results_folder() / FOLDER / f"{name}.json"))
        try:
            campaign = load_campaign(name, results_folder())
        except ReproError as error:
            return [self.state.document.reporter.warning(str(error), line=self.lineno)]
        if campaign is None:
            return [not_run(CAMPAIGNS[name])]
        head, rows = reliability.table(campaign)
        cells = [tuple(map(html.escape, row)) for row in rows]
        shown = html_table(tuple(map(html.escape, head)), cells, f"the campaign {name}")
        told = html.escape(reliability.tooltip(campaign).replace("\n", "; "))
        place = link(self.env, RESULTS, f"{FOLDER}-{name}")
        return [raw(f'{shown}<p class="repro-source">{told} · <a href="{place}">record</a></p>')]


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the role and the directive."""
    app.add_role("reliability", ReliabilityRole())
    app.add_directive("reliability-table", ReliabilityTable)
    return {"version": Path(__file__).stem, "parallel_read_safe": True, "parallel_write_safe": True}
