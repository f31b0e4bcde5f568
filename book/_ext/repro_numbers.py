"""Roles and directives through which pages quote recorded results: no number is typed into a page.

    {result}`NAME:top1/bagging/20`   mean ± standard deviation, with seeds, interval and provenance as a tooltip
    {result}`NAME:minutes`           a fact of the run
    {paper}`2/cifar100/tr18/tr18/20/bagging/top1`   a number that the paper prints
    {verdict}`NAME:C2/20`            the verdict on a claim
    ```{recorded-table} NAME [TABLE]```   a table of the exhibit, ``main`` unless named; ```{recorded-claims} NAME```
    ```{recorded-figure} EXHIBIT [FIGURE]```   a figure of all its recorded results
    ```{exact-table} EXHIBIT TABLE```   a table that needs no run (costs)
    ```{recorded-reading} NAME```   its numbers in sentences
    ```{all-claims}```, ```{recorded-runs}```, ```{spec-choices}```

A name or key that does not exist is a warning, and so a failed build. A *run* that is not recorded (a
name of the right form, no file) shows "not run".
"""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive
from docutils.parsers.rst.directives.images import Figure
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective, SphinxRole

from repro.errors import ReproError
from repro.progress import duration
from repro.report import numbers, tables
from repro.report.exhibits import exhibit, exhibits
from repro.study.choices import CHOICES
from repro.study.parameters import results_folder
from repro.study.results import StudyResult, load_result, load_results
from repro.study.scales import SCALES


def find(name: str) -> StudyResult | None:
    """The recorded result of a name; None if that run is not recorded; ReproError if there is no such run."""
    path = results_folder() / f"{name}.json"
    if path.exists():
        return load_result(path)
    study, _, rest = name.partition("-")
    exhibit(study)
    if not any(rest == f"{dataset}-{scale}" for scale, sets in SCALES.items() for dataset in sets):
        raise ReproError(f"there is no run '{name}': write STUDY-DATASET-SCALE")
    return None


def command_of(name: str) -> str:
    """The command that would record a run."""
    study, _, rest = name.partition("-")
    dataset, _, scale = rest.rpartition("-")
    return f"uv run repro run {study} -p scale {scale} -p dataset {dataset} -p seeds 0,1,2"


class NumberRole(SphinxRole):
    """Common to the roles: a span with a tooltip; what cannot be found is a warning at its line."""

    css = "repro-number"

    def quote(self, text: str) -> numbers.Quote:
        raise NotImplementedError

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        try:
            quote = self.quote(self.text)
        except ReproError as error:
            message = self.inliner.reporter.warning(f"{{{self.name}}}: {error}", line=self.lineno)
            return [self.inliner.problematic(self.rawtext, self.rawtext, message)], [message]
        span = f'<span class="{self.css}" title="{html.escape(quote.tooltip)}">{html.escape(quote.text)}</span>'
        return [nodes.raw("", span, format="html")], []

    def recorded(self, text: str) -> tuple[StudyResult | None, str, str]:
        name, colon, key = text.partition(":")
        if not colon:
            raise ReproError(f"write NAME:KEY, not '{text}'")
        self.env.note_dependency(str(results_folder() / f"{name}.json"))
        return find(name), name, key


class ResultRole(NumberRole):
    """A number of a recorded result."""

    def quote(self, text: str) -> numbers.Quote:
        result, name, key = self.recorded(text)
        if result is None:
            return numbers.Quote("not run", command_of(name))
        return numbers.look_up(result, key, exhibit(result.study).judge(result))


class VerdictRole(NumberRole):
    """The verdict on a claim."""

    css = "repro-verdict"

    def quote(self, text: str) -> numbers.Quote:
        result, name, key = self.recorded(text)
        if result is None:
            return numbers.Quote("not run", command_of(name))
        judged = numbers.claim_of(exhibit(result.study).judge(result), key)
        return numbers.Quote(str(judged.verdict), numbers.claim_tooltip(judged))


class PaperRole(NumberRole):
    """A number that the paper prints."""

    def quote(self, text: str) -> numbers.Quote:
        return numbers.paper_quote(text)


