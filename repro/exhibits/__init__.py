"""One module a table or figure: what it asks, its parameters, its run, claims, tables and figures.

An exhibit is found by listing this package, and is named as its notebook and its records are. A module's ``EXHIBIT``
says where it stands in reading order, if it is of a paper.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from repro.errors import ReproError
from repro.report.chapter import Chapter
from repro.report.exhibit import Exhibit


def names() -> list[str]:
    """The names of all exhibits, none of which is imported for it."""
    return [module.name for module in iter_modules(__path__)]


def exhibit(name: str) -> Exhibit:
    """The exhibit of a name.

    Raises:
        ReproError: there is none of this name; the message lists those there are.
    """
    if name not in names():
        raise ReproError(f"there is no exhibit {name!r} (there are: {', '.join(names())})")
    loaded: Exhibit = import_module(f"{__name__}.{name}").EXHIBIT
    return loaded


def exhibits() -> list[Exhibit]:
    """What the papers show, in reading order: all but those that are no paper's."""
    return sorted((one for one in map(exhibit, names()) if one.place is not None), key=lambda one: one.place or 0)


def open_exhibit(name: str, namespace: dict[str, Any]) -> Chapter:
    """The chapter of the notebook that calls this with ``globals()``, its parameters checked before any work.

    Raises:
        ReproError: no such exhibit, or no such parameter, or a value that makes no sense.
    """
    opened = exhibit(name)
    return Chapter(opened, opened.parameters.from_notebook(namespace))
