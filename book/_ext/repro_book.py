"""What no library does: numbers that lead to their record, parts made of all records, code drawn from the module.

    {result}`NAME:KEY` and its fellows    numbers in prose (:mod:`repro.report.quotes`)
    ```{reruns}``` and its fellows        tables of all that was recorded (:mod:`repro.report.pages`)
    ```{recorded-figure} EXHIBIT [FIGURE]```   a figure of an exhibit, with alt text and its caption as content
    ```{source-of} repro.PACKAGE.MODULE.NAME```   a function or class as it stands in the module, with where it is
    ```{drawing} method```                the method, or one step of it, drawn for light and for dark

A name or key that does not exist is a warning, and so a failed build.
"""

from __future__ import annotations

import html
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
from repro.errors import ReproError
from repro.exhibits import exhibit
from repro.report import drawing, pages, performance, records
from repro.report.chapter import book_figure, not_run
from repro.report.links import FIGURES, Book
from repro.report.quotes import ROLES, marked

PARTS = pages.PARTS | records.PARTS


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
    """A figure that the build drew of the recorded results; "not run" where there are none."""

    required_arguments = 1
    optional_arguments = 1
    has_content = True
    option_spec = {"alt": directives.unchanged_required}  # noqa: RUF012 (docutils wants it so)

    def run(self) -> list[nodes.Node]:
        book, name = book_of(self.env), self.arguments[0]
        warning = self.state.document.reporter.warning
        if not self.options.get("alt"):
            return [warning(f"the figure {name} has no alt text", line=self.lineno)]
        if name in performance.FIGURES:
            stem, command = name, f"uv run python benchmarks/{performance.FIGURES[name]}.py"
            data = f"performance-{performance.FIGURES[name]}"
        else:
            try:
                stem = exhibit(name).figure_name(*(self.arguments[1:] or ["main"]))
            except ReproError as error:
                return [warning(str(error), line=self.lineno)]
            data, command = name, f"repro run {name}"
        if not (book.extra / FIGURES / f"{stem}.svg").exists():
            if book.csv(data):
                return [warning(f"no figure {stem} was made of the recorded results", line=self.lineno)]
            return [raw(not_run(command))]
        before, after = book_figure(book, stem, data, self.options["alt"], "CAPTION").split("CAPTION")
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
        found = list(super().run())
        url = f"{self.config.html_theme_options.get('repository_url', '')}/blob/main/{below}"
        name = html.escape(f"{below}: {within}")
        return [raw(f'<p class="repro-where"><a href="{url}"><code>{name}</code></a></p>'), *found]


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
    """The book's own drawing, one for each theme; its words for those who do not see it stand with the code."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        name = self.arguments[0]
        if name not in drawing.STEPS:
            warning = f"there is no drawing '{name}' (there are: {', '.join(drawing.STEPS)})"
            return [self.state.document.reporter.warning(warning, line=self.lineno)]
        box = nodes.container(classes=["repro-drawing"])
        for theme in drawing.THEMES:
            uri, alt = f"/generated/drawing_{name}_{theme}.svg", drawing.STEPS[name].words
            box += nodes.image(uri=uri, alt=alt, width=drawing.WIDTH, align="center", classes=[f"only-{theme}"])
        return [box]


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
