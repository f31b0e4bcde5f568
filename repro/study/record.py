"""How every exhibit begins and ends: a study of what its parameters ask for, and a record of what it measured."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from repro.method import compiling
from repro.method.device import pick_device
from repro.models.cost import ModelCost
from repro.progress import say
from repro.study.artifact import digest
from repro.study.parameters import Parameters
from repro.study.pipeline import Study
from repro.study.provenance import made_here
from repro.study.results import Cost, Measurement, Picture, Provenance, StudyResult, Table
from repro.study.spec import StudySpec


def open_study(parameters: Parameters) -> Study:
    """The study of every spec that the parameters ask for, on their root, device and executor."""
    compiling.choose(parameters.compile)
    device = pick_device(parameters.device)
    return Study(parameters.specs(), parameters.root, device, parameters.bases(), parameters.executor)


def measured(
    spec: StudySpec, method: str, value: float, metric: str = "top1", row: str = "", num_experts: int | None = None
) -> Measurement:
    """One number of the spec's seed; ``num_experts`` is the spec's unless given (0: the base alone)."""
    count = spec.num_experts if num_experts is None else num_experts
    return Measurement(seed=spec.seed, num_experts=count, method=method, metric=metric, value=round(value, 4), row=row)


def cost_row(cost: ModelCost, row: str = "") -> Cost:
    """What a model costs, for the record."""
    return Cost(
        num_experts=cost.num_experts,
        row=row,
        macs=cost.macs,
        params_inference=cost.params_inference,
        params_trainable=cost.params_trainable,
    )


def record(
    name: str,
    parameters: Parameters,
    study: Study,
    measurements: Iterable[Measurement],
    costs: Sequence[Cost] = (),
    tables: dict[str, Table] | None = None,
    varies: Sequence[str] = (),
    pictures: dict[str, Picture] | None = None,
) -> StudyResult:
    """Write ``<root>/results/<name>-<dataset>-<scale>.json`` and return what it holds.

    Its seeds are those that were measured. A number that several specs share (the base alone) is kept once.
    ``varies`` names the spec's fields that differ from row to row, beside seed and number of experts; they are left
    out of the recorded spec.
    """
    measurements = list(measurements)
    spec = study.specs[0]
    about = spec.model_dump(mode="json", exclude={"seed", "num_experts", *varies})
    width = "" if spec.width == 1 else f" at width {spec.width:g}"
    result = StudyResult(
        study=name,
        dataset=spec.data,
        scale=parameters.scale,
        evaluate=spec.evaluate,
        base="several" if "base" in varies else spec.base + width,
        expert="several" if "expert" in varies else spec.expert + width,
        seeds=[seed for seed in parameters.seeds if seed in {m.seed for m in measurements}],
        spec=about,
        spec_hash=digest(about),
        measurements=list(dict.fromkeys(measurements)),
        costs=list(dict.fromkeys(costs)),
        tables=tables or {},
        pictures=pictures or {},
        provenance=Provenance(command=parameters.command(name), **made_here(study.device, study.seconds)),
    )
    path = result.save(parameters.root / "results")
    say(f"{study.summary()}; result in {path}")
    return result
