"""How every exhibit begins and ends: a runner of what its parameters ask for, and a record of what it measured."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch

from repro.errors import TimeIsUpError, TrainingError
from repro.models.cost import ModelCost
from repro.progress import say
from repro.study.graph import Context, Goal, Step
from repro.study.image_set import ImageSet
from repro.study.parameters import Parameters
from repro.study.picture import Picture
from repro.study.provenance import made_here
from repro.study.results import EXACT, Cost, Measurement, Provenance, StudyResult, Table, each_once, spec_digest
from repro.study.runner import Runner
from repro.study.sources import Sources
from repro.study.store import Store
from repro.training import compiling
from repro.training.device import pick_device

TRAINED = "training_top1"
"""The metric of :func:`while_training`: beside top-1 it tells what was fitted from what generalises."""


def open_runner(parameters: Parameters, goals: Sequence[Goal] | None = None) -> Runner:
    """The runner of ``goals``, or of all that the parameters ask for, on their root, device and executor."""
    compiling.choose(parameters.compile)
    device = pick_device(parameters.device)
    context = Context(Store(parameters.root), Sources(parameters.root, device), device)
    return Runner(parameters.goals() if goals is None else goals, context, parameters.executor)


def while_training(runner: Runner, step: Step) -> float | None:
    """Accuracy in percent in the last epoch of what a step trained, on its images as they were augmented; None where
    it trained nothing.
    """
    history = runner.about(step)["history"]
    return 100 * history[-1][1] if history else None


def cost_row(cost: ModelCost, row: str = "") -> Cost:
    """What a model costs, for the record."""
    return Cost(
        num_experts=cost.num_experts,
        row=row,
        macs=cost.macs,
        params_inference=cost.params_inference,
        params_trainable=cost.params_trainable,
    )


def seed_by_seed(
    parts: Iterable[Iterable[Measurement]], write: Callable[[list[Measurement]], StudyResult]
) -> StudyResult:
    """What ``write`` makes of all that the parts measure, each a seed or less, once it is asked (a generator).

    If the time is up before all is done, or a training went wrong, the parts that are whole are written, whichever
    they are, before :class:`TimeIsUpError` or :class:`TrainingError` says so: workers may have finished a part while an
    earlier one is not begun.
    """
    measurements: list[Measurement] = []
    late: TimeIsUpError | None = None
    wrong: TrainingError | None = None
    for part in parts:
        try:
            measurements += list(part)
        except TimeIsUpError as error:
            late = late or error
        except TrainingError as error:
            wrong = wrong or error
    if why := late or wrong:
        if measurements:
            write(measurements)
        why.recorded = True
        raise why
    return write(measurements)


def record(
    name: str, parameters: Parameters, runner: Runner, spec: ImageSet, left_out: Mapping[str, Any],
    base: str, expert: str, measurements: Iterable[Measurement], costs: Iterable[Cost] = (),
    tables: dict[str, Table] | None = None, pictures: dict[str, Picture] | None = None, part: str = "",
    timed: bool = False,
) -> StudyResult:  # fmt: skip
    """Write ``<root>/results/<name>-<dataset>-<scale>.json`` (``part``: see the record) and return what it holds.

    Its seeds are those that were measured. A number that several specs share (the base alone) is kept once: the first
    one, as a base's predictions that came from another machine may differ from those made here in near ties.

    ``spec`` is one of the specs; of its fields those of ``left_out`` (pydantic's ``exclude``) differ from row to row,
    and are no part of the record. ``base`` and ``expert`` are what is compared, for the record's head. ``timed``: some
    of the numbers are this process's times.
    """
    once: dict[tuple[Any, ...], Measurement] = {}
    for m in measurements:
        once.setdefault((m.seed, m.num_experts, m.method, m.metric, m.row, m.value if m.num_experts else None), m)
    distinct = list(once.values())
    about = spec.model_dump(mode="json", exclude=dict(left_out))
    result = StudyResult(
        study=name, dataset=spec.data, scale=parameters.scale, part=part, evaluate=spec.evaluate,
        base=base, expert=expert, seeds=[seed for seed in parameters.seeds if seed in {m.seed for m in distinct}],
        spec=about, spec_hash=spec_digest(about), measurements=distinct, costs=list(dict.fromkeys(costs)),
        tables=tables or {}, pictures=pictures or {},
        provenance=Provenance(command=parameters.command(name), **_made(runner, timed)),
    )  # fmt: skip
    say(f"{runner.summary()}; result in {result.save(parameters.root / 'results')}")
    return result


def _made(runner: Runner, timed: bool) -> dict[str, Any]:
    """Where a record was made: hardware, precision and compiling are those of its artifacts, which may have come from
    elsewhere or from workers; of this process, and first, where it has ``timed`` something, or where nothing was made.
    """
    here = made_here(runner.context.device, runner.seconds)
    for what in ("hardware", "precision", "compile"):
        made_by = runner.made_by(what)
        here[what] = each_once(*([here[what]] if timed or not made_by else []), *made_by)
    return here


def record_exact(
    name: str, parameters: Parameters, measurements: Sequence[Measurement], seconds: float,
    costs: Iterable[Cost] = (), tables: dict[str, Table] | None = None,
) -> StudyResult:  # fmt: skip
    """Write ``<root>/results/<name>-none-exact.json``, of numbers that need neither images nor training."""
    result = StudyResult(
        study=name, dataset="none", scale=EXACT, evaluate="none", base="none", expert="none",
        seeds=sorted({m.seed for m in measurements}), spec={}, spec_hash=spec_digest({}),
        measurements=list(measurements), costs=list(costs), tables=tables or {},
        provenance=Provenance(command=f"repro run {name}", **made_here(torch.device("cpu"), seconds)),
    )  # fmt: skip
    say(f"result in {result.save(parameters.root / 'results')}")
    return result
