"""Figures of recorded results: in the light and the dark of the page, each with its notebook and its numbers.

    ```{recorded-figure} EXHIBIT [FIGURE]```   a figure of all its recorded results, with alt text and caption

Every SVG of the book, those in notebooks too, is shown in two forms of which the page's theme chooses one
(:mod:`repro.report.dark`).
"""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.parsers.rst.directives.images import Figure
from repro_pages import DATA, file_link, link, not_run, raw
from repro_results import csv_paths
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.transforms import SphinxTransform

from repro.errors import ReproError
from repro.report.dark import dark
from repro.report.exhibits import exhibit
from repro.study.parameters import results_folder
from repro.study.results import load_results

TITLE = re.compile(r"<title>(.*?)</title>", re.DOTALL)
"""Of an SVG: what a figure without alt text is called, those of notebooks."""


class RecordedFigure(Figure):
    """A figure of an exhibit, made of its recorded results; "not run" where there are none."""

    optional_arguments = 1

    def run(self) -> list[nodes.Node]:
        try:
            shown = exhibit(self.arguments[0])
        except ReproError as error:
            return [self.state.document.reporter.warning(str(error), line=self.lineno)]
        stem = shown.figure_name(self.arguments[1] if len(self.arguments) > 1 else "main")
        if not figure_file(self.state.document.settings.env, stem).exists():
            if load_results(results_folder(), shown.name):
                warning = f"no figure generated/{stem}.svg was made of the recorded results"
                return [self.state.document.reporter.warning(warning, line=self.lineno)]
            return [not_run(f"repro run {shown.name}")]
        return with_sources(self, stem, shown.name, f"notebooks/{shown.name}")


def figure_file(env: BuildEnvironment, stem: str) -> Path:
    """Where the build put a figure that it drew."""
    return Path(env.srcdir) / "generated" / f"{stem}.svg"


def with_sources(directive: Figure, stem: str, data: str, notebook: str = "") -> list[nodes.Node]:
    """The figure ``stem`` with its caption, below which stand its notebook, its numbers and its vector file."""
    env = directive.state.document.settings.env
    if not directive.options.get("alt"):
        return [directive.state.document.reporter.warning(f"{stem} has no alt text", line=directive.lineno)]
    directive.arguments = [f"/generated/{stem}.svg"]
    directive.options.setdefault("class", ["repro-figure"])
    directive.options["target"] = file_link(env, f"_images/{stem}.svg")
    drawn = Figure.run(directive)
    named = {path.stem.removeprefix(data).lstrip("-") or "measurements": path for path in
             csv_paths(Path(env.srcdir) / "_extra" / DATA, data)}  # fmt: skip
    files = ", ".join(f'<a href="{file_link(env, f"{DATA}/{path.name}")}">{name}</a>' for name, path in named.items())
    parts = [f'<a href="{link(env, notebook)}">notebook</a>'] if notebook else []
    parts += [f"data (CSV): {files}"] if files else []
    parts += [f'<a href="{file_link(env, f"_images/{stem}.svg")}">vector file (SVG)</a>']
    return [*drawn, raw(f'<p class="repro-source">{" · ".join(parts)}</p>')]


class DarkTwins(SphinxTransform):
    """Beside every SVG its counterpart on a dark ground; the theme's style sheet shows one of them."""

    default_priority = 800  # before images are collected

    def apply(self, **options: Any) -> None:
        for image in list(self.document.findall(nodes.image)):
            if not image["uri"].endswith(".svg") or {"only-light", "only-dark"} & set(image["classes"]):
                continue
            _, place = self.env.relfn2path(image["uri"], self.env.docname)
            drawn = Path(place)
            if not drawn.exists():
                continue  # Sphinx says so itself
            turned = drawn.with_name(f"{drawn.stem}-dark.svg")
            svg = drawn.read_text(encoding="utf-8")
            turned.write_text(dark(svg), encoding="utf-8")
            if not image.get("alt") and (title := TITLE.search(svg)):
                image["alt"] = html.unescape(title.group(1))
            shown = image.parent if isinstance(image.parent, nodes.reference) else image
            twin = shown.deepcopy()
            for node in twin.findall(nodes.Element):
                node["classes"] = [*node["classes"], "only-dark"]
                for key in {"uri", "refuri"} & set(node.attributes):
                    node[key] = node[key].removesuffix(".svg") + "-dark.svg"
            for node in shown.findall(nodes.Element):
                node["classes"] = [*node["classes"], "only-light"]
            shown.parent.insert(shown.parent.index(shown) + 1, twin)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive and the transform."""
    app.add_directive("recorded-figure", RecordedFigure)
    app.add_transform(DarkTwins)
    return {"version": Path(__file__).stem, "parallel_read_safe": True, "parallel_write_safe": True}
