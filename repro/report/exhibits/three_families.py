"""Three families of mixtures on the same images, augmentation, seeds and budgets, against plain networks.

A budget is a number of inference multiply-adds (MACs) of an image. Each family makes a model for each budget; a plain
network of its body is then given as many inference MACs (a curve over widths, interpolated in log MACs), as many
training MACs as well, as many parameters in all, or comes in two that are averaged. MACs of training are counted an
image of the training set, over all epochs; three forward passes a step.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import combinations
from math import ceil, inf
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pydantic import Field
from torch import Tensor

from repro.analysis.chosen_experts import tokens_per_image
from repro.errors import SpecError
from repro.families.deepmoe.config import DeepMoEConfig
from repro.families.deepmoe.cost import deepmoe_cost
from repro.families.deepmoe.steps import Asked as AskedDeepMoE
from repro.families.deepmoe.steps import goal as deepmoe_goal
from repro.families.deepmoe.steps import two_stages
from repro.families.sparse.cost import sparse_cost
from repro.families.sparse.spec import SparseSpec, sparse_spec
from repro.families.sparse.steps import chosen_experts
from repro.families.sparse.steps import goal as sparse_goal
from repro.method import compiling
from repro.method.agreement import agreement, agreement_within
from repro.method.answers import THRESHOLDS, answers, sweep
from repro.method.anytime import bagged
from repro.method.device import pick_device
from repro.method.outputs import Outputs, accuracy
from repro.method.recipe import Recipe
from repro.models.cost import ModelCost, model_cost
from repro.progress import say
from repro.randomness import derive
from repro.report.claim import Cell, Claim
from repro.report.exhibits.exhibit import Exhibit
from repro.report.numbers import NONE, gain, interval, mean_std, where_run
from repro.report.plots import PALETTE, common_legend, figure_style, new_figure
from repro.report.statistics import Summary, summarise
from repro.report.tables import Columns, Shown, about, frame
from repro.report.verdict import Verdict, difference, judge, not_printed, summary_of
from repro.study.artifact import digest
from repro.study.controls import training_epochs
from repro.study.graph import Context, Goal
from repro.study.lists import Words, WordsOrNone
from repro.study.parameters import Parameters
from repro.study.provenance import made_here
from repro.study.results import Measurement, Provenance, StudyResult, Table
from repro.study.runner import Runner
from repro.study.single_gate import base_goal
from repro.study.single_gate import goal as single_gate_goal
from repro.study.sources import Sources
from repro.study.spec import StudySpec
from repro.study.store import Store

NAME = "three_families"
BUDGETS = {"small": 0.5, "middle": 1.0, "large": 2.0}
"""In units of the middle one, which is the inference cost of the scale's own single-gate mixture."""
PARTNER = 1000
"""Seed s of an ensemble has the networks of seeds s and s + 1000, so that no two seeds share a network."""
WIDE = 1.9
"""MACs of a DeepMoE's backbone with all channels active, in budgets; its embedding network is 2 % more."""
SLACK = 1.05
"""A trial may cost so many budgets and still be taken for its accuracy."""
USUAL: dict[str, dict[str, Any]] = {
    "smoke": {"epochs": 2, "num_train": 200, "num_test": 100, "experts": 2, "trials": 0, "three": True},
    "quick": {"epochs": 4, "num_train": 1200, "num_test": 1000, "experts": 4, "trials": 0, "three": True},
}
"""What a scale does here where that is not what it does elsewhere; else its own recipe on all of its images, 20
experts, four trials, and the families' native bodies beside the three."""


class Asked(NamedTuple):
    """What every model of a seed shares: scale; images, seed, recipes, tr-network and number of experts."""

    scale: str
    spec: StudySpec

    def trained(self, epochs: int | None = None, rate: float = 1.0) -> Recipe:
        """The plain networks' recipe, for so many epochs, at so many times its rate."""
        return _at_rate(self.spec.base_recipe, rate, epochs)


class Point(NamedTuple):
    """One way to run a trained model: how, top-1 accuracy in percent, mean inference MACs of an image."""

    how: str
    top1: float
    macs: float


class Model(NamedTuple):
    """How a model is made, what it costs, and what follows from its predictions.

    goal      its steps, the predictions first
    training  MACs of its training, an image over all epochs
    params    parameters in all
    points    predictions -> the ways to run it; the first is the one that is judged
    groups    predictions -> the group of each image ``[N]`` by what its gates do
    """

    goal: Goal
    training: float
    params: int
    points: Callable[[Mapping[str, Tensor]], list[Point]]
    groups: Callable[[Mapping[str, Tensor]], Tensor] = lambda tensors: torch.zeros(len(tensors["labels"]))


