"""Verdicts: the rules, stated here once, and the code that applies them.

**A value** is compared with the paper's only at scale ``paper``, on the test set, with the paper's models. Welch's
95 % interval of ours - paper decides: it contains 0: *reproduced*; it lies above: *better*; below: *differs*. Where
the paper prints no ± its value is taken as exact. Every other scale says *another scale*: a scale never borrows the
verdict of another.

**A trend** is judged at any scale, within that scale. It is the difference between two rows, seed by seed, with
Student's 95 % interval: the interval lies wholly on the paper's side of 0: *holds*; wholly on the other side:
*opposite*; it contains 0: *undecided*. For 'changes little' the yardstick is :data:`LITTLE` points: the interval
lies wholly within: *holds*; wholly outside: *opposite*; else *undecided*.

**Both**: one seed is *one seed: an anecdote*; no seed is *not run*. Only seeds that have both rows are compared.
The intervals are not corrected for the number of claims.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from repro.errors import ReproError
from repro.report.printed import PrintedValue
from repro.report.statistics import Summary, paired_difference, shifted, summarise, welch
from repro.study.results import StudyResult

LITTLE = 0.5
"""Percentage points that count as 'changes little' (the paper: +0.06 and +0.54 from 10 to 20 experts)."""


class Verdict(StrEnum):
    """What a comparison came to, in the words that the tables show."""

    REPRODUCED = "reproduced"
    BETTER = "better"
    DIFFERS = "differs"
    HOLDS = "holds"
    OPPOSITE = "opposite"
    UNDECIDED = "undecided"
    ANECDOTE = "one seed: an anecdote"
    NOT_RUN = "not run"
    OTHER_SCALE = "another scale"
    OTHER_MODEL = "another model"
    OTHER_SPLIT = "another split"
    NOT_PRINTED = "not in the paper"


@dataclass(frozen=True)
class Cell:
    """One measured number: what a row of a table shows.

    Without a ``method`` it is the paper's default: bagging, or with 0 experts the ``backbone`` alone.
    """

    num_experts: int
    method: str = ""
    row: str = ""
    metric: str = "top1"

    @property
    def measured_as(self) -> str:
        """The method under which the record holds it."""
        return self.method or ("bagging" if self.num_experts else "backbone")

    @property
    def key(self) -> str:
        """How the book's pages name it: ``metric/method/num_experts``, and ``/row`` where there are rows."""
        return f"{self.metric}/{self.measured_as}/{self.num_experts}" + (f"/{self.row}" if self.row else "")


@dataclass(frozen=True)
class Claim:
    """A statement of the paper, as the difference ``more - less`` of two cells, or as ``more`` against ``bar``.

    The claim is that the difference is positive; of ``little`` claims that it is small.

    datasets  the image sets that it is about; empty: any
    section   where the paper makes it
    """

    key: str
    text: str
    more: Cell
    less: Cell | None = None
    little: bool = False
    bar: float = 0.0
    datasets: tuple[str, ...] = ()
    section: str = ""


@dataclass(frozen=True)
class ClaimVerdict:
    """A claim, what the paper's own numbers say of it (``None``: other data), ours, and the verdict.

    ``paper`` and ``ours`` are differences, of top-1 accuracy in percentage points; ``ours`` is ``None`` if not run.
    """

    claim: Claim
    paper: float | None
    ours: Summary | None
    verdict: Verdict


Printed = Callable[[StudyResult, Cell], PrintedValue | None]
"""The paper's number for a cell of a result, ``None`` where it prints none."""


def by_seed(result: StudyResult, cell: Cell) -> dict[int, float]:
    """``{seed: value}`` in the order of the seeds; empty if it was not measured.

    Raises:
        ReproError: a seed was recorded twice.
    """
    values: dict[int, float] = {}
    for m in sorted(result.measurements, key=lambda m: m.seed):
        if (m.metric, m.method, m.num_experts, m.row) == (cell.metric, cell.measured_as, cell.num_experts, cell.row):
            if m.seed in values:
                raise ReproError(f"{result.name} records seed {m.seed} twice for {cell.key}: run the study again.")
            values[m.seed] = m.value
    return values


def summary_of(result: StudyResult, cell: Cell) -> Summary | None:
    """Mean and interval over the seeds of one measured number; ``None`` if it was not measured."""
    values = list(by_seed(result, cell).values())
    return summarise(values) if values else None


def difference(result: StudyResult, more: Cell, less: Cell) -> Summary | None:
    """``more`` minus ``less``, over the seeds that have both; ``None`` if none has."""
    a, b = by_seed(result, more), by_seed(result, less)
    seeds = [seed for seed in a if seed in b]
    return paired_difference([a[s] for s in seeds], [b[s] for s in seeds]) if seeds else None


def trend_verdict(ours: Summary | None, little: bool = False) -> Verdict:
    """The rule for trends: is the difference positive, or with ``little`` is it within ±:data:`LITTLE` points?"""
    if ours is None:
        return Verdict.NOT_RUN
    if ours.low is None or ours.high is None:
        return Verdict.ANECDOTE
    if little:
        if ours.low >= -LITTLE and ours.high <= LITTLE:
            return Verdict.HOLDS
        return Verdict.OPPOSITE if ours.low > LITTLE or ours.high < -LITTLE else Verdict.UNDECIDED
    if ours.low > 0:
        return Verdict.HOLDS
    return Verdict.OPPOSITE if ours.high < 0 else Verdict.UNDECIDED


def value_verdict(result: StudyResult, cell: Cell, paper: PrintedValue | None, same_model: bool) -> Verdict:
    """The rule for values: a cell against the printed number, which is of the ``same_model`` or of another."""
    ours = list(by_seed(result, cell).values())
    if not ours:
        return Verdict.NOT_RUN
    if paper is None:
        return Verdict.NOT_PRINTED
    if result.scale != "paper":
        return Verdict.OTHER_SCALE
    if not same_model:
        return Verdict.OTHER_MODEL
    if result.evaluate != "test":
        return Verdict.OTHER_SPLIT
    gap = welch(ours, paper.value, paper.std, paper.seeds)
    if gap.low is None or gap.high is None:
        return Verdict.ANECDOTE
    if gap.low > 0:
        return Verdict.BETTER
    return Verdict.DIFFERS if gap.high < 0 else Verdict.REPRODUCED


def is_model(result: StudyResult, base: str, expert: str) -> bool:
    """Whether base and expert of a result are these, at full width (``tr18``, or ``tr18 at width 1``)."""

    def named(model: str, depth: str) -> bool:
        name, _, width = model.partition(" at width ")
        return name == depth and width in ("", "1", "1.0")

    return named(result.base, base) and named(result.expert, expert)


def judge(claims: Sequence[Claim], result: StudyResult, printed: Printed) -> list[ClaimVerdict]:
    """Every claim that is about the result's image set: the paper's difference, ours, and the verdict of this scale."""
    judged = []
    for claim in claims:
        if claim.datasets and result.dataset not in claim.datasets:
            continue
        if claim.less is None:
            value, found = summary_of(result, claim.more), printed(result, claim.more)
            ours = shifted(value, -claim.bar) if value else None
            paper = found.value - claim.bar if found else None
        else:
            ours = difference(result, claim.more, claim.less)
            more, less = printed(result, claim.more), printed(result, claim.less)
            paper = more.value - less.value if more and less else None
        judged.append(ClaimVerdict(claim, paper, ours, trend_verdict(ours, claim.little)))
    return judged


def not_printed(result: StudyResult, cell: Cell) -> PrintedValue | None:
    """For what the paper says in words or draws, but prints no number of."""
    return None
