"""Who makes the steps of a study: this process, more processes of this host, or a cluster.

Chosen by the parameter ``executor``, a name and, if wished, a number of workers: ``auto``, ``serial``, ``processes``,
``processes:4``, ``submitit:8``, ``ray``. ``auto`` shares out the threads of a CPU among workers where a study is long
enough to pay for their start, one each where memory allows: networks as small as these gain little from a second
thread, and much from another network beside them. A worker is handed plain text (see :class:`Job`), builds the same
graph from it and puts what it makes in the store, from which the study then reads; so results cannot depend on who
made them, only on how many threads computed (the order of sums). Making a step is idempotent: what stands is not made
again, what another worker is making is waited for, and what a lost worker began goes on from its last epoch. submitit
and Ray need the store on a file system that every worker sees under the same path.
"""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import re
import signal
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import torch

from repro.errors import ReproError, SpecError
from repro.progress import Progress, join, say
from repro.training import compiling

TRIES = 3  # of a job whose worker is lost
POLL = 0.1  # seconds between two looks at the jobs in flight
MANY = 1000  # workers, where an engine's own queue decides
EXECUTORS = ("auto", "serial", "processes", "submitit", "ray")
LONG = 1e12  # multiply-adds of a study from which on ``auto`` has workers: about twenty seconds of one core
MOST = 8  # workers of ``auto``: each passes the images through a shared trunk by itself ...
EACH = 4e9  # ... and needs memory, in bytes: 2 GB of small networks, more of large photographs
PACKAGES = {"submitit": "cluster", "ray": "ray"}  # package, which is also the executor's name -> extra that installs it
SLURM = "REPRO_SLURM"  # environment variable: submitit's parameters as JSON, e.g. {"slurm_partition": "gpu"}


def parse(executor: str) -> tuple[str, int | None]:
    """Name and number of workers of ``NAME`` or ``NAME:WORKERS``; :class:`SpecError` names the choices."""
    name, _, number = executor.partition(":")
    if not re.fullmatch("auto|serial|(processes|submitit|ray)(:[1-9][0-9]{0,3})?", executor):
        raise SpecError(f"executor: there is no {executor!r}; choose one of {', '.join(EXECUTORS)}, or processes:4")
    if name in PACKAGES and find_spec(name) is None:
        raise SpecError(
            f"executor: {name} is not installed; `uv sync --extra {PACKAGES[name]}` installs it, "
            "or choose auto, serial or processes"
        )
    return name, int(number) if number else None


class Job(NamedTuple):
    """Steps of one goal, by their keys, with the builder and the config (JSON) of the goal."""

    builder: str
    config: str
    keys: tuple[str, ...]
    label: str


class Executor(ABC):
    """Keeps up to ``workers`` jobs in flight; a job whose worker is lost is given to another.

    Attributes:
        work: What a worker does: ``work(builder, config, keys, root, device, threads, compile)``. The number of
            threads is the asker's (but for ``auto``), as the order of a sum may depend on it; so is how networks are
            called.
        workers: How many jobs are in flight at most.
        lost: The exceptions that say that a worker was lost.
        reports: Whether workers count what they do in the progress of the study themselves.
    """

    lost: tuple[type[BaseException], ...] = ()
    reports = False

    def __init__(
        self, work: Callable[..., dict[str, Any]], root: Path, device: torch.device, progress: Progress,
        workers: int, threads: int,
    ) -> None:  # fmt: skip
        self.work, self.device, self.root = work, device, Path(root).resolve()
        self.progress, self.workers, self.threads = progress, workers, threads
        self._flying: list[tuple[Future[dict[str, Any]], Job, int]] = []

    @abstractmethod
    def submit(self, job: Job) -> Future[dict[str, Any]]:
        """Start a job; what is returned says when it is ``done()``, and its ``result()`` what the worker returned."""

    def close(self) -> None:  # noqa: B027 (most have nothing to give back)
        """Give back what was started."""

    def arguments(self, job: Job, device: str = "") -> tuple[object, ...]:
        """Those of ``work``: plain values, whatever carries them."""
        return (*job[:3], str(self.root), device or str(self.device), self.threads, compiling.choice())

    @property
    def free(self) -> int:
        """How many more jobs may be started."""
        return self.workers - len(self._flying)

    @property
    def busy(self) -> bool:
        return bool(self._flying)

    def start(self, job: Job, attempt: int = 1) -> None:
        self._flying.append((self.submit(job), job, attempt))

    def ended(self) -> Iterator[tuple[Job, dict[str, Any]]]:
        """The jobs that have ended since the last look, each with what its worker returned.

        Raises:
            ReproError: If a worker of one job is lost ``TRIES`` times.
        """
        landed = [flight for flight in self._flying if flight[0].done()]
        if not landed:
            time.sleep(POLL)
        for flight in landed:
            self._flying.remove(flight)
            future, job, attempt = flight
            try:
                yield job, future.result()
            except self.lost as error:
                why = (str(error).splitlines() or [type(error).__name__])[0]
                if attempt == TRIES:
                    raise ReproError(f"{job.label}: its worker was lost {TRIES} times ({why})") from error
                say(f"{job.label}: its worker was lost ({why}); given to another")
                self.start(job, attempt + 1)