class Body(NamedTuple):
    """A plain network at any width: ``cost(asked, width)`` are its MACs and parameters, ``goal`` its steps.

    Its widths are ``narrowest`` to 4 in steps of ``step``, of which no two are the same network.
    """

    name: str
    narrowest: float
    step: float
    cost: Callable[[Asked, float], tuple[int, int]]
    goal: Callable[[Asked, float, Recipe], Goal]

    def width_for(self, asked: Asked, target: float, cost: Callable[[float], float] | None = None) -> float:
        """The width whose network's MACs (or what ``cost`` gives, which rises with it) are nearest to ``target``."""
        of = cost or (lambda width: self.cost(asked, width)[0])
        count = round((4 - self.narrowest) / self.step) + 1
        widths = [self.narrowest + i * self.step for i in range(count)]
        place = bisect_left(widths, target, key=of)
        return min(widths[max(place - 1, 0) : place + 1], key=lambda width: abs(of(width) - target))

    def make(self, asked: Asked, width: float, epochs: int | None = None, rate: float = 1.0) -> Model:
        """The plain network of a width."""
        macs, params = self.cost(asked, width)
        recipe = asked.trained(epochs, rate)
        points = partial(_as_it_is, macs)
        return Model(self.goal(asked, width, recipe), 3.0 * recipe.epochs * macs, params, points)


class Family(NamedTuple):
    """A family of mixtures: ``make(asked, budget, choice)`` makes its model; all else is the same for all families.

    ``body`` is what it is held against; ``choices`` of what ``choice`` is in words, the first unless trials say
    otherwise; where each is a point of its curve, ``drawn``, all are trained at the middle budget.
    """

    name: str
    words: str
    body: Body
    make: Callable[[Asked, float, float], Model]
    choice: str
    choices: tuple[float, ...]
    drawn: bool = False


def _at_rate(recipe: Recipe, rate: float, epochs: int | None = None) -> Recipe:
    changes = {"learning_rate": rate * recipe.learning_rate, "epochs": recipe.epochs if epochs is None else epochs}
    return recipe.model_copy(update=changes)


def _as_it_is(macs: float, tensors: Mapping[str, Tensor]) -> list[Point]:
    return [Point("", accuracy(tensors["logits"], tensors["labels"]), macs)]


# --- bodies and families -----------------------------------------------------------------------------------------


def _residual(network: str = "", narrowest: float = 1 / 16, step: float = 1 / 128) -> Body:
    """A residual network by its name; without one the scale's tr-network."""

    def cost(asked: Asked, width: float) -> tuple[int, int]:
        spec = asked.spec
        found = model_cost(network or spec.base, None, spec.num_classes, spec.image_size, 0, width)
        return found.base_macs, found.base_params

    def plain(asked: Asked, width: float, recipe: Recipe) -> Goal:
        name = network or asked.spec.base
        changes = {"base": name, "expert": name, "role": "control", "num_experts": 1}
        return base_goal(asked.spec.with_(**changes, width=width, base_recipe=recipe))

    return Body(network or "tr-network", narrowest, step, cost, plain)


def _sparse_spec(asked: Asked, recipe: Recipe, **model: Any) -> SparseSpec:
    """A ConvNeXt on the images of ``asked``: its own optimiser and rate; epochs and augmentation are everybody's."""
    spec = asked.spec
    found = sparse_spec(asked.scale, spec.dataset, spec.seed, **model)
    own = _at_rate(found.recipe, recipe.learning_rate / spec.base_recipe.learning_rate, recipe.epochs)
    images = {"num_train": spec.num_train, "num_test": spec.num_test, "evaluate": spec.evaluate}
    return found.model_copy(update={"recipe": own.model_copy(update={"augmentation": recipe.augmentation}), **images})


def _convnext_cost(asked: Asked, width: float, placement: str = "none") -> tuple[int, int]:
    found = sparse_cost(_sparse_spec(asked, asked.trained(), placement=placement, width=width).model)
    return found.macs, found.params


def _convnext(asked: Asked, width: float, recipe: Recipe) -> Goal:
    return sparse_goal(_sparse_spec(asked, recipe, placement="none", width=width))


TR = _residual()
RESNET = _residual("resnet20", 1 / 4, 1 / 16)
CONVNEXT = Body("ConvNeXt", 1 / 8, 1 / 16, _convnext_cost, _convnext)


