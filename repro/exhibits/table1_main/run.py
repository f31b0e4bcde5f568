"""Table 1's pairs of base and experts, backbones alone, and controls: what is trained and measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from pydantic import Field
from torch import Tensor

from repro.analysis.ensemblers import bagging
from repro.analysis.outputs import accuracy
from repro.errors import SpecError
from repro.families.single_gate.config import StudySpec
from repro.families.single_gate.controls import EQUAL_TRAINING
from repro.families.single_gate.controls import equal_training as of_equal_training
from repro.families.single_gate.scales import default_spec
from repro.families.single_gate.study import SingleGateParameters, measured, open_study, record
from repro.report.exact_costs import BACKBONES, PAIRS
from repro.study.lists import WordsOrNone
from repro.study.parameters import DEMONSTRATIONS
from repro.study.record import cost_row, seed_by_seed
from repro.study.results import Cost, Measurement, StudyResult

NAME = "table1_main"

IN_A_MINUTE = ("tr10-tr10", "tr18-tr10"), ("tr10", "tr18")
USUAL = {"smoke": IN_A_MINUTE, "quick": IN_A_MINUTE, "laptop": (PAIRS, BACKBONES), "gpu": (PAIRS, BACKBONES)}
USUAL["paper"] = USUAL["gpu"]
"""Pairs and backbones that a scale runs unless others are asked for."""


class Parameters(SingleGateParameters):
    """The common ones, which rows, how many experts, and which pairs have a control."""

    pairs: WordsOrNone = Field((), description="base-expert, e.g. tr10-tr10,tr18-tr10; or none")
    backbones: WordsOrNone = Field((), description="networks run alone, e.g. tr18,tr34; or none")
    experts: int = Field(20, ge=1, description="the number of experts K of every pair")
    fewer_seeds: WordsOrNone = Field(
        (), description="rows that get only the first of the seeds, e.g. tr34-tr10:1,tr50:1"
    )
    controls: WordsOrNone = Field(
        (), description="pairs that are held against their base trained as long, e.g. tr18-tr10; or none"
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
        if strange := sorted({*self.controls} - {*rows[0], "none"}):
            raise SpecError(f"controls: {', '.join(strange)} is no pair of this run")
        for row in rows[1]:
            self._spec(row, row)
        return [self._pair(row).with_(seed=seed) for row in rows[0] for seed in self.seeds_of(row)]

    def bases(self) -> list[StudySpec]:
        """The spec of every backbone and seed, then of every control; only its base counts."""
        plain = {row: self._spec(row, row) for row in self.rows()[1]}
        backbones = [spec.with_(seed=seed) for row, spec in plain.items() for seed in self.seeds_of(row)]
        return backbones + [of_equal_training(spec) for spec in self.specs() if self._controlled(spec.pair)]

    def _controlled(self, pair: str) -> bool:
        """Whether it has a control: if it is asked for; where nothing is said, but in demonstrations."""
        return pair in self.controls or (not self.controls and self.scale not in DEMONSTRATIONS)

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


def run(parameters: Parameters) -> StudyResult:
    """Run the rows that are asked for, seed by seed, and write their record, of as many models as time allows.

    The record is what this one command makes, so it can be made again. To add rows to it, ask for the old ones
    and the new ones together: what was run before is found in the store.
    """
    study = open_study(parameters)
    costs: list[Cost] = []
    have: set[tuple[str, int]] = set()  # bases, by seed, that are measured

    def of_pair(spec: StudySpec) -> Iterator[Measurement]:
        outputs = study.run(spec)
        yield measured(spec, "bagging", accuracy(bagging(outputs), outputs.labels), row=spec.pair)
        costs.append(cost_row(study.cost(spec), spec.pair))
        yield from of_base(spec, lambda: (outputs.base_logits, outputs.labels))  # a pair's outputs hold its base's

    def of_backbone(spec: StudySpec) -> Iterator[Measurement]:
        yield from of_base(spec, lambda: study.base_outputs(spec))

    def of_base(spec: StudySpec, answers: Callable[[], tuple[Tensor, Tensor]]) -> Iterator[Measurement]:
        if (spec.base, spec.seed) not in have:
            yield measured(spec, "backbone", accuracy(*answers()), row=spec.base, num_experts=0)
            have.add((spec.base, spec.seed))
            costs.append(cost_row(study.cost(spec).without_experts(), spec.base))

    def of_control(control: StudySpec) -> Iterator[Measurement]:
        top1 = accuracy(*study.base_outputs(control))
        yield measured(control, EQUAL_TRAINING, top1, row=control.pair, num_experts=parameters.experts)

    models: list[tuple[int, Callable[[], Iterator[Measurement]]]] = []
    models += [(spec.seed, partial(of_pair, spec)) for spec in parameters.specs()]
    models += [
        (spec.seed, partial(of_control if spec.role == "control" else of_backbone, spec)) for spec in parameters.bases()
    ]
    in_turn = [model for _, model in sorted(models, key=lambda each: each[0])]
    return seed_by_seed(
        in_turn, lambda model: model(),
        lambda found: record(NAME, parameters, study, found, costs, varies=("base", "expert")),
    )  # fmt: skip
