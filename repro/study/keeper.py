"""How a study keeps what it makes: once, in the store, with its progress told and its failures remembered."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path

import torch

from repro.errors import TimeIsUpError, TrainingError
from repro.method.fit import Epoch, Report
from repro.progress import Progress, late
from repro.study.artifact import Artifact
from repro.study.executors import fan_out, make_executor
from repro.study.jobs import Job, Outcome, stages
from repro.study.ledger import Ledger
from repro.study.plan import distinct
from repro.study.spec import Key, StudySpec
from repro.study.store import Store


class Keeper:
    """The artifacts of the specs of one study, loaded or made; ``executor`` as in :mod:`repro.study.executors`."""

    def __init__(
        self, specs: Sequence[StudySpec], bases: Sequence[StudySpec], store: Store, device: torch.device, executor: str
    ) -> None:
        self.store = store
        self.ledger = Ledger(store.folder)
        self._specs, self._bases = list(specs), list(bases)
        self._device = device
        self._executor = make_executor(executor, store.root, device)
        self._tasks = distinct(self._specs, self._bases)
        self._progress = Progress(sum(task.work for task in self._tasks.values()))
        self._kept: dict[str, Artifact] = {}
        self._failed: dict[str, str] = {}  # artifact -> what went wrong
        self._tried_all = False

    def keep(self, key: Key, make: Callable[[Path], Artifact]) -> Artifact:
        """Load an artifact or make it; one whose training went wrong is not tried twice in a study."""
        if key.hash in self._kept:
            return self._kept[key.hash]
        if key.hash in self._failed:
            raise TrainingError(self._failed[key.hash])
        work = self._work(key)
        # Trainings look at the clock themselves, epoch by epoch; nothing else is begun that would not end in time.
        if key.kind not in ("base", "expert") and late(self._progress.seconds(work)) and not self.store.has(key):
            raise TimeIsUpError(f"{key.label}: not begun")
        try:
            artifact, found = self.store.keep(key, make, self._device)
        except TrainingError as error:
            self._failed[key.hash] = str(error)
            raise
        if self.ledger.enter(key, artifact, found):
            if found:
                self._progress.skip(work)
            else:
                self._progress.advance(0 if artifact.history else work, lambda: f"made {key.label}")
        if key.kind in ("base", "gate"):  # small, and needed again and again
            self._kept[key.hash] = artifact
        return artifact

    def put(self, key: Key, artifact: Artifact) -> Artifact:
        """Keep what has been made already, beside others."""
        return self.keep(key, lambda checkpoint: artifact)

    def missing(self, keys: Sequence[Key]) -> list[Key]:
        """Those that are not in the store, and whose training has not gone wrong in this study."""
        return [key for key in keys if key.hash not in self._failed and not self.store.has(key)]

    @contextmanager
    def going_on(self, spec: StudySpec, do: Callable[[Job], object]) -> Iterator[None]:
        """For a block that runs ``spec``: what can be made elsewhere is made before it, by the executor.

        When a training goes wrong in it, whatever the study needs and does not depend on that is still
        made, by ``do``; then :class:`TrainingError` says all that went wrong.
        """
        if self._executor and not self._tried_all:
            self._tried_all = True
            fan_out(stages([*self._specs, spec], self._bases), self._executor, self._failed, self._made_elsewhere)
        try:
            yield
        except TrainingError as error:
            self._make_the_others(spec, do)  # and those trained in one pass with it, each by itself
            raise TrainingError(_in_short(list(dict.fromkeys(self._failed.values()))) or str(error)) from None
        finally:
            self.ledger.tell()

    def _make_the_others(self, spec: StudySpec, do: Callable[[Job], object]) -> None:
        if not self._tried_all:
            self._tried_all = True
            for job in chain.from_iterable(stages([*self._specs, spec], self._bases)):
                with suppress(TrainingError):
                    if not any(key.hash in self._failed for key in job.needs()):
                        do(job)

    def _made_elsewhere(self, job: Job, outcome: Outcome) -> None:
        self.ledger.made_elsewhere(outcome.made)
        self._progress.advance(self._work(job.key), lambda: f"{job.key.label}: done by a worker")

    def _work(self, key: Key) -> float:
        """The planned work of an artifact; 0 for one that no spec of this study was known to need."""
        return self._tasks[key.hash].work if key.hash in self._tasks else 0.0

    def report(self, key: Key, epochs: int) -> Report:
        """A report of each epoch of a training: what, how far, training accuracy, time left."""
        return self._reporter(key.label, self._work(key) / epochs, epochs)

    def report_of_all(self, keys: Sequence[Key], epochs: int) -> Report:
        """The same of experts that are trained in one pass."""
        work = sum(self._work(key) for key in keys) / epochs
        return self._reporter(f"{len(keys)} experts in one pass, such as {keys[0].label}", work, epochs)

    def _reporter(self, label: str, work: float, epochs: int) -> Report:
        def report(epoch: int, entry: Epoch) -> None:
            done = f"{label} · epoch {epoch + 1}/{epochs} · training accuracy {100 * entry.accuracy:.1f} %"
            self._progress.advance(work, lambda: done)

        return report


def _in_short(failures: Sequence[str], shown: int = 3) -> str:
    """The first few failures; ``repro status`` has them all."""
    more = f"; and {len(failures) - shown} more, which `repro status` lists" if len(failures) > shown else ""
    return "; ".join(failures[:shown]) + more
