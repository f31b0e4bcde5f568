"""Every family at every budget, its choices taken on validation images, and what it is held against."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from math import inf
from typing import Any

import torch
from torch import Tensor

from repro.analysis.agreement import agreement, agreement_within
from repro.data.augment import Augmentation
from repro.exhibits.three_families.asked import ThreeFamiliesParameters, _bodies, _trials
from repro.exhibits.three_families.bodies import Model, Point
from repro.exhibits.three_families.families import NAME, RATES, SLACK, Family
from repro.exhibits.three_families.rivals import Rivals, _ask, cell
from repro.exhibits.three_families.speed import BATCHES, milliseconds
from repro.study.record import open_runner, record, seed_by_seed
from repro.study.results import Measurement, StudyResult, Table
from repro.study.runner import Runner

Times = dict[tuple[str, str, int], float]
"""Milliseconds an image by (body, model, batch); the networks of the plain curve are ``plain 0``, ``plain 1`` ..."""
TRIALS = ["model", "choice", "top1", "macs", "taken"]
PLAIN = ["body", "seed", "macs", "params", "training", "ms", "top1"]
CURVE = ["family", "budget", "seed", "how", "macs", "top1"]
SPEED = ["body", "model", "batch", "ms"]


def _tuned(parameters: ThreeFamiliesParameters, runner: Runner) -> tuple[dict[str, float], Table]:
    """The choice of each family and body on validation images: the most accurate within the budget, else the cheapest.

    Without trials it is the first of the choices, the recipe's own.
    """
    asked = parameters.asked(parameters.seeds[0], "validation")
    found: dict[str, list[tuple[float, Point]]] = {}
    if parameters.tried():
        for who, choice, model in _trials(parameters, asked):
            found.setdefault(who, []).append((choice, model.points(_ask(runner, model))[0]))
    budgets = parameters.macs(asked)
    allowed = SLACK * budgets.get("middle", next(iter(budgets.values())))

    def best(trial: tuple[float, Point]) -> tuple[float, float]:
        _, point = trial
        return (point.top1, -point.macs) if point.macs <= allowed else (-inf, -point.macs)

    taken = {who: max(trials, key=best)[0] for who, trials in found.items()}
    rows: list[list[Any]] = [
        [who, choice, round(point.top1, 3), round(point.macs), int(choice == taken[who])]
        for who, trials in found.items()
        for choice, point in trials
    ]
    usual = {body.name: RATES[0] for body in _bodies(parameters)}
    usual |= {family.name: family.choices[0] for family in parameters.chosen()}
    return usual | taken, Table(columns=TRIALS, rows=rows)


def three_families(parameters: ThreeFamiliesParameters) -> StudyResult:
    """Train every family at every budget and what it is held against; write the record to ``<root>/results``.

    If the time is up before all is done, the record is of the seeds that are whole.
    """
    runner = open_runner(parameters)
    taken, trials = _tuned(parameters, runner)
    if parameters.tried():  # what is trained with the choices that were taken is known only now
        after = Runner(parameters.goals(taken), runner.context, parameters.executor)
        after.seconds, runner = runner.seconds, after
    tables = {"plain": Table(columns=PLAIN, rows=[]), "curve": Table(columns=CURVE, rows=[]), "trials": trials}
    times: Times = {}

    def of_seed(seed: int) -> list[Measurement]:
        asked, sources = parameters.asked(seed), runner.context.sources
        measurements: list[Measurement] = []
        rows: dict[str, list[list[Any]]] = {"plain": [], "curve": []}
        groups: dict[str, Tensor] = {}
        for body in _bodies(parameters):
            rivals = Rivals(parameters, runner, body, asked, taken[body.name])
            middle: dict[str, Model] = {}
            for family in (family for family in parameters.chosen() if family.body is body):
                for budget, macs in parameters.macs(asked).items():
                    if seed not in parameters.at(budget):
                        continue
                    model = family.make(asked, macs, taken[family.name])
                    tensors = _ask(runner, model)
                    points = model.points(tensors)
                    measurements += _measure(family, budget, model, points, rivals)
                    if budget == "middle":
                        groups[family.name], middle[family.name] = model.groups(tensors), model
                    for choice in parameters.drawn(family, budget, seed, taken[family.name])[1:]:
                        other = family.make(asked, macs, choice)
                        points += other.points(_ask(runner, other))
                    rows["curve"].extend(
                        [family.name, budget, seed, p.how, round(p.macs), round(p.top1, 3)] for p in points
                    )
            if seed == parameters.seeds[0]:  # other seeds have networks of the same sizes
                times.update(_times(runner, rivals, middle))
            measurements += _as_fast(rivals, middle, times)
            rows["plain"].extend(
                [body.name, seed, p.macs, m.params, m.training, times[body.name, f"plain {i}", 256], round(p.top1, 3)]
                for i, (m, p) in enumerate(rivals.curve)
            )
        images = sources.images(asked.spec, "evaluation")
        labels, (_, superclass_C) = torch.from_numpy(images.labels), sources.superclasses(asked.spec)
        truths = {"class": labels}
        if len(superclass_C.unique()) < len(superclass_C):
            truths["superclass"] = superclass_C[labels]
        if images.modes is not None:
            truths["mode"] = torch.from_numpy(images.modes)
        for name, found in rows.items():
            tables[name].rows.extend(found)
        return [*measurements, *_known_by_gates(seed, groups, truths)]

    def write(found: list[Measurement]) -> StudyResult:
        tables["speed"] = Table(columns=SPEED, rows=[[*name, ms] for name, ms in times.items()])
        spec, differing = parameters.asked(parameters.seeds[0]).spec, {"seed": True, "width": True}
        return record(NAME, parameters, runner, spec, differing, "several", "several", found, tables=tables)

    return seed_by_seed(parameters.seeds, of_seed, write)


def _measure(
    family: Family, budget: str, model: Model, points: Sequence[Point], rivals: Rivals
) -> Iterator[Measurement]:
    _, top1, macs = points[0]

    def one(method: str, metric: str, value: float, decimals: int = 4) -> Measurement:
        where = cell(family.name, budget, method, metric)
        return Measurement(
            seed=rivals.asked.spec.seed, num_experts=0, method=method, metric=metric, value=round(value, decimals),
            row=where.row,
        )  # fmt: skip

    def whole(method: str, top1: float, macs: float, training: float, params: int) -> Iterator[Measurement]:
        yield one(method, "top1", top1)
        yield one(method, "macs_millions", macs / 1e6, 6)
        yield one(method, "training_millions", training / 1e6, 6)
        yield one(method, "params_millions", params / 1e6, 6)

    yield from whole("mixture", top1, macs, model.training, model.params)
    yield one("mixture", "cheapest", 100 * min(point.macs for point in points) / macs)
    if (plain := rivals.at(macs)) is not None:
        yield one("equal-inference", "top1", plain)
    rivals_of_it = {"equal-training": rivals.as_long(macs, model.training)}
    if budget == "middle":
        rivals_of_it["equal-parameters"] = rivals.as_large(model.params)
    for method, (network, point) in rivals_of_it.items():
        yield from whole(method, point.top1, point.macs, network.training, network.params)
    both, cost = rivals.two(macs)
    yield one("ensemble", "top1", both)
    yield one("ensemble", "macs_millions", cost / 1e6, 6)


def _known_by_gates(seed: int, groups: Mapping[str, Tensor], truths: Mapping[str, Tensor]) -> Iterator[Measurement]:
    """Adjusted mutual information of the gates' groups with class, superclass and true mode, and of each two families'
    groups.
    """

    def one(row: str, metric: str, value: float) -> Measurement:
        return Measurement(seed=seed, num_experts=0, method="gates", metric=metric, value=round(value, 4), row=row)

    for name, found in groups.items():
        for truth, of_image in truths.items():
            yield one(name, truth, agreement(found, of_image))
        if "mode" in truths:
            yield one(name, "mode within class", agreement_within(found, truths["mode"], truths["class"]))
    for (first, of_first), (second, of_second) in combinations(groups.items(), 2):
        yield one(f"{first} and {second}", "each other", agreement(of_first, of_second))


def _times(runner: Runner, rivals: Rivals, middle: Mapping[str, Model]) -> Times:
    """How long the plain curve of a body and the mixtures on it take."""
    models = {f"plain {i}": model for i, (model, _) in enumerate(rivals.curve)} | dict(middle)
    ready = {name: model.ready(runner) for name, model in models.items()}
    batches = runner.context.sources.batches(rivals.asked.spec, "evaluation", Augmentation())
    images = next(iter(batches.clean(max(BATCHES.values())))).images
    return {
        (rivals.body.name, name, batch): round(ms, 5)
        for batch in BATCHES.values()
        for name, ms in milliseconds(ready, images[:batch]).items()
    }


def _as_fast(rivals: Rivals, middle: Mapping[str, Model], times: Times) -> Iterator[Measurement]:
    """Milliseconds of each mixture, and the top-1 of a plain network that takes as long, between those of the curve."""
    for family in middle:
        for method, batch in BATCHES.items():
            ms = times[rivals.body.name, family, batch]
            plain = rivals.at(ms, [times[rivals.body.name, f"plain {i}", batch] for i in range(len(rivals.curve))])
            for name, metric, value in (("mixture", f"ms_{batch}", ms), (method, "top1", plain)):
                if value is not None:
                    where = cell(family, "middle", name, metric)
                    yield Measurement(
                        seed=rivals.asked.spec.seed, num_experts=0, method=name, metric=metric, value=round(value, 5),
                        row=where.row,
                    )  # fmt: skip
