"""Build the book from the recorded results, offline, and check what was built. Nothing is trained."""

from __future__ import annotations

import io
import os
import re
import shutil
import warnings
from contextlib import redirect_stderr, redirect_stdout
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote, urlsplit

from repro.book import front, performance, tidy
from repro.book.forest import forest
from repro.book.pages import FOREST
from repro.errors import ReproError
from repro.exhibits import exhibit, names
from repro.files import write_text
from repro.report.links import DATA, FIGURES, building
from repro.report.notebooks import execute
from repro.report.plots import as_svg, figure_style
from repro.study.places import results_folder
from repro.study.results import load_results

API = ("--no-toc", "--module-first", "--force", "-q", "--maxdepth", "1")
"""How Sphinx's apidoc writes the reference: a page a package, with its modules on it."""


def build_book(project: Path, out: Path | None = None) -> Path:
    """Build ``<project>/book`` to HTML and return the folder, ``<out>/html`` (default ``book/_build/html``).

    Pages and executed notebooks are put together in ``<out>/source``, so the checkout stays as it is.
    Raises :class:`ReproError` when the build warns or a check of the pages fails.
    """
    if find_spec("jupyter_book") is None:
        raise ReproError("jupyter-book is missing: run `uv sync` (its group `book` is installed by default)")
    out = (out or project / "book" / "_build").resolve()
    source = out / "source"
    assemble(project, source)
    html = out / "html"
    shutil.rmtree(html, ignore_errors=True)
    run_jupyter_book(source, out)
    findings = check_html(html, expected_pages(project))
    if findings:
        raise ReproError("the book was built but is not whole:\n- " + "\n- ".join(findings))
    return html


def expected_pages(project: Path) -> list[str]:
    """Every page of the book's folder, and every notebook, which the table of contents takes by name."""
    pages = sorted(path.stem for path in (project / "book").glob("*.md"))
    return [*pages, *(f"notebooks/{name}" for name in names()), "api/repro"]


def assemble(project: Path, source: Path) -> None:
    """Pages, API reference, executed notebooks, figures, and the records as JSON and CSV, in one folder."""
    os.environ.setdefault("SPHINX_APIDOC_OPTIONS", "members")
    from sphinx.ext import apidoc

    shutil.rmtree(source, ignore_errors=True)
    shutil.copytree(project / "book", source, ignore=shutil.ignore_patterns("_build", "__pycache__"))
    apidoc.main([*API, "-o", str(source / "api"), str(project / "repro")])
    collect(project, source / "_extra")
    with building(source / "_extra"):
        for notebook in sorted((project / "notebooks").glob("*.ipynb")):
            target = source / "notebooks" / notebook.name
            execute(notebook, target, {"recorded": True}, here=True)
            as_chapter(target)


def as_chapter(notebook: Path) -> None:
    """Make an executed notebook a page of the book: without the parameters that papermill put into it.

    What shows nothing here, as a figure of which nothing is recorded, is left out with its code.

    In a checkout the book's pages lie beside the notebooks' folder, in the book above it.
    """
    import nbformat

    chapter = nbformat.read(notebook, as_version=4)
    chapter.cells = [
        cell
        for cell in chapter.cells
        if cell.cell_type != "code" or cell.outputs or "parameters" in cell.metadata.get("tags", ())
    ]
    write_text(notebook, nbformat.writes(chapter).replace("](../book/", "](../"))


