"""Directives of the performance chapter: everything it shows is read from the benchmarks' records.

    ```{performance-goals}```              every benchmark's goals: bound, measured, met or missed
    ```{performance} NAME [TITLE...]```    the tables of a benchmark (all, or one), and where they come from
    ```{performance-figure} FIGURE```      a figure, with its caption as content

A benchmark that was not run shows "not run" and the command that runs it.
"""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

import repro_pages
from docutils import nodes
from docutils.parsers.rst.directives.images import Figure
from repro_figures import figure_file, with_sources
from repro_pages import RESULTS, link, raw
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from repro.errors import ReproError
from repro.report import performance
from repro.study.parameters import results_folder
from repro.study.performance import BENCHMARKS, load_performance

FIGURES = {"performance_anytime": "anytime_wallclock", "performance_experts": "experts_one_pass"}


def folder() -> Path:
    """Where the records lie."""
    return results_folder() / "performance"


def not_run(name: str) -> nodes.raw:
    """What stands where a benchmark's numbers would."""
    return repro_pages.not_run(f"uv run python benchmarks/{name}.py")


class Performance(SphinxDirective):
    """The tables of a benchmark."""

    required_arguments = 1
    optional_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        name = self.arguments[0]
        self.env.note_dependency(str(folder() / f"{name}.json"))
        try:
            if name not in BENCHMARKS:
                raise ReproError(f"there is no benchmark '{name}' (there are: {', '.join(BENCHMARKS)})")
            record = load_performance(folder(), name)
            if record is None:
                return [not_run(name)]
            wanted = self.arguments[1:] or list(record.tables)
            for title in wanted:
                if title not in record.tables:
                    raise ReproError(f"{name} has no table '{title}' (there are: {'; '.join(record.tables)})")
        except ReproError as error:
            return [self.state.document.reporter.warning(str(error), line=self.lineno)]
        told = self.parse_text_to_nodes("\n\n".join([record.method, *record.notes]))
        tables = [performance.table_html(title, record.tables[title]) for title in wanted]
        place = link(self.env, RESULTS, f"performance-{name}")
        source = f'<p class="repro-source"><a href="{place}">record and data (CSV)</a></p>'
        return [*told, raw("".join([*tables, performance.provenance_html(record), source]))]


class PerformanceGoals(SphinxDirective):
    """Every goal, and whether it was met."""

    def run(self) -> list[nodes.Node]:
        found: list[nodes.Node] = []
        for name in BENCHMARKS:
            self.env.note_dependency(str(folder() / f"{name}.json"))
            record = load_performance(folder(), name)
            if record is None:
                found += [raw(f"<p><code>{name}</code></p>"), not_run(name)]
            else:
                claim = f"<p><code>{name}</code>: {html.escape(record.claim)}</p>"
                found.append(raw(claim + performance.goals_html(record)))
        return found


class PerformanceFigure(Figure):
    """A figure of the records; "not run" where there is none."""

    def run(self) -> list[nodes.Node]:
        stem = self.arguments[0]
        if stem not in FIGURES:
            warning = f"there is no figure '{stem}' (there are: {', '.join(FIGURES)})"
            return [self.state.document.reporter.warning(warning, line=self.lineno)]
        if not figure_file(self.state.document.settings.env, stem).exists():
            return [not_run(FIGURES[stem])]
        return with_sources(self, stem, f"performance-{FIGURES[stem]}")


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directives."""
    app.add_directive("performance", Performance)
    app.add_directive("performance-goals", PerformanceGoals)
    app.add_directive("performance-figure", PerformanceFigure)
    return {"version": Path(__file__).stem, "parallel_read_safe": True, "parallel_write_safe": True}
