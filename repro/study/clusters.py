"""Executors that give jobs to engines that people already run: Slurm by submitit, and Ray.

Both need the store on a file system that every worker sees under the same path.
"""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Any

import torch

from repro.errors import SpecError
from repro.study.executors import Executor, LostWorkerError
from repro.study.jobs import Job, work

SLURM = "REPRO_SLURM"  # environment variable: submitit's parameters as JSON


class Submitit(Executor):
    """Jobs of a Slurm cluster, or processes of this host where there is none.

    ``$REPRO_SLURM`` holds what submitit is told of each job, as JSON, e.g.
    ``{"slurm_partition": "gpu", "timeout_min": 240}``. submitit hands arguments and results over as
    pickles of its own, in ``<store>/jobs``; they are plain text and numbers, and go when the job is done.
    """

    name = "submitit"

    def __init__(self, root: Path, device: torch.device, workers: int | None = None) -> None:
        import submitit

        super().__init__(root, device, workers)
        self._executor = submitit.AutoExecutor(folder=self.root / "store" / "jobs" / "%j")
        asked: dict[str, Any] = {"timeout_min": 24 * 60, "cpus_per_task": self.threads, "name": "repro"}
        if device.type == "cuda":
            asked["gpus_per_node"] = 1
        try:
            self._executor.update_parameters(**{**asked, **json.loads(os.environ.get(SLURM, "{}"))})
        except (ValueError, TypeError, NameError) as error:
            raise SpecError(f"{SLURM} is not a JSON object of submitit's parameters: {error}") from error

    def default_workers(self) -> int:
        import submitit

        if submitit.AutoExecutor.which() == "slurm":
            return 1000  # Slurm's own queue decides
        return max(1, (os.cpu_count() or 1) // self.threads)

    def submit(self, job: Job) -> Any:
        return self._executor.submit(work, *self.payload(job))

    def done(self, handle: Any) -> bool:
        return bool(handle.done())

    def result(self, handle: Any) -> dict[str, object]:
        from submitit.core.utils import FailedJobError, UncompletedJobError

        try:
            return handle.result()
        except (UncompletedJobError, FailedJobError) as error:
            first = (str(error).splitlines() or ["no word of it"])[0]
            raise LostWorkerError(f"job {handle.job_id}: {first}") from error


class Ray(Executor):
    """Tasks of the Ray cluster of ``$RAY_ADDRESS``, or of one that is started on this host for the study."""

    name = "ray"

    def __init__(self, root: Path, device: torch.device, workers: int | None = None) -> None:
        # Ray would otherwise send the checkout, data and all, to every worker when it runs under `uv run`.
        os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
        import ray

        super().__init__(root, device, workers)
        self._mine = not ray.is_initialized()
        if self._mine:
            ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
        gpus = 1 if device.type == "cuda" else 0
        self._work = ray.remote(num_cpus=1 if gpus else self.threads, num_gpus=gpus, max_retries=3)(work)

    def default_workers(self) -> int:
        return 1000  # Ray's own scheduler decides

    def submit(self, job: Job) -> Any:
        return self._work.remote(*self.payload(job))

    def done(self, handle: Any) -> bool:
        import ray

        return bool(ray.wait([handle], timeout=0)[0])

    def result(self, handle: Any) -> dict[str, object]:
        import ray

        try:
            return ray.get(handle)
        except ray.exceptions.RayTaskError:
            raise
        except ray.exceptions.RayError as error:  # the worker, its node or the object's owner died
            raise LostWorkerError(type(error).__name__) from error

    def close(self) -> None:
        import ray

        if self._mine:
            ray.shutdown()