def collect(project: Path, extra: Path) -> None:
    """What the book serves as it is: records, the papers' numbers, CSV files and figures, for whoever wants them."""
    data, figures = extra / DATA, extra / FIGURES
    results = load_results(results_folder())
    data.mkdir(parents=True)
    for result in results.values():
        result.save(data)
    for folder in ("performance", "reliability"):
        if (results_folder() / folder).is_dir():
            shutil.copytree(results_folder() / folder, data / folder)
    shutil.copytree(project / "repro" / "report" / "paper", data / "paper")
    for study in map(exhibit, names()):
        if records := [r for r in results.values() if r.study == study.name]:
            tidy.write(study.name, tidy.frames(records), data)
            for name, svg in study.drawn(records).items():
                write_text(figures / f"{study.figure_name(name)}.svg", svg)
    lines = front.headlines(list(results.values()))
    measured = performance.load_all(results_folder() / "performance")
    for name, record in measured.items():
        tidy.write(f"performance-{name}", tidy.of_tables(record.tables), data)
    with figure_style():
        drawn = {FOREST: forest(lines), f"{FOREST}-narrow": forest(lines, narrow=True), **performance.figures(measured)}
    for name, figure in drawn.items():
        write_text(figures / f"{name}.svg", as_svg(figure, name))


def run_jupyter_book(source: Path, out: Path) -> None:
    """Build offline with Jupyter Book's Sphinx, in this process; the HTML is moved to ``<out>/html``."""
    from jupyter_book.sphinx import build_sphinx

    output = io.StringIO()
    built = out / "_build" / "html"
    with redirect_stdout(output), redirect_stderr(output), warnings.catch_warnings(action="ignore"):
        status = build_sphinx(
            source,
            built,
            path_config=source / "_config.yml",
            noconfig=True,
            confoverrides={
                "external_toc_path": str(source / "_toc.yml"),
                "nitpicky": True,
                "latex_individualpages": False,
            },
            warningiserror=True,
            keep_going=True,
        )
    if status != 0 or not (built / "index.html").exists():
        lines = re.sub(r"\x1b\[[0-9;]*m", "", output.getvalue()).splitlines()  # without a terminal's colours
        findings = [line for line in lines if "WARNING" in line or "ERROR" in line] or lines[-20:]
        raise ReproError("the book does not build:\n" + "\n".join(findings))
    os.replace(built, out / "html")
    shutil.rmtree(out / "_build", ignore_errors=True)


class _Page(HTMLParser):
    """Ids, links, sources and the amount of text of one page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.unnamed: list[str] = []
        self.num_words = 0
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value for name, value in attrs if value}
        address, linked = values.get("src") or values.get("srcset"), values.get("href")
        self.ids |= {values[name] for name in ("id", "name") if name in values}
        if tag == "a" and linked:
            self.links.append(linked)
        if tag == "link" and linked and values.get("rel") in ("stylesheet", "icon", "preload"):
            self.loads.append(linked)
        if tag in ("img", "script", "iframe", "source") and address:
            self.loads.append(address)
        if tag == "img" and "alt" not in values:
            self.unnamed.append(address or "")

    def handle_data(self, data: str) -> None:
        self.num_words += len(data.split())


def check_html(html: Path, expected: list[str]) -> list[str]:
    """What is wrong with a built book: missing pages, figures that no page shows or without alt text, links and
    images that lead nowhere, loads from outside.
    """
    findings = [f"page {name} is missing" for name in expected if not (html / f"{name}.html").exists()]
    pages = {
        path: _Page(path.read_text(encoding="utf-8"))
        for path in sorted(html.rglob("*.html"))
        if "_static" not in path.parts
    }
    loaded = {Path(unquote(url)).name for page in pages.values() for url in page.loads}
    figures = sorted(path.name for path in (html / FIGURES).glob("*.svg"))
    findings += [f"figure {name} is in no page" for name in figures if name not in loaded]
    for path, page in pages.items():
        where = path.relative_to(html)
        if page.num_words < 40 and path.name != "genindex.html":
            findings.append(f"{where} is empty")
        findings += [f"{where} shows {image} without alt text" for image in page.unnamed]
        findings += [f"{where} loads {url} from outside" for url in page.loads if urlsplit(url).netloc]
        for url in [*page.links, *page.loads]:
            parts = urlsplit(url)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if target.is_dir():
                target = target / "index.html"
            if not target.exists():
                findings.append(f"{where} leads to {url}, which is not there")
            elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].ids:
                findings.append(f"{where} leads to {url}, but there is no such place on that page")
    return findings
