"""One maker at a time: who waits, for whom, and who takes over."""

import json
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from repro.errors import TimeIsUpError
from repro.progress import time_limit
from repro.study import locks
from repro.study.locks import Holder, Lock, alive, read_holder, this_place

HOLD = """
import sys, time
from pathlib import Path
from repro.study.locks import Lock
with Lock(Path(sys.argv[1]), "the thing").held() as mine:
    print("held", flush=True)
    time.sleep(float(sys.argv[2]))
"""


def hold_elsewhere(path: Path, seconds: float) -> subprocess.Popen:
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(path), str(seconds)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    return process


def plant(path: Path, **changes: object) -> Path:
    """A lock file as another process would have left it."""
    holder = Holder("elsewhere", 1, "2026-01-01T00:00:00+00:00", "elsewhere/boot", "-token")
    file = path.with_name(f"{path.name}.1")
    file.write_text(json.dumps({**holder._asdict(), **changes}))
    return file


def test_a_free_lock_is_taken_touched_and_given_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "HEARTBEAT", 0.05)
    lock = Lock(tmp_path / "locks" / "base-1", "base")
    with lock.held() as mine:
        ((_, file),) = lock.generations()
        holder = read_holder(file)
        assert mine and holder is not None and holder.pid == os.getpid() and alive(holder)
        os.utime(file, (0, 0))
        time.sleep(0.4)
        assert file.stat().st_mtime > 0
    assert not lock.generations()
    with pytest.raises(KeyError), lock.held():
        raise KeyError
    assert not lock.generations(), "also when the block fails"


def test_waits_for_a_living_process_and_takes_over_from_a_killed_one_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    process = hold_elsewhere(tmp_path / "a", 1.0)
    with Lock(tmp_path / "a", "base of a test").held() as mine:
        assert mine and process.wait() == 0
    assert f"base of a test: waiting for process {process.pid} on " in capsys.readouterr().err
    process = hold_elsewhere(tmp_path / "a", 600)
    process.kill()
    began = time.monotonic()
    with Lock(tmp_path / "a", "base of a test").held() as mine:
        assert mine
    assert time.monotonic() - began < 5 and "is gone; taking over" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
    process.wait()
    plant(tmp_path / "a", place=this_place(), pid=os.getpid(), token="1-token")
    with Lock(tmp_path / "a", "a").held() as mine:
        assert mine, "a pid that is used again is another process"


def test_whoever_waits_stops_when_the_thing_is_there_or_the_time_of_the_run_is_up(tmp_path: Path) -> None:
    plant(tmp_path / "a")
    with Lock(tmp_path / "a", "a").held(done=lambda: True) as mine:
        assert not mine
    assert (tmp_path / "a.1").exists()  # not ours to remove
    lock = Lock(tmp_path / "a", "base").held()
    with time_limit(0), pytest.raises(TimeIsUpError, match=r"base: process 1 on elsewhere.* is making it"), lock:
        pass


def test_another_host_is_believed_dead_after_the_lease_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "LEASE", 0.5)
    file = plant(tmp_path / "a")

    def live() -> None:  # touches it for a second, then dies
        for _ in range(10):
            os.utime(file)
            time.sleep(0.1)

    began, beat = time.monotonic(), threading.Thread(target=live)
    beat.start()
    with Lock(tmp_path / "a", "a").held() as mine:
        assert mine and 1.2 < time.monotonic() - began < 6
    beat.join()
    (tmp_path / "b.1").write_text("{half")  # one that cannot be read is waited for as well
    with Lock(tmp_path / "b", "b").held() as mine:
        assert mine


def test_many_threads_never_hold_it_together(tmp_path: Path) -> None:
    inside, most, lock = [], [], Lock(tmp_path / "a", "a")

    def work() -> None:
        with lock.held():
            inside.append(1)
            most.append(len(inside))
            time.sleep(0.01)
            inside.pop()

    with ThreadPoolExecutor(8) as pool:
        for _ in range(8):
            pool.submit(work)
    assert most == [1] * 8
