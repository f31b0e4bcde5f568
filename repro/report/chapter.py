"""A chapter: an exhibit in its notebook, which runs it once and then shows what the prose around it speaks of.

    chapter = open_exhibit("table2_num_experts", globals())
    chapter.run()
    chapter.figure(alt="...", caption="...")
    chapter.tables("cifar100-paper")
    chapter.claims()
    chapter.read()

The book is made of the same notebooks with ``recorded=True``: what was recorded, and nothing trained. A reader's own
run stands open, and what was recorded folded beside it.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Sequence
from html import escape
from typing import TYPE_CHECKING

from repro.errors import ReproError, SpecError
from repro.families.single_gate.scales import default_spec
from repro.families.single_gate.study import SingleGateParameters
from repro.progress import duration
from repro.report import interactive
from repro.report.links import FIGURES, Book, book_of_notebooks, figure, source_line
from repro.report.numbers import provenance_text, so_many, where_run
from repro.report.play import MixturePlay, Play
from repro.report.tables import Captioned, claims_caption, claims_table
from repro.study.parameters import Parameters
from repro.study.places import results_folder
from repro.study.results import EXACT, StudyResult, evidence, load_results

if TYPE_CHECKING:
    from repro.report.exhibit import Exhibit

NOTHING = "<p>Nothing has been recorded yet: run this notebook without <code>recorded</code>.</p>"


class Chapter:
    """An exhibit with the parameters of one notebook."""

    def __init__(self, exhibit: Exhibit, parameters: Parameters) -> None:
        self.exhibit = exhibit
        self.parameters = parameters
        self.own: list[StudyResult] = []
        self.recorded: list[StudyResult] = []
        self.book: Book | None = book_of_notebooks()

    @property
    def results(self) -> list[StudyResult]:
        """What this notebook ran, or where it only shows records, those."""
        return self.own or self.recorded

    def run(self) -> None:
        """Run the study, and say what was run, where and when, and which records are of an earlier version."""
        if not self.parameters.recorded:
            self.own = self.exhibit.run(self.parameters)
        try:
            self.recorded = list(load_results(results_folder(), self.exhibit.name).values())
        except SpecError:
            self.recorded = []  # not a checkout: there are no records beside this run
        if before := made_before(list(filter(None, map(of_before, evidence(self.recorded))))):
            _display(f"<p>{escape(before)}</p>")
        lines = "".join(f"<li>{provenance(r)}</li>" for r in self.results)
        text = f"<ul>{lines}</ul>" if lines else NOTHING
        _display(folded("The recorded runs of this chapter", text) if lines and not self.own else text)

    def tables(self, *planned: str, folded: bool = False) -> None:
        """Every table of every result: the first open (unless all are to be ``folded``), the others folded.

        ``planned`` names runs of this chapter, e.g. ``cifar100-paper``: one that nobody has recorded says so, with
        its command.
        """
        self._show_each(lambda result: self._tables(result, folded), self.recorded)
        there = {f"{r.dataset}-{r.scale}" for r in self.recorded}
        for place in planned:
            if place not in there and not self.own:
                dataset, _, scale = place.rpartition("-")
                _display(not_run(command_of(self.exhibit.name, dataset, scale)))

    def together(self) -> None:
        """The tables that results of one place have together, if they were trained alike: the first open."""

        def show(result: StudyResult) -> str:
            among = self.own if any(result is r for r in self.own) else self.recorded
            parts = [r for r in among if (where_run(r), r.spec_hash) == (where_run(result), result.spec_hash)]
            tables = self.exhibit.together(parts).values() if result is parts[0] else ()
            pages = [table.in_page(folded=index > 0) for index, table in enumerate(tables)]
            return "".join([*pages, *(self._source(part) for part in parts if pages)])

        self._show_each(show, self.recorded)

    def exact(self, *names: str) -> None:
        """Tables that need no run (all, unless named), the first open."""
        known = self.exhibit.exact()
        tables = [known[name] for name in names or known]
        _display("".join(table.in_page(folded=index > 0) for index, table in enumerate(tables)))

    def claims(self, folded: bool = False) -> None:
        """The paper's claims with the verdict on each; where none was run, how many there are."""
        any_run = self._show_each(lambda result: self._claims(result, folded), evidence(self.recorded))
        if self.results and not any_run:
            _display(f"<p>{so_many(len(self.exhibit.claims), 'claim')}: <strong>not run</strong>.</p>")

    def figure(self, name: str = "main", *, alt: str, caption: str) -> None:
        """A figure: ``alt`` says what it shows to those who do not see it, ``caption`` is text with `code` marks."""
        if not self.results:
            return
        drawn = self.exhibit.drawn(self.results)
        if name not in drawn:
            if not self.own:
                raise ReproError(f"{self.exhibit.name} has no figure '{name}' (there are: {', '.join(drawn)})")
            _display(f"<p>There is no figure “{escape(name)}” of this run.</p>")
            return
        stem = self.exhibit.figure_name(name)
        if self.book:
            _display(book_figure(self.book, stem, self.exhibit.name, alt, with_code(caption)))
        else:
            picture = base64.b64encode(drawn[name].encode()).decode()
            _display(figure(f"data:image/svg+xml;base64,{picture}", alt, with_code(caption)))

    def widget(self, name: str) -> None:
        """An interactive piece (:mod:`repro.report.interactive`), of this run or of what was recorded."""
        _display(interactive.widget(name, self.results, self.book))

    def play(self) -> Play:
        """Things to turn on what this notebook's run computed (:mod:`repro.report.play`)."""
        from repro.report.play_networks import NetworksPlay  # and with it torchvision, which takes a second

        single_gate = isinstance(self.parameters, SingleGateParameters) and self.parameters.specs()
        return MixturePlay(self) if single_gate else NetworksPlay(self)

    def read(self) -> None:
        """What no table says of a result, a paragraph each."""
        from IPython.display import Markdown, display

        for r in self.results:
            if advice := self.exhibit.advice(r):
                display(Markdown(advice if r.scale == EXACT else f"**{where_run(r)}.** {advice}"))

    def _show_each(self, show: Callable[[StudyResult], str], records: Sequence[StudyResult]) -> bool:
        """The results of this run, then what was recorded: folded, if it stands beside a run. Whether there was any."""
        recorded, own = "".join(map(show, records)), "".join(map(show, self.own))
        if self.own:
            _display(own)
            names = "; ".join(where_run(r) + f", {len(r.seeds)} seeds" for r in records)
            recorded = folded(f"Recorded, to hold it against: {names}", recorded) if recorded else ""
        if recorded:
            _display(recorded)
        return bool(own or recorded)

    def _tables(self, result: StudyResult, folded: bool) -> str:
        first, *others = self.exhibit.tables(result).values()
        return first.in_page(folded) + self._source(result) + "".join(table.in_page(folded=True) for table in others)

    def _claims(self, result: StudyResult, folded: bool) -> str:
        judged = self.exhibit.judge(result)
        if not judged:
            return ""
        return Captioned(claims_table(judged), claims_caption(result)).in_page(folded) + self._source(result, True)

    def _source(self, result: StudyResult, judged: bool = False) -> str:
        is_recorded = any(result is r for r in self.recorded)
        return self.book.source_line(result.name, judged) if self.book and is_recorded else ""


