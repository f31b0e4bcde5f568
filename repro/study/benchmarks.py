"""What ``benchmarks/`` leaves behind for the book.

A benchmark: tables of measured times, and the goals they are held against. A campaign, of kills or bad input: counts.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from pydantic import Field

from repro.errors import Frozen, StoreError
from repro.files import write_text
from repro.study.provenance import made_here
from repro.study.results import Provenance, Table, read

BENCHMARKS = (
    "train_throughput",
    "experts_one_pass",
    "anytime_wallclock",
    "expert_runtimes",
    "service",
    "time_to_table",
    "gpu_training",
    "one_sitting",
    "token_dispatch",
    "deepmoe_prototypes",
)
FOLDER = "reliability"  # below the recorded results
CAMPAIGNS = {
    "faults": "uv run python -m benchmarks.fault_campaign",
    "writers": "uv run python -m benchmarks.concurrent_writers",
    "executors": "uv run python -m benchmarks.executors",
    "bad-input": "uv run python -m benchmarks.bad_input",
}


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


class _Record(Frozen):
    """What a benchmark or a campaign leaves: a file of its name."""

    name: str

    def save(self, folder: Path) -> Path:
        """Write ``<folder>/<name>.json``, whole or not at all; returns its path."""
        path = Path(folder) / f"{self.name}.json"
        write_text(path, json.dumps(self.model_dump(), indent=1, ensure_ascii=False) + "\n")
        return path


class PerformanceRecord(_Record):
    """One run of one of :data:`BENCHMARKS` on one machine."""

    claim: str
    method: str = Field(description="what is compared, on what, and how often it was measured")
    quick: bool = Field(description="a few seconds' run, to see that the benchmark works; no evidence")
    goals: list[Goal]
    tables: dict[str, Table] = Field(description="by title; columns that end in 'spread' are (max - min) / median")
    notes: list[str] = Field(default_factory=list)
    provenance: Provenance


def load_performance(folder: Path, name: str) -> PerformanceRecord | None:
    """The record of a benchmark below ``folder``; None if it was not run, or only quickly.

    Raises :class:`StoreError` naming the file if it is there but is no record.
    """
    path = Path(folder) / f"{name}.json"
    record = read(PerformanceRecord, path, "the record of a benchmark") if path.exists() else None
    return None if record and record.quick else record


class Campaign(_Record):
    """The record of one of :data:`CAMPAIGNS`.

    facts  its figures by name, e.g. ``kills: 108``
    rows   its table: one row a phase, an executor, a kind of input; the same names in each
    """

    facts: dict[str, int | float]
    rows: list[dict[str, str | int | float]]
    provenance: Provenance

    @classmethod
    def now(
        cls, name: str, facts: dict[str, int | float], rows: list[dict[str, str | int | float]], seconds: float,
        options: str = "",
    ) -> Campaign:  # fmt: skip
        """The record of a campaign that has just been run here, with what was asked of it, e.g. ``--kills 110``."""
        command = f"{CAMPAIGNS[name]} {options}".rstrip()
        provenance = Provenance(command=command, **made_here(torch.device("cpu"), seconds))
        return cls(name=name, facts=facts, rows=rows, provenance=provenance)


def load_campaign(name: str, results: Path) -> Campaign | None:
    """A recorded campaign, None if it was not run; :class:`StoreError` if there is none of that name."""
    if name not in CAMPAIGNS:
        raise StoreError(f"there is no campaign {name!r}; choose one of {', '.join(CAMPAIGNS)}")
    path = Path(results) / FOLDER / f"{name}.json"
    return read(Campaign, path, "a recorded campaign") if path.exists() else None
