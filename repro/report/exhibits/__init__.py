"""Every table and figure of the paper, in the paper's order: one module each, found by its name."""

from __future__ import annotations

from importlib import import_module

from repro.errors import ReproError
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
)


def exhibit(name: str) -> Exhibit:
    """The exhibit of a notebook's name; :class:`ReproError` names those there are."""
    if name not in NAMES:
        raise ReproError(f"there is no exhibit {name!r} (there are: {', '.join(NAMES)})")
    found: Exhibit = import_module(f"repro.report.exhibits.{name}").EXHIBIT
    return found


def exhibits() -> list[Exhibit]:
    """All of them."""
    return [exhibit(name) for name in NAMES]