def single_gate(asked: Asked, budget: float, rate: float) -> Model:
    """The single-gate mixture: base, gate and one expert cost the budget; its curve is the any-time one."""
    spec = asked.spec

    def cost(width: float) -> ModelCost:
        return model_cost(spec.base, spec.expert, spec.num_classes, spec.image_size, spec.num_experts, width)

    width = TR.width_for(asked, budget, lambda width: cost(width).macs)
    recipes = {"base_recipe": asked.trained(rate=rate), "expert_recipe": _at_rate(spec.expert_recipe, rate)}
    made, found = spec.with_(width=width, **recipes), cost(width)
    params = found.base_params + found.gate_params + found.params_trainable
    training = 3 * training_epochs(made) * found.base_macs
    return Model(single_gate_goal(made), training, params, partial(_anytime, found), _by_expert)


def _anytime(cost: ModelCost, tensors: Mapping[str, Tensor]) -> list[Point]:
    found = answers(Outputs(**tensors))
    one = torch.ones(len(found.right), dtype=torch.int64)
    swept = [
        Point(f"τ = {tau:g}", top1, float(cost.anytime_macs(found.used(tau)).double().mean()))
        for tau, top1 in zip(THRESHOLDS, sweep(found).top1, strict=True)
    ]
    return [Point("one expert", 100 * float(found.right_with(one).double().mean()), cost.macs), *swept]


def _by_expert(tensors: Mapping[str, Tensor]) -> Tensor:
    return tensors["gate_probs"].argmax(1)


def deepmoe(body: Body, asked: Asked, budget: float, lam: float) -> Model:
    """A DeepMoE that with all channels active costs nearly two budgets (the plain curve ends at two); λ closes some."""
    spec, network = asked.spec, asked.spec.base if body is TR else body.name
    whole = {"backbone": network, "num_classes": spec.num_classes, "image_size": spec.image_size, "lam": lam}
    model = DeepMoEConfig(**whole, width=body.width_for(asked, WIDE * budget), lambda_reaches="heads")
    one, two = two_stages(asked.trained())
    images = spec.with_(base=network, expert=network, role="control", num_experts=1)
    made, cost = AskedDeepMoE(spec=images, model=model, recipe=one, recipe_two=two), deepmoe_cost(model)
    training = 3 * (one.epochs + two.epochs) * cost.dense_macs + (3 * one.epochs + two.epochs) * cost.gating_macs
    groups = partial(_by_gates, spec.num_experts, spec.seed)
    return Model(deepmoe_goal(made), training, cost.params, partial(_gated, lam), groups)


def _gated(lam: float, tensors: Mapping[str, Tensor]) -> list[Point]:
    return [Point(f"λ = {lam:g}", accuracy(tensors["logits"], tensors["labels"]), float(tensors["macs"].mean()))]


def _by_gates(number: int, seed: int, tensors: Mapping[str, Tensor]) -> Tensor:
    """K-means of which channels are active, into as many groups as the single-gate mixture has experts."""
    from sklearn.cluster import KMeans  # seconds

    active = (tensors["gates"] > 0).float().numpy()
    number = min(number, len(np.unique(active, axis=0)))
    found = KMeans(number, n_init=3, random_state=derive(seed, "groups of gates") % 2**32).fit(active)
    return torch.from_numpy(found.labels_).long()


def sparse(asked: Asked, budget: float, weight: float) -> Model:
    """A ConvNeXt with Last 2; both balance losses have this weight."""
    width = CONVNEXT.width_for(asked, budget, lambda width: _convnext_cost(asked, width, "last-2")[0])
    balance = {"importance_weight": weight, "load_weight": weight}
    made = _sparse_spec(asked, asked.trained(), placement="last-2", width=width, **balance)
    cost, goal = sparse_cost(made.model), sparse_goal(made)
    points = partial(_as_it_is, cost.macs)
    return Model(goal, 3.0 * made.recipe.epochs * cost.macs, cost.params, points, partial(_by_token, made))


def _by_token(spec: SparseSpec, tensors: Mapping[str, Tensor]) -> Tensor:
    """The expert that most tokens of an image chose first, in the last mixture."""
    last = chosen_experts(spec, dict(tensors))[-1]
    return tokens_per_image(last[..., :1], spec.model.num_experts).argmax(1)


RATES, LAMBDAS, WEIGHTS = (1.0, 0.5, 2.0, 0.25), (2.0, 1.0, 4.0, 0.5), (0.005, 0.0, 0.02, 0.05)
FAMILIES = (
    Family("single-gate", "single-gate mixture", TR, single_gate, "rate, in the recipe's", RATES),
    Family("DeepMoE", "DeepMoE", TR, partial(deepmoe, TR), "λ", LAMBDAS, drawn=True),
    Family("sparse", "sparse Last 2", CONVNEXT, sparse, "weight of the balance losses", WEIGHTS),
    Family("DeepMoE-native", "DeepMoE on resnet20", RESNET, partial(deepmoe, RESNET), "λ", LAMBDAS, drawn=True),
)
"""A line a family, on a body. The single gate is at home on tr-networks, sparse layers on a ConvNeXt."""


