"""Table 2, "how many experts?": the base alone, the one-expert baseline in both its readings, and K experts."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field

from repro.errors import SpecError, TimeIsUpError
from repro.method.anytime import bagged
from repro.method.ensemblers import ENSEMBLERS, stacking
from repro.method.outputs import Outputs, accuracy
from repro.study.controls import EQUAL_INFERENCE, EQUAL_TRAINING, equal_inference, equal_training, plain_cost
from repro.study.lists import Numbers, WordsOrNone
from repro.study.parameters import Parameters
from repro.study.pipeline import Study
from repro.study.record import cost_row, measured, open_study, record
from repro.study.results import Measurement, StudyResult
from repro.study.spec import StudySpec

NAME = "table2_num_experts"


LARGEST_ONLY = ("smoke", "quick")
"""Scales at which, unless others are asked for, only the largest number of experts has its equal-training control."""


class Table2Parameters(Parameters):
    """The common ones, how many experts, and which of these numbers get a control of equal training."""

    experts: Numbers = Field((1, 5, 10, 20), description="numbers of experts K, e.g. 1,5,10,20")
    controls: WordsOrNone = Field(
        (), description="numbers of experts that are held against the base trained as long; or none (and no control)"
    )

    def specs(self) -> list[StudySpec]:
        """The spec of every seed and number of experts, seed by seed."""
        self.bases()
        return [spec.with_(num_experts=k) for spec in super().specs() for k in self.experts]

    def bases(self) -> list[StudySpec]:
        """The controls of every seed, in the order of their worth."""
        return [control for spec in super().specs() for _, _, control in self.controls_of(spec)]

    def controls_of(self, spec: StudySpec) -> list[tuple[str, int, StudySpec]]:
        """Method, number of experts and spec of each control of one seed: equal inference, then equal training."""
        if self.controls == ("none",):
            return []
        if strange := set(self.controls) - set(map(str, self.experts)):
            raise SpecError(f"controls: {', '.join(sorted(strange))} is no number of experts of this run")
        usual = [max(self.experts)] if self.scale in LARGEST_ONLY else self.experts
        numbers = [int(k) for k in self.controls] or usual
        found = [(EQUAL_TRAINING, k, equal_training(spec.with_(num_experts=k))) for k in numbers]
        plain = equal_inference(spec.with_(num_experts=max(self.experts)))
        return [*([(EQUAL_INFERENCE, 1, plain)] if plain else []), *found]


def table2(parameters: Table2Parameters) -> StudyResult:
    """Run Table 2, seed by seed, and write its record to ``<root>/results``.

    If the time is up before all is done, what is whole by then is recorded, before :class:`TimeIsUpError` says so.
    """
    study = open_study(parameters)
    measurements: list[Measurement] = []
    outputs: dict[int, Outputs] = {}
    try:
        for seed in parameters.seeds:
            for spec in (spec for spec in parameters.specs() if spec.seed == seed):
                outputs[seed] = study.run(spec)
                measurements += _measure(spec, outputs[seed], study)
            for method, k, control in parameters.controls_of(spec.with_(num_experts=1)):
                logits, labels = study.base_outputs(control)
                measurements.append(measured(control, method, accuracy(logits, labels), num_experts=k))
    except TimeIsUpError:
        if measurements:
            _record(parameters, study, measurements, outputs)
        raise
    return _record(parameters, study, measurements, outputs)


def _record(
    parameters: Table2Parameters, study: Study, measurements: list[Measurement], outputs: dict[int, Outputs]
) -> StudyResult:
    spec = parameters.specs()[0]
    costs = [cost_row(study.cost(spec.with_(num_experts=k))) for k in parameters.experts]
    for method, k, control in parameters.controls_of(spec.with_(num_experts=1)):
        costs.append(cost_row(plain_cost(control), f"{method} of {k}"))
    alone = cost_row(study.cost(spec.with_(num_experts=1)).without_experts())
    return record(NAME, parameters, study, [*measurements, *_two_networks(spec, outputs)], [alone, *costs])


def _measure(spec: StudySpec, outputs: Outputs, study: Study) -> Iterator[Measurement]:
    # The base's own line is the same for every number of experts; the record keeps it once.
    yield measured(spec, "backbone", accuracy(outputs.base_logits, outputs.labels), num_experts=0)
    for name, ensemble in ENSEMBLERS.items():
        if name != "top-2" or spec.num_experts > 1:
            yield measured(spec, name, accuracy(ensemble(outputs), outputs.labels))
    if spec.stacking:
        yield measured(spec, "stacking", accuracy(stacking(outputs, study.stackers(spec)), outputs.labels))
    for metric, value in study.gate_metrics(spec).items():
        yield measured(spec, "gate", value, metric)


def _two_networks(spec: StudySpec, outputs: dict[int, Outputs]) -> Iterator[Measurement]:
    """The poster's reading of "one expert": two whole networks, here the bases of a seed and of the next one.

    With three seeds each base takes part in two of the three pairs. One seed has nobody to be paired with.
    """
    seeds = sorted(outputs)
    for seed, other in zip(seeds, seeds[1:] + seeds[:1], strict=True):
        if seed != other:
            both = bagged(outputs[seed].base_logits, outputs[other].base_logits)
            value = accuracy(both, outputs[seed].labels)
            yield measured(spec.with_(seed=seed, num_experts=1), "two networks", value)
