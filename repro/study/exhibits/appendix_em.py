"""The EM variant (Section 2.2): rounds of E- and M-steps after Algorithm 1, beside Algorithm 1 trained as long."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field, field_validator

from repro.data.catalogue import DATASETS
from repro.method.em import mean_entropy, moved, training_macs
from repro.method.ensemblers import bagging, no_ensembling
from repro.method.outputs import accuracy
from repro.method.routing import smooth
from repro.study.graph import ordered
from repro.study.lists import Ascending
from repro.study.parameters import Parameters
from repro.study.pipeline import Study
from repro.study.record import cost_row, measured, open_study, record
from repro.study.results import Measurement, StudyResult
from repro.study.spec import StudySpec

NAME = "appendix_em"
METHODS = {"expert": no_ensembling, "bagging": bagging}


class EMParameters(Parameters):
    """The common ones, how many E-steps, and how many experts."""

    em_steps: Ascending = Field((0, 1, 2), description="numbers of E-steps N_E; 0 is Algorithm 1")
    experts: int = Field(10, ge=2, description="number of experts K; the paper does not say how many it had")

    @field_validator("em_steps", mode="after")
    @classmethod
    def _em_steps(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if value[0] != 0:
            raise ValueError("should begin with 0, Algorithm 1 itself, with which the others are compared")
        return value

    def rows(self, spec: StudySpec) -> dict[str, StudySpec]:
        """The specs of one seed by row: ``em-N`` with N E-steps, ``long-N`` Algorithm 1 with N+1 times the epochs."""
        spec = spec.with_(num_experts=self.experts, stacking=False)
        rows = {f"em-{steps}": spec.with_(em_steps=steps) for steps in self.em_steps}
        for steps in self.em_steps[1:]:
            recipe = {**spec.expert_recipe.model_dump(), "epochs": spec.expert_recipe.epochs * (steps + 1)}
            rows[f"long-{steps}"] = spec.with_(expert_recipe=recipe)
        return rows

    def specs(self) -> list[StudySpec]:
        """Every row of every seed."""
        return [row for spec in super().specs() for row in self.rows(spec).values()]


def appendix_em(parameters: EMParameters) -> StudyResult:
    """Run the EM variant and write its record."""
    study = open_study(parameters)
    specs = study.specs
    measurements: list[Measurement] = []
    for first in specs:
        if first.em_steps == 0 and first.expert_recipe == specs[0].expert_recipe:
            measurements += _seed(parameters.rows(first), study)
    return record(NAME, parameters, study, measurements, [cost_row(study.cost(specs[0]))], varies=("em_steps",))


def _seed(rows: dict[str, StudySpec], study: Study) -> Iterator[Measurement]:
    before: dict[str, float] = {}
    for row, spec in rows.items():
        outputs = study.run(spec)
        yield measured(spec, "backbone", accuracy(outputs.base_logits, outputs.labels), num_experts=0)
        for name, method in METHODS.items():
            value = accuracy(method(outputs), outputs.labels)
            yield measured(spec, name, value, row=row)
            yield measured(spec, name, value - before.setdefault(name, value), "top1_gain", row)
        for metric, value in study.gate_metrics(spec).items():
            yield measured(spec, "gate", value, metric, row)
        yield from _training(row, spec, study)
        if spec.em_steps:
            g0 = study.assignment(spec)
            yield measured(spec, "E-step", 100 * moved(study.assignment(spec.before_em_step()), g0), "moved", row)
            yield measured(spec, "E-step", mean_entropy(g0), "entropy", row)


def _training(row: str, spec: StudySpec, study: Study) -> Iterator[Measurement]:
    """What the training of gate and experts took, all rounds together: multiply-adds and seconds."""
    number = spec.num_train or DATASETS[spec.dataset].num_train
    if spec.evaluate == "validation":
        number = round(0.9 * number)
    rounds = [spec.model_copy(update={"em_steps": steps}) for steps in range(spec.em_steps + 1)]
    visits = [float(smooth(study.assignment(each), spec.gamma).double().sum(1).mean()) for each in rounds]
    macs = training_macs(study.cost(spec), number, spec.expert_recipe.epochs, visits)
    seconds = sum(
        study.runner.about(step)["made"]["seconds"]
        for step in ordered([study.steps(spec).predictions])
        if step.kind in ("gate", "expert", "losses")
    )
    yield measured(spec, "training", visits[-1], "visits", row)
    yield measured(spec, "training", macs / 1e12, "tera-macs", row)
    yield measured(spec, "training", seconds, "seconds", row)
