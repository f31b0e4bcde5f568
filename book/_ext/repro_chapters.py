"""Roles and directives of the pages that are about the study as a whole.

    ```{source-of} repro.method.routing.smooth```   a function or class as it stands in the module, with where it is
    ```{drawing} method```     the method, or one step of it, drawn for light and for dark
    ```{headline-claims}```     the front page's claims with their verdicts
    ```{verdict-tally}```       how often each verdict fell
    ```{scales-table}```        what each scale trains
    ```{left-out-table} cut```  a table of what the printed costs settle; {counted}`table1`, a count for the prose
    ```{reruns}```              every run that a chapter speaks of, by exhibit: command, time, hardware
    ```{benchmark-reruns}``` and ```{campaign-reruns}```

A name that does not exist is a warning, and so a failed build.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from importlib.util import find_spec
from os.path import relpath
from pathlib import Path
from typing import Any

from docutils import nodes
from repro_numbers import NumberRole
from repro_pages import command_of, html_table, marked, raw
from sphinx.application import Sphinx
from sphinx.directives.code import LiteralInclude
from sphinx.util.docutils import SphinxDirective

import repro
from repro.errors import ReproError
from repro.report import drawing, left_out, numbers, overview, reruns, settings, tables
from repro.report.exhibits import exhibits
from repro.report.performance import load_all
from repro.report.verdict import Verdict
from repro.study.parameters import results_folder
from repro.study.reliability import CAMPAIGNS, load_campaign
from repro.study.results import StudyResult, load_results


def table(head: tuple[str, ...], rows: list[tuple[str, ...]], label: str) -> nodes.raw:
    """A table of finished HTML cells, and what it is called for those who do not see it."""
    return raw(html_table(head, rows, label))


def place_of(name: str) -> tuple[Path, str]:
    """The file and the name within it of ``repro.method.routing.smooth``."""
    parts = name.split(".")
    for cut in range(len(parts) - 1, 0, -1):
        module = ".".join(parts[:cut])
        try:
            spec = find_spec(module)
        except ModuleNotFoundError:
            continue
        if spec and spec.origin and parts[0] == "repro":
            return Path(spec.origin), ".".join(parts[cut:])
    raise ReproError(f"there is no module of this project in '{name}'")


class SourceOf(LiteralInclude):
    """Sphinx's ``literalinclude`` of one object of the module: drawn from the file, so it cannot grow old."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        try:
            path, within = place_of(self.arguments[0])
        except ReproError as error:
            return [self.state.document.reporter.warning(str(error), line=self.lineno)]
        below = path.relative_to(Path(repro.__file__).resolve().parents[1]).as_posix()
        self.arguments = ["/" + relpath(path, self.env.srcdir)]
        self.options |= {"pyobject": within, "language": "python", "dedent": None}
        self.options.setdefault("class", ["repro-code"])
        found = list(super().run())
        url = f"{self.config.html_theme_options.get('repository_url', '')}/blob/main/{below}"
        name = html.escape(f"{below}: {within}")
        return [raw(f'<p class="repro-where"><a href="{url}"><code>{name}</code></a></p>'), *found]


class Drawing(SphinxDirective):
    """The book's own drawing, one for each theme; its words for those who do not see it stand with the code."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        name = self.arguments[0]
        if name not in drawing.STEPS:
            warning = f"there is no drawing '{name}' (there are: {', '.join(drawing.STEPS)})"
            return [self.state.document.reporter.warning(warning, line=self.lineno)]
        box = nodes.container(classes=["repro-drawing"])
        for theme in drawing.THEMES:
            uri, alt = f"/generated/drawing_{name}_{theme}.svg", drawing.STEPS[name].words
            box += nodes.image(uri=uri, alt=alt, width=drawing.WIDTH, align="center", classes=[f"only-{theme}"])
        return [box]


class OfAllResults(SphinxDirective):
    """Common to what looks over everything recorded."""

    def results(self) -> dict[str, StudyResult]:
        found = load_results(results_folder())
        self.env.note_dependency(str(results_folder()))
        for name in found:
            self.env.note_dependency(str(results_folder() / f"{name}.json"))
        return found


class HeadlineClaims(OfAllResults):
    """The front page's claims with their verdicts."""

    def run(self) -> list[nodes.Node]:
        rows = []
        for line in overview.headlines(list(self.results().values())):
            words = f'<a href="{line.study}.html" title="{html.escape(line.title)}">{html.escape(line.words)}</a>'
            rows.append((words, *(self.cell(found) for found in line.found)))
        head = ("the paper's claim", *overview.columns())
        box = nodes.container(classes=["repro-headlines"])
        box += table(head, rows, "the paper's main claims with their verdicts")
        return [box]

    def cell(self, found: overview.Found | str | None) -> str:
        if found is None:
            return numbers.NONE
        if isinstance(found, str):
            quote = numbers.Quote(str(Verdict.NOT_RUN), command_of(found))
        else:
            quote = numbers.verdict_quote(found.result, found.judged)
        return marked(self.env, quote, "repro-mark", tables.verdict_css(quote.text))


