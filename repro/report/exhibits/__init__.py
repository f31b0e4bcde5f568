"""Every table and figure of the paper, in the paper's order: one module each, found by its name.

What is shown alike and is none of the paper's is found by its name too, and is in no list of the paper's claims.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from repro.errors import ReproError
from repro.report.chapter import Chapter
from repro.report.exhibits.exhibit import Exhibit

NAMES = (
    "table1_main",
    "table2_num_experts",
    "figure2_anytime",
    "table3_imagenet",
    "table4_dynamic_routing",
    "table5_per_class",
    "table6_ensemblers",
    "figure1_gradcam",
    "figure3_king_penguin",
    "appendix_specialisation",
    "appendix_em",
    "appendix_early_exit",
    "unstated_choices",
    "deepmoe_table2_cifar",
)

OTHERS = {
    "own_data": "repro.report.own_data",
    "sparse_placement": "repro.report.exhibits.sparse_placement",
    "three_families": "repro.report.exhibits.three_families",
}
"""What is none of the first paper's: name -> module."""


def exhibit(name: str) -> Exhibit:
    """The exhibit of a notebook's name; :class:`ReproError` names those there are."""
    if name not in NAMES and name not in OTHERS:
        raise ReproError(f"there is no exhibit {name!r} (there are: {', '.join([*NAMES, *OTHERS])})")
    found: Exhibit = import_module(OTHERS.get(name, f"repro.report.exhibits.{name}")).EXHIBIT
    return found


def exhibits() -> list[Exhibit]:
    """All of the paper's."""
    return [exhibit(name) for name in NAMES]


def open_exhibit(name: str, namespace: dict[str, Any]) -> Chapter:
    """The chapter of the notebook that calls this with ``globals()``, its parameters checked before any work.

    Raises:
        ReproError: no such exhibit, or no such parameter, or a value that makes no sense.
    """
    found = exhibit(name)
    return Chapter(found, found.parameters.from_notebook(namespace))
