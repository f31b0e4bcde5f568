"""What of a study is finished and what remains, read off the store: nothing is loaded, nothing is trained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from repro.progress import duration
from repro.study.artifact import DamagedError, read_about
from repro.study.plan import Task, tasks, tasks_of_base
from repro.study.spec import Key, StudySpec
from repro.study.store import Store


class Part(NamedTuple):
    """A model of the study: how many of its artifacts there are, and the work (multiply-adds) that it still needs."""

    label: str
    finished: int
    needed: int
    work: float


class Remaining:
    """The models of a study, each with what it lacks; what several lack is counted once, with the first."""

    def __init__(self, specs: Sequence[StudySpec], bases: Sequence[StudySpec], store: Store) -> None:
        self._store = store
        self._done = self._seconds = 0.0
        self._left: dict[str, float] = {}
        self._counted: set[str] = set()
        self.parts = [self._part(_label(spec), spec, list(tasks(spec))) for spec in specs]
        self.parts += [self._part(_label(spec, alone=True), spec, list(tasks_of_base(spec))) for spec in bases]

    @property
    def whole(self) -> bool:
        """Whether nothing remains."""
        return all(part.finished == part.needed for part in self.parts)

    def seconds(self, work: float) -> float | None:
        """How long work takes at the rate at which the rest of this study was made; None if nothing was."""
        return self._seconds * work / self._done if self._done else None

    def told(self) -> str:
        """A line a model, and how long what remains takes."""
        lines = []
        for part in self.parts:
            if part.finished == part.needed:
                lines.append(f"finished  {part.label}")
            else:
                there = f"{part.finished} of {part.needed} artifacts are there"
                lines.append(f"remains   {part.label}: {there}{self._about(part.work, ', about ', ' left')}")
        left = sum(part.work for part in self.parts)
        if not self.whole:
            lines.append(f"the same command goes on{self._about(left, '; in all about ', ' are left')}")
        return "\n".join(lines)

    def _about(self, work: float, before: str, after: str) -> str:
        seconds = self.seconds(work)
        return "" if seconds is None else f"{before}{duration(seconds)}{after}"

    def _part(self, label: str, spec: StudySpec, needed: list[Task]) -> Part:
        there = [self._finished(task) for task in needed]
        work = 0.0
        for task in (task for task, finished in zip(needed, there, strict=True) if not finished):
            if task.key.hash not in self._left:
                self._left[task.key.hash] = task.work * (1 - self._share_begun(task, spec))
                work += self._left[task.key.hash]
        return Part(label, sum(there), len(needed), work)

    def _finished(self, task: Task) -> bool:
        if not self._store.has(task.key):
            return False
        try:
            made = read_about(self._store.path(task.key))["made"]
        except (DamagedError, OSError):
            return False  # a run sets it aside and makes it again
        self._count(task.key, task.work, made["seconds"])
        return True

    def _share_begun(self, task: Task, spec: StudySpec) -> float:
        """The share in [0, 1] of a training that lies behind."""
        history = self._store.begun(task.key)
        epochs = _epochs(task.key, spec)
        share = min(len(history) / epochs, 1.0) if epochs else 0.0
        self._count(task.key, task.work * share, sum(entry[2] for entry in history))
        return share

    def _count(self, key: Key, work: float, seconds: float) -> None:
        if work > 0 and seconds > 0 and key.hash not in self._counted:
            self._counted.add(key.hash)
            self._done += work
            self._seconds += seconds


def _epochs(key: Key, spec: StudySpec) -> int:
    return {"base": spec.base_recipe.epochs, "expert": spec.expert_recipe.epochs}.get(key.kind, 0)


def _label(spec: StudySpec, alone: bool = False) -> str:
    """E.g. ``tr18-tr18 on cifar100, 20 experts, seed 0``."""
    if alone:
        return f"{spec.base} on {spec.dataset} alone, seed {spec.seed}"
    routing = "" if spec.routing.level == "per-sample" else f", {spec.routing.level} routing"
    step = f", after E-step {spec.em_steps}" if spec.em_steps else ""
    experts = f"{spec.num_experts} expert{'s' if spec.num_experts > 1 else ''}"
    return f"{spec.pair} on {spec.dataset}, {experts}{routing}{step}, seed {spec.seed}"
