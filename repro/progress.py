"""One line at a time of what is going on, for a terminal, a log or a notebook.

Lines rather than a moving bar: they read the same in all three. Inside a notebook kernel they go to
the cell and also to the terminal that started the kernel, so that ``papermill notebook.ipynb`` is
not silent for minutes.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable

SECONDS_BETWEEN_LINES = 5.0


def say(text: str) -> None:
    """Write one line to standard error, and to the terminal behind it when inside a kernel."""
    print(text, file=sys.stderr, flush=True)
    terminal = getattr(sys.stderr, "_original_stdstream_copy", None)  # ipykernel's stream keeps the real one here
    if terminal is not None:
        os.write(terminal, f"{text}\n".encode())


def duration(seconds: float) -> str:
    """``42 s``, ``3 min 20 s`` or ``1 h 05 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


class Progress:
    """The progress of a plan of work: what has been done, what is being done, and the time left.

    Work is counted in any unit that is roughly proportional to time (the pipeline uses multiply-adds);
    the time left follows from the rate so far in this run. A total of 0 means that it is not known.
    """

    def __init__(self, total_work: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._total = total_work
        self._done = 0.0
        self._skipped = 0.0
        self._clock = clock
        self._began = self._last = clock()

    def skip(self, work: float) -> None:
        """Count work that needs no doing (it was found in the store)."""
        self._skipped += work

    def advance(self, work: float, text: Callable[[], str], force: bool = False) -> None:
        """Count work as done; says ``text()`` and the time left, at most every few seconds."""
        self._done += work
        now = self._clock()
        if force or now - self._last >= SECONDS_BETWEEN_LINES:
            self._last = now
            say(f"{text()} · {self.time_left()}" if self._total else text())

    def time_left(self) -> str:
        """E.g. ``3 min 20 s left``; empty knowledge is said as such."""
        todo = self._total - self._skipped - self._done
        if self._done <= 0:
            return "time left not known yet"
        return f"{duration((self._clock() - self._began) * max(todo, 0) / self._done)} left"