class RecordedDirective(SphinxDirective):
    """Common to the directives about one run."""

    required_arguments = 1
    optional_arguments = 1

    def show(self, result: StudyResult) -> list[nodes.Node]:
        raise NotImplementedError

    def run(self) -> list[nodes.Node]:
        name = self.arguments[0]
        self.env.note_dependency(str(results_folder() / f"{name}.json"))
        try:
            result = find(name)
            if result is None:
                command = html.escape(command_of(name))
                return [raw(f"<p><strong>Not run.</strong> <code>{command}</code> fills this in.</p>")]
            return self.show(result)
        except ReproError as error:
            return [self.state.document.reporter.warning(str(error), line=self.lineno)]


class RecordedTable(RecordedDirective):
    """A table of a run."""

    def show(self, result: StudyResult) -> list[nodes.Node]:
        shown = exhibit(result.study).tables(result)
        wanted = self.arguments[1] if len(self.arguments) > 1 else "main"
        if wanted not in shown:
            raise ReproError(f"{result.name} has no table '{wanted}' (there are: {', '.join(shown)})")
        return [raw(shown[wanted].in_page())]


class ExactTable(SphinxDirective):
    """A table of an exhibit that needs no run."""

    required_arguments = 2

    def run(self) -> list[nodes.Node]:
        name, wanted = self.arguments
        try:
            shown = exhibit(name).exact()
            if wanted not in shown:
                raise ReproError(f"{name} has no exact table '{wanted}' (there are: {', '.join(shown)})")
            return [raw(shown[wanted].in_page())]
        except ReproError as error:
            return [self.state.document.reporter.warning(str(error), line=self.lineno)]


class RecordedClaims(RecordedDirective):
    """The paper's claims with the verdict of a run."""

    def show(self, result: StudyResult) -> list[nodes.Node]:
        judged = exhibit(result.study).judge(result)
        return [raw(tables.Shown(tables.claims_table(judged), tables.claims_caption(result)).in_page())]


class RecordedReading(RecordedDirective):
    """The numbers of a run in sentences."""

    def show(self, result: StudyResult) -> list[nodes.Node]:
        found, _ = self.parse_inline(exhibit(result.study).read(result), lineno=self.lineno)
        return [nodes.paragraph("", "", *found)]


class RecordedFigure(Figure):
    """A figure of an exhibit, made of its recorded results; "not run" where there are none."""

    optional_arguments = 1

    def run(self) -> list[nodes.Node]:
        try:
            shown = exhibit(self.arguments[0])
        except ReproError as error:
            return [self.state.document.reporter.warning(str(error), line=self.lineno)]
        stem = shown.figure_name(self.arguments[1] if len(self.arguments) > 1 else "main")
        source = Path(self.state.document.settings.env.srcdir)
        if not (source / "generated" / f"{stem}.svg").exists():
            if load_results(results_folder(), shown.name):
                warning = f"no figure generated/{stem}.svg was made of the recorded results"
                return [self.state.document.reporter.warning(warning, line=self.lineno)]
            return [raw(f"<p><strong>Not run.</strong> <code>repro run {shown.name}</code> makes this figure.</p>")]
        self.arguments = [f"/generated/{stem}.svg"]
        self.options.setdefault("class", ["repro-figure"])
        return list(super().run())


class AllClaims(SphinxDirective):
    """Every claim of the paper in a sentence, with its verdict on each image set and scale, and a link."""

    def run(self) -> list[nodes.Node]:
        self.env.note_dependency(str(results_folder()))
        rows = []
        for shown in exhibits():
            results = list(load_results(results_folder(), shown.name).values())
            judged = [(r, {j.claim.key: j for j in shown.judge(r)}) for r in results]
            for claim in shown.claims:
                found = [verdict_mark(r, by_key[claim.key]) for r, by_key in judged if claim.key in by_key]
                link = f'<a href="{shown.name}.html">{html.escape(shown.title.partition(":")[0])}</a>'
                where = f"Section {claim.section}" if claim.section else ""
                rows.append((html.escape(claim.text), "<br>".join(found) or "not run", link, where))
        return [raw(html_table(("the paper's claim", "here", "evidence", "where in the paper"), rows))]


