"""What of a study is finished and what remains, read off the store: nothing is loaded, nothing is made."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Any, NamedTuple

from repro.progress import duration
from repro.study.contents import checksum_of, history
from repro.study.graph import Goal, Step, ordered
from repro.study.store import Store


class Part(NamedTuple):
    """A goal of the study: how many of its artifacts stand, and the work (multiply-adds) that it still needs."""

    label: str
    finished: int
    needed: int
    work: float


class Remaining:
    """The goals of a study, each with what it lacks; what several lack is counted once, with the first."""

    def __init__(self, goals: Sequence[Goal], store: Store) -> None:
        self._store = store
        self._done = self._seconds = 0.0  # work that was done, and how long it took
        self._stands: dict[Step, dict[str, Any] | None] = {}
        self.parts = [self._part(goal) for goal in goals]

    @property
    def whole(self) -> bool:
        """Whether nothing remains."""
        return all(part.finished == part.needed for part in self.parts)

    def report(self) -> str:
        """A line a goal, and how long what remains takes."""
        lines = []
        for part in self.parts:
            if part.finished == part.needed:
                lines.append(f"finished  {part.label}")
            else:
                there = f"{part.finished} of {part.needed} artifacts are there"
                lines.append(f"remains   {part.label}: {there}{self._time(part.work, ', about {} left')}")
        if not self.whole:
            work = sum(part.work for part in self.parts)
            lines.append(f"the same command goes on{self._time(work, '; in all about {} are left')}")
        return "\n".join(lines)

    def _time(self, work: float, text: str) -> str:
        """Text on how long work takes at the rate at which the rest of this study was made; none if nothing was."""
        return text.format(duration(self._seconds * work / self._done)) if self._done else ""

    def _part(self, goal: Goal) -> Part:
        steps = ordered(goal.steps)
        new = [step for step in steps if step not in self._stands]
        for step in new:
            self._stands[step] = self._about(step)
        work = sum(step.work * (1 - self._share_begun(step)) for step in new if not self._stands[step])
        return Part(goal.label, sum(self._stands[step] is not None for step in steps), len(steps), work)

    def _about(self, step: Step) -> dict[str, Any] | None:
        """The description of an artifact that a run would find; one that it would make again counts as absent."""
        parents = [self._stands[need] for need in step.needs]
        if None in parents:
            return None
        now = {f"{a['kind']}/{a['hash']}": checksum_of(a) for a in parents if a}
        about, _ = self._store.find(step, now, tensors=False)
        if about:
            self._count(step.work, _seconds(about["history"]) or about["made"]["seconds"])
        return about

    def _share_begun(self, step: Step) -> float:
        """The share in [0, 1] of a training that lies behind."""
        epochs = history(self._store.unfinished(step))
        share = min(len(epochs) / step.epochs, 1.0) if step.epochs else 0.0
        self._count(step.work * share, _seconds(epochs))
        return share

    def _count(self, work: float, seconds: float) -> None:
        if work > 0 and seconds > 0:
            self._done += work
            self._seconds += seconds


def _seconds(epochs: Sequence[Sequence[Any]]) -> float:
    """How long a training took by its history: a pause makes one epoch long, and not the median."""
    return len(epochs) * median(entry[2] for entry in epochs) if epochs else 0.0
