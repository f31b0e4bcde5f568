"""Whoever does the jobs, the store ends with the same weights; a lost worker's job is taken up."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from importlib.util import find_spec
from pathlib import Path
from unittest.mock import Mock

import pytest
import torch

from benchmarks.common import weights
from benchmarks.executors import run
from repro.errors import ReproError, SpecError
from repro.progress import Progress
from repro.study.executors import EXECUTORS, Job, Processes, make_executor, parse

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def serial(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The weights that this process makes by itself, with the one thread that two workers beside each other have."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("serial")
    run("serial", root, disturbed=False)
    yield weights(root)
    torch.set_num_threads(threads)


def test_executors_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [parse(name) for name in (*EXECUTORS, "processes:3")] == [*((n, None) for n in EXECUTORS), ("processes", 3)]
    for wrong in ("", "slurm", "serial:2", "auto:2", "processes:0", "processes:x", "processes:²"):
        with pytest.raises(SpecError, match=r"executor: .*auto, serial, processes, submitit, ray, or processes:4"):
            parse(wrong)
    monkeypatch.setattr("repro.study.executors.find_spec", lambda package: None)
    for absent in ("submitit", "ray"):
        with pytest.raises(SpecError, match=f"executor: {absent} is not installed; `uv sync --extra "):
            parse(absent)


@pytest.mark.parametrize(
    ("threads", "memory", "macs", "meant"),
    [
        (1, 64e9, 1e15, None), (2, 64e9, 1e11, None), (2, 64e9, 1e13, (2, 1)), (32, 64e9, 1e13, (8, 4)),
        (8, 16e9, 1e13, (4, 2)), (8, 7e9, 1e13, None),
    ],
)  # fmt: skip
def test_auto_shares_out_the_threads_where_study_and_memory_are_large_enough(
    threads: int, memory: float, macs: float, meant: tuple[int, int] | None,
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    monkeypatch.setattr("repro.study.executors._memory", lambda: memory)
    executor = make_executor("auto", run, tmp_path, CPU, Progress(macs))
    assert (executor and (executor.workers, executor.threads)) == meant


@pytest.mark.parametrize(
    ("device", "executor", "given"),
    [
        ("cuda", "processes", ["cuda:0", "cuda:1"]), ("cuda:1", "processes:3", ["cuda:1"] * 3),
        ("cpu", "processes:2", ["cpu"] * 2),
    ],
)  # fmt: skip
def test_workers_have_the_gpu_that_was_asked_for_or_one_each(
    device: str, executor: str, given: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(Processes, "_pool", lambda self: Mock(**{"submit.side_effect": lambda *_: Future()}))
    made, job = make_executor(executor, run, tmp_path, torch.device(device), Progress(1)), Job("", "", (), "a job")
    assert isinstance(made, Processes)
    for _ in range(made.workers):
        made.start(job)
    assert [pool.submit.call_args.args[5] for pool in made._pools] == given  # type: ignore[attr-defined]
    assert made.arguments(job)[4] == device, "of submitit and Ray, too"


STUDY = """
import sys, time, torch
from pathlib import Path
from typing import Any
from repro.progress import Progress
from repro.study.executors import Job, Processes
from tests.study.toy import endless
if __name__ == "__main__":
    executor = Processes(endless, Path(sys.argv[1]), torch.device("cpu"), Progress(1), 1, 1)
    executor.start(Job("", sys.argv[1] + "/worker", (), "endless"))
    while executor.busy:
        time.sleep(1)
"""


def wait_until(ready: Callable[[], bool], seconds: float = 300) -> None:
    end = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < end, "it did not come to this"
        time.sleep(0.05)


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and that nobody has asked about does not."""
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="asks Linux what runs")
def test_a_killed_study_takes_its_workers_with_it_and_ctrl_c_is_left_to_it(tmp_path: Path) -> None:
    (tmp_path / "study.py").write_text(STUDY)
    path = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    study = subprocess.Popen([sys.executable, tmp_path / "study.py", tmp_path], env=path)
    worker = tmp_path / "worker"
    wait_until(lambda: worker.exists() and worker.read_text() != "")
    pid, at_ctrl_c = worker.read_text().split(maxsplit=1)
    assert at_ctrl_c == repr(signal.SIG_IGN), "a terminal interrupts workers, too: an idle one would show a traceback"
    assert alive(int(pid))
    study.kill()
    study.wait()
    wait_until(lambda: not alive(int(pid)))


@pytest.mark.slow
@pytest.mark.parametrize(("executor", "lost"), [("submitit:2", "a worker"), ("ray", "a node")])
def test_what_does_the_work_is_killed_and_the_weights_are_the_same(
    executor: str, lost: str, serial: dict[str, str], tmp_path: Path
) -> None:
    """``processes`` have their own test of this beside the others of the walk."""
    if find_spec(executor.partition(":")[0]) is None:  # not imported: Ray reads the environment as it is
        pytest.skip(f"{executor} is not installed: `uv sync` installs it")
    try:
        row = run(executor, tmp_path, disturbed=True)
    except ReproError as error:
        if "does not start on this machine" not in str(error):
            raise
        pytest.skip(str(error))
    assert row["killed"] == lost and weights(tmp_path) == serial