def provenance(r: StudyResult) -> str:
    """A line of HTML: what was run or counted, where and when, and how long it took in all."""
    about, how = provenance_text(r).replace("\n", "; "), "counted" if r.scale == EXACT else "training"
    about += "; by an earlier version" if of_before(r) else ""
    return f"<strong>{escape(r.name)}</strong>: {escape(about)}; {how}: {duration(r.provenance.seconds)}."


def of_before(r: StudyResult) -> str:
    """Where an earlier version, in which base and experts drew the same batches, made a record; empty for others."""
    if "expert_recipe" not in r.spec or "expert_length" in r.spec:
        return ""
    had, now = r.spec["base_recipe"]["epochs"], default_spec(r.scale, r.dataset).base_recipe.epochs
    return where_run(r) + (f" (bases of {had} epochs, of {now} now)" if had != now else "")


def made_before(runs: Sequence[str]) -> str:
    """The sentence on the runs that :func:`of_before` names; empty where there are none."""
    if not runs:
        return ""
    return (
        f"Recorded by an earlier version, and not repeated since: {'; '.join(runs)}. Experts were shown the batches of "
        "the base's first epochs once more, augmented alike."
    )


def book_figure(book: Book, stem: str, data: str, alt: str, caption: str) -> str:
    """A figure of the book, below which stand its numbers and its vector file."""
    file = f"{book.root}{FIGURES}/{stem}.svg"
    csv = book.csv_links(data)
    files = [csv and f"data (CSV): {csv}", f'<a href="{file}">vector file (SVG)</a>']
    return figure(file, alt, caption) + source_line(files)


def folded(summary: str, html: str) -> str:
    """HTML behind a line that opens it."""
    return f'<details class="repro-folded"><summary>{escape(summary)}</summary>{html}</details>'


def with_code(text: str) -> str:
    """Plain text as HTML, what stands between backticks as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text, quote=False))


def command_of(study: str, dataset: str, scale: str) -> str:
    """The command that would record a run, with three seeds."""
    return f"uv run repro run {study} -p scale {scale} -p dataset {dataset} -p seeds 0,1,2"


def not_run(command: str) -> str:
    """What stands where the numbers of a run would."""
    return f"<p><strong>Not run.</strong> <code>{escape(command)}</code> fills this in.</p>"


def _display(html: str) -> None:
    from IPython.display import HTML, display

    display(HTML(html))
