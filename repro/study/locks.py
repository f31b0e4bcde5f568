"""One maker at a time, among processes of one host and of many that share a file system.

A maker holds a small file that says who it is, and touches it every few seconds. Whoever wants the
same thing waits, says for whom, and takes over when the holder is dead: at once if it was a process
of the same host, after ``LEASE`` seconds without a touch if it was elsewhere.

Why not filelock's lease (4.2.11): it takes a dead holder's lock by exchanging two names in one step, which NFS and its
like refuse: there the lock of a killed process is held for ever. Its other locks need the kernel's, or hard links.
Here it takes three things of a file system: a file is created by one only (``O_EXCL``), a file's time changes when it
is touched, and both are seen elsewhere within a minute. No clock is compared with another: a waiter measures, on its
own, how long the holder's file has stayed the same.

A lock of generation n is taken over by creating generation n + 1, which again one only can do;
nothing is ever deleted to take a lock, so a slow waiter cannot delete the lock of a quicker one.
A holder that was only asleep can meet its successor: both then make the same bytes, and the store
keeps those that came first. That costs time, never a wrong or torn artifact.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import NamedTuple

from repro.errors import TimeIsUpError
from repro.progress import late, say

HEARTBEAT = 10.0  # seconds between two touches
LEASE = 120.0  # seconds without a touch after which a holder elsewhere is taken for dead: NFS may hide one for 60
POLL = (0.05, 2.0)  # seconds between two looks of a waiter: at first, at last


class Holder(NamedTuple):
    """Who holds a lock: host as people know it, process, since when (UTC), and what tells it from any other."""

    host: str
    pid: int
    since: str
    place: str
    token: str

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}, since {self.since}"


@cache
def this_place() -> str:
    """What tells this host (its boot, and the container that numbers its processes) from every other."""
    parts = [platform.node()]
    for read in (lambda: Path("/proc/sys/kernel/random/boot_id").read_text(), lambda: os.readlink("/proc/self/ns/pid")):
        with contextlib.suppress(OSError):
            parts.append(read().strip())
    return "/".join(parts)


def _started(pid: int) -> str | None:
    """When a living process was started, in ticks since boot: pids are used again. Empty where /proc is not."""
    with contextlib.suppress(PermissionError):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return None
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return None if fields[0] == "Z" else fields[19]  # Z: killed, and not yet buried by its parent


def alive(holder: Holder) -> bool | None:
    """Whether the holder's process lives; None when it is not for this host to say."""
    return None if holder.place != this_place() else holder.token.partition("-")[0] == _started(holder.pid)


class Lock:
    """The right to make one thing, known by the name of a file (its folder is made where it is missing)."""

    def __init__(self, path: Path, label: str) -> None:
        self.path, self.label = Path(path), label

    def generations(self) -> list[tuple[int, Path]]:
        """Every file of this lock with its generation, ascending; empty when nobody holds it."""
        files = self.path.parent.glob(f"{self.path.name}.*")
        return sorted((int(path.suffix[1:]), path) for path in files if path.suffix[1:].isdigit())

    @contextmanager
    def held(self, done: Callable[[], bool] = lambda: False, wait: bool = True) -> Iterator[bool]:
        """Hold the lock for a block; waits for whoever has it.

        Yields False, and holds nothing, if ``done()`` came true meanwhile, or where it would have to ``wait``
        and shall not. :class:`TimeIsUpError` if the time of the run is up before.
        """
        mine = self._wait(done, wait)
        if mine is None:
            yield False
            return
        stop = threading.Event()

        def touch() -> None:
            while not stop.wait(HEARTBEAT):
                with contextlib.suppress(OSError):  # a file system that is away for a moment
                    os.utime(mine)

        beat = threading.Thread(target=touch, daemon=True)
        beat.start()
        try:
            yield True
        finally:
            stop.set()
            beat.join()
            for generation, path in self.generations():  # those taken over first: the lock is held to the last
                if generation <= int(mine.suffix[1:]):
                    path.unlink(missing_ok=True)

    def _wait(self, done: Callable[[], bool], wait: bool) -> Path | None:
        pause, waits_for = POLL[0], ""
        watched, since = None, 0.0  # the holder's file as it was when it last changed
        while True:
            if not (there := self.generations()):
                if mine := self._create(1):
                    return mine
                continue
            generation, path = there[-1]
            holder = read_holder(path)
            try:
                seen = (generation, path.stat().st_mtime_ns)
            except OSError:  # it has just been given back
                continue
            if seen != watched:
                watched, since = seen, time.monotonic()
            lives = alive(holder) if holder else None
            if lives is False or (lives is None and time.monotonic() - since > LEASE):
                say(f"{self.label}: {holder or 'its maker'} is gone; taking over")
                if mine := self._create(generation + 1):
                    return mine
                continue
            if not wait:
                return None
            if holder and holder.token != waits_for:
                say(f"{self.label}: waiting for {holder}")
                waits_for = holder.token
            if done():
                return None
            if late():
                raise TimeIsUpError(f"{self.label}: {holder or 'another process'} is making it")
            time.sleep(pause)
            pause = min(2 * pause, POLL[1])

    def _create(self, generation: int) -> Path | None:
        """The lock file of a generation, if nobody was quicker."""
        path = self.path.with_name(f"{self.path.name}.{generation}")
        token = f"{_started(os.getpid())}-{secrets.token_hex(8)}"
        now = datetime.now(UTC).isoformat(timespec="seconds")
        holder = Holder(platform.node(), os.getpid(), now, this_place(), token)
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
        except FileExistsError:
            return None
        with open(handle, "w", encoding="utf-8") as file:
            json.dump(holder._asdict(), file)
        return path


def read_holder(path: Path) -> Holder | None:
    """Who wrote a lock file; None while it is being written, or when it is gone or damaged."""
    try:
        return Holder(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
