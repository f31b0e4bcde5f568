"""What the theme leaves to mend in a page: scripts that ask a CDN, controls without a name for a screen reader."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

PARAMETERS = re.compile(r'(<span class="sig-paren">\(</span>\s*)<dl>(.*?)</dl>', re.DOTALL)
UNNAMED, NAMED = "<summary>", '<summary aria-label="Pages of this chapter">'


def mend(app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: object) -> None:
    """Change what the templates are given, after everybody else."""
    for kind in ("script_files", "css_files"):
        context[kind] = once(file for file in context.get(kind, []) if not is_thebe(file))
    if "generate_toctree_html" in context:
        context["generate_toctree_html"] = naming(context["generate_toctree_html"])
    # Sphinx gives the bibliography's entries a role that a list does not have, and makes a list of definitions
    # without terms of a signature's parameters.
    body = context.get("body", "").replace('<div role="list" class="citation-list">', "<div>")
    context["body"] = PARAMETERS.sub(in_lines, body)


def in_lines(signature: re.Match[str]) -> str:
    """A signature's parameters, each on a line of its own."""
    lines = signature[2].replace("<dd>", '<span class="sig-line">').replace("</dd>", "</span>")
    return f'{signature[1]}<span class="sig-lines">{lines}</span>'


def light_without_scripts(app: Sphinx, exception: Exception | None) -> None:
    """The theme follows the reader's system by a script; where none runs, its ``auto`` would be no colours at all."""
    for page in Path(app.outdir).rglob("*.html") if exception is None else ():
        text = page.read_text(encoding="utf-8")
        page.write_text(text.replace('data-theme="auto"', 'data-theme="light"', 1), encoding="utf-8")


def is_thebe(file: Any) -> bool:
    """Jupyter Book adds thebe's files even where it is off, its settings twice; they name a CDN."""
    return "thebe" in f"{getattr(file, 'filename', file)} {getattr(file, 'attributes', '')}".lower()


def once(files: Any) -> list[Any]:
    """Without those that are there already."""
    kept: dict[str, Any] = {}
    for file in files:
        kept.setdefault(f"{getattr(file, 'filename', file)} {getattr(file, 'attributes', '')}", file)
    return list(kept.values())


def naming(generate: Callable[..., Any]) -> Callable[..., str]:
    """The table of contents, its switches with a name."""
    return lambda *arguments, **options: str(generate(*arguments, **options)).replace(UNNAMED, NAMED)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the hooks."""
    app.connect("html-page-context", mend, priority=900)
    app.connect("build-finished", light_without_scripts)
    return {"version": Path(__file__).stem, "parallel_read_safe": True, "parallel_write_safe": True}
