"""Table 5, per-sample against per-class routing: two ways to group classes, each also with the oracle gate."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from pydantic import Field
from torch import Tensor

from repro.method.agreement import agreement, agreement_within, chance
from repro.method.ensemblers import bagging, no_ensembling
from repro.method.outputs import Outputs, accuracy, percent
from repro.method.routing_accuracy import base_with_oracle, rightly_routed, routed_by_base, with_oracle_gate
from repro.study.parameters import Parameters
from repro.study.pipeline import Study
from repro.study.record import cost_row, measured, open_study, record
from repro.study.results import Measurement, StudyResult
from repro.study.spec import StudySpec

NAME = "table5_per_class"
LEVELS = ("per-sample", "per-class", "confusion")
METHODS = {"expert": no_ensembling, "bagging": bagging}


class Table5Parameters(Parameters):
    """The common ones, and how many experts."""

    experts: int = Field(10, ge=2, description="number of experts K; the paper's Table 5 has 10")

    def specs(self) -> list[StudySpec]:
        """Every routing of every seed; nothing here needs stacking."""
        return [routed(spec, level, self.experts) for spec in super().specs() for level in LEVELS]


def routed(spec: StudySpec, level: str, num_experts: int) -> StudySpec:
    """The spec with K experts and images assigned to them by ``level``."""
    routing = {**spec.routing.model_dump(), "level": level}
    return spec.with_(num_experts=num_experts, routing=routing, stacking=False)


def table5(parameters: Table5Parameters) -> StudyResult:
    """Run Table 5 and write its record."""
    study = open_study(parameters)
    measurements: list[Measurement] = []
    for spec in study.specs:
        outputs = study.run(spec)
        measurements += _accuracies(spec, outputs, study)
        modes = study.sources.images(spec, "evaluation").modes
        if modes is not None:
            measurements += _recovered(spec, outputs, torch.from_numpy(modes), study)
    costs = [cost_row(study.cost(study.specs[0]))]
    return record(NAME, parameters, study, measurements, costs, varies=("routing",))


def _accuracies(spec: StudySpec, outputs: Outputs, study: Study) -> Iterator[Measurement]:
    level, labels = spec.routing.level, outputs.labels
    yield measured(spec, "backbone", accuracy(outputs.base_logits, labels), num_experts=0)
    for name, method in METHODS.items():
        yield measured(spec, name, accuracy(method(outputs), labels), row=level)
    for metric, value in study.gate_metrics(spec).items():
        yield measured(spec, "gate", value, metric, row=level)
    if level == "per-sample":
        return
    expert_of = study.class_to_expert(spec)
    oracle, right = with_oracle_gate(outputs, expert_of), rightly_routed(outputs, expert_of)
    told = base_with_oracle(outputs, expert_of)
    by_base = routed_by_base(outputs, expert_of) == expert_of[labels]
    yield measured(spec, "gate", percent(right), "routing", row=level)
    yield measured(spec, "backbone", percent(by_base), "routing", row=level)
    yield measured(spec, "backbone", accuracy(told, labels), row=f"{level}-oracle")
    for name, method in METHODS.items():
        yield measured(spec, name, accuracy(method(oracle), labels), row=f"{level}-oracle")
    for metric, images in (("top1-right", right), ("top1-wrong", ~right)):
        if not images.any():
            continue
        yield measured(spec, "backbone", accuracy(outputs.base_logits[images], labels[images]), metric, row=level)
        for name, method in METHODS.items():
            for row, model in ((level, outputs), (f"{level}-oracle", oracle)):
                yield measured(spec, name, accuracy(method(model)[images], labels[images]), metric, row=row)


def _recovered(spec: StudySpec, outputs: Outputs, modes: Tensor, study: Study) -> Iterator[Measurement]:
    """How well the selected expert of each image tells its true mode, beside chance."""
    level, labels = spec.routing.level, outputs.labels
    selected: dict[str, Tensor] = {level: outputs.top_experts(1)[:, 0]}
    if level != "per-sample":
        selected[f"{level}-oracle"] = study.class_to_expert(spec)[labels]
    for row, experts in selected.items():
        yield measured(spec, "gate", agreement(experts, modes), "ami", row)
        yield measured(spec, "gate", agreement_within(experts, modes, labels), "ami-within", row)
        anything = chance(lambda e: agreement(e, modes), experts, spec.seed)
        within = chance(lambda e: agreement_within(e, modes, labels), experts, spec.seed, labels)
        yield measured(spec, "chance", anything.highest, "ami", row)
        yield measured(spec, "chance", within.highest, "ami-within", row)
