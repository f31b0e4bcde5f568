"""Roles and directives through which pages quote recorded results: no number is typed into a page.

    {result}`NAME:top1/bagging/20`   mean ± standard deviation, with seeds, interval and provenance as a tooltip
    {result}`NAME:minutes`           a fact of the run
    {paper}`2/cifar100/tr18/tr18/20/bagging/top1`   a number that the paper prints
    {verdict}`NAME:C2/20`            the verdict on a claim
    ```{recorded-table} NAME [TABLE]```   a table of the exhibit, ``main`` unless named; ```{recorded-claims} NAME```
    ```{exact-table} EXHIBIT TABLE```   a table that needs no run (costs)
    ```{recorded-reading} NAME```   its numbers in sentences
    ```{all-claims}```, ```{spec-choices}```

Each number leads to its record on the page of all recorded results (:mod:`repro_results`). A name or key that does
not exist is a warning, and so a failed build. A *run* that is not recorded (a name of the right form, no file)
shows "not run".
"""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive
from repro_pages import Judged, command_of, find, html_table, marked, not_run, raw, source_line
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective, SphinxRole

from repro.errors import ReproError
from repro.report import numbers, tables
from repro.report.exhibits import exhibit, exhibits
from repro.study.choices import CHOICES
from repro.study.parameters import results_folder
from repro.study.results import load_results


class NumberRole(SphinxRole):
    """Common to the roles: a number with a tooltip; what cannot be found is a warning at its line."""

    css = "repro-number"

    def quote(self, text: str) -> numbers.Quote:
        raise NotImplementedError

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        try:
            quote = self.quote(self.text)
        except ReproError as error:
            message = self.inliner.reporter.warning(f"{{{self.name}}}: {error}", line=self.lineno)
            return [self.inliner.problematic(self.rawtext, self.rawtext, message)], [message]
        return [raw(marked(self.env, quote, self.css))], []

    def recorded(self, text: str) -> tuple[Judged | None, str, str]:
        name, colon, key = text.partition(":")
        if not colon:
            raise ReproError(f"write NAME:KEY, not '{text}'")
        self.env.note_dependency(str(results_folder() / f"{name}.json"))
        return find(name), name, key


class ResultRole(NumberRole):
    """A number of a recorded result."""

    def quote(self, text: str) -> numbers.Quote:
        found, name, key = self.recorded(text)
        if found is None:
            return numbers.Quote("not run", command_of(name))
        return numbers.look_up(found.result, key, found.claims)


class VerdictRole(NumberRole):
    """The verdict on a claim."""

    css = "repro-verdict"

    def quote(self, text: str) -> numbers.Quote:
        found, name, key = self.recorded(text)
        if found is None:
            return numbers.Quote("not run", command_of(name))
        return numbers.verdict_quote(found.result, numbers.claim_of(found.claims, key))


class PaperRole(NumberRole):
    """A number that the paper prints."""

    def quote(self, text: str) -> numbers.Quote:
        return numbers.paper_quote(text)


class RecordedDirective(SphinxDirective):
    """Common to the directives about one run."""

    required_arguments = 1
    optional_arguments = 1

    def show(self, found: Judged) -> list[nodes.Node]:
        raise NotImplementedError

    def run(self) -> list[nodes.Node]:
        name = self.arguments[0]
        self.env.note_dependency(str(results_folder() / f"{name}.json"))
        try:
            found = find(name)
            return [not_run(command_of(name))] if found is None else self.show(found)
        except ReproError as error:
            return [self.state.document.reporter.warning(str(error), line=self.lineno)]


class RecordedTable(RecordedDirective):
    """A table of a run."""

    def show(self, found: Judged) -> list[nodes.Node]:
        shown = exhibit(found.result.study).tables(found.result)
        wanted = self.arguments[1] if len(self.arguments) > 1 else "main"
        if wanted not in shown:
            raise ReproError(f"{found.result.name} has no table '{wanted}' (there are: {', '.join(shown)})")
        return [raw(shown[wanted].in_page() + source_line(self.env, found.result.name))]


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

    def show(self, found: Judged) -> list[nodes.Node]:
        shown = tables.Shown(tables.claims_table(found.claims), tables.claims_caption(found.result))
        return [raw(shown.in_page() + source_line(self.env, found.result.name))]


class RecordedReading(RecordedDirective):
    """The numbers of a run in sentences."""

    def show(self, found: Judged) -> list[nodes.Node]:
        text, _ = self.parse_inline(exhibit(found.result.study).read(found.result), lineno=self.lineno)
        return [nodes.paragraph("", "", *text)]


class AllClaims(SphinxDirective):
    """Every claim of the paper in a sentence, with its verdict on each image set and scale, and a link."""

    def run(self) -> list[nodes.Node]:
        self.env.note_dependency(str(results_folder()))
        rows = []
        for shown in exhibits():
            results = [find(name) for name in load_results(results_folder(), shown.name)]
            judged = [(one.result, {j.claim.key: j for j in one.claims}) for one in results if one]
            for claim in shown.claims:
                found = [self.mark(r, by_key[claim.key]) for r, by_key in judged if claim.key in by_key]
                link = f'<a href="{shown.name}.html">{html.escape(shown.title.partition(":")[0])}</a>'
                where = f"Section {claim.section}" if claim.section else ""
                rows.append((html.escape(claim.text), "<br>".join(found) or "not run", link, where))
        head = ("the paper's claim", "here", "evidence", "where in the paper")
        return [raw(html_table(head, rows, "every claim of the paper with its verdicts"))]

    def mark(self, result: Any, judged: Any) -> str:
        """A verdict with its image set and scale; its numbers are the tooltip."""
        where = f"{numbers.DATASETS.get(result.dataset, result.dataset)}, {result.scale}"
        quote = numbers.verdict_quote(result, judged)
        shown = marked(self.env, quote, "repro-mark", tables.verdict_css(judged.verdict))
        return f'<span class="repro-together">{shown} {html.escape(where)}</span>'


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
        head = ("field, or function", "what the paper says", "ours", "why")
        return [raw(html_table(head, rows, "choices that the paper leaves open"))]


def setup(app: Sphinx) -> dict[str, Any]:
    """Register roles and directives."""
    app.add_role("result", ResultRole())
    app.add_role("verdict", VerdictRole())
    app.add_role("paper", PaperRole())
    app.add_directive("recorded-table", RecordedTable)
    app.add_directive("exact-table", ExactTable)
    app.add_directive("recorded-reading", RecordedReading)
    app.add_directive("all-claims", AllClaims)
    app.add_directive("recorded-claims", RecordedClaims)
    app.add_directive("spec-choices", SpecChoices)
    return {"version": Path(__file__).stem, "parallel_read_safe": True, "parallel_write_safe": True}
