"""What every model of a seed shares, and the plain networks of each body, at any width."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from repro.analysis.outputs import accuracy
from repro.errors import SpecError
from repro.families.single_gate.config import StudySpec
from repro.families.sparse.cost import sparse_cost
from repro.families.sparse.scales import SparseSpec, sparse_spec
from repro.families.sparse.steps import goal as sparse_goal
from repro.families.sparse.steps import load_network
from repro.models.cost import model_cost, width_for
from repro.models.inference import for_inference
from repro.study.artifact import Artifact
from repro.study.graph import Goal
from repro.study.plain import load_base, plain_goal
from repro.study.runner import Runner
from repro.training.device import bf16_is_fast
from repro.training.recipe import Recipe


class Asked(NamedTuple):
    """What every model of a seed shares: scale; images, seed, recipes, tr-network and number of experts.

    ``rate`` is that of everything that is trained, in the recipes' own; ``convnext`` is a shape of sparse networks.
    """

    scale: str
    spec: StudySpec
    convnext: str = "convnext-micro"
    rate: float = 1.0

    def trained(self, epochs: int | None = None) -> Recipe:
        """The plain networks' recipe, for so many epochs."""
        return at_rate(self.spec.base_recipe, self.rate, epochs)


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
    macs      inference MACs of an image; None where they depend on what its gates come to do
    training  MACs of its training, an image over all epochs
    params    parameters in all
    ready     the trained model in the form in which it is fastest to use
    points    predictions -> the ways to run it; the first is the one that is judged
    groups    predictions -> the group of each image ``[N]`` by what its gates do
    many      top-1 accuracy in percent of what ``ready`` answers to many images at once, where it is not the points'
    """

    goal: Goal
    macs: float | None
    training: float
    params: int
    ready: Ready
    points: Callable[[Mapping[str, Tensor]], list[Point]]
    groups: Callable[[Mapping[str, Tensor]], Tensor] = lambda tensors: torch.zeros(len(tensors["labels"]))
    many: Callable[[Runner], float] | None = None


WIDEST, STEP = 4, 1 / 128
"""Widths go up to the one in steps of the other; several may be the same network, as channels are whole."""
CLOSE = 0.02
"""A plain network this near to a mixture's MACs stands for them alone."""
MISSED = 0.1
"""A mixture further than this from its budget is none of that budget."""


class Body(NamedTuple):
    """A plain network at any width: ``cost(asked, width)`` are its MACs and parameters, ``goal`` its steps and use."""

    name: str
    narrowest: float
    cost: Callable[[Asked, float], tuple[int, int]]
    goal: Callable[[Asked, float, Recipe], tuple[Goal, Ready]]

    def widths(self) -> list[float]:
        """All that there are, rising."""
        return [self.narrowest + i * STEP for i in range(round((WIDEST - self.narrowest) / STEP) + 1)]

    def width_for(self, asked: Asked, target: float, cost: Callable[[float], float] | None = None) -> float:
        """The width whose network's MACs (or what ``cost`` gives, which rises with it) are nearest to ``target``."""
        return width_for(self.widths(), target, cost or (lambda width: self.cost(asked, width)[0]))

    def budgeted(self, asked: Asked, budget: float, cost: Callable[[float], float] | None = None) -> float:
        """The same; :class:`SpecError` where even that width misses the budget."""
        width = self.width_for(asked, budget, cost)
        macs = cost(width) if cost else self.cost(asked, width)[0]
        if abs(macs / budget - 1) > MISSED:
            raise SpecError(
                f"budgets: a mixture on {self.name} was to have {budget / 1e6:.3g} million multiply-adds, and at "
                f"widths from {self.narrowest:g} to {WIDEST} the nearest has {macs / 1e6:.3g}; "
                "leave out this budget (budgets) or this family (families), or choose another scale"
            )
        return width

    def around(self, asked: Asked, macs: float) -> list[float]:
        """The width of a network :data:`CLOSE` to some MACs; where there is none, the next narrower and wider."""

        def of(width: float) -> float:
            return self.cost(asked, width)[0]

        near = self.width_for(asked, macs)
        if abs(of(near) / macs - 1) <= CLOSE:
            return [near]
        wider = bisect_left(self.widths(), macs, key=of)
        return [self.width_for(asked, of(width)) for width in self.widths()[max(wider - 1, 0) : wider + 1]]

    def make(self, asked: Asked, width: float, epochs: int | None = None) -> Model:
        """The plain network of a width."""
        macs, params = self.cost(asked, width)
        recipe = asked.trained(epochs)
        goal, ready = self.goal(asked, width, recipe)
        return Model(goal, macs, 3.0 * recipe.epochs * macs, params, ready, partial(as_it_is, macs))


