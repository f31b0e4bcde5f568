"""Verdicts: the rules, stated here once, and the code that applies them.

**A value** is compared with the paper's only at scale ``paper``, on the test set, with the paper's models. Welch's
90 % interval of ours - paper lies within :data:`EQUIVALENT` points (two one-sided tests): *reproduced*. Else the 95 %
interval decides: it excludes 0: *differs*; it contains 0: *undecided*. Where the paper prints no ± its value is taken
as exact. No other scale has a verdict on a value: a scale never borrows the verdict of another.

**A trend** is judged at any scale, within that scale. It is the difference between two rows, seed by seed, with
Student's 95 % interval, and a claim says where that has to lie: above 0 (:data:`MORE`), within :data:`LITTLE` points
(:data:`CHANGES_LITTLE`), or not further than that below 0 (:data:`AS_GOOD`: being better is no objection). The interval
lies wholly there: *holds*; wholly outside: *opposite*; else *undecided*. Two rows whose runs share no base, as those of
a mixture and its control, are *not paired*: their interval is Welch's, or the paired one where that is wider.

**Controls**: a gain is judged as it was claimed, and once more against each of its controls (:func:`with_controls`);
without them, or with fewer than three seeds of them where the gain has three, it says so. A rule that was *settled
afterwards*, with its numbers in sight, says so and is not counted.

**Counted** (scale ``exact``): what has no spread, since nothing is drawn or all draws agree, is judged as it is.

**All**: fewer than three seeds are *an anecdote*, whatever their interval; no seed is *not run*, or *collapsed* where
that is on record (a measurement of this name) in the number's place, or *beyond the curve* where the plain networks
do not reach its cost. Only seeds that have both rows are compared. Values of pairs of seeds in a ring are not
independent: their mean is shown, and neither interval nor verdict. The intervals are not corrected for the number of
claims, and are over seeds alone: all of them share one test set.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from repro.errors import ReproError
from repro.report.claim import MORE, Cell, Claim, Computed
from repro.report.printed import PrintedValue
from repro.report.statistics import Summary, paired_difference, unpaired_difference, welch, without_interval
from repro.study.results import EXACT, StudyResult

EQUIVALENT = 1.0
"""Percentage points within which a value counts as the printed one."""
SEEDS = 3
"""So many have a verdict."""


class Verdict(StrEnum):
    """What a comparison came to, in the words that the tables show."""

    REPRODUCED = "reproduced"
    DIFFERS = "differs"
    HOLDS = "holds"
    OPPOSITE = "opposite"
    UNDECIDED = "undecided"
    ANECDOTE = "one seed: an anecdote"
    TWO_SEEDS = "two seeds: an anecdote"
    PAIRS = "pairs of seeds: no interval"
    NO_PREMISE = "premise not met here"
    NOT_RUN = "not run"
    COLLAPSED = "collapsed"
    BEYOND = "beyond the curve"
    OTHER_MODEL = "another model"
    OTHER_SPLIT = "another split"
    NOT_PRINTED = "not in the paper"


@dataclass(frozen=True)
class ClaimVerdict:
    """A claim, what the paper's own numbers say of it (``None``: other data), ours, and the verdict.

    ``paper`` and ``ours`` are differences, of top-1 accuracy in percentage points; ``ours`` is ``None`` if not run.
    ``controlled`` is False where the record lacks one of the claim's controls, or has too few seeds of it.
    """

    claim: Claim
    paper: float | None
    ours: Summary | None
    verdict: Verdict
    controlled: bool = True

    @property
    def text(self) -> str:
        """The verdict with what has to be known beside it: ``holds (without control; settled afterwards)``."""
        marks = {"without control": not self.controlled, "settled afterwards": self.claim.settled_after}
        applying = "; ".join(mark for mark, applies in marks.items() if applies and self.verdict is not Verdict.NOT_RUN)
        return f"{self.verdict} ({applying})" if applying else str(self.verdict)


Printed = Callable[[StudyResult, Cell], PrintedValue | None]
"""The paper's number for a cell of a result, ``None`` where it prints none."""


def by_seed(result: StudyResult, cell: Cell | Computed) -> dict[int, float]:
    """``{seed: value}`` in the order of the seeds; empty if it was not measured.

    Raises:
        ReproError: a seed was recorded twice.
    """
    if not isinstance(cell, Cell):
        return dict(cell(result))
    values: dict[int, float] = {}
    for m in sorted(result.measurements, key=lambda m: m.seed):
        if (m.metric, m.method, m.num_experts, m.row) == (cell.metric, cell.measured_as, cell.num_experts, cell.row):
            if m.seed in values:
                raise ReproError(f"{result.name} records seed {m.seed} twice for {cell.key}: run the study again.")
            values[m.seed] = m.value
    return values


