"""Table 2, "how many experts?": the base alone, the one-expert baseline in both its readings, and K experts."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field

from repro.method.anytime import bagged
from repro.method.ensemblers import ENSEMBLERS, stacking
from repro.method.outputs import Outputs, accuracy
from repro.study.lists import Numbers
from repro.study.parameters import Parameters
from repro.study.pipeline import Study
from repro.study.record import cost_row, measured, open_study, record
from repro.study.results import Measurement, StudyResult
from repro.study.spec import StudySpec

NAME = "table2_num_experts"


class Table2Parameters(Parameters):
    """The common ones, and how many experts."""

    experts: Numbers = Field((1, 5, 10, 20), description="numbers of experts K, e.g. 1,5,10,20")

    def specs(self) -> list[StudySpec]:
        """The spec of every seed and number of experts, seed by seed."""
        return [spec.with_(num_experts=k) for spec in super().specs() for k in self.experts]


def table2(parameters: Table2Parameters) -> StudyResult:
    """Run Table 2 and write its record to ``<root>/results``."""
    study = open_study(parameters)
    specs = study.specs
    measurements: list[Measurement] = []
    outputs: dict[int, Outputs] = {}
    for spec in specs:
        outputs[spec.seed] = study.run(spec)
        measurements += _measure(spec, outputs[spec.seed], study)
    measurements += _two_networks(specs[0], outputs)
    costs = [cost_row(study.cost(spec)) for spec in specs]
    alone = study.cost(specs[0].with_(num_experts=1)).without_experts()
    return record(NAME, parameters, study, measurements, [cost_row(alone), *costs])


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
