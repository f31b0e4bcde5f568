"""The graph of a study: each artifact is said once, as a step, and whatever follows is a walk over steps.

A family of models says which steps make a model (:class:`Goal`). What is to be done and in what order, what is
made in one go, what remains and who may make it is the same for all families and kinds, and stands here, in
:mod:`repro.study.remaining` and in :mod:`repro.study.runner`.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

import torch

from repro.progress import Progress
from repro.study.artifact import Artifact
from repro.study.contents import digest
from repro.study.sources import Sources
from repro.study.store import Store
from repro.training.fit import Epoch, Report

T = TypeVar("T")
BACKWARD = 3  # a training step costs about three forward passes ...
FORWARD = 0.5  # ... and evaluation runs about twice as fast as its multiply-adds say beside training


@dataclass(frozen=True, eq=False)
class Step:
    """One artifact: what it is, what it rests on, and how it is made. Two steps of one key are the same step.

    Attributes:
        kind: ``base``, ``gate``, ``expert``, ``network``, ``predictions`` ...; a folder of the store.
        config: All that its content depends on beside its parents, as JSON; with a ``revision``, raised by hand
            when the code that makes it comes to make other numbers.
        make: ``make(context, inputs)`` returns its :class:`Artifact`. Where steps are made ``together`` it is
            handed a list of :class:`Inputs` and returns an artifact for each; it must also be able to make any
            of them by itself.
        needs: The steps that it is made from, in an order that means something to its maker.
        label: For people; no part of the key, and neither is anything below.
        work: Multiply-adds, roughly: for the time left.
        epochs: Of a training that keeps a checkpoint after each and minds the clock itself; 0 for all else.
        together: Steps of one name and one depth that are missing are made by one call of ``make``.
    """

    kind: str
    config: Mapping[str, Any]
    make: Callable[[Context, Any], Any]
    needs: tuple[Step, ...] = ()
    label: str = ""
    work: float = 0.0
    epochs: int = 0
    together: str = ""

    @cached_property
    def key(self) -> str:
        """16 hex digits: what the artifact is known by."""
        return digest({"kind": self.kind, **self.depends_on})

    @property
    def depends_on(self) -> dict[str, Any]:
        """Its config and the keys of what it is made from: what the key is the digest of."""
        return {"config": dict(self.config), "needs": [need.key for need in self.needs]}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Step) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)


@dataclass(frozen=True)
class Inputs:
    """What the maker of a step is handed beside the context.

    Attributes:
        step: Which one is to be made; its ``config`` says how.
        checkpoint: File in which a training keeps its state; it goes when the artifact is whole.
        report: Told of each epoch. For steps made together it speaks of them all: the first one's is enough.
        load: Reads the artifact of a step.
        parents: ``kind/key`` -> SHA-256 of the tensors of each parent.
    """

    step: Step
    checkpoint: Path
    report: Report
    load: Callable[[Step], Artifact]
    parents: Mapping[str, str] = field(default_factory=dict)

    def checksum(self, kind: str) -> str:
        """What tells the only parent of a kind from every other artifact, made anew or not."""
        (checksum,) = (sha256 for name, sha256 in self.parents.items() if name.startswith(f"{kind}/"))
        return checksum

    def all(self, kind: str) -> list[Artifact]:
        """The parents of a kind, in order."""
        return [self.load(need) for need in self.step.needs if need.kind == kind]

    def __getitem__(self, kind: str) -> Artifact:
        """The only parent of a kind."""
        (artifact,) = self.all(kind)
        return artifact


@dataclass
class Context:
    """What every maker may use: the store, the images, the device; and how far the study is."""

    store: Store
    sources: Sources
    device: torch.device
    progress: Progress = field(default_factory=Progress)
    _memory: dict[str, Any] = field(default_factory=dict)

    def once(self, name: str, make: Callable[[], T]) -> T:
        """``make()``, or what it gave when this name was asked for last; of one name only, as it may be large."""
        if name not in self._memory:
            self._memory = {name: make()}
        value: T = self._memory[name]
        return value


@dataclass(frozen=True)
class Goal:
    """A model that is asked for: what it is called, its steps, and from what a worker builds the same steps again.

    Attributes:
        label: E.g. ``tr18-tr18 on cifar100, 20 experts, seed 0``.
        steps: What shall stand in the end, the predictions first; what they need is implied.
        builder: ``package.module:function`` that returns this goal, given
        config: this JSON.
    """

    label: str
    steps: tuple[Step, ...]
    builder: str = ""
    config: str = ""


@lru_cache(maxsize=64)
def build(builder: str, config: str) -> Goal:
    """The goal of a builder, as a worker makes it from plain text."""
    module, _, function = builder.partition(":")
    goal: Goal = getattr(import_module(module), function)(config)
    return goal


def levels(wanted: Iterable[Step]) -> list[list[Step]]:
    """The wanted steps and all that they rest on, each once; what a level needs lies in levels before it."""
    depth: dict[Step, int] = {}

    def visit(step: Step) -> int:
        if step not in depth:
            depth[step] = 1 + max(map(visit, step.needs), default=-1)
        return depth[step]

    for step in wanted:
        visit(step)
    by_depth: list[list[Step]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
    for step, level in depth.items():
        by_depth[level].append(step)
    return by_depth


def ordered(wanted: Iterable[Step]) -> list[Step]:
    """The same in one list, parents first."""
    return list(chain.from_iterable(levels(wanted)))


def passes(wanted: Iterable[Step]) -> list[list[Step]]:
    """The same in groups: steps that are made together in one, every other by itself; parents first."""
    groups: list[list[Step]] = []
    for level in levels(wanted):
        by_name: dict[str, list[Step]] = {}
        for step in level:
            by_name.setdefault(step.together or step.key, []).append(step)
        groups += by_name.values()
    return groups


def grouped(steps: Sequence[Step]) -> str:
    """``base tr10 on modes, seed 0; 3 experts``: a line for twenty experts names no twenty."""
    kinds: dict[str, list[Step]] = {}
    for step in steps:
        kinds.setdefault(step.kind, []).append(step)
    many = {kind: kind if kind.endswith("s") else f"{kind}s" for kind in kinds}
    return "; ".join(same[0].label if len(same) == 1 else f"{len(same)} {many[kind]}" for kind, same in kinds.items())


def in_short(failures: Sequence[str]) -> str:
    """The first three failures; ``repro status`` has them all."""
    more = f"; and {len(failures) - 3} more, which `repro status` lists" if len(failures) > 3 else ""
    return "; ".join(failures[:3]) + more


class Waiting:
    """Steps that wait to be made, in groups (see :func:`passes`), in the order in which they were planned."""

    def __init__(self, steps: Iterable[Step]) -> None:
        listed = list(steps)
        self._place: dict[Step, tuple[int, int]] = {step: (i, 0) for i, step in enumerate(listed)}
        self._groups = sorted(passes(listed), key=lambda group: self._place[group[0]])

    def __len__(self) -> int:
        return len(self._groups)

    def add(self, new: Sequence[Step], after: Step) -> None:
        """Steps that were not known before wait as well, ahead of those that were planned after ``after``."""
        self._place |= {step: (self._place[after][0], i + len(self._place)) for i, step in enumerate(new)}
        self._groups += filter(None, ([step for step in group if step in new] for group in passes(new)))
        self._groups.sort(key=lambda group: self._place[group[0]])

    def pop(self, settled: Container[Step]) -> list[Step]:
        """The first group of which all that it needs is settled, which waits no more; empty if there is none."""
        ready = (group for group in self._groups if all(need in settled for step in group for need in step.needs))
        first = next(ready, [])
        if first:
            self._groups.remove(first)
        return first


def reporter(progress: Progress, steps: Sequence[Step]) -> Report:
    """The report of steps that are trained together: each epoch counts as done, and makes a line of progress."""
    first = steps[0].label
    label = first if len(steps) == 1 else f"{len(steps)} {steps[0].kind}s in one pass, such as {first}"
    epochs = steps[0].epochs
    work = sum(step.work for step in steps) / max(epochs, 1)
    begun: list[int] = []

    def report(epoch: int, entry: Epoch) -> None:
        if not begun:  # of a training that goes on, the first epochs need no doing
            progress.skip(work * epoch)
        begun.append(epoch)
        done = f"{label} · epoch {epoch + 1}/{epochs} · training accuracy {100 * entry.accuracy:.1f} %"
        progress.advance(work, lambda: done)

    return report