# --- run ---------------------------------------------------------------------------------------------------------


class ThreeFamiliesParameters(Parameters):
    """The common ones; which families at which budgets; how many experts; how many trials."""

    families: WordsOrNone = Field((), description="of " + "; ".join(f.name for f in FAMILIES) + "; empty: the scale's")
    budgets: Words = Field(tuple(BUDGETS), description="in units of the middle one: small 1/2, middle 1, large 2")
    elsewhere: int = Field(1, ge=1, description="seeds at budgets other than the middle one, the first of all")
    experts: int = Field(0, ge=0, le=1024, description="of the single-gate mixture; 0: the scale's")
    epochs: int = Field(0, ge=0, description="of each plain network, DeepMoE and ConvNeXt; 0: the scale's")
    trials: Literal[-1, 0, 1, 2, 3, 4] = Field(-1, description="choices tried on validation images; -1: the scale's")

    def chosen(self) -> list[Family]:
        """The families asked for, in the table's order."""
        three = [f.name for f in FAMILIES if f.body is not RESNET]
        usual = three if USUAL.get(self.scale, {}).get("three") else [f.name for f in FAMILIES]
        found = _known("families", self.families or usual, [f.name for f in FAMILIES])
        return [family for family in FAMILIES if family.name in found]

    def tried(self) -> int:
        """Trials of each family and body."""
        return self.trials if self.trials >= 0 else int(USUAL.get(self.scale, {}).get("trials", 4))

    def asked(self, seed: int, evaluate: Literal["test", "validation"] = "test") -> Asked:
        """What all models of a seed share."""
        usual = USUAL.get(self.scale, {})
        (spec,) = self.model_copy(update={"seeds": (seed,)}).specs()
        epochs = self.epochs or usual.get("epochs", spec.base_recipe.epochs)
        longer = epochs / spec.base_recipe.epochs
        return Asked(self.scale, spec.with_(
            num_experts=self.experts or usual.get("experts", 20), stacking=False, evaluate=evaluate,
            num_train=usual.get("num_train", spec.num_train), num_test=usual.get("num_test", spec.num_test),
            base_recipe=_at_rate(spec.base_recipe, 1, epochs),
            expert_recipe=_at_rate(spec.expert_recipe, 1, max(1, round(longer * spec.expert_recipe.epochs))),
        ))  # fmt: skip

    def macs(self, asked: Asked) -> dict[str, float]:
        """MACs of each budget that is asked for."""
        _known("budgets", self.budgets, list(BUDGETS))
        spec = asked.spec
        middle = model_cost(
            spec.base, spec.expert, spec.num_classes, spec.image_size, spec.num_experts, spec.width
        ).macs
        return {name: BUDGETS[name] * middle for name in BUDGETS if name in self.budgets}

    def at(self, budget: str) -> tuple[int, ...]:
        """The seeds of a budget."""
        return self.seeds if budget == "middle" else self.seeds[: self.elsewhere]

    def widths(self, body: Body, asked: Asked) -> list[float]:
        """The plain curve of a body: from half of the smallest budget to twice the largest, each twice the last."""
        budgets = self.macs(asked).values()
        macs = sorted({factor * budget for budget in budgets for factor in (0.5, 1, 2)})
        return sorted({body.width_for(asked, each) for each in macs})

    def goals(self) -> list[Goal]:
        """What is known before anything is trained; controls of what a mixture came to cost are known only then."""
        if self.tried():
            asked = self.asked(self.seeds[0], "validation")
            return [model.goal for _, _, model in _trials(self, asked)]
        goals = []
        for seed in self.seeds:
            asked = self.asked(seed)
            goals += [body.make(asked, w).goal for body in _bodies(self) for w in self.widths(body, asked)]
            goals += [
                family.make(asked, macs, choice).goal
                for family in self.chosen()
                for budget, macs in self.macs(asked).items()
                if seed in self.at(budget)
                for choice in _drawn(family, budget, family.choices[0])
            ]
        return goals


def _known(field: str, asked: Sequence[str], known: Sequence[str]) -> Sequence[str]:
    if wrong := [name for name in asked if name not in known]:
        raise SpecError(f"{field}: there is no {wrong[0]!r}; choose of {', '.join(known)}")
    return asked


def _bodies(parameters: ThreeFamiliesParameters) -> list[Body]:
    return list({family.body.name: family.body for family in parameters.chosen()}.values())


def _drawn(family: Family, budget: str, taken: float) -> list[float]:
    """What is trained at a budget: the choice that was taken, then those of the curve."""
    return list(dict.fromkeys([taken, *(family.choices if family.drawn and budget == "middle" else ())]))


