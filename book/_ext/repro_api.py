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

from repro.report.api import as_rest, fields_of


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


def link_unqualified(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, content: nodes.TextElement
) -> nodes.reference | None:
    """The one object of the reference whose name ends in what is asked for."""
    if node.get("refdomain") != "py" or not node.get("reftarget"):
        return None
    ending = "." + node["reftarget"].rpartition(".")[2]
    objects = env.domaindata["py"]["objects"]
    found = [name for name in objects if name.endswith(ending) and objects[name].objtype != "module"]
    if len(found) != 1 or (node["reftarget"].startswith("repro.") and found[0] != node["reftarget"]):
        return None
    entry = objects[found[0]]
    return make_refnode(app.builder, node.get("refdoc", ""), entry.docname, entry.node_id, content, found[0])


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect the hooks."""
    app.setup_extension("sphinx.ext.autodoc")
    app.connect("autodoc-process-docstring", text_of)
    app.connect("autodoc-process-signature", signature_of)
    app.connect("missing-reference", link_unqualified)
    return {"version": Path(__file__).stem, "parallel_read_safe": True}
