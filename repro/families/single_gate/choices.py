"""What the paper's text leaves open, and what we chose: each choice is a field of the spec, or a rule in one place.

They stand in ``choices.csv``, one a line.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from repro.families.single_gate.scales import default_spec


@dataclass(frozen=True)
class Choice:
    """One thing that a reproducer must decide.

    field   name of the spec's field, dotted where nested; where it is no field, what it is, in words
    place   for what is no field: the function that holds the rule
    fixed   for what is no field: what the rule is
    paper   what the paper (or its poster) says of it
    reason  why the default is what it is
    """

    field: str
    paper: str
    reason: str
    place: str = ""
    fixed: str = ""

    @property
    def default(self) -> str:
        """The value at the paper's scale on CIFAR-100, read from the spec itself."""
        if self.fixed:
            return self.fixed
        value: Any = default_spec("paper", "cifar100")
        for name in self.field.split("."):
            value = getattr(value, name)
        return str(getattr(value, "source", value))


_TABLE = files("repro.families.single_gate").joinpath("choices.csv").read_text(encoding="utf-8")
CHOICES = tuple(Choice(**row) for row in csv.DictReader(_TABLE.splitlines()))