def verdict_mark(result: StudyResult, judged: Any) -> str:
    """A verdict with its image set and scale, and its numbers as a tooltip."""
    where = f"{numbers.DATASETS.get(result.dataset, result.dataset)}, {result.scale}"
    style = tables.verdict_css(judged.verdict)
    tip = html.escape(numbers.claim_tooltip(judged))
    mark = f'<span class="repro-mark" style="{style}" title="{tip}">{judged.verdict}</span>'
    return f'<span style="white-space: nowrap">{mark} {html.escape(where)}</span>'


class RecordedRuns(SphinxDirective):
    """Every recorded result with its provenance."""

    def run(self) -> list[nodes.Node]:
        found = load_results(results_folder())
        for name in found:
            self.env.note_dependency(str(results_folder() / f"{name}.json"))
        blocks = []
        for name, r in found.items():
            p = r.provenance
            facts = {
                "record": f'<a href="recorded/{name}.json"><code>{name}.json</code></a>',
                "models": html.escape(f"base {r.base}, experts {r.expert}; {r.evaluate} set"),
                "seeds": ", ".join(map(str, r.seeds)),
                "command": f"<code>{html.escape(p.command)}</code>",
                "training": html.escape(f"{duration(p.seconds)} on {p.hardware}, {p.precision}; {p.when[:10]}"),
                "code, spec": f"<code>{html.escape(p.code)}</code>, <code>{r.spec_hash}</code>",
                "libraries": html.escape(", ".join(f"{library} {version}" for library, version in p.libraries.items())),
            }
            title = f"{numbers.DATASETS.get(r.dataset, r.dataset)}, {r.scale} scale"
            blocks.append(html_table((html.escape(r.study), html.escape(title)), list(facts.items())))
        return [raw("".join(blocks))]


class SpecChoices(Directive):
    """What the paper leaves open, and what we chose; defaults are read from the spec."""

    def run(self) -> list[nodes.Node]:
        rows = [
            (
                f"<code>{html.escape(c.place or c.field)}</code>" + (f"<br>{html.escape(c.field)}" if c.place else ""),
                html.escape(c.paper),
                html.escape(c.default),
                html.escape(c.reason),
            )
            for c in CHOICES
        ]
        return [raw(html_table(("field, or function", "what the paper says", "ours", "why"), rows))]


def html_table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A table of finished HTML cells that scrolls in its own box."""
    top = "".join(f"<th>{cell}</th>" for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    table = f'<table class="repro-table"><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>'
    return f'<div class="repro-scroll" tabindex="0">{table}</div>'


def raw(text: str) -> nodes.raw:
    """HTML as a node."""
    return nodes.raw("", text, format="html")


def drop_thebe(app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: object) -> None:
    """Jupyter Book adds thebe's scripts even where it is off, twice; they would ask a CDN."""
    scripts = context.get("script_files", [])
    context["script_files"] = [s for s in scripts if "thebe" not in str(getattr(s, "filename", s) or "")]


def setup(app: Sphinx) -> dict[str, Any]:
    """Register roles, directives, the style sheet and the hook."""
    app.add_role("result", ResultRole())
    app.add_role("verdict", VerdictRole())
    app.add_role("paper", PaperRole())
    app.add_directive("recorded-table", RecordedTable)
    app.add_directive("exact-table", ExactTable)
    app.add_directive("recorded-figure", RecordedFigure)
    app.add_directive("recorded-reading", RecordedReading)
    app.add_directive("all-claims", AllClaims)
    app.add_directive("recorded-claims", RecordedClaims)
    app.add_directive("recorded-runs", RecordedRuns)
    app.add_directive("spec-choices", SpecChoices)
    app.add_css_file("repro.css")
    app.connect("html-page-context", drop_thebe, priority=900)
    return {"version": Path(__file__).stem, "parallel_read_safe": True}
