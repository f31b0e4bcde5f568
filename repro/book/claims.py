"""The page of claims: paper by paper how many came out how, and every claim with what each run says of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from html import escape
from typing import NamedTuple

from repro.book import quotes
from repro.errors import ReproError
from repro.exhibits import exhibit, exhibits
from repro.exhibits.three_families.families import NAME
from repro.report.chapter import folded
from repro.report.claim import Claim
from repro.report.exhibit import Exhibit
from repro.report.links import Book, link
from repro.report.numbers import Quote, claim_effect, so_many, verdict_quote, where_run, which_run
from repro.report.tables import html_table, verdict_css
from repro.report.verdict import ClaimVerdict, Verdict
from repro.study.parameters import DEMONSTRATIONS
from repro.study.places import results_folder
from repro.study.results import EXACT, StudyResult, load_results

PAPERS = {
    "royer2022": "single gate",
    "wang2019": "DeepMoE",
    "videau2024": "sparse layers",
    "ours": "across the families (ours)",
}
"""What a paper's claims are about, by the key under which it is cited."""
PREFIXES = {"deepmoe_": "wang2019", "sparse_": "videau2024", NAME: "ours", "": "royer2022"}
DEMONSTRATION = "demonstration"
"""Stands in a verdict's place for the embedded image set, which is no evidence."""
COLUMNS = (
    "holds", "holds, without control", "opposite", "undecided", "anecdote", "no verdict", "settled afterwards",
    DEMONSTRATION,
)  # fmt: skip


class Line(NamedTuple):
    """A claim of an exhibit, and what each run that has it says."""

    exhibit: Exhibit
    claim: Claim
    runs: Sequence[tuple[StudyResult, ClaimVerdict]]

    @property
    def paper(self) -> str:
        """The key of the paper that its exhibit is about."""
        return next(paper for prefix, paper in PREFIXES.items() if self.exhibit.name.startswith(prefix))

    @property
    def tested(self) -> list[tuple[StudyResult, ClaimVerdict]]:
        """The runs in which it came to something; of the embedded set only where there is nothing else."""
        ran = [(r, one) for r, one in self.runs if one.verdict is not Verdict.NOT_RUN]
        return [(r, one) for r, one in ran if not is_demonstration(r)] or ran

    @property
    def lacking(self) -> list[StudyResult]:
        """The runs on real images that could have it and have not, nor has another part of theirs it."""
        places = {where_run(r) for r, _ in self.tested}
        return [r for r, _ in self.runs if not is_demonstration(r) and where_run(r) not in places]


def is_demonstration(result: StudyResult) -> bool:
    """Whether a run is of the embedded image set or of a scale for trying out: it shows how, and decides nothing."""
    return result.dataset == "modes" or result.scale in DEMONSTRATIONS


def lines() -> list[Line]:
    """Every claim, in reading order, with every recorded run that could have it."""
    judged: dict[str, list[tuple[StudyResult, dict[str, ClaimVerdict]]]] = {}
    for name in load_results(results_folder()):
        record = quotes.find(name)
        if isinstance(record, quotes.Judged):
            by_key = {one.claim.key: one for one in record.claims}
            judged.setdefault(record.result.study, []).append((record.result, by_key))
    return [
        Line(each, claim, [(r, by_key[claim.key]) for r, by_key in judged.get(each.name, []) if claim.key in by_key])
        for each in (*exhibits(), exhibit(NAME))
        for claim in each.claims
    ]


def column(result: StudyResult, judged: ClaimVerdict) -> str:
    """Under which of :data:`COLUMNS` a verdict is counted."""
    verdict = judged.verdict
    if is_demonstration(result):
        return DEMONSTRATION
    if judged.claim.settled_after:
        return "settled afterwards"
    if verdict in (Verdict.ANECDOTE, Verdict.TWO_SEEDS):
        return "anecdote"
    if verdict is Verdict.HOLDS:
        return "holds" if judged.controlled else "holds, without control"
    return str(verdict) if verdict in (Verdict.OPPOSITE, Verdict.UNDECIDED) else "no verdict"


