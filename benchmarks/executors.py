"""Every executor makes the same weights, also when a worker, or a node of a Ray cluster, is killed.

    uv run python -m benchmarks.executors --record

The same study is run by each executor on a store of its own, first undisturbed, then with the worker that is training
an expert killed (a serial study has none: see the campaign of faults). Under Ray, a cluster of three nodes is started
on this machine, and it is the whole node of that worker that is killed.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import torch

from benchmarks.common import FactsAndRows, Row, command, holders, weights
from repro.errors import ReproError
from repro.families.single_gate.config import StudySpec
from repro.families.single_gate.scales import default_spec
from repro.families.single_gate.study import Study
from repro.study.executors import PACKAGES

NAMES = ("serial", "processes:2", "submitit:2", "ray")


def study_spec(epochs: int) -> StudySpec:
    """Three experts that take long enough to be caught at their training."""
    spec = default_spec("smoke", "modes").with_(width=0.0625, num_experts=3)
    return spec.with_(expert_recipe={**spec.expert_recipe.model_dump(), "epochs": epochs})


def kill_process(pid: int) -> str:
    """Kill the worker; says what was killed."""
    os.kill(pid, signal.SIGKILL)
    return "a worker"


class Assassin(threading.Thread):
    """Waits until another process is training an expert, and has it killed, once."""

    def __init__(self, root: Path, slay: Callable[[int], str]) -> None:
        super().__init__(daemon=True)
        self.root, self.slay = root, slay
        self.killed = "nobody"
        self.stop = False

    def run(self) -> None:
        while not self.stop:
            holder = holders(self.root).get("expert")
            if holder and holder.pid != os.getpid():
                with contextlib.suppress(ProcessLookupError):
                    self.killed = self.slay(holder.pid)
                    return
            time.sleep(0.01)


@contextlib.contextmanager
def ray_cluster() -> Iterator[Callable[[int], str]]:
    """A Ray cluster of three nodes on this machine; yields what kills the node of a process."""
    os.environ["RAY_ENABLE_UV_RUN_RUNTIME_ENV"] = "0"
    import ray
    from ray.cluster_utils import Cluster

    size = 200 * 2**20  # bytes of shared memory a node
    try:
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "object_store_memory": size})
        workers = [cluster.add_node(num_cpus=1, object_store_memory=size) for _ in range(2)]
    except Exception as error:  # Ray gives a node 30 seconds to start, and says no more than Exception
        raise ReproError(f"a Ray cluster of three nodes does not start on this machine: {error}") from error
    ray.init(address=cluster.address, log_to_driver=False, logging_level=logging.ERROR)

    def kill_node(pid: int) -> str:
        parent = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        for node in workers:
            if parent in [info.process.pid for infos in node.all_processes.values() for info in infos]:
                os.kill(pid, signal.SIGKILL)
                cluster.remove_node(node, allow_graceful=False)
                return "a node"
        return "nobody"

    try:
        yield kill_node
    finally:
        ray.shutdown()
        cluster.shutdown()


def run(executor: str, root: Path, disturbed: bool, epochs: int = 12) -> Row:
    """One row: the study by one executor, and who was killed."""
    spec, began = study_spec(epochs), time.monotonic()
    with ray_cluster() if executor == "ray" else contextlib.nullcontext(kill_process) as slay:
        assassin = Assassin(root, slay)
        if disturbed:
            assassin.start()
        Study([spec], root, torch.device("cpu"), executor=executor).run(spec)
        assassin.stop = True
    return {"executor": executor, "killed": assassin.killed, "seconds": round(time.monotonic() - began, 1)}


def campaign(epochs: int, seed: int) -> FactsAndRows:
    """Run it; see the top of this file. Nothing is drawn."""
    torch.set_num_threads(1)
    rows: list[Row] = []
    expected: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in NAMES:
            package = name.partition(":")[0]
            if package in PACKAGES and find_spec(package) is None:
                print(f"{name}: not run, {package} is not installed (uv sync --extra {PACKAGES[package]})")
                continue
            for disturbed in (False,) if name == "serial" else (False, True):
                root = Path(folder) / f"{package}-{disturbed}"
                try:
                    row = run(name, root, disturbed, epochs)
                except ReproError as error:
                    row = {"executor": name, "killed": f"failed: {error}", "seconds": 0.0}
                digests = weights(root)
                expected = expected or digests
                agree = sum(digests.get(key) == digest for key, digest in expected.items())
                rows.append({**row, "artifacts": len(expected), "same weights": agree})
                print(rows[-1], flush=True)
    facts: dict[str, int | float] = {
        "executors": len({row["executor"] for row in rows}),
        "runs": len(rows),
        "killed": sum(row["killed"] != "nobody" for row in rows),
        "artifacts": len(expected),
        "agreeing": sum(row["same weights"] == row["artifacts"] for row in rows),
    }
    return facts, rows


if __name__ == "__main__":
    command(__doc__, "executors", "epochs", 12, campaign)