def _trials(parameters: ThreeFamiliesParameters, asked: Asked) -> Iterator[tuple[str, float, Model]]:
    """(who, choice, model) at the middle budget, or the first there is: as many for each family and each body."""
    budgets, count = parameters.macs(asked), parameters.tried()
    budget = budgets.get("middle", next(iter(budgets.values())))
    for body in _bodies(parameters):
        width = body.width_for(asked, budget)
        yield from ((body.name, rate, body.make(asked, width, rate=rate)) for rate in RATES[:count])
    for family in parameters.chosen():
        yield from ((family.name, c, family.make(asked, budget, c)) for c in family.choices[:count])


TRIALS = ["model", "choice", "top1", "macs", "taken"]
PLAIN = ["body", "seed", "macs", "params", "training", "top1"]
CURVE = ["family", "budget", "seed", "how", "macs", "top1"]


def _ask(runner: Runner, model: Model) -> Mapping[str, Tensor]:
    """The predictions of a model; trained first where they do not stand."""
    runner.run(model.goal.steps)
    return runner.load(model.goal.steps[0]).tensors


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


def cell(family: str, budget: str, method: str = "mixture", metric: str = "top1") -> Cell:
    """Where the record holds a number of a family at a budget, or of what it is held against."""
    return Cell(0, method, f"{family}, {budget}", metric)


class Rivals:
    """The plain networks of a body and a seed: the curve, and whatever else a mixture is held against."""

    def __init__(self, parameters: ThreeFamiliesParameters, runner: Runner, body: Body, asked: Asked, rate: float):
        self.body, self.asked, self.rate, self._runner = body, asked, rate, runner
        widths = parameters.widths(body, asked)
        self.curve = [self._plain(width) for width in widths]

    def _plain(self, width: float, epochs: int | None = None) -> tuple[Model, Point]:
        model = self.body.make(self.asked, width, epochs, self.rate)
        return model, model.points(_ask(self._runner, model))[0]

    def at(self, macs: float) -> float | None:
        """Top-1 of the curve at some MACs, straight between its networks over log MACs; None beyond its ends."""
        x = np.log([point.macs for _, point in self.curve])
        inside = x[0] <= np.log(macs) <= x[-1]
        return float(np.interp(np.log(macs), x, [point.top1 for _, point in self.curve])) if inside else None

    def as_long(self, macs: float, training: float) -> tuple[Model, Point]:
        """A plain network of equal inference and of equal training: whole epochs, rounded up."""
        width = self.body.width_for(self.asked, macs)
        one_epoch = 3 * self.body.cost(self.asked, width)[0]
        return self._plain(width, max(1, ceil(round(training / one_epoch, 6))))

    def as_large(self, params: int) -> tuple[Model, Point]:
        """A plain network of as many parameters as the mixture has in all."""
        width = self.body.width_for(self.asked, params, lambda width: self.body.cost(self.asked, width)[1])
        return self._plain(width)

    def two(self, macs: float) -> tuple[float, float]:
        """Top-1 and MACs of two plain networks of half the MACs each, their probabilities averaged."""
        width, spec = self.body.width_for(self.asked, macs / 2), self.asked.spec
        partner = self.asked._replace(spec=spec.with_(seed=spec.seed + PARTNER))
        both = [_ask(self._runner, self.body.make(one, width, rate=self.rate)) for one in (self.asked, partner)]
        found = accuracy(bagged(both[0]["logits"], both[1]["logits"]), both[0]["labels"])
        return found, 2.0 * self.body.cost(self.asked, width)[0]


def three_families(parameters: ThreeFamiliesParameters) -> StudyResult:
    """Train every family at every budget and what it is held against; write the record to ``<root>/results``."""
    compiling.choose(parameters.compile)
    device = pick_device(parameters.device)
    context = Context(Store(parameters.root), Sources(parameters.root, device), device)
    runner = Runner(parameters.goals(), context, parameters.executor)
    taken, trials = _tuned(parameters, runner)
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
        images = context.sources.images(asked.spec, "evaluation")
        modes = None if images.modes is None else torch.from_numpy(images.modes)
        measurements += _known_by_gates(seed, groups, torch.from_numpy(images.labels), modes)
    spec = parameters.asked(parameters.seeds[0]).spec
    about_it = spec.model_dump(mode="json", exclude={"seed", "width"})
    result = StudyResult(
        study=NAME, dataset=parameters.dataset, scale=parameters.scale, evaluate=spec.evaluate, base="several",
        expert="several", seeds=list(parameters.seeds), spec=about_it, spec_hash=digest(about_it),
        measurements=measurements, costs=[], tables=tables,
        provenance=Provenance(command=parameters.command(NAME), **made_here(device, runner.seconds)),
    )  # fmt: skip
    say(f"{runner.summary()}; result in {result.save(parameters.root / 'results')}")
    return result


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