def claims_count(book: Book) -> str:
    """How many claims there are and how their verdicts fell, by paper; what was counted and not trained apart."""
    every = lines()
    groups: dict[str, list[Line]] = {}
    for line in every:
        counted = ", counted" if any(r.scale == EXACT for r, _ in line.runs) else ""
        groups.setdefault(f"{PAPERS[line.paper]}{counted}", []).append(line)
    rows = []
    for name, group in groups.items():
        verdicts = Counter(column(r, one) for line in group for r, one in line.tested)
        untested = sum(not line.tested for line in group)
        rows.append((escape(name), *map(str, (len(group), untested, *(verdicts[key] for key in COLUMNS)))))
    total = [sum(int(row[i]) for row in rows) for i in range(1, len(COLUMNS) + 3)]
    rows.append(("all", *map(str, total)))
    lead = (
        f"Of {total[0]} claims {total[1]} were not run. The others have {sum(total[2:-1])} verdicts, one for each "
        f"image set and scale: {total[2]} hold, {total[3]} hold without their control, {total[4]} are the opposite, "
        f"{total[5]} are undecided; the rest is no evidence, or was settled afterwards."
    )
    head = ("", "claims", "not run", *COLUMNS)
    return f"<p>{lead}</p>" + html_table(head, rows, "how many claims came out how, by paper")


def all_claims(book: Book, paper: str) -> str:
    """Every claim of a paper with effect, interval and verdict of every run; those that were not run are folded."""
    if paper not in PAPERS:
        raise ReproError(f"no claims are of '{paper}' (there are: {', '.join(PAPERS)})")
    own = [line for line in lines() if line.paper == paper]
    tested = [(*_about(line), "<br>".join(_marks(book, line)), *_where(book, line)) for line in own if line.tested]
    absent = [(*_about(line), *_where(book, line)) for line in own if not line.tested]
    head = ("id", "claim", "here", "chapter", "where in the paper")
    table = html_table(head, tested, f"claims, {PAPERS[paper]}")
    rest = html_table((*head[:2], *head[3:]), absent, f"claims that were not run, {PAPERS[paper]}")
    return table + (folded(f"Not run: {so_many(len(absent), 'claim')}", rest) if absent else "")


def _about(line: Line) -> tuple[str, str]:
    """The key of a claim, which leads to itself so that it can be cited, and its sentence."""
    key = line.claim.key
    place = key.replace(" ", "-")
    return f'<a id="{escape(place)}" href="#{escape(place)}"><code>{escape(key)}</code></a>', escape(line.claim.text)


def _where(book: Book, line: Line) -> tuple[str, str]:
    """The chapter of a claim, and where its paper makes it."""
    title = line.exhibit.title.removeprefix("Appendix: ").removeprefix("DeepMoE: ").partition(":")[0].partition(" (")[0]
    section = line.claim.section
    kind = "Section " if section[:1].isdigit() else "Appendix " if section.startswith("A.") else ""
    chapter = link(book.chapter(line.exhibit.name), title[0].upper() + title[1:])
    return chapter, f"{kind}{section}" if section else "ours"


def _marks(book: Book, line: Line) -> Iterator[str]:
    for r, one in line.tested:
        quote = verdict_quote(r, one)
        if is_demonstration(r):
            quote = Quote(DEMONSTRATION, quote.tooltip, quote.source)
        ours = f" {claim_effect(one)}:" if one.ours else ""
        yield f"{mark(book, quote)}{escape(f'{ours} {which_run(r)}')}"
    for r in line.lacking:
        yield escape(f"not run: {which_run(r)}")


def mark(book: Book, quote: Quote) -> str:
    """A verdict as a coloured mark with its tooltip, which leads to its record."""
    return quotes.marked(book, quote, "repro-mark", verdict_css(quote.text))
