"""What no library does: numbers that lead to their record, parts made of all records, code drawn from the module.

    {result}`NAME:KEY` and its fellows    numbers in prose (:mod:`repro.book.quotes`)
    ```{all-claims}``` and its fellows    made of all that was recorded (:mod:`repro.book.pages`)
    ```{recorded-figure} NAME```          a figure of a benchmark, with alt text and its caption as content
    ```{source-of} repro.PACKAGE.MODULE.NAME```   a function or class as it stands in the module, with where it is
    ```{drawing} exit gate```             the method, or some parts of it lit, with alt text

A name or key that does not exist is a warning, and so a failed build.
"""

from __future__ import annotations

import html
import re
from importlib.util import find_spec
from os.path import relpath
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.directives.code import LiteralInclude
from sphinx.environment import BuildEnvironment
from sphinx.util.docutils import SphinxDirective, SphinxRole

import repro
from repro.book import performance
from repro.book.pages import PARTS
from repro.book.quotes import ROLES, marked
from repro.errors import ReproError
from repro.report.chapter import book_figure, not_run
from repro.report.links import FIGURES, Book


def raw(text: str) -> nodes.raw:
    """HTML as a node."""
    return nodes.raw("", text, format="html")


def book_of(env: BuildEnvironment) -> Book:
    """The book as the page that is being read sees it."""
    return Book(Path(env.srcdir) / "_extra", root="../" * env.docname.count("/"))


class NumberRole(SphinxRole):
    """A number with a tooltip; what cannot be found is a warning at its line."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        try:
            quote = ROLES[self.name](self.text)
        except ReproError as error:
            message = self.inliner.reporter.warning(f"{{{self.name}}}: {error}", line=self.lineno)
            return [self.inliner.problematic(self.rawtext, self.rawtext, message)], [message]
        css = "repro-verdict" if self.name == "verdict" else "repro-number"
        return [raw(marked(book_of(self.env), quote, css))], []


class Made(SphinxDirective):
    """A part of a page that is made of records; its arguments are those of its function."""

    optional_arguments = 2
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        try:
            return [raw(PARTS[self.name](book_of(self.env), *self.arguments))]
        except (ReproError, TypeError) as error:
            return [self.state.document.reporter.warning(f"{{{self.name}}}: {error}", line=self.lineno)]


class RecordedFigure(SphinxDirective):
    """A figure that the build drew of a benchmark's record; "not run" where there is none."""

    required_arguments = 1
    has_content = True
    option_spec = {"alt": directives.unchanged_required}  # noqa: RUF012 (docutils wants it so)

    def run(self) -> list[nodes.Node]:
        book, name = book_of(self.env), self.arguments[0]
        if not self.options.get("alt") or name not in performance.FIGURES:
            message = f"there is no figure {name}, or it has no alt text (there are: {', '.join(performance.FIGURES)})"
            return [self.state.document.reporter.warning(message, line=self.lineno)]
        source = performance.FIGURES[name]
        if not (book.extra / FIGURES / f"{name}.svg").exists():
            return [raw(not_run(f"uv run python benchmarks/{source}.py"))]
        page = book_figure(book, name, f"performance-{source}", self.options["alt"], "CAPTION")
        before, after = page.split("CAPTION")
        return [raw(before), *self.parse_content_to_nodes(), raw(after)]


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
        listing = list(super().run())
        url = f"{self.config.html_theme_options.get('repository_url', '')}/blob/main/{below}"
        name = html.escape(f"{below}: {within}")
        return [raw(f'<p class="repro-where"><a href="{url}"><code>{name}</code></a></p>'), *listing]


def place_of(name: str) -> tuple[Path, str]:
    """The file and the name within it of ``repro.families.single_gate.routing.smooth``."""
    parts = name.split(".")
    for cut in range(len(parts) - 1, 0, -1):
        try:
            spec = find_spec(".".join(parts[:cut]))
        except ModuleNotFoundError:
            continue
        if spec and spec.origin and parts[0] == "repro":
            return Path(spec.origin), ".".join(parts[cut:])
    raise ReproError(f"there is no module of this project in '{name}'")


class Drawing(SphinxDirective):
    """The drawing of the method, all of it lit or the named parts alone; ``alt`` is for those who do not see it."""

    optional_arguments = 1
    final_argument_whitespace = True
    option_spec = {"alt": directives.unchanged_required}  # noqa: RUF012 (docutils wants it so)

    def run(self) -> list[nodes.Node]:
        svg = (Path(self.env.srcdir) / "_static" / "method.svg").read_text(encoding="utf-8")
        parts = set(re.findall(r'<g class="(\w+)">', svg))
        lit = set(self.arguments[0].split()) if self.arguments else parts
        if not self.options.get("alt") or not lit <= parts:
            message = f"the drawing has no such part, or no alt text (its parts: {', '.join(sorted(parts))})"
            return [self.state.document.reporter.warning(message, line=self.lineno)]
        for part in parts - lit:
            svg = svg.replace(f'<g class="{part}">', f'<g class="{part} faint">')
        about = f'role="img" aria-label="{html.escape(self.options["alt"])}"'
        return [raw(f'<div class="repro-drawing">{svg.replace("<svg ", f"<svg {about} ", 1)}</div>')]


def setup(app: Sphinx) -> dict[str, Any]:
    """Register roles and directives."""
    for name in ROLES:
        app.add_role(name, NumberRole())
    for name in PARTS:
        app.add_directive(name, Made)
    app.add_directive("recorded-figure", RecordedFigure)
    app.add_directive("source-of", SourceOf)
    app.add_directive("drawing", Drawing)
    return {"version": Path(__file__).stem, "parallel_read_safe": True, "parallel_write_safe": True}
