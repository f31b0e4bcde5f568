"""What the campaigns of ``benchmarks/`` measured: small records, with where they came from, that the book reads."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from pydantic import Field

from repro.errors import Frozen, StoreError
from repro.files import write_text
from repro.study.provenance import made_here
from repro.study.results import Provenance, read

FOLDER = "reliability"  # below the recorded results
CAMPAIGNS = {
    "faults": "uv run python -m benchmarks.fault_campaign",
    "writers": "uv run python -m benchmarks.concurrent_writers",
    "executors": "uv run python -m benchmarks.executors",
    "bad-input": "uv run python -m benchmarks.bad_input",
}


class Campaign(Frozen):
    """The record of one campaign.

    facts  its figures by name, e.g. ``kills: 108``
    rows   its table: one row a phase, an executor, a kind of input; the same names in each
    """

    name: str = Field(description=f"one of {', '.join(CAMPAIGNS)}")
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

    def save(self, results: Path) -> Path:
        """Write ``<results>/reliability/<name>.json``, whole or not at all; returns its path."""
        path = Path(results) / FOLDER / f"{self.name}.json"
        write_text(path, json.dumps(self.model_dump(), indent=1, ensure_ascii=False) + "\n")
        return path


def load_campaign(name: str, results: Path) -> Campaign | None:
    """A recorded campaign, None if it was not run; :class:`StoreError` if there is none of that name."""
    if name not in CAMPAIGNS:
        raise StoreError(f"there is no campaign {name!r}; choose one of {', '.join(CAMPAIGNS)}")
    path = Path(results) / FOLDER / f"{name}.json"
    return read(Campaign, path, "a recorded campaign") if path.exists() else None