# --- shown -------------------------------------------------------------------------------------------------------

TRAINING, INFERENCE = "equal-training", "equal-inference"
AGAINST = {
    INFERENCE: "a plain network of equal inference MACs",
    TRAINING: "a plain network of equal inference MACs, trained as long",
    "ensemble": "two plain networks of half its MACs each",
    "equal-parameters": "a plain network of as many parameters",
}
UNKNOWN = "we do not know"


def key(family: str, budget: str, against: str) -> str:
    """How a claim is named: ``single-gate/middle/equal-training``."""
    return f"{family}/{budget}/{against}"


CLAIMS = tuple(
    Claim(
        key(family.name, budget, against), f"{family.words} beats {AGAINST[against]} ({budget} budget)",
        cell(family.name, budget), cell(family.name, budget, against),
    )
    for family in FAMILIES
    for budget in BUDGETS
    for against in (INFERENCE, TRAINING)
)  # fmt: skip
"""Two verdicts for each family and budget. No paper makes these claims: they are what a user would want to be told."""


def headline(result: StudyResult) -> str:
    """The study's verdict in a sentence: against plain networks trained as long, at the middle budget.

    That budget and that control were fixed beforehand; whatever the record says, there is a sentence for it.
    """
    found = {j.claim.key: j for j in judge(CLAIMS, result, not_printed)}
    middle = {family: found[key(family.name, "middle", TRAINING)] for family in FAMILIES}
    run = {family: judged for family, judged in middle.items() if judged.ours}
    if not run:
        return f"{where_run(result)}: at the middle budget no mixture was held against a plain network trained as long."
    each = "; ".join(f"{f.words} {_with_interval(j.ours)}, {j.verdict}" for f, j in run.items())
    numbers = f"(points of top-1 accuracy: {each})"
    best = [family.words for family, judged in run.items() if judged.verdict is Verdict.HOLDS]
    rival = "a plain network of the same inference cost, trained as long"
    if {judged.verdict for judged in run.values()} <= {Verdict.ANECDOTE}:
        return f"{where_run(result)}: with one seed it is not decided whether any mixture beats {rival} {numbers}."
    if best:
        beats = "beats" if len(best) == 1 else "beat"
        return f"{where_run(result)}: {' and '.join(best)} {beats} {rival} {numbers}."
    worse = all(judged.verdict is Verdict.OPPOSITE for judged in run.values())
    none = "none of the mixtures beats" if worse else "no mixture is found to beat"
    return f"{where_run(result)}: {none} {rival} {numbers}."


def front_page(results: Sequence[StudyResult]) -> str:
    """The front page's first sentence: of the first record, in reading order, that is no mere demonstration."""
    own = [result for result in results if result.study == NAME and result.dataset != "modes"]
    return headline(own[0]) if own else "Which mixture, at equal compute: nothing has been recorded on real images yet."


def _with_interval(summary: Summary | None) -> str:
    known = interval(summary, sign=True)
    return gain(summary) + ("" if known == NONE else f" [{known}]")


def _rows(result: StudyResult) -> list[tuple[Family, str]]:
    rows = result.rows()
    return [(family, budget) for family in FAMILIES for budget in BUDGETS if f"{family.name}, {budget}" in rows]


def _number(result: StudyResult, family: Family, budget: str, metric: str, method: str = "mixture") -> Summary | None:
    return summary_of(result, cell(family.name, budget, method, metric))


def tables(result: StudyResult) -> dict[str, Shown]:
    """``main``: every mixture and its rivals; ``when``: when to use which; ``gates``: what they know; ``trials``."""
    rows = _rows(result)
    found = {j.claim.key: j for j in judge(CLAIMS, result, not_printed)}
    columns: Columns = {
        "MACs, M": [mean_std(_number(result, *row, "macs_millions"), 2) for row in rows],
        "parameters, M": [mean_std(_number(result, *row, "params_millions"), 2) for row in rows],
        "training MACs, M": [mean_std(_number(result, *row, "training_millions"), 0) for row in rows],
        "top-1": [mean_std(_number(result, *row, "top1")) for row in rows],
        **{said: [mean_std(_number(result, *row, "top1", m)) for row in rows] for m, said in AGAINST.items()},
        **{
            f"verdict: {against}": [found[key(f.name, b, against)].text for f, b in rows]
            for against in (INFERENCE, TRAINING)
        },
    }
    caption = (
        f"{about(result)}; top-1 accuracy on the {result.evaluate} set in percent. Training is counted in MACs of one "
        "image over all epochs. The plain network of equal inference is interpolated between networks of the same "
        f"body in log MACs; a dash: not run, or beyond that curve. {_tuning(result)}"
    )
    shown = {"main": Shown(frame(columns, [f"{f.words}, {b}" for f, b in rows]), caption), "when": _when(result)}
    shown["gates"] = _gates(result)
    trials = result.tables.get("trials")
    if trials and trials.rows:
        texts = {name: [f"{value:g}" for value in trials.column(name)] for name in TRIALS[1:]}
        caption = f"{about(result)}; trials on validation images: the most accurate one within the budget is taken."
        shown["trials"] = Shown(frame(texts, trials.column(TRIALS[0])), caption)
    return shown


