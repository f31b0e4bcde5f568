"""What the local roles and directives share: recorded results found by name, links to them, HTML of tables."""

from __future__ import annotations

import html
from functools import cache
from pathlib import Path
from typing import NamedTuple

from docutils import nodes
from sphinx.environment import BuildEnvironment

from repro.errors import ReproError
from repro.report import reruns
from repro.report.exhibits import exhibit
from repro.report.numbers import Quote
from repro.report.tables import scroll_box
from repro.report.verdict import ClaimVerdict
from repro.study.parameters import results_folder
from repro.study.results import StudyResult, load_result
from repro.study.scales import SCALES

RESULTS = "results"
"""The page of all recorded results."""

DATA = "recorded"
"""Folder of the built book with the records and their CSV files."""


class Judged(NamedTuple):
    """A recorded result with the verdicts on its claims."""

    result: StudyResult
    claims: list[ClaimVerdict]


def find(name: str) -> Judged | None:
    """The recorded result of a name; None if that run is not recorded; ReproError if there is no such run."""
    path = results_folder() / f"{name}.json"
    if path.exists():
        return _load(path, path.stat().st_mtime_ns)
    study, _, rest = name.partition("-")
    exhibit(study)
    if not any(rest == f"{dataset}-{scale}" for scale, sets in SCALES.items() for dataset in sets):
        raise ReproError(f"there is no run '{name}': write STUDY-DATASET-SCALE")
    return None


@cache
def _load(path: Path, changed: int) -> Judged:
    """Each record is read and judged once, however many numbers of it a book quotes."""
    result = load_result(path)
    return Judged(result, exhibit(result.study).judge(result))


def command_of(name: str) -> str:
    """The command that would record a run."""
    study, _, rest = name.partition("-")
    dataset, _, scale = rest.rpartition("-")
    return reruns.command_of(study, dataset, scale)


def link(env: BuildEnvironment, page: str, place: str = "") -> str:
    """The address of a page, or of a place in it, from the page that is being read."""
    address = env.app.builder.get_relative_uri(env.docname, page)
    return f"{address}#{place}" if place else address


def file_link(env: BuildEnvironment, path: str) -> str:
    """The address of a file of the built book, from the page that is being read."""
    return link(env, "index").removesuffix("index.html") + path


def marked(env: BuildEnvironment, quote: Quote, css: str, style: str = "") -> str:
    """A number with its tooltip, which mouse, keyboard and screen reader find; it leads to its record."""
    about = f'class="{css}" data-bs-toggle="tooltip" title="{html.escape(quote.tooltip)}"'
    about += f' style="{style}"' if style else ""
    if quote.source:
        return f'<a {about} href="{link(env, RESULTS, quote.source)}">{html.escape(quote.text)}</a>'
    return f'<span {about} tabindex="0">{html.escape(quote.text)}</span>'


def source_line(env: BuildEnvironment, name: str) -> str:
    """What stands below a table: where its record is, with command, hardware and files."""
    study = name.partition("-")[0]
    parts = (
        f'<a href="{link(env, RESULTS, name)}">record and provenance</a>',
        f'<a href="{link(env, f"notebooks/{study}")}">notebook</a>',
        f'<a href="{file_link(env, f"{DATA}/{study}.csv")}">data (CSV)</a>',
    )
    return f'<p class="repro-source">{" · ".join(parts)}</p>'


def html_table(head: tuple[str, ...], rows: list[tuple[str, ...]], label: str) -> str:
    """A table of finished HTML cells that scrolls in its own box; ``label`` says what it is to a screen reader."""
    top = "".join(f'<th scope="col">{cell}</th>' for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    table = f'<table class="repro-table"><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>'
    return scroll_box(table, label)


def raw(text: str) -> nodes.raw:
    """HTML as a node."""
    return nodes.raw("", text, format="html")


def not_run(command: str) -> nodes.raw:
    """What stands where the numbers of a run would."""
    return raw(f"<p><strong>Not run.</strong> <code>{html.escape(command)}</code> fills this in.</p>")
