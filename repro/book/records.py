"""The page of all recorded results: for each where it came from, and its files."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from repro.book import performance
from repro.exhibits import exhibit
from repro.progress import duration
from repro.report.links import DATA, Book, link
from repro.report.numbers import which_run
from repro.study.benchmarks import CAMPAIGNS, load_campaign
from repro.study.places import results_folder
from repro.study.results import Provenance, load_results


def runs(book: Book) -> str:
    """Every recorded run with its provenance: the places to which quoted numbers lead."""
    found = []
    for name, r in load_results(results_folder()).items():
        facts = {
            "shown in": link(book.chapter(r.study), exhibit(r.study).title),
            "models": escape(f"base {r.base}, experts {r.expert}; {r.evaluate} set"),
            "seeds": ", ".join(map(str, r.seeds)),
            **_provenance(r.provenance),
            "code, spec": f"<code>{escape(r.provenance.code)}</code>, <code>{r.spec_hash}</code>",
            "files": f"{_file(book, f'{name}.json')} (this record), CSV: {book.csv_links(r.study)}",
        }
        found.append(_section(name, f"{r.study}: {which_run(r)}", facts))
    return "".join(found) or "<p>Nothing has been recorded yet.</p>"


def measurements(book: Book) -> str:
    """Every benchmark and campaign with its provenance."""
    found = []
    for name, one in performance.load_all(results_folder() / "performance").items():
        files = f"{_file(book, f'performance/{name}.json')}, CSV: {book.csv_links(f'performance-{name}')}"
        facts = {"measures": escape(one.claim), **_provenance(one.provenance), "files": files}
        found.append(_section(f"performance-{name}", f"Benchmark: {name}", facts))
    for name in CAMPAIGNS:
        if campaign := load_campaign(name, results_folder()):
            facts = _provenance(campaign.provenance) | {"files": _file(book, f"reliability/{name}.json")}
            found.append(_section(f"reliability-{name}", f"Campaign: {name}", facts))
    return "".join(found) or "<p>Not run.</p>"


def _provenance(p: Provenance) -> dict[str, str]:
    """Command, machine and libraries, finished HTML."""
    return {
        "command": f"<code>{escape(p.command)}</code>",
        "time": escape(f"{duration(p.seconds)} on {p.hardware}, {p.precision}; {p.when[:10]}"),
        "code, spec": f"<code>{escape(p.code)}</code>",
        "libraries": escape(", ".join(f"{library} {version}" for library, version in p.libraries.items())),
    }


def _file(book: Book, name: str) -> str:
    return f'<a href="{book.root}{DATA}/{name}"><code>{name.rpartition("/")[2]}</code></a>'


def _section(place: str, title: str, facts: Mapping[str, str]) -> str:
    """A heading with an address of its own, and a table of two columns."""
    rows = "".join(f'<tr><th scope="row">{key}</th><td>{value}</td></tr>' for key, value in facts.items())
    return (
        f'<section id="{place}"><h3>{escape(title)}</h3>'
        f'<table class="repro-table repro-facts"><tbody>{rows}</tbody></table></section>'
    )


PARTS = {"recorded-runs": runs, "recorded-measurements": measurements}
