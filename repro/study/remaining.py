"""What of a study is finished and what remains, read off the store: nothing is loaded, nothing is made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from repro.study.contents import checksum_of
from repro.study.graph import Goal, Step, ordered
from repro.study.store import Store


class Part(NamedTuple):
    """A goal of the study, and how many of the artifacts that it needs stand."""

    label: str
    finished: int
    needed: int

    @property
    def whole(self) -> bool:
        """Whether nothing remains of it."""
        return self.finished == self.needed


class Remaining:
    """The goals of a study, each with what it lacks."""

    def __init__(self, goals: Sequence[Goal], store: Store) -> None:
        stands: dict[Step, dict[str, Any] | None] = {}

        def about(step: Step) -> dict[str, Any] | None:
            """The description of an artifact that a run would find; one that it would make again counts as absent."""
            parents = [stands[need] for need in step.needs]
            if None in parents:
                return None
            now = {f"{a['kind']}/{a['hash']}": checksum_of(a) for a in parents if a}
            return store.find(step, now, tensors=False)[0]

        for step in ordered(step for goal in goals for step in goal.steps):
            stands[step] = about(step)
        needed = [(goal.label, ordered(goal.steps)) for goal in goals]
        self.parts = [Part(label, sum(stands[step] is not None for step in s), len(s)) for label, s in needed]

    @property
    def whole(self) -> bool:
        """Whether nothing remains."""
        return all(part.whole for part in self.parts)

    def report(self) -> str:
        """A line a goal."""
        lines = [
            f"finished  {part.label}"
            if part.whole
            else f"remains   {part.label}: {part.finished} of {part.needed} artifacts are there"
            for part in self.parts
        ]
        return "\n".join([*lines, *([] if self.whole else ["the same command goes on"])])