class Processes(Executor):
    """Worker processes of this host; a pool of one each, so that one that is lost takes no other with it."""

    lost = (BrokenProcessPool,)
    reports = True

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.progress.share()
        self._pools = [self._pool() for _ in range(self.workers)]
        self._last: list[Future[dict[str, Any]] | None] = [None] * self.workers

    def _pool(self) -> ProcessPoolExecutor:
        # spawn: a process that has started threads or a GPU cannot be forked
        return ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), _begin, (self.progress,))

    def submit(self, job: Job) -> Future[dict[str, Any]]:
        slot = next(i for i, last in enumerate(self._last) if last is None or last.done())  # the first that is idle
        any_gpu = self.device.type == "cuda" and self.device.index is None
        gpu = f"cuda:{slot % torch.cuda.device_count()}" if any_gpu else ""
        try:
            future = self._pools[slot].submit(self.work, *self.arguments(job, gpu))
        except BrokenProcessPool:  # its process was lost
            self._pools[slot] = self._pool()
            future = self._pools[slot].submit(self.work, *self.arguments(job, gpu))
        self._last[slot] = future
        return future

    def close(self) -> None:
        """End the processes; what one of them is training stops, and goes on from its last epoch in a later run."""
        self.progress.stop()
        for pool in self._pools:
            pool.shutdown(wait=True, cancel_futures=True)


class Submitit(Executor):
    """Jobs of a Slurm cluster (with ``$REPRO_SLURM`` as parameters), or processes of this host where there is none.

    submitit hands arguments and results over as pickles of its own, in ``<store>/jobs``: plain text and numbers.
    """

    def __init__(self, *arguments: Any) -> None:
        import submitit
        from submitit.core.utils import FailedJobError, UncompletedJobError

        self.lost = (UncompletedJobError, FailedJobError)
        super().__init__(*arguments)
        self._executor = submitit.AutoExecutor(folder=self.root / "store" / "jobs" / "%j")
        asked: dict[str, Any] = {"timeout_min": 24 * 60, "cpus_per_task": self.threads, "name": "repro"}
        if self.device.type == "cuda":
            asked["gpus_per_node"] = 1
        try:
            self._executor.update_parameters(**{**asked, **json.loads(os.environ.get(SLURM, "{}"))})
        except (ValueError, TypeError, NameError) as error:
            raise SpecError(f"{SLURM} is not a JSON object of submitit's parameters: {error}") from error

    def submit(self, job: Job) -> Any:
        return self._executor.submit(self.work, *self.arguments(job))


class Ray(Executor):
    """Tasks of the Ray cluster of ``$RAY_ADDRESS``, or of one that is started on this host for the study."""

    def __init__(self, *arguments: Any) -> None:
        # Ray would otherwise send the checkout, data and all, to every worker when it runs under `uv run`.
        os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
        import ray

        errors = ray.exceptions
        self.lost = (errors.WorkerCrashedError, errors.LocalRayletDiedError, errors.NodeDiedError,
                     errors.ObjectLostError, errors.OutOfMemoryError, errors.RaySystemError)  # fmt: skip
        super().__init__(*arguments)
        self._mine = not ray.is_initialized()
        if self._mine:
            ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
        gpus = 1 if self.device.type == "cuda" else 0
        self._work = ray.remote(num_cpus=1 if gpus else self.threads, num_gpus=gpus, max_retries=3)(self.work)

    def submit(self, job: Job) -> Any:
        return self._work.remote(*self.arguments(job)).future()

    def close(self) -> None:
        import ray

        if self._mine:
            ray.shutdown()


def make_executor(
    executor: str, work: Callable[..., dict[str, Any]], root: Path, device: torch.device, progress: Progress
) -> Executor | None:
    """The executor of a parameter, for a study whose work is that of ``progress``; None where this process makes it.

    What ``auto`` means rests on all that is planned by then, whatever of it stands: one that was stopped goes on as it
    began.
    """
    name, workers = parse(executor)
    threads = torch.get_num_threads()
    if name == "auto":
        workers = min(threads, MOST, int(_memory() / EACH))
        if device.type != "cpu" or workers < 2 or progress.total < LONG:
            return None
        return Processes(work, root, device, progress, workers, threads // workers)
    kinds: dict[str, type[Executor]] = {"processes": Processes, "submitit": Submitit, "ray": Ray}
    if name not in kinds:
        return None
    return kinds[name](work, root, device, progress, workers or _places(name, device, threads), threads)


def _places(name: str, device: torch.device, threads: int) -> int:
    """Workers of whom none was asked for by number: one a GPU that may be used, or as many as the cores hold."""
    if name == "submitit":
        import submitit

        if submitit.AutoExecutor.which() == "slurm":
            return MANY
    if name == "ray":
        return MANY
    if name == "processes" and device.type == "cuda":
        return torch.cuda.device_count() if device.index is None else 1
    return max(1, (os.cpu_count() or 1) // threads)


def _begin(progress: Progress) -> None:
    """In a worker process: count in the study's progress, and end when its process does, however that ended."""
    join(progress)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's reaches all: the study stops its workers itself
    study = multiprocessing.parent_process()
    assert study

    def end_with_it() -> None:
        study.join()
        os._exit(1)  # at any moment: what stands in the store is whole

    threading.Thread(target=end_with_it, daemon=True).start()


def _memory() -> float:
    """The memory of this host, in bytes."""
    return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