class VerdictTally(OfAllResults):
    """How often each verdict fell."""

    def run(self) -> list[nodes.Node]:
        return [nodes.paragraph("", overview.tally_text(list(self.results().values())))]


class ScalesTable(SphinxDirective):
    """What each scale trains."""

    def run(self) -> list[nodes.Node]:
        return [raw(settings.scales_table().in_page())]


class LeftOutTable(OfAllResults):
    """A table of readings against the printed costs."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        known = left_out.tables(list(self.results().values()))
        name = self.arguments[0]
        if name not in known:
            warning = f"there is no table '{name}' (there are: {', '.join(known)})"
            return [self.state.document.reporter.warning(warning, line=self.lineno)]
        return [raw(known[name].in_page())]


class CountedRole(NumberRole):
    """A count against the printed costs."""

    def quote(self, text: str) -> numbers.Quote:
        return left_out.fact(text)


def runs_table(title: str, runs: Sequence[reruns.Run], label: str) -> nodes.raw:
    """Commands with the time they took."""
    rows = [
        (html.escape(run.what), f"<code>{html.escape(run.command)}</code>", run.time, html.escape(run.hardware))
        for run in runs
    ]
    return table((title, "command", "training, as recorded", "on"), rows, label)


class Reruns(OfAllResults):
    """Every run of every exhibit."""

    def run(self) -> list[nodes.Node]:
        results = self.results()
        found: list[nodes.Node] = []
        for shown in exhibits():
            page = Path(self.env.srcdir) / f"{shown.name}.md"
            text = page.read_text(encoding="utf-8") if page.exists() else ""
            runs = reruns.exhibit_runs(shown.name, text, results)
            link = f'<a href="{shown.name}.html">{html.escape(shown.title)}</a>'
            found.append(runs_table(link, runs, f"runs of {shown.title}"))
        return found


class BenchmarkReruns(SphinxDirective):
    """The benchmarks' commands."""

    def run(self) -> list[nodes.Node]:
        runs = reruns.benchmark_runs(load_all(results_folder() / "performance"))
        return [runs_table("benchmark", runs, "benchmarks")]


class CampaignReruns(SphinxDirective):
    """The campaigns' commands."""

    def run(self) -> list[nodes.Node]:
        found = [load_campaign(name, results_folder()) for name in CAMPAIGNS]
        runs = reruns.campaign_runs([campaign for campaign in found if campaign])
        return [runs_table("campaign", runs, "campaigns")]


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the role and the directives."""
    app.add_role("counted", CountedRole())
    app.add_directive("source-of", SourceOf)
    app.add_directive("drawing", Drawing)
    app.add_directive("headline-claims", HeadlineClaims)
    app.add_directive("verdict-tally", VerdictTally)
    app.add_directive("scales-table", ScalesTable)
    app.add_directive("left-out-table", LeftOutTable)
    app.add_directive("reruns", Reruns)
    app.add_directive("benchmark-reruns", BenchmarkReruns)
    app.add_directive("campaign-reruns", CampaignReruns)
    return {"version": Path(__file__).stem, "parallel_read_safe": True, "parallel_write_safe": True}
