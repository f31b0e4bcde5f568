"""How to run everything again: every run that a chapter speaks of, with its command and the time that it took."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from repro.families.single_gate.scales import SCALES
from repro.progress import duration
from repro.report.numbers import NONE
from repro.study.benchmarks import BENCHMARKS, PerformanceRecord
from repro.study.campaigns import CAMPAIGNS, Campaign
from repro.study.results import Provenance, StudyResult

READING_ORDER = ("quick", "laptop", "gpu", "paper")
"""Scales as a newcomer meets them."""


@dataclass(frozen=True)
class Run:
    """One command: what it makes, how long it took where it was recorded, and on what."""

    what: str
    command: str
    record: Provenance | None

    @property
    def time(self) -> str:
        """The training behind the record, ``2 min 05 s``; a dash where nothing was recorded."""
        return duration(self.record.seconds) if self.record else NONE

    @property
    def hardware(self) -> str:
        """What it ran on."""
        return f"{self.record.hardware}, {self.record.precision}" if self.record else "not run"


def runs_named(study: str, page: str) -> list[tuple[str, str]]:
    """(image set, scale) of every run of a study that its notebook names, alone or after the study's name, quick scale
    first.
    """
    known = [(dataset, scale) for scale in READING_ORDER for dataset in SCALES[scale]]
    return [place for place in known if re.search(rf"(\b{study}-|\"){place[0]}-{place[1]}\b", page)]


def exhibit_runs(study: str, page: str, results: Mapping[str, StudyResult]) -> list[Run]:
    """The runs of an exhibit: those that its chapter names, and whatever else is recorded, each by its command."""
    named = runs_named(study, page)
    others = [(r.dataset, r.scale) for r in results.values() if r.study == study]
    runs = []
    for dataset, scale in dict.fromkeys([*named, *others]):
        result = results.get(f"{study}-{dataset}-{scale}")
        command = f"uv run {result.provenance.command}" if result else command_of(study, dataset, scale)
        runs.append(Run(f"{dataset}, {scale}", command, result.provenance if result else None))
    return runs


def command_of(study: str, dataset: str, scale: str) -> str:
    """The command that would record a run, with three seeds."""
    return f"uv run repro run {study} -p scale {scale} -p dataset {dataset} -p seeds 0,1,2"


def benchmark_runs(records: Mapping[str, PerformanceRecord]) -> list[Run]:
    """The benchmarks behind the chapter on performance."""
    return [
        Run(name, f"uv run python benchmarks/{name}.py", records[name].provenance if name in records else None)
        for name in BENCHMARKS
    ]


def campaign_runs(campaigns: Sequence[Campaign]) -> list[Run]:
    """The campaigns behind the chapter on reliability."""
    found = {campaign.name: campaign.provenance for campaign in campaigns}
    return [
        Run(name, found[name].command if name in found else command, found.get(name))
        for name, command in CAMPAIGNS.items()
    ]
