"""What the papers claim, as data: a difference of two recorded numbers, where it has to lie, and what controls it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from repro.families.single_gate.controls import EQUAL_INFERENCE, EQUAL_TRAINING
from repro.study.results import Measurement, StudyResult

LITTLE = 0.5
"""Percentage points that count as 'changes little' (the paper: +0.06 and +0.54 from 10 to 20 experts)."""

MORE, CHANGES_LITTLE, AS_GOOD = (0.0, math.inf), (-LITTLE, LITTLE), (-LITTLE, math.inf)
LESS = (-math.inf, 0.0)
"""Where a difference has to lie for a claim to hold."""

EQUAL_COST = 100 / 1.05
"""Percent of another cost from which two count as equal: in premises of claims, or as their bar."""


@dataclass(frozen=True)
class Cell:
    """One measured number: what a row of a table shows.

    Without a ``method`` it is the paper's default: bagging, or with 0 experts the ``backbone`` alone.
    """

    num_experts: int
    method: str = ""
    row: str = ""
    metric: str = "top1"

    @classmethod
    def of(cls, m: Measurement) -> Cell:
        """Where a record holds a measurement."""
        return cls(m.num_experts, m.method, m.row, m.metric)

    @property
    def measured_as(self) -> str:
        """The method under which the record holds it."""
        return self.method or ("bagging" if self.num_experts else "backbone")

    @property
    def key(self) -> str:
        """How the book's pages name it: ``metric/method/num_experts``, and ``/row`` where there are rows."""
        return f"{self.metric}/{self.measured_as}/{self.num_experts}" + (f"/{self.row}" if self.row else "")

    def measurement(self, seed: int, value: float) -> Measurement:
        """The line of a record that holds it."""
        return Measurement(
            seed=seed, num_experts=self.num_experts, method=self.measured_as, metric=self.metric, row=self.row,
            value=round(value, 4),
        )  # fmt: skip

    @property
    def of_pairs(self) -> bool:
        """Whether its values are of pairs of seeds in a ring, (0, 1), (1, 2), (2, 0), where each seed is twice."""
        return (
            (self.method == "two networks" and len(set(self.row.split(" + "))) == 1)
            or (self.metric == "agreement" and self.method in ("class", "classes"))
            or (self.metric == "likeness" and self.row == "seeds")
        )


Computed = Callable[[StudyResult], Mapping[int, float]]
"""``{seed: value}`` of a number that follows from several recorded ones."""


@dataclass(frozen=True)
class Control:
    """What a gain has to beat as well: how keys name it, how readers do, and where the record holds it.

    ``paired``: it rests on what the gain itself rests on, such as the base; a network that is trained apart does not.
    """

    key: str
    label: str
    cell: Cell
    paired: bool = False


def equal_training(num_experts: int, row: str = "") -> Control:
    """The base trained for the multiply-adds of base and ``num_experts`` experts together."""
    label = "the base trained as long as base and experts together"
    return Control(EQUAL_TRAINING, label, Cell(num_experts, EQUAL_TRAINING, row))


def equal_inference(row: str = "") -> Control:
    """A plain network that costs what the base and one expert cost at inference."""
    return Control(EQUAL_INFERENCE, "a plain network of the same cost", Cell(1, EQUAL_INFERENCE, row))


@dataclass(frozen=True)
class Claim:
    """A statement of the paper, as the difference ``more - less`` of two numbers, or as ``more`` against ``bar``.

    within         where the difference has to lie: :data:`MORE`, :data:`CHANGES_LITTLE`, :data:`AS_GOOD`, :data:`LESS`
    datasets       the image sets that it is about; empty: any
    section        where the paper makes it
    controls       what the gain has to beat as well
    premise        what it takes for granted: a number, and the least mean with which there is something to judge
    settled_after  its rule was settled with its numbers in sight
    paired         whether both numbers of a seed rest on something in common, as the base; runs apart do not
    of_curve       ``less`` is read off a curve of plain networks, and missing where ``more`` lies beyond its ends
    """

    key: str
    text: str
    more: Cell | Computed
    less: Cell | None = None
    within: tuple[float, float] = MORE
    bar: float = 0.0
    datasets: tuple[str, ...] = ()
    section: str = ""
    controls: tuple[Control, ...] = ()
    premise: tuple[Cell | Computed, float] | None = None
    settled_after: bool = False
    paired: bool = True
    of_curve: bool = False

    @property
    def asked(self) -> str:
        """Where ``more`` has to lie, of a claim with a bar: ``above 63.8``, ``40 to 60``, ``below 105``."""
        low, high = (self.bar + end for end in self.within)
        if high == math.inf:
            return f"above {low:.4g}"
        return f"{low:.4g} to {high:.4g}" if low > 0 else f"below {high:.4g}"


def _beats(text: str, rival: str) -> str:
    """``5 experts beat one`` of another rival: ``5 experts beat a plain network``."""
    sentence, replaced = re.subn(r"\b(beats?|lies above)\b.*", rf"\1 {rival}", text.replace("is as good as", "beats"))
    return sentence if replaced else f"{text}, and more than {rival}"


def with_controls(claims: Iterable[Claim]) -> tuple[Claim, ...]:
    """Every claim, followed by itself held against each of its controls: ``C2/20``, ``C2/20/equal-training`` ...

    Where two claims have one gain and one control, it is said with the first.
    """
    with_them: dict[object, Claim] = {}
    for claim in claims:
        with_them[claim.key] = claim
        for control in claim.controls:
            held = replace(
                claim, key=f"{claim.key}/{control.key}", text=_beats(claim.text, control.label), less=control.cell,
                within=MORE, controls=(), paired=control.paired,
            )  # fmt: skip
            with_them.setdefault((claim.more, control.cell), held)
    return tuple(with_them.values())