def _tuning(result: StudyResult) -> str:
    trials = result.tables.get("trials")
    if not trials or not trials.rows:
        return "Nothing was tuned: no trials, every choice is the default."
    each = len(trials.rows) // len(set(trials.column("model")))
    return f"Choices were made on validation images, in {each} trials for every mixture and every plain network."


def _when(result: StudyResult) -> Shown:
    """A number or 'we do not know' for each family and each thing that a user may be short of."""
    families = [family for family in FAMILIES if any(family is f for f, _ in _rows(result))]
    found = {j.claim.key: j for j in judge(CLAIMS, result, not_printed)}

    def against(family: Family, budget: str, method: str) -> str:
        ours = difference(result, cell(family.name, budget), cell(family.name, budget, method))
        judged = found.get(key(family.name, budget, method))
        return UNKNOWN if ours is None else _with_interval(ours) + (f", {judged.verdict}" if judged else "")

    def times(family: Family, metric: str) -> str:
        """In units of the plain network of equal inference, at the recipe's own length."""
        mixture, plain = _number(result, family, "middle", metric), _plain_at(result, family, metric)
        return f"{mixture.mean / plain:.1f} times the plain network's" if mixture and plain else UNKNOWN

    def knob(family: Family) -> str:
        least = _number(result, family, "middle", "cheapest")
        return f"down to {least.mean:.0f} % of its MACs" if least else UNKNOWN

    lines: dict[str, list[str]] = {}
    for method, said in ((INFERENCE, "inference compute is short"), (TRAINING, "training compute is short as well")):
        lines |= {f"{said}: {budget} budget": [against(f, budget, method) for f in families] for budget in BUDGETS}
    lines |= {
        "two networks can be trained instead": [against(f, "middle", "ensemble") for f in families],
        "memory is short (as many parameters)": [against(f, "middle", "equal-parameters") for f in families],
        "parameters": [times(f, "params_millions") for f in families],
        "training": [times(f, "training_millions") for f in families],
        "one trained model has to serve several budgets": [knob(f) for f in families],
        "images a second count": [UNKNOWN for _ in families],
    }
    columns = {family.words: [line[i] for line in lines.values()] for i, family in enumerate(families)}
    caption = (
        f"{about(result)}: when to use which. Points of top-1 accuracy over the plain network that one would pick "
        "instead, [95 % interval], and the verdict where there is one; at the middle budget where none is named."
    )
    return Shown(frame(columns, list(lines)), caption)


def _plain_at(result: StudyResult, family: Family, metric: str) -> float | None:
    """Parameters or training, in millions, of the plain curve at the mixture's MACs; None beyond its ends."""
    macs = _number(result, family, "middle", "macs_millions")
    column = {"params_millions": "params", "training_millions": "training"}[metric]
    curve = result.tables["plain"].where(body=family.body.name) if "plain" in result.tables else None
    if macs is None or curve is None or not curve.rows:
        return None
    points = sorted(set(zip(curve.column("macs"), curve.column(column), strict=True)))
    x, y = np.log([point[0] for point in points]), np.log([point[1] for point in points])
    here = np.log(1e6 * macs.mean)
    return float(np.exp(np.interp(here, x, y))) / 1e6 if x[0] <= here <= x[-1] else None


def _gates(result: StudyResult) -> Shown:
    rows = list(dict.fromkeys(m.row for m in result.measurements if m.method == "gates"))
    metrics = ("class", "mode", "mode within class", "each other")
    columns = {
        metric: [mean_std(summary_of(result, Cell(0, "gates", row, metric))) for row in rows] for metric in metrics
    }
    caption = (
        f"{about(result)}, middle budget: what the gates know of the {result.evaluate} images. Adjusted mutual "
        "information (0: chance, 1: the same grouping) of the groups that a gate makes with the classes, with the "
        "true modes (where they are known), with these within each class; and of two families' groups with each "
        "other. Groups: the expert with the largest gate; K-means of the active channels; the expert of most tokens."
    )
    return Shown(frame(columns, rows), caption)


