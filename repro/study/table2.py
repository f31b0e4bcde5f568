"""Table 2, "how many experts?": the base alone, the one-expert baseline, and K experts."""

from __future__ import annotations

from repro.method.device import pick_device
from repro.method.ensemblers import ENSEMBLERS, stacking
from repro.method.outputs import Outputs, accuracy
from repro.progress import say
from repro.study.parameters import Parameters, results_folder
from repro.study.pipeline import Study
from repro.study.results import Cost, Measurement, Provenance, StudyResult, load_results
from repro.study.spec import StudySpec, digest
from repro.study.store import made_here

NAME = "table2_num_experts"


def table2(parameters: Parameters) -> list[StudyResult]:
    """Run Table 2 and write its record to ``<root>/results``; with ``recorded``, only read what stands recorded.

    Returns one result (or, recorded, one for each dataset and scale that was run).
    """
    if parameters.recorded:
        return list(load_results(results_folder(), NAME).values())
    specs = parameters.specs()
    study = Study(specs, parameters.root, pick_device(parameters.device))
    measurements: list[Measurement] = []
    for spec in specs:
        measurements += _measure(spec, study.run(spec), study)
    # The base's own line appears once a seed, not once a number of experts.
    result = _record(parameters, study, list(dict.fromkeys(measurements)))
    path = result.save(parameters.root / "results")
    say(f"{study.summary()}; result in {path}")
    return [result]


def _measure(spec: StudySpec, outputs: Outputs, study: Study) -> list[Measurement]:
    def measured(method: str, value: float, metric: str = "top1", num_experts: int = spec.num_experts) -> Measurement:
        return Measurement(seed=spec.seed, num_experts=num_experts, method=method, metric=metric, value=round(value, 4))

    lines = [measured("backbone", accuracy(outputs.base_logits, outputs.labels), num_experts=0)]
    for name, ensemble in ENSEMBLERS.items():
        if name == "top-2" and spec.num_experts < 2:
            continue
        lines.append(measured(name, accuracy(ensemble(outputs), outputs.labels)))
    if spec.stacking:
        lines.append(measured("stacking", accuracy(stacking(outputs, study.stackers(spec)), outputs.labels)))
    lines += [measured("gate", value, metric) for metric, value in study.gate_metrics(spec).items()]
    return lines


def _record(parameters: Parameters, study: Study, measurements: list[Measurement]) -> StudyResult:
    spec = study.specs[0]
    about = spec.model_dump(mode="json", exclude={"seed", "num_experts"})
    costs = {s.num_experts: study.cost(s) for s in study.specs}
    costs[0] = study.cost(spec.with_(num_experts=1)).without_experts()
    made = made_here(study.device, study.seconds)
    width = "" if spec.width == 1 else f" at width {spec.width:g}"
    return StudyResult(
        study=NAME,
        dataset=spec.dataset,
        scale=parameters.scale,
        evaluate=spec.evaluate,
        base=spec.base + width,
        expert=spec.expert + width,
        seeds=list(parameters.seeds),
        spec=about,
        spec_hash=digest(about),
        measurements=measurements,
        costs=[
            Cost(
                num_experts=k,
                macs=cost.macs,
                params_inference=cost.params_inference,
                params_trainable=cost.params_trainable,
            )
            for k, cost in sorted(costs.items())
        ],
        provenance=Provenance(command=parameters.command(NAME), **made),
    )
