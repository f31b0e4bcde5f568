"""Walk the graph of a study: every step is found in the store or made, once, whatever its kind.

Steps are visited parents first. What is damaged, stale or made from parents that are not those of now is made
again. A training that goes wrong is remembered: what rests on it is skipped, and everything else is still made.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache, partial
from itertools import groupby
from pathlib import Path
from typing import Any

import torch

from repro.errors import ReproError, TimeIsUpError, TrainingError, in_a_sentence
from repro.progress import Progress, joined, late, say
from repro.study.artifact import Artifact
from repro.study.contents import checksum_of
from repro.study.executors import Executor, Job, make_executor
from repro.study.graph import Context, Goal, Inputs, Step, Waiting, build, grouped, in_short, ordered, passes, reporter
from repro.study.sources import Sources
from repro.study.store import Store
from repro.training import compiling
from repro.training.device import pick_device

RECENT = 4  # artifacts that stay in memory: a base and a gate serve many experts in a row


class Runner:
    """Finds or makes the steps of some goals.

    Attributes:
        seconds: Spent on everything that was used, now or earlier.
        failed: What could not be made, and the training that went wrong.
    """

    def __init__(self, goals: Sequence[Goal], context: Context, executor: str = "serial") -> None:
        """``executor``: who makes the steps (:mod:`repro.study.executors`)."""
        self.context = context
        self.seconds = 0.0
        context.progress = joined() or Progress()
        self._workers = partial(make_executor, executor, work, context.store.root, context.device, context.progress)
        self._of: dict[Step, Goal] = {}
        self._tried_all = self._reports = False
        self._about: dict[Step, dict[str, Any]] = {}  # what stands, checked
        self.failed: dict[Step, str] = {}
        self._made: set[Step] = set()
        self._unannounced: list[Step] = []
        self._read = lru_cache(RECENT)(context.store.load)
        self._follow: dict[Step, Callable[[], Sequence[Goal]]] = {}
        self._plan(goals)

    def add(self, goals: Sequence[Goal], stage: str) -> None:
        """Goals that are known only now; ``stage``: what they are, of a run that has others, for lines of progress."""
        self._plan(goals)
        self._tried_all = False
        self.context.progress.stage = stage

    def follow(self, step: Step, goals: Callable[[], Sequence[Goal]]) -> None:
        """Goals that ``step`` decides about: known once it stands, and made by workers before what comes after it.

        Without workers they are made when they are asked for.
        """
        self._follow[step] = goals

    def run(self, steps: Sequence[Step]) -> None:
        """Make steps, and what they rest on; what can be made elsewhere is made by the executor, for all goals.

        Raises:
            TrainingError: If a training went wrong, after all that does not rest on it has been made.
            TimeIsUpError: If the time that the run was given is up.
        """
        try:
            if not self._tried_all and (executor := self._workers()):
                self._tried_all = True
                with suppress(TimeIsUpError):  # of what is asked for, all may stand: this process finds out
                    self._fan_out(executor)
            self.make(steps)
            self._following()
            if whys := [self.failed[step] for step in ordered(steps) if step in self.failed]:
                if not self._tried_all:
                    self._tried_all = True
                    self.make(self._of)
                raise TrainingError(in_short(list(dict.fromkeys([*whys, *self.failed.values()]))))
        finally:
            self._announce()

    def make(self, steps: Iterable[Step]) -> None:
        """Make steps, and what they rest on; a training that goes wrong is remembered, and is no error here."""
        for group in passes(steps):
            self._make_together(group)

    def load(self, step: Step) -> Artifact:
        """The artifact of a step, made first where it does not stand.

        Raises:
            TrainingError: If its training, or one that it rests on, went wrong.
        """
        if step not in self._about:
            self.make([step])
        if step in self.failed:
            raise TrainingError(self.failed[step])
        return self._read(step)

    def about(self, step: Step) -> dict[str, Any]:
        """The description of an artifact: metrics, history, how it was made; made first where it does not stand."""
        if step not in self._about:
            self.load(step)
        return self._about[step]

    @property
    def made(self) -> list[Step]:
        """What was made for this study, here or by its workers."""
        return [step for step in self._about if step in self._made]

    def made_by(self, what: str) -> list[str]:
        """``hardware``, ``precision`` or ``compile`` by which all that stands was made, as each artifact says it."""
        return [about["made"][what] for about in self._about.values()]

    def summary(self) -> str:
        """One sentence: how much was found in the store and how much was made."""
        made, there, folder = len(self.made), len(self._about), self.context.store.folder
        if made == 0:
            return f"all {there} artifacts were found in the store ({folder}); nothing was trained"
        return f"{made} artifacts were made and {there - made} found in the store ({folder})"

    # --- one group -----------------------------------------------------------------------------

    def _make_together(self, group: Sequence[Step]) -> None:
        todo = self._missing(group)
        while todo:
            self._check_time(todo)
            with self.context.store.claim(todo, self._parents) as mine:
                if mine:
                    self._check_time(mine)  # others may have been waited for
                    self._make_claimed(mine)
            todo = self._missing(todo)  # those that others have made meanwhile, or are still making

    def _check_time(self, todo: Sequence[Step]) -> None:
        """:class:`TimeIsUpError` if steps would not be made in time that do not mind the clock themselves."""
        if not todo[0].epochs and late(self.context.progress.seconds(sum(step.work for step in todo))):
            raise TimeIsUpError(f"{grouped(todo)}: not begun")

    def _missing(self, group: Sequence[Step]) -> list[Step]:
        """Those of a group that are to be made: not in the store, and resting on nothing that failed."""
        missing = []
        for step in group:
            if step in self._about or step in self.failed:
                continue
            if why := next((self.failed[need] for need in step.needs if need in self.failed), None):
                self.failed[step] = why
                say(f"{step.label}: skipped, as it rests on what went wrong: {why}")
                continue
            about, _ = self.context.store.find(step, self._parents(step))
            if about:
                self._enter(step, about, reported=self._reports)
            else:
                missing.append(step)
        return missing

    def _make_claimed(self, steps: Sequence[Step]) -> None:
        store, device = self.context.store, self.context.device
        report = reporter(self.context.progress, steps)
        inputs = [Inputs(step, store.checkpoint(step), report, self.load, self._parents(step)) for step in steps]
        began = time.monotonic()
        try:
            made = steps[0].make(self.context, inputs if steps[0].together else inputs[0])
        except TrainingError as error:
            if len(steps) == 1:
                store.fail(steps[0], error, device)
                self.failed[steps[0]] = str(error)
            else:  # each by itself: one that goes wrong shall not stop the others
                for step in steps:
                    self._make_claimed([step])
            return
        seconds = (time.monotonic() - began) / len(steps)
        for step, artifact in zip(steps, made if steps[0].together else [made], strict=True):
            try:
                about = store.write(step, artifact, self._parents(step), device, seconds)
            except TrainingError as error:
                store.fail(step, error, device)
                self.failed[step] = str(error)
                continue
            self._made.add(step)
            self._enter(step, about, reported=bool(step.epochs and artifact.history))

    def _parents(self, step: Step) -> dict[str, str]:
        """What a step is made from now, with the checksum of each: ``kind/key`` -> SHA-256."""
        return {f"{need.kind}/{need.key}": checksum_of(self._about[need]) for need in step.needs}

    def _enter(self, step: Step, about: dict[str, Any], reported: bool = False) -> None:
        """Note what stands; ``reported``: if it was made, its work was counted meanwhile."""
        self._about[step] = about
        self._unannounced.append(step)
        self.seconds += about["made"]["seconds"]
        if step not in self._made:  # a worker also looks at what its steps rest on
            self.context.progress.skip(step.work if step in self._of else 0.0)
        elif not reported:
            self.context.progress.advance(step.work, lambda: f"made {step.label}")

    def _announce(self) -> None:
        """Say in one line what was found and what was made since the last such line."""
        stood, made = ([s for s in self._unannounced if (s in self._made) == new] for new in (False, True))
        parts = [f"{verb}: {grouped(same)}" for verb, same in (("found in the store", stood), ("made", made)) if same]
        if parts:
            say(" · ".join(parts))
        self._unannounced = []

    # --- by an executor ------------------------------------------------------------------------

    def _fan_out(self, executor: Executor) -> None:
        """Make the steps of all goals by workers: as soon as what they need stands, earlier goals first."""
        self._reports = executor.reports
        waiting = Waiting(self._of)
        jobs: list[Job] = []
        try:
            while (following := self._following()) or waiting or jobs or executor.busy:
                for step, new in following:
                    waiting.add(new, after=step)
                while not jobs and (ready := waiting.pop({*self._about, *self.failed})):
                    jobs = self._jobs(self._missing(ready), executor.workers)
                if jobs and executor.free:
                    executor.start(jobs.pop(0))
                    continue
                for job, outcome in executor.ended() if executor.busy else ():
                    self._enter_outcome(job, outcome)
        finally:
            executor.close()

    def _plan(self, goals: Iterable[Goal]) -> list[Step]:
        """Enter and count the steps of goals; those that are new."""
        new = []
        for goal in goals:
            for step in ordered(goal.steps):
                if step not in self._of:
                    self._of[step] = goal
                    new.append(step)
        self.context.progress.expect(sum(step.work for step in new))
        return new

    def _following(self) -> list[tuple[Step, list[Step]]]:
        """Steps that stand by now, and what is new of that which follows from each."""
        stand = [step for step in self._follow if step in self._about]
        return [(step, self._plan(self._follow.pop(step)())) for step in stand]

    def _jobs(self, steps: Sequence[Step], workers: int) -> list[Job]:
        """Steps of one group, shared out among workers."""
        jobs = []
        for goal, same in groupby(steps, lambda step: self._of[step]):
            several = list(same)
            for shared in (several[i::workers] for i in range(min(workers, len(several)))):
                jobs.append(Job(goal.builder, goal.config, tuple(step.key for step in shared), grouped(shared)))
        return jobs

    def _enter_outcome(self, job: Job, outcome: Mapping[str, Any]) -> None:
        """Enter what a worker made, or what went wrong."""
        if "late" in outcome:
            raise TimeIsUpError(str(outcome["late"]))
        if "error" in outcome:
            raise ReproError(str(outcome["error"]))
        steps = [step for step in ordered(build(job.builder, job.config).steps) if step.key in job.keys]
        self.failed |= {step: outcome["failed"][step.key] for step in steps if step.key in outcome["failed"]}
        self._made.update(step for step in steps if step.key in outcome["made"])
        for step in self._missing(steps):
            raise ReproError(
                f"{step.label}: a worker made it, and it is not in {self.context.store.folder} here; "
                "executors need a file system that every worker sees under the same path"
            )


def work(
    builder: str, config: str, keys: Sequence[str], root: str, device: str, threads: int, compile: str
) -> dict[str, Any]:
    """Make steps of a goal, in a worker: plain values come in and plain values go out.

    Returns:
        ``made`` (keys) and ``failed`` (key -> why); or ``late`` or ``error``, a sentence.
    """
    torch.set_num_threads(threads)
    compiling.choose(compile)
    try:
        with in_a_sentence():
            runner = Runner([], _context(root, device))
            steps = [step for step in ordered(build(builder, config).steps) if step.key in keys]
            runner.make(steps)
    except ReproError as error:
        return {"late" if isinstance(error, TimeIsUpError) else "error": str(error)}
    failed = {step.key: runner.failed[step] for step in steps if step in runner.failed}
    return {"made": [step.key for step in runner.made], "failed": failed}


@lru_cache(maxsize=1)
def _context(root: str, device: str) -> Context:
    """A worker's context: it keeps its images in memory from job to job."""
    where = pick_device(device)
    return Context(Store(Path(root)), Sources(Path(root), where), where)
