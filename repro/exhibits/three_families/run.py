"""Every family at every budget, its choices taken on validation images, and what it is held against."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from math import inf
from typing import Any

import torch
from torch import Tensor

from repro.analysis.agreement import agreement, agreement_within
from repro.exhibits.three_families.asked import ThreeFamiliesParameters, _bodies, _drawn, _trials
from repro.exhibits.three_families.families import NAME, RATES, SLACK, Family, Model, Point
from repro.exhibits.three_families.rivals import Rivals, _ask, cell
from repro.study.record import open_runner, record
from repro.study.results import Measurement, StudyResult, Table
from repro.study.runner import Runner

TRIALS = ["model", "choice", "top1", "macs", "taken"]
PLAIN = ["body", "seed", "macs", "params", "training", "top1"]
CURVE = ["family", "budget", "seed", "how", "macs", "top1"]


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
    """Train every family at every budget and what it is held against; write the record to ``<root>/results``."""
    runner = open_runner(parameters)
    taken, trials = _tuned(parameters, runner)
    if parameters.tried():  # what is trained with the choices that were taken is known only now
        after = Runner(parameters.goals(taken), runner.context, parameters.executor)
        after.seconds, runner = runner.seconds, after
    tables = {"plain": Table(columns=PLAIN, rows=[]), "curve": Table(columns=CURVE, rows=[]), "trials": trials}
    measurements: list[Measurement] = []
    for seed in parameters.seeds:
        asked = parameters.asked(seed)
        groups: dict[str, Tensor] = {}
        for body in _bodies(parameters):
            rivals = Rivals(parameters, runner, body, asked, taken[body.name])
            tables["plain"].rows.extend(
                [body.name, seed, p.macs, m.params, m.training, round(p.top1, 3)] for m, p in rivals.curve
            )
            for family in (family for family in parameters.chosen() if family.body is body):
                for budget, macs in parameters.macs(asked).items():
                    if seed not in parameters.at(budget):
                        continue
                    model = family.make(asked, macs, taken[family.name])
                    tensors = _ask(runner, model)
                    points = model.points(tensors)
                    measurements += _measure(family, budget, model, points, rivals)
                    if budget == "middle":
                        groups[family.name] = model.groups(tensors)
                    for choice in _drawn(family, budget, taken[family.name])[1:]:
                        other = family.make(asked, macs, choice)
                        points += other.points(_ask(runner, other))
                    tables["curve"].rows.extend(
                        [family.name, budget, seed, p.how, round(p.macs), round(p.top1, 3)] for p in points
                    )
        images = runner.context.sources.images(asked.spec, "evaluation")
        modes = None if images.modes is None else torch.from_numpy(images.modes)
        measurements += _known_by_gates(seed, groups, torch.from_numpy(images.labels), modes)
    spec, differing = parameters.asked(parameters.seeds[0]).spec, {"seed": True, "width": True}
    return record(NAME, parameters, runner, spec, differing, "several", "several", measurements, tables=tables)


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


def _known_by_gates(
    seed: int, groups: Mapping[str, Tensor], labels: Tensor, modes: Tensor | None
) -> Iterator[Measurement]:
    """Adjusted mutual information of the gates' groups with class and true mode, and of each two families' groups."""

    def one(row: str, metric: str, value: float) -> Measurement:
        return Measurement(seed=seed, num_experts=0, method="gates", metric=metric, value=round(value, 4), row=row)

    for name, found in groups.items():
        yield one(name, "class", agreement(found, labels))
        if modes is not None:
            yield one(name, "mode", agreement(found, modes))
            yield one(name, "mode within class", agreement_within(found, modes, labels))
    for (first, of_first), (second, of_second) in combinations(groups.items(), 2):
        yield one(f"{first} and {second}", "each other", agreement(of_first, of_second))
