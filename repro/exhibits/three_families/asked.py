"""What may be asked for, and what of it is trained; with what, trials on validation images decide, of bodies first."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from math import ceil
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import AfterValidator, Field, model_validator

from repro.errors import StoreError, TrainingError
from repro.exhibits.three_families.bodies import Asked, Body, Model, Point, at_rate
from repro.exhibits.three_families.families import BUDGETS, FAMILIES, PARTNER, RATES, SLACK, USUAL, Family
from repro.exhibits.three_families.rivals import INFERENCE, TRAINING
from repro.families.single_gate.study import SingleGateParameters
from repro.study.graph import Goal, ordered
from repro.study.lists import Names, NamesOrNone, chosen_of
from repro.study.results import Table
from repro.study.store import Store

TRIALS = ["model", "choice", "top1", "macs", "taken"]
"""A row a trial; without accuracy its gates collapsed, or, of one that was taken, it was taken before this run."""


class Mixture(NamedTuple):
    """A family at a budget, of a seed: the model that is judged, the other points of its curve, and its rivals.

    ``as_large``: it is also held against a network of as many parameters.
    """

    family: Family
    budget: str
    asked: Asked
    model: Model
    others: list[Model]
    as_large: bool


class ThreeFamiliesParameters(SingleGateParameters):
    """The common ones; which families at which budgets; how many experts; how many trials."""

    families: Annotated[NamesOrNone, AfterValidator(partial(chosen_of, [f.name for f in FAMILIES]))] = Field(
        (), description="of " + "; ".join(f.name for f in FAMILIES) + "; empty: the three"
    )
    budgets: Annotated[Names, AfterValidator(partial(chosen_of, BUDGETS))] = Field(
        tuple(BUDGETS), description="in units of the middle one: small 1/2, middle 1, large 2"
    )
    elsewhere: int = Field(1, ge=0, description="first seeds, which have all budgets, curves of λ, as many parameters")
    experts: int = Field(0, ge=0, le=1024, description="of the single-gate mixture; 0: the scale's")
    epochs: int = Field(0, ge=0, description="of each plain network, DeepMoE and ConvNeXt; 0: the scale's")
    trials: int = Field(-1, ge=-1, le=4, description="choices tried on validation images; -1: the scale's")
    choices: NamesOrNone = Field(
        (), description="what trials took before, not tried again, as tr-network=2,single-gate=1; empty: try"
    )

    @model_validator(mode="after")
    def _choices_of_all(self) -> Self:
        """What was taken has to be said of every body and family, and be one of what is tried."""
        known = {one.name: one.choices for one in [*map(plain, self.bodies()), *self.chosen()]}
        try:
            given = self.given()
        except ValueError as error:
            raise ValueError("choices: write names and numbers, as tr-network=2,single-gate=1") from error
        for name, tried in known.items() if given else ():
            if given.get(name) not in tried:
                raise ValueError(f"choices: say {name}=... with one of {', '.join(f'{each:g}' for each in tried)}")
        if unknown := given.keys() - known:
            raise ValueError(f"choices: there is no {sorted(unknown)[0]!r} here; say those of {', '.join(known)}")
        return self

    def given(self) -> dict[str, float]:
        """What trials took before, by body and family."""
        return {name: float(choice) for name, _, choice in (text.partition("=") for text in self.choices)}

    def chosen(self) -> list[Family]:
        """The families asked for, in the table's order."""
        return [f for f in FAMILIES if (f.name in self.families if self.families else f.usual)]

    def part(self) -> str:
        """Which families, where they are not the usual three, and which budgets, where the middle one is not among
        them: recorded apart, so that other seeds of the middle one stand, and read together by the chapter.
        """
        usual = self.model_copy(update={"families": ()}).chosen()
        families = [] if self.chosen() == usual else [family.name for family in self.chosen()]
        budgets = [] if "middle" in self.budgets else [name for name in BUDGETS if name in self.budgets]
        return "-".join("+".join(names) for names in (families, budgets) if names)

    def bodies(self) -> list[Body]:
        """Their bodies, each once."""
        return list({family.body.name: family.body for family in self.chosen()}.values())

    def tried(self) -> int:
        """Trials of each family and body."""
        return self.trials if self.trials >= 0 else int(USUAL.get(self.scale, {}).get("trials", 4))

    def asked(
        self, seed: int, evaluate: Literal["test", "validation"] = "test", rate: float = 1.0, short: bool = False
    ) -> Asked:
        """What all models of a seed share; ``short``: in trials, which need not be as long as what they are for."""
        usual = USUAL.get(self.scale, {})
        (spec,) = self.model_copy(update={"seeds": (seed,)}).specs()
        epochs = self.epochs or usual.get("epochs", spec.base_recipe.epochs)
        if short:
            epochs = min(epochs, usual.get("trial_epochs", epochs))
        longer = epochs / spec.base_recipe.epochs
        return Asked(self.scale, spec.with_(
            num_experts=self.experts or usual.get("experts", 20), stacking=False, evaluate=evaluate,
            width=usual.get("width", spec.width),
            num_train=usual.get("num_train", spec.num_train), num_test=usual.get("num_test", spec.num_test),
            base_recipe=at_rate(spec.base_recipe, 1, epochs),
            expert_recipe=at_rate(spec.expert_recipe, 1, max(1, round(longer * spec.expert_recipe.epochs))),
        ), usual.get("convnext", {}).get(spec.dataset, "convnext-micro"), rate)  # fmt: skip

    def macs(self, asked: Asked) -> dict[str, float]:
        """MACs of each budget that is asked for."""
        return {name: BUDGETS[name] * asked.spec.cost.macs for name in BUDGETS if name in self.budgets}

    def widths(self, body: Body, asked: Asked) -> list[float]:
        """The plain curve of a body: half of each budget, the budgets, and more than any DeepMoE of them."""
        budgets = self.macs(asked).values()
        macs = {factor * budget for budget in budgets for factor in (0.5, 1)} | {2.25 * max(budgets)}
        return sorted({body.width_for(asked, each) for each in macs})

    def curve(self, body: Body, asked: Asked) -> list[Model]:
        """The networks of the plain curve of a body, rising in cost."""
        return [body.make(asked, width) for width in self.widths(body, asked)]

    def mixtures(self, body: Body, asked: Asked, choice_of: Mapping[str, float]) -> Iterator[Mixture]:
        """The mixtures on a body, with what was chosen: at the middle budget; of the first seeds at every one, and
        there with the curves of those that are drawn.
        """
        first = asked.spec.seed in self.seeds[: self.elsewhere]
        for family in (family for family in self.chosen() if family.body is body):
            for budget, macs in self.macs(asked).items():
                more = first and budget == "middle"
                if first or budget == "middle":
                    curve = family.choices if more and family.drawn else ()
                    choices = dict.fromkeys([choice_of[family.name], *curve])
                    judged, *others = [family.make(asked, macs, choice) for choice in choices]
                    yield Mixture(family, budget, asked, judged, others, more)

    def rivals(self, mixture: Mixture, macs: float | None) -> dict[str, list[Model]]:
        """The networks that are trained for a mixture of such MACs alone, by what they are held against it for.

        equal-training    of its inference MACs, the next narrower and the next wider one where none is near, each
                          trained for its training MACs: whole epochs, rounded up
        ensemble          two of half its inference MACs
        equal-parameters  of as many parameters as it has in all
        equal-inference   where it costs less than the plain curve's narrowest, as a DeepMoE may

        Where its ``macs`` are not known yet there is only the one of as many parameters.
        """
        body, asked, model = mixture.family.body, mixture.asked, mixture.model
        rivals: dict[str, list[Model]] = {}
        if macs is not None:
            for width in body.around(asked, macs):
                epochs = ceil(round(model.training / (3 * body.cost(asked, width)[0]), 6))
                rivals.setdefault(TRAINING, []).append(body.make(asked, width, max(1, epochs)))
            partner = asked._replace(spec=asked.spec.with_(seed=asked.spec.seed + PARTNER))
            half = body.width_for(asked, macs / 2)
            rivals["ensemble"] = [body.make(one, half) for one in (asked, partner)]
        if mixture.as_large:
            width = body.width_for(asked, model.params, lambda width: body.cost(asked, width)[1])
            rivals["equal-parameters"] = [body.make(asked, width)]
        if macs is not None and macs < body.cost(asked, self.widths(body, asked)[0])[0]:
            rivals[INFERENCE] = [body.make(asked, width) for width in body.around(asked, macs)]
        return rivals

    def places(self, choice_of: Mapping[str, float]) -> Iterator[tuple[Body, Asked]]:
        """Each seed on each body, at the rate that was chosen for it."""
        return ((body, self.asked(seed, rate=choice_of[body.name])) for seed in self.seeds for body in self.bodies())

    def planned(self, choice_of: Mapping[str, float], store: Store | None = None) -> list[Goal]:
        """All that is trained with what was chosen; the rivals of a mixture whose gates decide what it costs, and so
        what it is held against, where it stands in the ``store``.
        """
        models: list[Model] = []
        for body, asked in self.places(choice_of):
            models += self.curve(body, asked)
            for mixture in self.mixtures(body, asked, choice_of):
                macs = mixture.model.macs
                if macs is None and store:
                    (point,) = in_store(store, [mixture.model]) or [None]
                    macs = point.macs if point else None
                models += [mixture.model, *mixture.others, *chain.from_iterable(self.rivals(mixture, macs).values())]
        return list({model.goal.steps[0]: model.goal for model in models}.values())

    def goals(self) -> list[Goal]:
        """The trials, and all that is planned with what the store says that they gave; else with the first choices."""
        store = Store(self.root)
        tuning = tuned(self, partial(in_store, store))
        return [*tuning.goals, *self.planned(tuning.choice_of, store)]


