"""What a benchmark leaves behind: tables of measured times, and the goals they are held against."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import Field

from repro.errors import Frozen
from repro.files import write_text
from repro.study.results import Provenance, Table, read

BENCHMARKS = (
    "train_throughput",
    "experts_one_pass",
    "anytime_wallclock",
    "time_to_table",
    "gpu_training",
    "one_sitting",
    "token_dispatch",
    "deepmoe_prototypes",
)


class Goal(Frozen):
    """A bound that was set beforehand, and what was measured."""

    text: str = Field(description="what is measured, e.g. 'images/s, ours over the plain loop, width 0.25'")
    measured: float | None = Field(description="None where it could not be measured here")
    bound: float
    at_most: bool = Field(False, description="the bound is an upper one")
    unit: str = Field("times", description="of measured and bound")

    @property
    def met(self) -> bool | None:
        """Whether the goal was met; None where nothing was measured."""
        if self.measured is None:
            return None
        return self.measured <= self.bound if self.at_most else self.measured >= self.bound


class PerformanceRecord(Frozen):
    """One run of one benchmark on one machine."""

    name: str = Field(description=f"one of {', '.join(BENCHMARKS)}")
    claim: str
    method: str = Field(description="what is compared, on what, and how often it was measured")
    quick: bool = Field(description="a few seconds' run, to see that the benchmark works; no evidence")
    goals: list[Goal]
    tables: dict[str, Table] = Field(description="by title; columns that end in 'spread' are (max - min) / median")
    notes: list[str] = Field(default_factory=list)
    provenance: Provenance

    def save(self, folder: Path) -> Path:
        """Write ``<folder>/<name>.json``, whole or not at all; returns its path."""
        path = Path(folder) / f"{self.name}.json"
        write_text(path, json.dumps(self.model_dump(), indent=1, ensure_ascii=False) + "\n")
        return path


def load_performance(folder: Path, name: str) -> PerformanceRecord | None:
    """The record of a benchmark below ``folder``; None if it was not run, or only quickly.

    Raises :class:`StoreError` naming the file if it is there but is no record.
    """
    path = Path(folder) / f"{name}.json"
    record = read(PerformanceRecord, path, "the record of a benchmark") if path.exists() else None
    return None if record and record.quick else record
