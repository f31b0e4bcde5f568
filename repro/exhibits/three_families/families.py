"""What is compared: a line a family, what it trains for a budget, and the plain networks of its body."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from repro.analysis.answers import THRESHOLDS, answers, sweep
from repro.analysis.chosen_experts import tokens_per_image
from repro.analysis.outputs import Outputs, accuracy
from repro.families.deepmoe.config import DeepMoEConfig
from repro.families.deepmoe.cost import deepmoe_cost
from repro.families.deepmoe.speed import Folded, Prototypes
from repro.families.deepmoe.steps import Asked as AskedDeepMoE
from repro.families.deepmoe.steps import goal as deepmoe_goal
from repro.families.deepmoe.steps import load as load_deepmoe
from repro.families.deepmoe.steps import two_stages
from repro.families.single_gate.algorithm1 import build as build_single_gate
from repro.families.single_gate.config import StudySpec
from repro.families.single_gate.controls import training_epochs
from repro.families.single_gate.predict import predict
from repro.families.single_gate.steps import goal as single_gate_goal
from repro.families.single_gate.steps import steps as single_gate_steps
from repro.families.sparse.cost import sparse_cost
from repro.families.sparse.scales import SparseSpec, sparse_spec
from repro.families.sparse.steps import chosen_experts, load_network
from repro.families.sparse.steps import goal as sparse_goal
from repro.models.cost import ModelCost, model_cost
from repro.models.inference import for_inference
from repro.randomness import derive
from repro.study.graph import Goal
from repro.study.plain import load_base, plain_goal
from repro.study.runner import Runner
from repro.training.device import bf16_is_fast
from repro.training.recipe import Recipe

NAME = "three_families"
BUDGETS = {"small": 0.5, "middle": 1.0, "large": 2.0}
"""In units of the middle one, which is the inference cost of the scale's own single-gate mixture."""
PARTNER = 1000
"""Seed s of an ensemble has the networks of seeds s and s + 1000, so that no two seeds share a network."""
WIDE = 1.75
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


Answer = Callable[[Tensor], object]
"""Answers normalised images ``[B, 3, H, W]``."""
Ready = Callable[[Runner], Answer]
Network = TypeVar("Network", bound=nn.Module)


class Model(NamedTuple):
    """How a model is made, what it costs, and what follows from its predictions.

    goal      its steps, the predictions first
    training  MACs of its training, an image over all epochs
    params    parameters in all
    ready     the trained model in the form in which it is fastest to use
    points    predictions -> the ways to run it; the first is the one that is judged
    groups    predictions -> the group of each image ``[N]`` by what its gates do
    """

    goal: Goal
    training: float
    params: int
    ready: Ready
    points: Callable[[Mapping[str, Tensor]], list[Point]]
    groups: Callable[[Mapping[str, Tensor]], Tensor] = lambda tensors: torch.zeros(len(tensors["labels"]))


class Body(NamedTuple):
    """A plain network at any width: ``cost(asked, width)`` are its MACs and parameters, ``goal`` its steps and use.

    Its widths are ``narrowest`` to 4 in steps of ``step``, of which no two are the same network.
    """

    name: str
    narrowest: float
    step: float
    cost: Callable[[Asked, float], tuple[int, int]]
    goal: Callable[[Asked, float, Recipe], tuple[Goal, Ready]]

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
        goal, ready = self.goal(asked, width, recipe)
        return Model(goal, 3.0 * recipe.epochs * macs, params, ready, partial(_as_it_is, macs))


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

    def plain(asked: Asked, width: float, recipe: Recipe) -> tuple[Goal, Ready]:
        name = network or asked.spec.base
        changes = {"base": name, "expert": name, "role": "control", "num_experts": 1}
        spec = asked.spec.with_(**changes, width=width, base_recipe=recipe)
        goal = plain_goal(spec)

        def ready(runner: Runner) -> Answer:
            (trained,) = goal.steps[0].needs
            return _fast(load_base(spec, runner.load(trained)), runner)

        return goal, ready

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


def _convnext(asked: Asked, width: float, recipe: Recipe) -> tuple[Goal, Ready]:
    return _sparse_goal(_sparse_spec(asked, recipe, placement="none", width=width))


def _sparse_goal(spec: SparseSpec) -> tuple[Goal, Ready]:
    goal = sparse_goal(spec)

    def ready(runner: Runner) -> Answer:
        (trained,) = goal.steps[0].needs
        return _fast(load_network(spec, runner.load(trained)), runner)

    return goal, ready


def _fast(network: Network, runner: Runner) -> Network:
    return for_inference(network, runner.context.device, bf16_is_fast(runner.context.device))


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

    def ready(runner: Runner) -> Answer:
        of, load = single_gate_steps(made), runner.load
        experts = [load(expert) for expert in of.experts]
        moe = _fast(build_single_gate(made, load(of.base), load(of.gate), experts), runner)
        return partial(predict, moe, tau=None, rule="top-1")

    return Model(single_gate_goal(made), training, params, ready, partial(_anytime, found), _by_expert)


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
    """A DeepMoE that with all channels active costs less than two budgets; λ closes some."""
    spec, network = asked.spec, asked.spec.base if body is TR else body.name
    whole = {"backbone": network, "num_classes": spec.num_classes, "image_size": spec.image_size, "lam": lam}
    model = DeepMoEConfig(**whole, width=body.width_for(asked, WIDE * budget), lambda_reaches="heads")
    one, two = two_stages(asked.trained())
    images = spec.with_(base=network, expert=network, role="control", num_experts=1)
    made, cost = AskedDeepMoE(spec=images, model=model, recipe=one, recipe_two=two), deepmoe_cost(model)
    training = 3 * (one.epochs + two.epochs) * cost.dense_macs + (3 * one.epochs + two.epochs) * cost.gating_macs
    groups = partial(_by_gates, spec.num_experts, spec.seed)
    goal = deepmoe_goal(made)

    def ready(runner: Runner) -> Answer:
        """Only the active channels: of one image those of its gates, of many those of K prototypes of the gates."""
        (trained,) = goal.steps[0].needs
        model = load_deepmoe(made, runner.load(trained)).eval().to(memory_format=torch.channels_last)
        gates_NG = runner.load(goal.steps[0]).tensors["gates"].float()
        folded = Folded(model.network)
        many = Prototypes(folded, gates_NG, min(spec.num_experts, len(gates_NG.unique(dim=0))), spec.seed)

        def answer(images: Tensor) -> Tensor:
            gates_BG = model.gating(images)[0]
            return folded.gather(gates_BG[0])(images) if len(images) == 1 else many(images, gates_BG)

        return answer

    return Model(goal, training, cost.params, ready, partial(_gated, lam), groups)


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
    cost, (goal, ready) = sparse_cost(made.model), _sparse_goal(made)
    points = partial(_as_it_is, cost.macs)
    return Model(goal, 3.0 * made.recipe.epochs * cost.macs, cost.params, ready, points, partial(_by_token, made))


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
