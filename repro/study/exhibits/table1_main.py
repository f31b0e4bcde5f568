"""Table 1: plain backbones, and pairs of base and expert depths with K experts."""

from __future__ import annotations

from pydantic import Field

from repro.errors import SpecError
from repro.method.ensemblers import bagging
from repro.method.outputs import accuracy
from repro.study.lists import WordsOrNone
from repro.study.parameters import Parameters
from repro.study.record import cost_row, measured, open_study, record
from repro.study.results import StudyResult
from repro.study.scales import default_spec
from repro.study.spec import StudySpec

NAME = "table1_main"

PAIRS = ("tr10-tr10", "tr10-tr18", "tr18-tr10", "tr18-tr18", "tr34-tr10")
BACKBONES = ("tr10", "tr18", "tr34", "tr50")
"""The rows of Table 1, and tr10 alone, which Figure 2 adds."""

IN_A_MINUTE = ("tr10-tr10", "tr18-tr10"), ("tr10", "tr18")
USUAL = {"smoke": IN_A_MINUTE, "quick": IN_A_MINUTE, "laptop": (PAIRS, BACKBONES), "gpu": (PAIRS, BACKBONES)}
USUAL["paper"] = USUAL["gpu"]
"""Pairs and backbones that a scale runs unless others are asked for."""


class Table1Parameters(Parameters):
    """The common ones, which rows, and how many experts."""

    pairs: WordsOrNone = Field((), description="base-expert, e.g. tr10-tr10,tr18-tr10; or none")
    backbones: WordsOrNone = Field((), description="networks run alone, e.g. tr18,tr34; or none")
    experts: int = Field(20, ge=1, description="the number of experts K of every pair")
    fewer_seeds: WordsOrNone = Field(
        (), description="rows that get only the first of the seeds, e.g. tr34-tr10:1,tr50:1"
    )

    def rows(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Pairs and backbones that are asked for; where nothing is said, those of the scale."""
        asked = zip((self.pairs, self.backbones), USUAL[self.scale], strict=True)
        pairs, backbones = (() if names == ("none",) else names or usual for names, usual in asked)
        return pairs, backbones

    def seeds_of(self, row: str) -> tuple[int, ...]:
        """The seeds of a row: all, or its first few."""
        return self.seeds[: self._few().get(row)]

    def specs(self) -> list[StudySpec]:
        """The spec of every pair and seed, row by row."""
        if not any(rows := self.rows()):
            raise SpecError("pairs, backbones: nothing is left to run; name at least one row")
        if strange := sorted(set(self._few()) - {*rows[0], *rows[1]}):
            raise SpecError(f"fewer_seeds: {', '.join(strange)} is no row of this run")
        self.bases()
        return [self._pair(row).with_(seed=seed) for row in rows[0] for seed in self.seeds_of(row)]

    def bases(self) -> list[StudySpec]:
        """The spec of every backbone and seed; only its base counts."""
        plain = {row: self._spec(row, row) for row in self.rows()[1]}
        return [spec.with_(seed=seed) for row, spec in plain.items() for seed in self.seeds_of(row)]

    def _pair(self, row: str) -> StudySpec:
        base, dash, expert = row.partition("-")
        if not dash:
            raise SpecError(f"pairs: write base-expert, such as tr18-tr10, not {row!r}")
        return self._spec(base, expert)

    def _spec(self, base: str, expert: str) -> StudySpec:
        spec = default_spec(self.scale, self.dataset)
        return spec.with_(base=base, expert=expert, num_experts=self.experts, stacking=False)

    def _few(self) -> dict[str, int]:
        few = {}
        for entry in self.fewer_seeds:
            row, _, count = entry.partition(":")
            if not count.isdigit() or int(count) < 1:
                raise SpecError(f"fewer_seeds: write row:count, such as tr50:1, not {entry!r}")
            few[row] = int(count)
        return few


def table1(parameters: Table1Parameters) -> StudyResult:
    """Run the rows that are asked for and write their record.

    The record is what this one command makes, so it can be made again. To add rows to it, ask for the old ones
    and the new ones together: what was run before is found in the store.
    """
    study = open_study(parameters)
    measurements, costs, seen = [], [], set()
    for spec in parameters.specs():
        outputs = study.run(spec)
        score = accuracy(bagging(outputs), outputs.labels)
        measurements.append(measured(spec, "bagging", score, row=spec.pair))
        # A pair's outputs hold its base's: whoever has run the pair need not run the backbone again.
        score = accuracy(outputs.base_logits, outputs.labels)
        measurements.append(measured(spec, "backbone", score, row=spec.base, num_experts=0))
        seen.add((spec.base, spec.seed))
        costs += [cost_row(study.cost(spec), spec.pair), cost_row(study.cost(spec).without_experts(), spec.base)]
    for spec in parameters.bases():
        if (spec.base, spec.seed) not in seen:
            logits, labels = study.base_outputs(spec)
            measurements.append(measured(spec, "backbone", accuracy(logits, labels), row=spec.base, num_experts=0))
            costs.append(cost_row(study.cost(spec).without_experts(), spec.base))
    return record(NAME, parameters, study, measurements, costs, varies=("base", "expert"))
