"""The API reference as pages: which modules are public, room by room; their text is in their docstrings."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pkgutil import resolve_name
from typing import get_args

from pydantic import BaseModel


@dataclass(frozen=True)
class Room:
    """A room of the house: what it is for, and its public modules in the order of reading."""

    name: str
    about: str
    modules: tuple[str, ...]


ROOMS = (
    Room(
        "data", "What the images are: image sets, augmentation, batches.",
        ("catalogue", "dataset", "modes", "cifar", "tiny_imagenet", "imagenet", "folders", "augment", "batches",
         "stream"),
    ),
    Room(
        "models", "What is computed: backbones and where they are cut, the single-gate mixture, what it costs.",
        ("backbone", "trnet", "torchvision_nets", "registry", "moe", "cost", "inference"),
    ),
    Room(
        "method", "How it is learned and run: Algorithm 1 step by step, the any-time rule, and what is measured of it.",
        (
            "recipe", "fit", "compiling", "experts", "one_pass", "routing", "class_routing", "em", "ensemblers",
            "outputs", "anytime", "early_exit", "exits", "predict", "crossfit", "calibration", "specialisation",
            "intraclass", "routing_accuracy", "agreement", "gradcam", "focus", "export",
        ),
    ),
    Room(
        "study", "What was asked and kept: specs, the graph of steps, the store, recorded results, who does the work.",
        ("spec", "scales", "choices", "graph", "single_gate", "algorithm1", "runner", "pipeline", "parameters", "pairs",
         "results", "store", "artifact", "pack", "executors", "own_data", "doctor"),
    ),
    Room(
        "report", "What is shown: the paper's numbers, statistics, verdicts, tables, the exhibits.",
        ("printed", "exact_costs", "statistics", "claim", "verdict", "numbers", "tables", "exhibits",
         "exhibits.exhibit.Exhibit", "run", "export", "book"),
    ),
    Room("", "Used by every room: errors for the person, randomness without state, files that are whole or absent.",
         ("errors", "randomness", "files")),
)  # fmt: skip
"""Private helpers, plots and the exhibits' own modules are left out."""

ALIGNED = re.compile(r"^(\S.*?) {2,}(\S.*)$")
"""A line of a docstring's little tables: a name, at least two spaces, what it is."""


def page_name(room: Room) -> str:
    """The room's page, e.g. ``api/method``."""
    return f"api/{room.name or 'common'}"


def names_of(room: Room) -> list[str]:
    """The room's modules (and single classes) by their whole names."""
    prefix = f"repro.{room.name}." if room.name else "repro."
    return [prefix + module for module in room.modules]


def pages() -> dict[str, str]:
    """The reference's pages by name, in Markdown: one a room, a section a module."""
    return {page_name(room): _page(room) for room in ROOMS}


def _page(room: Room) -> str:
    title = f"`repro.{room.name}`" if room.name else "Used everywhere"
    sections = [_section(name) for name in names_of(room)]
    return "\n\n".join([f"# {title}", room.about, *sections]) + "\n"


def _section(name: str) -> str:
    kind = "autoclass" if name.rpartition(".")[2][0].isupper() else "automodule"
    return f"## `{name}`\n\n```{{eval-rst}}\n.. {kind}:: {name}\n   :members:\n   :member-order: bysource\n```"


def named(name: str) -> object | None:
    """What a whole name such as ``repro.method.fit`` stands for, imported; ``None`` if there is no such thing."""
    try:
        return resolve_name(name)
    except (ImportError, AttributeError):
        return None


def as_rest(lines: list[str]) -> list[str]:
    """A docstring as reStructuredText: its little tables, aligned by spaces, become lists of definitions.

    The docstrings are written to be read as text. A paragraph (or the rest of one) whose lines read ``name  what it
    is``, with continuation lines indented below, is such a table; an indented paragraph is a drawing or a formula; a
    stroke ``|`` is a stroke. Everything else is left as it is.
    """
    out: list[str] = []
    paragraph: list[str] = []
    for line in [*lines, ""]:
        if line.strip():
            paragraph.append(_strokes(line))
            continue
        out += _paragraph(paragraph)
        out.append("")
        paragraph = []
    return out[:-1]


def _paragraph(lines: list[str]) -> list[str]:
    if lines and all(_indent(line) >= 4 for line in lines):
        return ["::", "", *(line.replace("\\|", "|") for line in lines)]
    start = next((i for i, line in enumerate(lines) if ALIGNED.match(line)), None)
    if start is None or any(line.lstrip().startswith((">>>", "..", "::")) for line in lines):
        return lines
    if any(not ALIGNED.match(line) and not _indent(line) for line in lines[start:]):
        return lines
    out = [*lines[:start], *([""] if start else [])]
    for line in lines[start:]:
        if entry := ALIGNED.match(line):
            out += [f"{_term(entry[1])}", f"    {entry[2]}"]
        else:
            out.append(f"    {line.strip()}")
    return [*out, ""]


def _strokes(line: str) -> str:
    """Strokes outside code escaped: between two of them reStructuredText looks for a name to replace."""
    parts = line.split("``")
    return "``".join(part if index % 2 else part.replace("|", "\\|") for index, part in enumerate(parts))


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _term(name: str) -> str:
    """The name of an entry as code, unless it carries marks of its own."""
    return name if "`" in name else f"``{name}``"


def fields_of(model: type[BaseModel]) -> list[str]:
    """The fields of a pydantic value as a list of definitions: name, default, what it is for."""
    lines = []
    for name, field in model.model_fields.items():
        default = "" if field.is_required() else f" = {_default(field.get_default(call_default_factory=True))}"
        about = f": {field.description}" if field.description else ""
        lines += [f"``{name}{default}``", f"    ``{_kind(field.annotation)}``{about}"]
    return lines


def _kind(annotation: object) -> str:
    """A type in short, without the modules of its parts."""
    if isinstance(annotation, type) and not get_args(annotation):
        return annotation.__name__
    return re.sub(r"[\w.]+\.(?=\w)", "", str(annotation))


def _default(value: object) -> str:
    """A default in short: a value within a value by its class alone."""
    return f"{type(value).__name__}()" if isinstance(value, BaseModel) else repr(value)
