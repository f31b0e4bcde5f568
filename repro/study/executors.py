"""Who does the jobs of a study: this process, more processes of this host, or a cluster.

Chosen by the parameter ``executor``, a name and, if wished, a number of workers: ``serial``,
``processes``, ``processes:4``, ``submitit:8``, ``ray``. Whoever does them, the study then loads what
they made from the store, so its results cannot depend on it.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from repro.errors import ReproError, SpecError, TimeIsUpError
from repro.method import compiling
from repro.progress import say
from repro.study.jobs import Job, Outcome, work

TRIES = 3  # of a job whose worker is lost
POLL = 0.1  # seconds between two looks at the jobs in flight
EXECUTORS = ("serial", "processes", "submitit", "ray")
PACKAGES = {"submitit": "cluster", "ray": "ray"}  # package, which is also the executor's name -> extra that installs it


def parse(executor: str) -> tuple[str, int | None]:
    """Name and number of workers of ``NAME`` or ``NAME:WORKERS``; :class:`SpecError` names the choices."""
    name, colon, number = executor.partition(":")
    if name not in EXECUTORS or (name == "serial" and colon):
        raise SpecError(f"executor: there is no {executor!r}; choose one of {', '.join(EXECUTORS)}, or processes:4")
    if colon and not (number.isascii() and number.isdigit() and 0 < int(number) <= 10_000):
        raise SpecError(f"executor: the number of workers should be a whole number from 1 on, not {number!r}")
    if name in PACKAGES and find_spec(name) is None:
        raise SpecError(
            f"executor: {name} is not installed; `uv sync --extra {PACKAGES[name]}` installs it, "
            "or choose serial or processes"
        )
    return name, int(number) if colon else None


def make_executor(executor: str, root: Path, device: torch.device) -> Executor | None:
    """The executor of a parameter; None for ``serial``, which needs none."""
    name, workers = parse(executor)
    if name == "serial":
        return None
    if name == "processes":
        return Processes(root, device, workers)
    from repro.study import clusters

    kind: type[Executor] = clusters.Submitit if name == "submitit" else clusters.Ray
    return kind(root, device, workers)


class LostWorkerError(Exception):
    """A worker died, or its machine did, before its job was done."""


class Executor(ABC):
    """Keeps up to ``workers`` jobs in flight; a job whose worker is lost is given to another."""

    name: str

    def __init__(self, root: Path, device: torch.device, workers: int | None = None) -> None:
        self.root = Path(root).resolve()
        self.device = device
        self.threads = torch.get_num_threads()
        self.compile = compiling.choice()
        self.workers = workers or self.default_workers()

    @abstractmethod
    def default_workers(self) -> int:
        """How many jobs to have in flight where nobody said."""

    @abstractmethod
    def submit(self, job: Job) -> Any:
        """Start a job; returns a handle of it."""

    @abstractmethod
    def done(self, handle: Any) -> bool:
        """Whether a job has ended, well or not."""

    @abstractmethod
    def result(self, handle: Any) -> dict[str, object]:
        """What :func:`~repro.study.jobs.work` returned; :class:`LostWorkerError` if the worker was lost."""

    def close(self) -> None:  # noqa: B027 (most have nothing to give back)
        """Give back what was started."""

    def payload(self, job: Job) -> tuple[str, str, str, int, str]:
        """The arguments of :func:`~repro.study.jobs.work`: plain values, whatever carries them."""
        return job.model_dump_json(), str(self.root), self.device.type, self.threads, self.compile

    def run(self, jobs: Sequence[Job]) -> Iterator[tuple[Job, Outcome]]:
        """Do independent jobs; yields each as it ends.

        :class:`ReproError` when a job meets an error that is not its training's (a full disk, missing
        images), or when its worker is lost ``TRIES`` times; :class:`TimeIsUpError` when a worker has no time left.
        """
        waiting = deque((job, 1) for job in jobs)
        flying: list[tuple[Any, Job, int]] = []
        while waiting or flying:
            while waiting and len(flying) < self.workers:
                job, attempt = waiting.popleft()
                flying.append((self.submit(job), job, attempt))
            ended = [flight for flight in flying if self.done(flight[0])]
            if not ended:
                time.sleep(POLL)
            flying = [flight for flight in flying if flight not in ended]
            for handle, job, attempt in ended:
                try:
                    yield job, self._outcome(self.result(handle))
                except LostWorkerError as error:
                    if attempt == TRIES:
                        raise ReproError(f"{job.key.label}: its worker was lost {TRIES} times ({error})") from error
                    say(f"{job.key.label}: its worker was lost ({error}); given to another")
                    waiting.append((job, attempt + 1))

    @staticmethod
    def _outcome(told: dict[str, Any]) -> Outcome:
        if "late" in told:
            raise TimeIsUpError(str(told["late"]))
        if "error" in told:
            raise ReproError(str(told["error"]))
        return Outcome(told["made"], told["failed"])


class Processes(Executor):
    """Worker processes of this host: one a GPU, or on a CPU as many as its cores hold of this process's threads."""

    name = "processes"

    def __init__(self, root: Path, device: torch.device, workers: int | None = None) -> None:
        super().__init__(root, device, workers)
        # A pool of one for each worker, so that a lost worker takes no other with it.
        self._pools: list[ProcessPoolExecutor | None] = [None] * self.workers
        self._free = deque(range(self.workers))

    def default_workers(self) -> int:
        if self.device.type == "cuda":
            return torch.cuda.device_count()
        return max(1, (os.cpu_count() or 1) // self.threads)

    def submit(self, job: Job) -> tuple[Future[dict[str, object]], int]:
        slot = self._free.popleft()
        pool = self._pools[slot]
        if pool is None:
            # spawn: a process that has started threads or a GPU cannot be forked
            pool = self._pools[slot] = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))
        text, root, device, threads, compile = self.payload(job)
        if device == "cuda":
            device = f"cuda:{slot % torch.cuda.device_count()}"
        return pool.submit(work, text, root, device, threads, compile), slot

    def done(self, handle: tuple[Future[dict[str, object]], int]) -> bool:
        return handle[0].done()

    def result(self, handle: tuple[Future[dict[str, object]], int]) -> dict[str, object]:
        future, slot = handle
        self._free.append(slot)
        try:
            return future.result()
        except BrokenProcessPool as error:
            self._pools[slot] = None
            raise LostWorkerError(f"worker {slot + 1} of {self.workers} on this host") from error

    def close(self) -> None:
        for pool in self._pools:
            if pool is not None:
                pool.shutdown(wait=True, cancel_futures=True)


def fan_out(
    stages: Sequence[Sequence[Job]],
    executor: Executor,
    failed: dict[str, str],
    note: Callable[[Job, Outcome], None],
) -> None:
    """Do all jobs, stage by stage, and enter in ``failed`` (hash -> why) what went wrong.

    A job is left out when what it needs has failed.
    """
    try:
        for stage in stages:
            jobs = [job for job in stage if not any(key.hash in failed for key in job.needs())]
            for job, outcome in executor.run(jobs):
                if outcome.failed:
                    failed[job.key.hash] = outcome.failed
                note(job, outcome)
    finally:
        executor.close()
