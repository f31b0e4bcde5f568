"""What the paper leaves open: how far each choice moves the final accuracy, everything else held at its default."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import Field, field_validator

from repro.errors import SpecError
from repro.method.ensemblers import bagging, bagging_logits, no_ensembling
from repro.method.outputs import accuracy
from repro.study.lists import words
from repro.study.parameters import Parameters
from repro.study.pipeline import Study
from repro.study.record import cost_row, measured, open_study, record
from repro.study.results import Measurement, StudyResult
from repro.study.spec import StudySpec

NAME = "unstated_choices"
DEFAULT = "default"


@dataclass(frozen=True)
class Alternative:
    """Another way to read the paper.

    name     the row's name, ``field = value``
    choice   which choice it belongs to, in words
    changes  the fields of the spec that differ from the default
    """

    name: str
    choice: str
    changes: Callable[[StudySpec], dict[str, Any]]


def _routing(**changes: Any) -> Callable[[StudySpec], dict[str, Any]]:
    return lambda spec: {"routing": spec.routing.model_copy(update=changes).model_dump()}


def _expert_rate(factor: float) -> Callable[[StudySpec], dict[str, Any]]:
    def changes(spec: StudySpec) -> dict[str, Any]:
        rate = spec.expert_recipe.learning_rate * factor
        return {"expert_recipe": spec.expert_recipe.model_copy(update={"learning_rate": rate}).model_dump()}

    return changes


ALTERNATIVES = (
    Alternative("γ = 0", "smoothing γ", lambda spec: {"gamma": 0.0}),
    Alternative("γ = 0.2", "smoothing γ", lambda spec: {"gamma": 0.2}),
    Alternative("soft m at 0.1", "similarity m and its temperature", _routing(similarity="soft", temperature=0.1)),
    Alternative("soft m at 1", "similarity m and its temperature", _routing(similarity="soft", temperature=1.0)),
    Alternative("embeddings of length 1", "scaling before K-means", _routing(normalize=True)),
    Alternative("one K-means start", "K-means restarts", _routing(restarts=1)),
    Alternative("re-weighted loss", "sampling or re-weighting", lambda spec: {"sharing": "reweighting"}),
    Alternative("expert rate / 3", "experts' learning rate", _expert_rate(1 / 3)),
    Alternative("expert rate / 10", "experts' learning rate", _expert_rate(1 / 10)),
    Alternative("as many steps as one expert", "length of experts' training", lambda spec: {"expert_length": "steps"}),
    Alternative("batch statistics", "BatchNorm of the frozen trunk", lambda spec: {"trunk_batchnorm": "training"}),
    Alternative("experts from scratch", "how experts start", lambda spec: {"expert_init": "scratch"}),
)
BY_NAME = {alternative.name: alternative for alternative in ALTERNATIVES}
SPACE = "logits averaged"
"""Bagging in the other space: it trains nothing, so every run has it."""


class ChoicesParameters(Parameters):
    """The common ones, how many experts, and which alternatives."""

    experts: int = Field(10, ge=2, description="number of experts K")
    alternatives: tuple[str, ...] = Field(
        tuple(BY_NAME), description="which alternatives, with commas between them; default: all"
    )

    @field_validator("alternatives", mode="before")
    @classmethod
    def _alternatives(cls, value: Any) -> tuple[str, ...]:
        if value in ("", "all"):
            return tuple(BY_NAME)
        names = words(value)
        if unknown := [name for name in names if name not in BY_NAME]:
            raise ValueError(f"should be some of {', '.join(BY_NAME)}, not {', '.join(unknown)}")
        return names

    def defaults(self) -> list[StudySpec]:
        """The spec of every seed with all choices at their default."""
        return [spec.with_(num_experts=self.experts, stacking=False) for spec in super().specs()]

    def specs(self) -> list[StudySpec]:
        """The defaults, and each alternative of each seed."""
        return [
            *self.defaults(),
            *(spec.with_(**BY_NAME[name].changes(spec)) for spec in self.defaults() for name in self.alternatives),
        ]


def unstated_choices(parameters: ChoicesParameters) -> StudyResult:
    """Train the default and every alternative; one row each, all seeds, the same base of a seed throughout."""
    study = open_study(parameters)
    specs = study.specs
    measurements: list[Measurement] = []
    for default in parameters.defaults():
        measurements += _measure(default, study, DEFAULT)
        for name in parameters.alternatives:
            measurements += _measure(default.with_(**BY_NAME[name].changes(default)), study, name)
    return record(NAME, parameters, study, measurements, [cost_row(study.cost(specs[0]))])


def _measure(spec: StudySpec, study: Study, row: str) -> Iterator[Measurement]:
    outputs = study.run(spec)
    yield measured(spec, "backbone", accuracy(outputs.base_logits, outputs.labels), num_experts=0)
    yield measured(spec, "expert", accuracy(no_ensembling(outputs), outputs.labels), row=row)
    yield measured(spec, "bagging", accuracy(bagging(outputs), outputs.labels), row=row)
    if row == DEFAULT:
        yield measured(spec, "bagging", accuracy(bagging_logits(outputs), outputs.labels), row=SPACE)
    for metric, value in study.gate_metrics(spec).items():
        yield measured(spec, "gate", value, metric, row=row)


def alternative(name: str) -> Alternative:
    """The alternative of a row's name; :class:`SpecError` names those there are."""
    if name == SPACE:
        return Alternative(SPACE, "space of bagging", lambda spec: {})
    if name not in BY_NAME:
        raise SpecError(f"there is no alternative {name!r} (there are: {'; '.join(BY_NAME)})")
    return BY_NAME[name]
