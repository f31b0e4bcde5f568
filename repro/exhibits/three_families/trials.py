"""What every body and family is trained with: chosen in trials on validation images, the rates of bodies first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from repro.errors import StoreError, TrainingError
from repro.exhibits.three_families.bodies import Asked, Body, Model, Point
from repro.exhibits.three_families.families import RATES, SLACK, Family
from repro.study.graph import Goal, ordered
from repro.study.results import Table
from repro.study.store import Store

if TYPE_CHECKING:
    from repro.exhibits.three_families.asked import ThreeFamiliesParameters

TRIALS = ["model", "choice", "top1", "macs", "taken"]


class Tuned(NamedTuple):
    """What is taken for whom (where trials are still to come the first choice), the trials, and their goals."""

    taken: dict[str, float]
    trials: Table
    goals: list[Goal]


def plain(body: Body) -> Family:
    """A body's plain networks, tried at several rates as families are at their own choices."""

    def make(asked: Asked, budget: float, rate: float) -> Model:
        return body.make(asked._replace(rate=rate), body.width_for(asked, budget))

    return Family(body.name, f"plain {body.name}", body, make, "rate, in the recipe's", RATES)


def tuned(parameters: ThreeFamiliesParameters, answered: Callable[[list[Model]], list[Point | None] | None]) -> Tuned:
    """Try the rates of each body; then each family's own choice, at the rate that was taken for its body.

    Trials are at the middle budget, or the first there is; as many for each family and each body. A choice that
    decides what a mixture costs (λ) is tried at full length, as gates go on closing; others may be tried for less.

    Args:
        parameters: What was asked for.
        answered: Gives the point of each model, None for one that collapsed; or None if some are still to be trained.
    """
    stages = list(map(plain, parameters.bodies())), parameters.chosen()
    found = Tuned({one.name: one.choices[0] for stage in stages for one in stage}, Table(columns=TRIALS, rows=[]), [])
    if not (count := parameters.tried()):
        return found
    asked = partial(parameters.asked, parameters.seeds[0], "validation")
    budgets = parameters.macs(asked())
    budget = budgets.get("middle", next(iter(budgets.values())))
    whole = True
    for stage in stages:
        models: list[Model] = []
        for one in stage:
            shared = asked(found.taken[one.body.name], short=not one.drawn)
            models += [one.make(shared, budget, choice) for choice in one.choices[:count]]
        found.goals.extend(model.goal for model in models)
        points = answered(models) if whole else None
        whole = points is not None
        for i, one in enumerate(stage if points else ()):
            own = (points or [])[i * count : (i + 1) * count]
            taken = found.taken[one.name] = one.choices[best(own, SLACK * budget, one.name)]
            found.trials.rows.extend(
                [one.name, choice, round(p.top1, 3) if p else None, round(p.macs) if p else None, int(choice == taken)]
                for choice, p in zip(one.choices[:count], own, strict=True)
            )
    return found


def best(
    points: Sequence[Point | None], allowed: float, who: str = "", instead: str = "other families, or more epochs"
) -> int:
    """Which is the most accurate of those that cost what is allowed, or no more than the cheapest; None collapsed.

    Of two as accurate it is the cheaper one. Raises :class:`TrainingError` if all collapsed, which advises to choose
    something ``instead``.
    """
    found = {i: point for i, point in enumerate(points) if point}
    if not found:
        raise TrainingError(f"{who}: all {len(points)} trials collapsed; choose {instead}")
    allowed = max(allowed, min(point.macs for point in found.values()))
    within = {i: point for i, point in found.items() if point.macs <= allowed}
    return max(within, key=lambda i: (within[i].top1, -within[i].macs))


def in_store(store: Store, models: Sequence[Model]) -> list[Point | None] | None:
    """The point of each model as the store has it; None as long as it lacks one that did not go wrong."""
    failed = {entry["hash"] for entry in store.half_done() if entry["failed"]}
    points: list[Point | None] = []
    for model in models:
        if failed.intersection(step.key for step in ordered(model.goal.steps)):
            points.append(None)
            continue
        try:
            points.append(model.points(store.load(model.goal.steps[0]).tensors)[0])
        except StoreError:
            return None
    return points