class Tuned(NamedTuple):
    """What is chosen for whom (where trials are still to come the first choice), the trials, and their goals."""

    choice_of: dict[str, float]
    trials: Table
    goals: list[Goal]


def plain(body: Body) -> Family:
    """A body's plain networks, tried at several rates as families are at their own choices."""

    def make(asked: Asked, budget: float, rate: float) -> Model:
        return body.make(asked._replace(rate=rate), body.width_for(asked, budget))

    return Family(body.name, f"plain {body.name}", body, make, "rate, in the recipe's", RATES)


def tuned(parameters: ThreeFamiliesParameters, answered: Callable[[list[Model]], list[Point | None] | None]) -> Tuned:
    """Try the rates of each body; then each family's own choice, at the rate that was chosen for its body.

    Trials are at the middle budget, also where it is not asked for, so that all budgets have one choice; as many for
    each family and each body. A choice that decides what a mixture costs (λ) is tried at full length, as gates go on
    closing; others may be tried for less.

    Args:
        parameters: What was asked for.
        answered: Gives the point of each model, None for one that collapsed; or None if some are still to be trained.
    """
    stages = list(map(plain, parameters.bodies())), parameters.chosen()
    tuning = Tuned({one.name: one.choices[0] for stage in stages for one in stage}, Table(columns=TRIALS, rows=[]), [])
    if given := parameters.given():
        rows = [[name, choice, None, None, 1] for name, choice in given.items()]
        return Tuned(given, Table(columns=TRIALS, rows=rows), [])
    if not (count := parameters.tried()):
        return tuning
    asked = partial(parameters.asked, parameters.seeds[0], "validation")
    budget = BUDGETS["middle"] * asked().spec.cost.macs
    whole = True
    for stage in stages:
        models: list[Model] = []
        for one in stage:
            shared = asked(tuning.choice_of[one.body.name], short=not one.drawn)
            models += [one.make(shared, budget, choice) for choice in one.choices[:count]]
        tuning.goals.extend(model.goal for model in models)
        points = answered(models) if whole else None
        whole = points is not None
        for i, one in enumerate(stage if points else ()):
            own = (points or [])[i * count : (i + 1) * count]
            chosen = tuning.choice_of[one.name] = one.choices[best(own, SLACK * budget, one.name)]
            tuning.trials.rows.extend(
                [one.name, choice, round(p.top1, 3) if p else None, round(p.macs) if p else None, int(choice == chosen)]
                for choice, p in zip(one.choices[:count], own, strict=True)
            )
    return tuning


def best(
    points: Sequence[Point | None], allowed: float, who: str = "", instead: str = "other families, or more epochs"
) -> int:
    """Which is the most accurate of those that cost what is allowed, or no more than the cheapest; None collapsed.

    Of two as accurate it is the cheaper one. Raises :class:`TrainingError` if all collapsed, which advises to choose
    something ``instead``.
    """
    trained = {i: point for i, point in enumerate(points) if point}
    if not trained:
        raise TrainingError(f"{who}: all {len(points)} trials collapsed; choose {instead}")
    allowed = max(allowed, min(point.macs for point in trained.values()))
    within = {i: point for i, point in trained.items() if point.macs <= allowed}
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
