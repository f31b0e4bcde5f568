"""Which expert has the least loss on each training image, by class, for several numbers of experts (Appendix 3)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import pairwise

import torch
from pydantic import Field, field_validator
from torch import Tensor

from repro.data.augment import Augmentation
from repro.method.agreement import chance
from repro.method.outputs import percent
from repro.method.specialisation import (
    chance_of_agreement,
    class_counts,
    effective_number,
    expert_losses,
    least_loss_experts,
    likeness,
    main_expert,
    split_classes,
    together,
)
from repro.study.lists import Ascending
from repro.study.parameters import Parameters
from repro.study.record import cost_row, measured, open_study, record
from repro.study.results import Measurement, StudyResult, Table
from repro.study.spec import StudySpec

NAME = "appendix_specialisation"


class SpecialisationParameters(Parameters):
    """The common ones, and the numbers of experts."""

    experts: Ascending = Field((5, 10, 20), description="numbers of experts K, e.g. 5,10,20")

    @field_validator("experts", mode="after")
    @classmethod
    def _experts(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if value[0] < 2:
            raise ValueError("should be two or more: one expert has nothing to specialise in")
        return value

    def specs(self) -> list[StudySpec]:
        """The spec of every seed and number of experts, seed by seed."""
        return [spec.with_(num_experts=k, stacking=False) for spec in super().specs() for k in self.experts]


def specialisation(parameters: SpecialisationParameters) -> StudyResult:
    """Run it and write its record."""
    study = open_study(parameters)
    specs = study.specs
    counts: dict[tuple[int, int], Tensor] = {}
    measurements: list[Measurement] = []
    for spec in specs:
        outputs = study.run(spec)
        losses = study.losses(spec)
        labels = study.sources.batches(spec, "train", Augmentation()).labels.cpu()
        experts = least_loss_experts(losses.experts)
        of_class = counts[spec.seed, spec.num_experts] = class_counts(
            experts, labels, spec.num_classes, spec.num_experts
        )
        measurements += _split(spec, of_class)
        measurements += _as_the_gate(spec, experts, losses.gate_probs.argmax(1), "training")
        held_out = least_loss_experts(expert_losses(outputs))
        measurements += _as_the_gate(spec, held_out, outputs.top_experts(1)[:, 0], "evaluation")
    measurements += _stability(specs, counts)
    tables = {f"classes-{k}": _table(counts[parameters.seeds[0], k]) for k in parameters.experts}
    costs = [cost_row(study.cost(spec)) for spec in specs]
    return record(NAME, parameters, study, measurements, costs, tables)


def _split(spec: StudySpec, counts: Tensor) -> Iterator[Measurement]:
    """How the images are shared among experts, and how the classes are split."""
    shares = 100 * counts.sum(0).double() / counts.sum()
    yield measured(spec, "least-loss", float(shares.min()), "smallest_share")
    yield measured(spec, "least-loss", float(shares.max()), "largest_share")
    yield measured(spec, "least-loss", float(effective_number(counts.sum(0))), "effective_experts")
    yield measured(spec, "least-loss", float(effective_number(counts).mean()), "experts_of_a_class")
    yield measured(spec, "least-loss", percent(split_classes(counts)), "split_classes")
    main = main_expert(counts)
    yield measured(spec, "least-loss", len(main.unique()), "main_experts")
    classes = torch.bincount(main, minlength=spec.num_experts)
    yield measured(spec, "least-loss", int(classes.max()), "most_classes")


def _as_the_gate(spec: StudySpec, experts: Tensor, gate: Tensor, part: str) -> Iterator[Measurement]:
    same = percent(experts == gate)
    yield measured(spec, "gate", same, "agreement", part)
    yield measured(spec, "chance", 100 * chance_of_agreement(experts, gate, spec.num_experts), "agreement", part)


def _stability(specs: list[StudySpec], counts: dict[tuple[int, int], Tensor]) -> Iterator[Measurement]:
    """How alike the patterns of classes are (see :func:`likeness`): across K, and from seed to seed.

    Of three seeds each is compared with the next, the last with the first.
    """
    seeds = list(dict.fromkeys(spec.seed for spec in specs))
    numbers_of_experts = list(dict.fromkeys(spec.num_experts for spec in specs))
    spec_of = {(spec.seed, spec.num_experts): spec for spec in specs}
    pairs = []
    for seed in seeds:
        pairs += [(f"{fewer}-{more}", (seed, more), (seed, fewer)) for fewer, more in pairwise(numbers_of_experts)]
    for number, (seed, other) in enumerate(zip(seeds, seeds[1:] + seeds[:1], strict=True)):
        if len(seeds) > 2 or number < len(seeds) - 1:  # of two seeds there is one pair, of one none
            pairs += [("seeds", (seed, k), (other, k)) for k in numbers_of_experts]
    for row, one, two in pairs:
        first, second = together(counts[one]), together(counts[two])
        level = chance(partial(_likeness_in_order, first, second), torch.arange(len(first)), one[0])
        yield measured(spec_of[one], "least-loss", likeness(first, second), "likeness", row)
        yield measured(spec_of[one], "chance", level.highest, "likeness", row)


def _likeness_in_order(first: Tensor, second: Tensor, order: Tensor) -> float:
    return likeness(first[order][:, order], second)


def _table(counts: Tensor) -> Table:
    """Images of each class by the expert that has the least loss, of the first seed."""
    columns = ["class", *(f"expert {k + 1}" for k in range(counts.shape[1]))]
    return Table(columns=columns, rows=[[c, *row] for c, row in enumerate(counts.tolist())])
