"""Verdicts: the rules, stated here once, and the code that applies them.

**A value** is compared with the paper's only at scale ``paper``, on the test set, with the paper's pair of models
(tr18-tr18 in Table 2). Welch's 95 % interval of ours - paper decides: it contains 0: *reproduced*; it lies
above: *better*; below: *differs*. Where the paper prints no ± its value is taken as exact. Every other scale says
*another scale*: a scale never borrows the verdict of another.

**A trend** is judged at any scale, within that scale. It is the difference between two rows, seed by seed, with
Student's 95 % interval: the interval lies wholly on the paper's side of 0: *holds*; wholly on the other side:
*opposite*; it contains 0: *undecided*. For 'changes little' the yardstick is :data:`LITTLE` points: the interval
lies wholly within: *holds*; wholly outside: *opposite*; else *undecided*.

**Both**: one seed is *one seed: an anecdote*; no seed is *not run*. Only seeds that have both rows are compared.
The intervals are not corrected for the number of claims.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from repro.errors import ReproError
from repro.report.printed import PAPER_PAIR, PrintedValue, printed_table2
from repro.report.statistics import Summary, paired_difference, welch
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
class Row:
    """One row of Table 2: the base alone (0 experts, method ``backbone``) or the ensemble with K experts."""

    num_experts: int

    @property
    def method(self) -> str:
        """The measured method of this row; the paper ensembles by bagging (Section 4)."""
        return "bagging" if self.num_experts else "backbone"


@dataclass(frozen=True)
class Claim:
    """A statement of the paper about the difference ``more - less`` of two rows of Table 2, top-1 in percent.

    ``little`` claims say that the difference is small; the others say that it is positive.
    """

    key: str
    text: str
    more: Row
    less: Row
    little: bool = False


@dataclass(frozen=True)
class ClaimVerdict:
    """A claim, what the paper's own numbers say of it (``None``: other data), ours, and the verdict.

    ``paper`` and ``ours`` are differences of top-1 accuracy in percentage points; ``ours`` is ``None`` if not run.
    """

    claim: Claim
    paper: float | None
    ours: Summary | None
    verdict: Verdict


TABLE2_CLAIMS = (
    Claim("C1", "Base and one expert together beat the base alone", Row(1), Row(0)),
    Claim("C2/5", "5 experts beat the one-expert baseline", Row(5), Row(1)),
    Claim("C2/10", "10 experts beat the one-expert baseline", Row(10), Row(1)),
    Claim("C2/20", "20 experts beat the one-expert baseline", Row(20), Row(1)),
    Claim("C3", "Going from 10 to 20 experts changes little", Row(20), Row(10), little=True),
)
"""What Section 4.1 claims of Table 2, each as one comparison."""


def by_seed(result: StudyResult, metric: str, method: str, num_experts: int) -> dict[int, float]:
    """``{seed: value}`` in the order of the seeds; empty if it was not measured.

    Raises:
        ReproError: a seed was recorded twice.
    """
    values: dict[int, float] = {}
    for m in sorted(result.measurements, key=lambda m: m.seed):
        if (m.metric, m.method, m.num_experts) == (metric, method, num_experts):
            if m.seed in values:
                what = f"{metric} of {method} with {num_experts} experts"
                raise ReproError(f"{result.name} records seed {m.seed} twice for {what}: run the study again.")
            values[m.seed] = m.value
    return values


def difference(result: StudyResult, more: Row, less: Row) -> Summary | None:
    """Top-1 of ``more`` minus ``less`` in percentage points, over the seeds that have both; ``None`` if none has."""
    a = by_seed(result, "top1", more.method, more.num_experts)
    b = by_seed(result, "top1", less.method, less.num_experts)
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


def value_verdict(result: StudyResult, row: Row, paper: PrintedValue | None) -> Verdict:
    """The rule for values: one row of Table 2 against the printed number."""
    ours = list(by_seed(result, "top1", row.method, row.num_experts).values())
    if not ours:
        return Verdict.NOT_RUN
    if paper is None:
        return Verdict.NOT_PRINTED
    if result.scale != "paper":
        return Verdict.OTHER_SCALE
    if not paper_models(result):
        return Verdict.OTHER_MODEL
    if result.evaluate != "test":
        return Verdict.OTHER_SPLIT
    gap = welch(ours, paper.value, paper.std, paper.seeds)
    if gap.low is None or gap.high is None:
        return Verdict.ANECDOTE
    if gap.low > 0:
        return Verdict.BETTER
    return Verdict.DIFFERS if gap.high < 0 else Verdict.REPRODUCED


def paper_models(result: StudyResult) -> bool:
    """Whether base and expert are Table 2's tr18-tr18 at full width (``tr18``, or ``tr18 at width 1``)."""

    def named(model: str, depth: str) -> bool:
        name, _, width = model.partition(" at width ")
        return name == depth and width in ("", "1", "1.0")

    return named(result.base, PAPER_PAIR[0]) and named(result.expert, PAPER_PAIR[1])


def table2_claims(result: StudyResult) -> list[ClaimVerdict]:
    """Every claim of :data:`TABLE2_CLAIMS` with the paper's difference, ours, and the verdict of this scale."""
    judged = []
    for claim in TABLE2_CLAIMS:
        more, less = (printed_table2(result.dataset, row.num_experts) for row in (claim.more, claim.less))
        paper = more.value - less.value if more and less else None
        ours = difference(result, claim.more, claim.less)
        judged.append(ClaimVerdict(claim, paper, ours, trend_verdict(ours, claim.little)))
    return judged
