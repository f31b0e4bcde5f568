"""One line at a time of what is going on, for a terminal, a log or a notebook; and how much time there is.

Lines rather than a moving bar: they read the same in all three. Inside a notebook kernel they go to
the cell and also to the terminal that started the kernel, so that ``papermill notebook.ipynb`` is
not silent for minutes.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from math import inf
from multiprocessing import get_context, parent_process
from typing import Any

SECONDS_BETWEEN_LINES = 5.0
DEADLINE = "REPRO_DEADLINE"  # environment variable, seconds since 1970: kernels and workers of this host inherit it


def say(text: str) -> None:
    """Write one line to standard error; inside a kernel to standard output, and to the terminal behind it."""
    terminal = getattr(sys.stderr, "_original_stdstream_copy", None)  # ipykernel's stream keeps the real one here
    of_kernel = parent_process() is not None and "JPY_PARENT_PID" in os.environ  # one of its worker processes
    # a notebook shows errors in red
    print(text, file=sys.stderr if terminal is None and not of_kernel else sys.stdout, flush=True)
    if terminal is not None:
        os.write(terminal, f"{text}\n".encode(errors="backslashreplace"))


def duration(seconds: float) -> str:
    """``42 s``, ``3 min 20 s`` or ``1 h 05 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


@contextmanager
def time_limit(minutes: float | None) -> Iterator[None]:
    """Give the block so many minutes (None: as many as it takes); the last few seconds are left for tidying up."""
    before = os.environ.get(DEADLINE)
    seconds = inf if minutes is None else 60 * minutes
    os.environ[DEADLINE] = str(time.time() + seconds - min(15.0, 0.05 * seconds))
    try:
        yield
    finally:
        os.environ.pop(DEADLINE)
        if before is not None:
            os.environ[DEADLINE] = before


def late(seconds: float = 0.0) -> bool:
    """Whether work of so many seconds, begun now, would end after the time of this run, or the study was stopped."""
    if (study := joined()) and study.stopped:
        return True
    return time.time() + seconds > float(os.environ.get(DEADLINE, inf))


class Progress:
    """The progress of a plan of work: what has been done, what is being done, and the time left.

    Work is counted in any unit that is roughly proportional to time (the pipeline uses multiply-adds);
    the time left follows from the rate so far in this run, by all processes that share the progress.

    Attributes:
        total: The whole work that is known; 0 where none is.
        stage: What the time left is of, where more is to come than is known yet: "the trials".
    """

    def __init__(self, total_work: float = 0.0, clock: Callable[[], float] = time.monotonic) -> None:
        self.total, self.stage = total_work, ""
        self._counts: Any = [0.0, total_work, 0.0]  # done in this run, left, whether it was stopped
        self._clock = clock
        self._began = self._last = clock()

    def share(self) -> None:
        """From now on, processes of this host that are handed this progress as they start count together."""
        self._counts = get_context("spawn").Array("d", [*self._counts[:2], 0.0])

    def _count(self, done: float, skipped: float = 0.0) -> None:
        with getattr(self._counts, "get_lock", nullcontext)():
            self._counts[0] += done
            self._counts[1] -= done + skipped

    def skip(self, work: float) -> None:
        """Count work that needs no doing (it was found in the store)."""
        self._count(0.0, skipped=work)

    def expect(self, work: float) -> None:
        """Count work that has become known."""
        self.total += work
        self._count(0.0, skipped=-work)

    def advance(self, work: float, text: Callable[[], str]) -> None:
        """Count work as done; says ``text()`` and the time left, at most every few seconds."""
        self._count(work)
        now = self._clock()
        if now - self._last >= SECONDS_BETWEEN_LINES:
            self._last = now
            say(f"{text()} · {self.time_left()}" if self.total else text())

    def stop(self) -> None:
        """To those who joined: stop at the next step, nobody waits for what you make."""
        self._counts[2] = 1.0

    @property
    def stopped(self) -> bool:
        """Whether nobody waits any more."""
        return bool(self._counts[2])

    @property
    def left(self) -> float:
        """The work that is neither done nor skipped."""
        return float(self._counts[1])

    def seconds(self, work: float) -> float:
        """How long work would take at the rate so far; 0 where no rate is known yet."""
        done = self._counts[0]
        return (self._clock() - self._began) * work / done if done > 0 else 0.0

    def time_left(self) -> str:
        """E.g. ``3 min 20 s left``, ``3 min 20 s left of the trials``; or that it is not known yet."""
        if self._counts[0] <= 0:
            return "time left not known yet"
        return f"{duration(self.seconds(max(self.left, 0)))} left" + (f" of {self.stage}" if self.stage else "")


_joined: list[Progress] = []


def join(progress: Progress) -> None:
    """In a worker process: what is done here counts as a part of the study's progress."""
    _joined[:] = [progress]


def joined() -> Progress | None:
    """The study's progress, in a worker process that has joined it."""
    return _joined[0] if _joined else None
