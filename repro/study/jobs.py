"""A study in jobs: each makes one artifact of the store, by its key, on whatever machine takes it.

A job is idempotent: what stands in the store is not made again, what another worker is making is
waited for, and what a lost worker began goes on from its last epoch. So a job may be given to any
worker, any number of times. A worker runs the same :class:`~repro.study.pipeline.Study` as everybody.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import torch
from pydantic import BaseModel, ConfigDict

from repro.errors import ReproError, TimeIsUpError, TrainingError
from repro.method import compiling
from repro.method.device import pick_device
from repro.study.spec import Key, StudySpec, base_key, expert_key, gate_key

if TYPE_CHECKING:
    from repro.study.pipeline import Study


class Job(BaseModel):
    """One step of Algorithm 1 for one spec; ``expert`` is expert k with its ensembler, where one is asked for."""

    model_config = ConfigDict(frozen=True)

    spec: StudySpec
    step: Literal["base", "gate", "expert"]
    k: int = 0

    @property
    def key(self) -> Key:
        """The artifact that it makes."""
        if self.step == "expert":
            return expert_key(self.spec, self.k)
        return base_key(self.spec) if self.step == "base" else gate_key(self.spec)

    def needs(self) -> list[Key]:
        """The artifacts that must stand before (after an E-step, also every expert of before it)."""
        if self.step == "base":
            return []
        needed = [base_key(self.spec)] if self.step == "gate" else [base_key(self.spec), gate_key(self.spec)]
        if self.spec.em_steps:
            before = self.spec.before_em_step()
            needed += [gate_key(before), *(expert_key(before, k) for k in range(before.num_experts))]
        return needed


class Outcome(NamedTuple):
    """What became of a job: the hashes that it made; what went wrong in the training, if something did."""

    made: list[str]
    failed: str | None = None


def stages(specs: Iterable[StudySpec], bases: Iterable[StudySpec] = ()) -> list[list[Job]]:
    """The jobs of several specs, each once: bases, then gates, then experts (then those after each E-step).

    Of ``bases`` the base alone is wanted.

    The jobs of one stage are independent of one another.
    """
    rounds: dict[int, list[StudySpec]] = {}  # number of E-steps -> specs
    for spec in specs:
        while True:
            rounds.setdefault(spec.em_steps, []).append(spec)
            if not spec.em_steps:
                break
            spec = spec.before_em_step()
    found = [[Job(spec=spec, step="base") for spec in [*rounds.get(0, []), *bases]]]
    for _, same in sorted(rounds.items()):
        found.append([Job(spec=spec, step="gate") for spec in same])
        found.append([Job(spec=spec, step="expert", k=k) for spec in same for k in range(spec.num_experts)])
    return [list({job.key.hash: job for job in stage}.values()) for stage in found]


def work(job: str, root: str, device: str, threads: int, compile: str) -> dict[str, object]:
    """Do a job (as JSON), in a worker; returns an :class:`Outcome` as plain values, or the sentence of an error.

    The number of threads is the asker's: on a CPU, the order of a sum may depend on it. So is how networks are
    called.
    """
    torch.set_num_threads(threads)
    compiling.choose(compile)
    asked = Job.model_validate_json(job)
    try:
        study = _study(root, device)
        made = study.do(asked)
    except TrainingError as error:
        return {"made": [], "failed": str(error)}
    except TimeIsUpError as error:
        return {"late": str(error)}
    except ReproError as error:
        return {"error": str(error)}
    return {"made": made, "failed": None}


@lru_cache(maxsize=1)
def _study(root: str, device: str) -> Study:
    """A worker's study: it keeps its images in memory from job to job."""
    from repro.study.pipeline import Study

    return Study([], Path(root), pick_device(device))
