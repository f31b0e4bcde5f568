"""Numbers as the prose of the book quotes them: found by a key, with a tooltip, and leading to their record.

    {result}`NAME:top1/bagging/20`   mean ± standard deviation, with seeds, interval and provenance as a tooltip
    {result}`NAME:minutes`           a fact of the run
    {verdict}`NAME:C2/20`            the verdict on a claim
    {paper}`2/cifar100/tr18/tr18/20/bagging/top1`   a number that the paper prints
    {counted}`table1`                a count of printed costs that come out
    {reliability}`faults:kills`      a figure of a campaign

NAME is of a record, EXHIBIT-DATASET-SCALE. A run that is not recorded shows "not run" and its command; a name or key
that does not exist is a :class:`ReproError`, and so a failed build of the book.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from html import escape
from pathlib import Path
from typing import NamedTuple

from repro.errors import ReproError
from repro.exhibits import exhibit
from repro.families.single_gate.scales import SCALES
from repro.report import left_out, numbers
from repro.report.chapter import command_of
from repro.report.links import Book
from repro.report.numbers import Quote
from repro.report.verdict import ClaimVerdict
from repro.study.benchmarks import CAMPAIGNS, FOLDER, Campaign, load_campaign
from repro.study.places import results_folder
from repro.study.results import StudyResult, files_of, load_named


class Judged(NamedTuple):
    """A recorded result with the verdicts on its claims."""

    result: StudyResult
    claims: list[ClaimVerdict]


def find(name: str) -> Judged | Quote:
    """The recorded result of a name, or if that run is not recorded, this; ReproError if there is no such run."""
    if files := files_of(results_folder(), name):
        return _load(results_folder(), name, tuple(path.stat().st_mtime_ns for path in files))
    study, _, rest = name.partition("-")
    dataset, _, scale = rest.rpartition("-")
    exhibit(study)
    if dataset not in SCALES.get(scale, {}):
        raise ReproError(f"there is no run '{name}': write EXHIBIT-DATASET-SCALE")
    return Quote("not run", command_of(study, dataset, scale))


@cache
def _load(folder: Path, name: str, changed: tuple[int, ...]) -> Judged:
    """Each record is read and judged once, however many numbers of it a book quotes."""
    result = load_named(folder, name)
    return Judged(result, exhibit(result.study).judge(result))


def result(text: str) -> Quote:
    """A number of a recorded result."""
    name, _, key = text.partition(":")
    judged = find(name)
    return numbers.look_up(judged.result, key, judged.claims) if isinstance(judged, Judged) else judged


def verdict(text: str) -> Quote:
    """The verdict on a claim."""
    name, _, key = text.partition(":")
    judged = find(name)
    if isinstance(judged, Quote):
        return judged
    known = {one.claim.key: one for one in judged.claims}
    if key not in known:
        raise ReproError(f"There is no claim '{key}'. There are: {', '.join(known)}.")
    quote = numbers.verdict_quote(judged.result, known[key])
    return replace(quote, text=quote.text.replace(" (", "; ").removesuffix(")"))  # it may stand in brackets itself


def campaign(text: str) -> Quote:
    """A figure of a campaign of ``benchmarks/``, e.g. ``faults:kills``."""
    name, _, key = text.partition(":")
    record = load_campaign(name, results_folder())
    if record is None:
        return Quote("not run", CAMPAIGNS[name])
    if key not in record.facts:
        raise ReproError(f"the campaign {name} has no {key!r} (it has: {', '.join(record.facts)})")
    return Quote(f"{record.facts[key]:,}", campaign_tooltip(record), f"{FOLDER}-{name}")


def campaign_tooltip(campaign: Campaign) -> str:
    """Where a campaign's figures come from, line by line."""
    p = campaign.provenance
    return f"{p.command}\n{p.hardware}\ncommit {p.code}, {p.when[:10]}"


ROLES: dict[str, Callable[[str], Quote]] = {
    "result": result,
    "verdict": verdict,
    "paper": numbers.paper_quote,
    "counted": left_out.fact,
    "reliability": campaign,
}


def marked(book: Book, quote: Quote, css: str = "repro-number", style: str = "") -> str:
    """A number with its tooltip, which mouse, keyboard and screen reader find; it leads to its record."""
    about = f'class="{css}" data-bs-toggle="tooltip" title="{escape(quote.tooltip)}"'
    about += f' style="{style}"' if style else ""
    if quote.source:
        return f'<a {about} href="{book.record(quote.source)}">{escape(quote.text)}</a>'
    return f'<span {about} tabindex="0">{escape(quote.text)}</span>'