def collapsed(result: StudyResult, *cells: Cell | Computed | None) -> bool:
    """Whether a training is on record as collapsed that one of the numbers would be of."""
    return any(isinstance(cell, Cell) and by_seed(result, replace(cell, metric="collapsed")) for cell in cells)


def summary_of(result: StudyResult, cell: Cell | Computed) -> Summary | None:
    """Mean and interval over the seeds of one measured number; ``None`` if it was not measured."""
    return difference(result, cell, 0.0)


def difference(result: StudyResult, more: Cell | Computed, less: Cell | float, paired: bool = True) -> Summary | None:
    """``more`` minus ``less``, another number or one known beforehand, over the seeds that have both, if any."""
    a = by_seed(result, more)
    b = by_seed(result, less) if isinstance(less, Cell) else dict.fromkeys(a, less)
    seeds = [seed for seed in a if seed in b]
    if not seeds:
        return None
    summary = (paired_difference if paired else unpaired_difference)([a[s] for s in seeds], [b[s] for s in seeds])
    return without_interval(summary) if any(isinstance(c, Cell) and c.of_pairs for c in (more, less)) else summary


def trend_verdict(ours: Summary | None, within: tuple[float, float] = MORE) -> Verdict:
    """The rule for trends: does the 95 % interval lie where the claim has it?"""
    if ours is None:
        return Verdict.NOT_RUN
    if ours.n < SEEDS:
        return _anecdote(ours.n)
    if ours.interval is None:
        return Verdict.PAIRS
    (low, high), (least, most) = ours.interval, within
    if least < low and high < most:
        return Verdict.HOLDS
    return Verdict.OPPOSITE if high < least or low > most else Verdict.UNDECIDED


def _anecdote(seeds: int) -> Verdict:
    return Verdict.ANECDOTE if seeds == 1 else Verdict.TWO_SEEDS


def value_verdict(result: StudyResult, cell: Cell, paper: PrintedValue | None, same_model: bool) -> Verdict:
    """The rule for values at the paper's scale: a cell against the printed number, of the ``same_model`` or not."""
    ours = list(by_seed(result, cell).values())
    if not ours:
        return Verdict.NOT_RUN
    if paper is None:
        return Verdict.NOT_PRINTED
    if not same_model:
        return Verdict.OTHER_MODEL
    if result.evaluate != "test":
        return Verdict.OTHER_SPLIT
    if len(ours) < SEEDS:
        return _anecdote(len(ours))
    if cell.of_pairs:
        return Verdict.PAIRS
    gap, narrow = (welch(ours, paper.value, paper.std, paper.seeds, level) for level in (0.95, 0.9))
    if trend_verdict(narrow, (-EQUIVALENT, EQUIVALENT)) is Verdict.HOLDS:
        return Verdict.REPRODUCED
    return Verdict.UNDECIDED if trend_verdict(gap) is Verdict.UNDECIDED else Verdict.DIFFERS


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
        ours = difference(result, claim.more, claim.less or claim.bar, claim.paired)
        more = printed(result, claim.more) if isinstance(claim.more, Cell) else None
        less = printed(result, claim.less) if claim.less else PrintedValue(claim.bar, None)
        paper = more.value - less.value if more and less else None
        verdict = trend_verdict(ours, claim.within)
        if not ours and collapsed(result, claim.more, claim.less):
            verdict = Verdict.COLLAPSED
        elif not ours and claim.of_curve and by_seed(result, claim.more):
            verdict = Verdict.BEYOND
        if ours and result.scale == EXACT and not ours.std:
            verdict = Verdict.HOLDS if claim.within[0] < ours.mean < claim.within[1] else Verdict.OPPOSITE
        if claim.premise and ours:
            given = summary_of(result, claim.premise[0])
            if given is None or given.mean < claim.premise[1]:
                verdict = Verdict.NO_PREMISE if given else Verdict.NOT_RUN
        enough = min(SEEDS, ours.n) if ours else 1
        controlled = all(len(by_seed(result, control.cell)) >= enough for control in claim.controls)
        judged.append(ClaimVerdict(claim, paper, ours, verdict, controlled))
    return judged


def not_printed(result: StudyResult, cell: Cell) -> PrintedValue | None:
    """For what the paper says in words or draws, but prints no number of."""
    return None