def at_rate(recipe: Recipe, rate: float, epochs: int | None = None) -> Recipe:
    """The recipe at so many times its rate, and for so many epochs, if given."""
    changes = {"learning_rate": rate * recipe.learning_rate, "epochs": recipe.epochs if epochs is None else epochs}
    return recipe.model_copy(update=changes)


def as_it_is(macs: float | None, tensors: Mapping[str, Tensor], how: str = "") -> list[Point]:
    """Of predictions: the only way to run a network; without ``macs`` it costs the mean of what its images do."""
    mean = float(tensors["macs"].mean()) if macs is None else macs
    return [Point(how, accuracy(tensors["logits"], tensors["labels"]), mean)]


def _residual(network: str = "", narrowest: float = 1 / 16) -> Body:
    """A residual network by its name; without one the scale's tr-network."""

    def cost(asked: Asked, width: float) -> tuple[int, int]:
        spec = asked.spec
        counted = model_cost(network or spec.base, None, spec.num_classes, spec.image_size, 0, width)
        return counted.base_macs, counted.base_params

    def plain(asked: Asked, width: float, recipe: Recipe) -> tuple[Goal, Ready]:
        name = network or asked.spec.base
        changes = {"base": name, "expert": name, "role": "control", "num_experts": 1}
        spec = asked.spec.with_(**changes, width=width, base_recipe=recipe)
        return in_use(plain_goal(spec), partial(load_base, spec))

    return Body(network or "tr-network", narrowest, cost, plain)


def convnext_spec(asked: Asked, recipe: Recipe, **model: Any) -> SparseSpec:
    """A ConvNeXt on the images of ``asked``: its own optimiser and rate; epochs, augmentation and mixing are shared."""
    spec = asked.spec
    usual = sparse_spec(asked.scale, spec.dataset, spec.seed, network=asked.convnext, **model)
    own = at_rate(usual.recipe, asked.rate, recipe.epochs)
    images = {"num_train": spec.num_train, "num_test": spec.num_test, "evaluate": spec.evaluate}
    shared = {name: getattr(recipe, name) for name in ("augmentation", "mixup", "cutmix")}
    return usual.model_copy(update={"recipe": own.model_copy(update=shared), **images})


def convnext_cost(asked: Asked, width: float, placement: str = "none") -> tuple[int, int]:
    """MACs and parameters of a ConvNeXt of some width, dense or with mixtures."""
    cost = sparse_cost(convnext_spec(asked, asked.trained(), placement=placement, width=width).model)
    return cost.macs, cost.params


def _convnext(asked: Asked, width: float, recipe: Recipe) -> tuple[Goal, Ready]:
    spec = convnext_spec(asked, recipe, placement="none", width=width)
    return in_use(sparse_goal(spec), partial(load_network, spec))


def in_use(goal: Goal, load: Callable[[Artifact], nn.Module]) -> tuple[Goal, Ready]:
    """The steps of a network's predictions, and how it is used when they are done."""

    def ready(runner: Runner) -> Answer:
        (trained,) = goal.steps[0].needs
        return fastest(load(runner.load(trained)), runner)

    return goal, ready


def fastest(network: Network, runner: Runner) -> Network:
    """A network in the form in which it answers fastest on the run's device."""
    return for_inference(network, runner.context.device, bf16_is_fast(runner.context.device))


TR = _residual()
RESNET = _residual("resnet20", 1 / 4)
CONVNEXT = Body("ConvNeXt", 1 / 8, convnext_cost, _convnext)
