"""The API reference: docstrings, written to be read as text, as Sphinx's autodoc wants them.

Their aligned tables become lists of definitions (:func:`repro.report.api.as_rest`); a value of pydantic lists its
fields; and a name without its module (``Outputs``) is linked where only one thing in the reference bears it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from docutils import nodes
from pydantic import BaseModel
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.nodes import make_refnode

from repro.report.api import as_rest, fields_of, named


def text_of(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """A docstring as reStructuredText, and the fields of a pydantic value below it."""
    lines[:] = as_rest(lines)
    if what == "class" and issubclass(obj, BaseModel):
        lines += ["", *fields_of(obj)]


def signature_of(
    app: Sphinx, what: str, name: str, obj: Any, options: Any, signature: str | None, returns: str | None
) -> tuple[str, str | None] | None:
    """A pydantic value's fields are listed below it, with what each is for: no need of them in its signature."""
    return ("", None) if what == "class" and issubclass(obj, BaseModel) else None


def left_out(app: Sphinx, what: str, name: str, obj: Any, skip: bool, options: Any) -> bool | None:
    """The fields of a named tuple, and pydantic's own settings, say nothing that their class does not."""
    return True if name == "model_config" or "Alias for field number" in (obj.__doc__ or "") else None


def link(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, content: nodes.TextElement
) -> nodes.reference | nodes.TextElement | None:
    """A name without its module leads to the one object of the reference that bears it; a whole name of something
    that is there, but not in the reference, stays plain. What is not there at all is left to be warned of.
    """
    target = node.get("reftarget")
    if node.get("refdomain") != "py" or not target:
        return None
    if target.startswith("repro."):
        return content if named(target) is not None else None
    objects = env.domaindata["py"]["objects"]
    found = [name for name in objects if name.endswith(f".{target}") and objects[name].objtype != "module"]
    if len(found) != 1:
        return None
    entry = objects[found[0]]
    return make_refnode(app.builder, node.get("refdoc", ""), entry.docname, entry.node_id, content, found[0])


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect the hooks."""
    app.setup_extension("sphinx.ext.autodoc")
    app.connect("autodoc-process-docstring", text_of)
    app.connect("autodoc-process-signature", signature_of)
    app.connect("autodoc-skip-member", left_out)
    app.connect("missing-reference", link)
    return {"version": Path(__file__).stem, "parallel_read_safe": True, "parallel_write_safe": True}