def read(result: StudyResult) -> str:
    """The verdict, and the numbers in sentences."""
    sentences = [headline(result), _tuning(result)]
    if result.scale in ("smoke", "quick"):
        sentences.append("At this scale it is a demonstration, no evidence.")
    for family, budget in _rows(result):
        top1, macs = (mean_std(_number(result, family, budget, metric)) for metric in ("top1", "macs_millions"))
        rivals = {
            said: difference(result, cell(family.name, budget), cell(family.name, budget, method))
            for method, said in AGAINST.items()
        }
        against = ", ".join(f"{gain(ours)} against {said}" for said, ours in rivals.items() if ours)
        sentences.append(f"{family.words}, {budget} budget: {top1} % at {macs} million MACs ({against}).")
    return " ".join(sentences)


def figures(results: Sequence[StudyResult]) -> dict[str, Figure]:
    """Accuracy over inference MACs (``main``) and over training MACs: a row a record, a panel a body."""
    shown = {family.body.name: family.body for result in results for family, _ in _rows(result)}
    bodies = list(shown.values()) or [TR]
    drawn = {}
    for name, axis in (("main", "macs"), ("training", "training")):
        with figure_style():
            figure = new_figure(3.6 * len(bodies), 0.6 + 3.0 * len(results))
            grid = figure.subplots(len(results), len(bodies), squeeze=False, sharey="row")
            for line, result in zip(grid, results, strict=True):
                for axes, body in zip(line, bodies, strict=True):
                    _panel(axes, result, body, axis)
                line[0].set_ylabel(f"top-1 accuracy, % ({result.evaluate} set)")
            common_legend(figure, grid.flat, columns=3)
        drawn[name] = figure
    return drawn


def _panel(axes: Axes, result: StudyResult, body: Body, axis: str) -> None:
    _plain_curve(axes, result, body, axis)
    for colour, family in zip(PALETTE, FAMILIES, strict=False):
        if family.body is not body:
            continue
        if axis == "macs":
            _trained_curves(axes, result, family, colour)
        budgets = [budget for f, budget in _rows(result) if f is family]
        for method, mark, said in (("mixture", "o", ""), (TRAINING, "v", ": plain, trained as long")):
            x = [_number(result, family, budget, f"{axis}_millions", method) for budget in budgets]
            y = [_number(result, family, budget, "top1", method) for budget in budgets]
            points = [(a.mean, b) for a, b in zip(x, y, strict=True) if a and b]
            if points:
                axes.plot(
                    [a for a, _ in points], [b.mean for _, b in points], mark, color=colour, label=family.words + said
                )
            for a, b in points:
                if b.interval:
                    axes.plot([a, a], b.interval, color=colour, linewidth=0.8)
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_title(f"{where_run(result)}\non {body.name}")
    what = "inference MACs of an image" if axis == "macs" else "training MACs of an image, all epochs"
    axes.set_xlabel(f"{what}, millions")


def _plain_curve(axes: Axes, result: StudyResult, body: Body, axis: str) -> None:
    """The plain networks' mean over the seeds, with its 95 % interval."""
    table = result.tables.get("plain", Table(columns=PLAIN, rows=[])).where(body=body.name)
    by_cost: dict[float, list[float]] = {}
    for x, top1 in zip(table.column(axis), table.column("top1"), strict=True):
        by_cost.setdefault(x / 1e6, []).append(top1)
    points = [(x, summarise(values)) for x, values in sorted(by_cost.items())]
    if points:
        axes.plot(
            [x for x, _ in points], [y.mean for _, y in points], "D-", color="#595959", markersize=4, label="plain"
        )
    band = [(x, *y.interval) for x, y in points if y.interval]
    if band:
        axes.fill_between(*zip(*band, strict=True), color="#595959", alpha=0.15)


def _trained_curves(axes: Axes, result: StudyResult, family: Family, colour: str) -> None:
    """The other ways to run a family's models, seed by seed: thresholds, or networks of other λ."""
    table = result.tables.get("curve", Table(columns=CURVE, rows=[])).where(family=family.name)
    for budget, seed in dict.fromkeys(zip(table.column("budget"), table.column("seed"), strict=True)):
        part = table.where(budget=budget, seed=seed)
        points = sorted(zip(part.column("macs"), part.column("top1"), strict=True))
        x, y = [macs / 1e6 for macs, _ in points], [top1 for _, top1 in points]
        axes.plot(x, y, "-", color=colour, linewidth=0.8, alpha=0.7)


EXHIBIT = Exhibit(
    NAME, "Three families: which mixture, at equal compute?", ThreeFamiliesParameters, three_families, tables, read,
    CLAIMS, figures=figures,
)  # fmt: skip
