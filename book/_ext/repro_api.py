"""The reference by Sphinx's autodoc; docstrings are written to be read as text, and so are shown as it.

A paragraph in columns, or indented, stands as it was written; a stroke ``|`` is a stroke.
"""

from __future__ import annotations

import re
from itertools import groupby
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

COLUMNS = re.compile(r"\S {2,}\S|^\s+\S")
FIELDS = re.compile(r"\s*(:\w|\.\. )")
"""What napoleon makes of sections such as Args and Raises."""


def as_written(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """A docstring as reStructuredText."""
    out: list[str] = []
    for is_text, group in groupby(lines, lambda line: bool(line.strip())):
        paragraph = list(group)
        if is_text and not FIELDS.match(paragraph[0]):
            if any(COLUMNS.search(line) for line in paragraph):
                paragraph = ["::", "", *(f"    {line}" for line in paragraph)]
            else:
                paragraph = [without_strokes(line) for line in paragraph]
        out += paragraph
    lines[:] = out


def without_strokes(line: str) -> str:
    """Strokes outside code escaped: between two of them reStructuredText looks for a name to replace."""
    parts = line.split("``")
    return "``".join(part if index % 2 else part.replace("|", "\\|") for index, part in enumerate(parts))


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect the hook, after napoleon's."""
    app.setup_extension("sphinx.ext.autodoc")
    app.setup_extension("sphinx.ext.napoleon")
    app.connect("autodoc-process-docstring", as_written, priority=900)
    return {"version": Path(__file__).stem, "parallel_read_safe": True, "parallel_write_safe": True}
