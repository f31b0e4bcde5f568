"""The page of all recorded results: a table of them, and for each where it came from and its files.

```{recorded-overview}```       a row a record
```{recorded-runs}```           a section a run of an exhibit, to which every quoted number leads
```{recorded-measurements}```   the same for the benchmarks and campaigns of ``benchmarks/``
"""

from __future__ import annotations

import html
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from docutils import nodes
from repro_pages import DATA, file_link, html_table, link, raw
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.docutils import SphinxDirective

from repro.progress import duration
from repro.report import performance
from repro.report.exhibits import exhibit
from repro.report.numbers import where_run
from repro.study.parameters import results_folder
from repro.study.reliability import CAMPAIGNS, load_campaign
from repro.study.results import Provenance, StudyResult, load_results


class RecordedOverview(SphinxDirective):
    """Every run in a row."""

    def run(self) -> list[nodes.Node]:
        self.env.note_dependency(str(results_folder()))
        rows = []
        for name, r in load_results(results_folder()).items():
            chapter = html.escape(exhibit(r.study).title.partition(":")[0])
            seeds = ", ".join(map(str, r.seeds))
            rows.append(
                (
                    f'<a href="{link(self.env, r.study)}">{chapter}</a>',
                    html.escape(where_run(r)),
                    f'<a href="#{name}">seeds {seeds}</a>',
                    html.escape(duration(r.provenance.seconds)),
                    html.escape(r.provenance.hardware),
                    r.provenance.when[:10],
                )
            )
        head = ("exhibit", "image set, scale", "record", "training", "hardware", "date")
        return [raw(html_table(head, rows, "every recorded run"))]


class RecordedRuns(SphinxDirective):
    """Every recorded run with its provenance."""

    def run(self) -> list[nodes.Node]:
        found = load_results(results_folder())
        for name in found:
            self.env.note_dependency(str(results_folder() / f"{name}.json"))
        return [section(name, f"{r.study}: {where_run(r)}", self.facts(name, r)) for name, r in found.items()]

    def facts(self, name: str, r: StudyResult) -> dict[str, str]:
        shown = exhibit(r.study)
        return {
            "shown in": f'<a href="{link(self.env, r.study)}">{html.escape(shown.title)}</a>, '
            f'<a href="{link(self.env, f"notebooks/{r.study}")}">notebook</a>',
            "models": html.escape(f"base {r.base}, experts {r.expert}; {r.evaluate} set"),
            "seeds": ", ".join(map(str, r.seeds)),
            **provenance(r.provenance),
            "code, spec": f"<code>{html.escape(r.provenance.code)}</code>, <code>{r.spec_hash}</code>",
            "files": f"{file(self.env, f'{name}.json')} (this record), {csv_files(self.env, r.study)}",
        }


class RecordedMeasurements(SphinxDirective):
    """Every benchmark and campaign with its provenance."""

    def run(self) -> list[nodes.Node]:
        sections = []
        for name, one in performance.load_all(results_folder() / "performance").items():
            files = f"{file(self.env, f'performance/{name}.json')}, {csv_files(self.env, f'performance-{name}')}"
            facts = {"measures": html.escape(one.claim), **provenance(one.provenance), "files": files}
            sections.append(section(f"performance-{name}", f"Benchmark: {name}", facts))
        for name in CAMPAIGNS:
            if campaign := load_campaign(name, results_folder()):
                facts = provenance(campaign.provenance) | {"files": file(self.env, f"reliability/{name}.json")}
                sections.append(section(f"reliability-{name}", f"Campaign: {name}", facts))
        return sections or [nodes.paragraph("", "Not run.")]


def provenance(p: Provenance) -> dict[str, str]:
    """Command, machine and libraries, finished HTML."""
    return {
        "command": f"<code>{html.escape(p.command)}</code>",
        "time": html.escape(f"{duration(p.seconds)} on {p.hardware}, {p.precision}; {p.when[:10]}"),
        "code, spec": f"<code>{html.escape(p.code)}</code>",
        "libraries": html.escape(", ".join(f"{library} {version}" for library, version in p.libraries.items())),
    }


def file(env: BuildEnvironment, name: str) -> str:
    """A link to a file of the recorded data."""
    return f'<a href="{file_link(env, f"{DATA}/{name}")}"><code>{name.rpartition("/")[2]}</code></a>'


def csv_files(env: BuildEnvironment, stem: str) -> str:
    """Links to the CSV files of an exhibit or benchmark."""
    folder = Path(env.srcdir) / "_extra" / DATA
    return ", ".join(file(env, path.name) for path in csv_paths(folder, stem))


def csv_paths(folder: Path, stem: str) -> list[Path]:
    """The CSV files of an exhibit or benchmark: ``<stem>.csv`` first, then its tables."""
    return [*folder.glob(f"{stem}.csv"), *sorted(folder.glob(f"{stem}-*.csv"))]


def section(place: str, title: str, facts: Mapping[str, Any]) -> nodes.section:
    """A section with an address of its own, and a table of two columns."""
    rows = "".join(f'<tr><th scope="row">{key}</th><td>{value}</td></tr>' for key, value in facts.items())
    table = raw(f'<table class="repro-table repro-facts"><tbody>{rows}</tbody></table>')
    return nodes.section("", nodes.title("", title), table, ids=[place], names=[place])


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directives."""
    app.add_directive("recorded-overview", RecordedOverview)
    app.add_directive("recorded-runs", RecordedRuns)
    app.add_directive("recorded-measurements", RecordedMeasurements)
    return {"version": Path(__file__).stem, "parallel_read_safe": True, "parallel_write_safe": True}
