"""What is compared: a line a family, and what it trains for a budget."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.fx.experimental.optimization import fuse

from repro.analysis.anytime import THRESHOLDS, answers, sweep
from repro.analysis.chosen_experts import tokens_per_image
from repro.analysis.outputs import Outputs, accuracy
from repro.data.augment import Augmentation
from repro.exhibits.three_families.bodies import (
    CONVNEXT,
    RESNET,
    TR,
    Answer,
    Asked,
    Body,
    Model,
    Point,
    as_it_is,
    at_rate,
    convnext_cost,
    convnext_spec,
    fastest,
    in_use,
)
from repro.families.deepmoe import steps as deepmoe_steps
from repro.families.deepmoe.config import DeepMoEConfig
from repro.families.deepmoe.cost import deepmoe_cost
from repro.families.deepmoe.speed import Folded, Prototypes
from repro.families.single_gate import steps as single_gate_steps
from repro.families.single_gate.algorithm1 import build as build_single_gate
from repro.families.single_gate.controls import training_epochs
from repro.families.single_gate.predict import predict
from repro.families.sparse.cost import sparse_cost
from repro.families.sparse.scales import SparseSpec
from repro.families.sparse.steps import chosen_experts, load_network
from repro.families.sparse.steps import goal as sparse_goal
from repro.models.cost import ModelCost, model_cost
from repro.models.gated import GateAt
from repro.randomness import derive
from repro.study.runner import Runner
from repro.training.device import autocast

NAME = "three_families"
BUDGETS = {"small": 0.5, "middle": 1.0, "large": 2.0}
"""In units of the middle one, the inference cost of the single-gate mixture at the width of :data:`USUAL`."""
PARTNER = 1000
"""Seed s of an ensemble has the networks of seeds s and s + 1000, so that no two seeds share a network."""
WIDE = 1.75
"""MACs of a DeepMoE's backbone with all channels active, in budgets; its embedding network is 2 % more."""
SLACK = 1.05
"""A trial may cost so many budgets, or what the cheapest does, and still be chosen for its accuracy."""
MANY = 256
"""Images that come together where throughput counts."""
USUAL: dict[str, dict[str, Any]] = {
    "smoke": {"epochs": 2, "num_train": 200, "num_test": 100, "experts": 2, "trials": 0},
    "quick": {"epochs": 4, "num_train": 1200, "num_test": 1000, "experts": 4, "trials": 0},
    "laptop": {"width": 0.125, "trial_epochs": 8},
    "gpu": {"convnext": {"cifar100": "convnext-t", "tiny-imagenet": "convnext-b"}},
}
"""What a scale does here where that is not what it does elsewhere; else its own recipe on all of its images, 20
experts, four trials of as many epochs, and a ConvNeXt-micro for a body. On a GPU that is too small for the budgets."""


class Family(NamedTuple):
    """A family of mixtures: ``make(asked, budget, choice)`` makes its model; all else is the same for all families.

    ``body`` is what it is held against; ``choices`` of what ``choice`` is in words, the first unless trials say
    otherwise; where each is a point of its curve, ``drawn``, all are trained at the middle budget. It is trained at the
    rate that was chosen for its body, unless the rate is its own choice. ``usual``: it is run unless others are named.
    """

    name: str
    label: str
    body: Body
    make: Callable[[Asked, float, float], Model]
    choice: str
    choices: tuple[float, ...]
    drawn: bool = False
    usual: bool = True

    @property
    def phrase(self) -> str:
        """Its label in a sentence, where a comma would part it."""
        return self.label.replace(", gates", " with gates")


def single_gate(asked: Asked, budget: float, rate: float) -> Model:
    """The single-gate mixture: base, gate and one expert cost the budget; its curve is the any-time one."""
    spec = asked.spec

    def cost(width: float) -> ModelCost:
        return model_cost(spec.base, spec.expert, spec.num_classes, spec.image_size, spec.num_experts, width)

    width = TR.budgeted(asked, budget, lambda width: cost(width).macs)
    recipes = {"base_recipe": at_rate(spec.base_recipe, rate), "expert_recipe": at_rate(spec.expert_recipe, rate)}
    made, counted = spec.with_(width=width, **recipes), cost(width)
    params = counted.base_params + counted.gate_params + counted.params_trainable
    training = 3 * training_epochs(made) * counted.base_macs

    def ready(runner: Runner) -> Answer:
        of, load = single_gate_steps.steps(made), runner.load
        experts = [load(expert) for expert in of.experts]
        moe = fastest(build_single_gate(made, load(of.base), load(of.gate), experts), runner)
        return partial(predict, moe, tau=None, rule="top-1")

    points = partial(_anytime, counted)
    return Model(single_gate_steps.goal(made), counted.macs, training, params, ready, points, _by_expert)


def _anytime(cost: ModelCost, tensors: Mapping[str, Tensor]) -> list[Point]:
    answered = answers(Outputs(**tensors))
    one = torch.ones(len(answered.right), dtype=torch.int64)
    swept = [
        Point(f"τ = {tau:g}", top1, float(cost.anytime_macs(answered.used(tau)).double().mean()))
        for tau, top1 in zip(THRESHOLDS, sweep(answered).top1, strict=True)
    ]
    return [Point("one expert", 100 * float(answered.right_with(one).double().mean()), cost.macs), *swept]


def _by_expert(tensors: Mapping[str, Tensor]) -> Tensor:
    return tensors["gate_probs"].argmax(1)


def asked_deepmoe(
    body: Body, asked: Asked, budget: float, lam: float, gate_at: GateAt = "output"
) -> deepmoe_steps.Asked:
    """A DeepMoE, in training as plain networks are; all its channels cost less than two budgets, and λ closes some."""
    spec, network = asked.spec, asked.spec.base if body is TR else body.name
    whole = {"backbone": network, "num_classes": spec.num_classes, "image_size": spec.image_size, "lam": lam}
    model = DeepMoEConfig(**whole, gate_at=gate_at, width=body.budgeted(asked, WIDE * budget))
    one, two = deepmoe_steps.two_stages(asked.trained())
    plain = {"base": network, "expert": network, "width": model.width, "base_recipe": asked.trained()}
    images = spec.with_(**plain, role="control", num_experts=1)
    return deepmoe_steps.Asked(spec=images, model=model, recipe=one, recipe_two=two)


def deepmoe(body: Body, gate_at: GateAt, asked: Asked, budget: float, lam: float) -> Model:
    """The model of :func:`asked_deepmoe`; what it costs an image its gates come to decide."""
    spec, made = asked.spec, asked_deepmoe(body, asked, budget, lam, gate_at)
    one, two, cost = made.recipe, made.recipe_two, deepmoe_cost(made.model)
    assert two
    training = 3 * (one.epochs + two.epochs) * cost.dense_macs + (3 * one.epochs + two.epochs) * cost.gating_macs
    groups = partial(_by_gates, spec.num_experts, spec.seed)
    goal = deepmoe_steps.goal(made)

    def ready(runner: Runner) -> Answer:
        """Only the active channels: of one image those of its gates, of many those of K prototypes of the gates."""
        device = runner.context.device
        (trained,) = goal.steps[0].needs
        model = deepmoe_steps.load(made, runner.load(trained)).eval().to(device).to(memory_format=torch.channels_last)
        model.gating.features = nn.Sequential(fuse(model.gating.features))
        gates_NG = runner.load(goal.steps[0]).tensors["gates"].float().to(device)
        folded = Folded(model.network)
        many = Prototypes(folded, gates_NG, min(spec.num_experts, len(gates_NG.unique(dim=0))), spec.seed)

        def answer(images: Tensor) -> Tensor:
            gates_BG = model.gating(images)[0]
            return folded.gather(gates_BG[0])(images) if len(images) == 1 else many(images, gates_BG)

        return answer

    def by_prototypes(runner: Runner) -> float:
        answer, source = ready(runner), runner.context.sources.batches(spec, "evaluation", Augmentation())
        with torch.inference_mode(), autocast(runner.context.device):
            logits = [torch.as_tensor(answer(batch.images)).float().cpu() for batch in source.clean(MANY)]
        return accuracy(torch.cat(logits), source.labels.cpu())

    points = partial(as_it_is, None, how=f"λ = {lam:g}")
    return Model(goal, None, training, cost.params, ready, points, groups, by_prototypes)


def _by_gates(number: int, seed: int, tensors: Mapping[str, Tensor]) -> Tensor:
    """K-means of which channels are active, into as many groups as the single-gate mixture has experts."""
    from sklearn.cluster import KMeans  # seconds

    active = (tensors["gates"] > 0).float().numpy()
    number = min(number, len(np.unique(active, axis=0)))
    clusters = KMeans(number, n_init=3, random_state=derive(seed, "groups of gates") % 2**32).fit(active)
    return torch.from_numpy(clusters.labels_).long()


def sparse(asked: Asked, budget: float, weight: float) -> Model:
    """A ConvNeXt with Last 2; both balance losses have this weight."""
    width = CONVNEXT.budgeted(asked, budget, lambda width: convnext_cost(asked, width, "last-2")[0])
    balance = {"importance_weight": weight, "load_weight": weight}
    made = convnext_spec(asked, asked.trained(), placement="last-2", width=width, **balance)
    cost, (goal, ready) = sparse_cost(made.model), in_use(sparse_goal(made), partial(load_network, made))
    points, training = partial(as_it_is, cost.macs), 3.0 * made.recipe.epochs * cost.macs
    return Model(goal, cost.macs, training, cost.params, ready, points, partial(_by_token, made))


def _by_token(spec: SparseSpec, tensors: Mapping[str, Tensor]) -> Tensor:
    """The expert that most tokens of an image chose first, in the last mixture."""
    last = chosen_experts(spec, dict(tensors))[-1]
    return tokens_per_image(last[..., :1], spec.model.num_experts).argmax(1)


RATES, LAMBDAS, WEIGHTS = (1.0, 0.5, 2.0, 0.25), (2.0, 1.0, 0.7, 0.5), (0.005, 0.0, 0.02, 0.05)
LAMBDAS_OF_INPUTS = (2.0, 1.2, 1.0, 0.7)
"""Gates on inputs leave more to be computed: when 2, 1 and 0.7 had been tried at laptop scale, the last two were beyond
the budget, and 1.2 took the place of 0.5."""
FAMILIES = (
    Family("single-gate", "single-gate mixture", TR, single_gate, "rate, in the recipe's", RATES),
    Family("DeepMoE", "DeepMoE, gates on outputs", TR, partial(deepmoe, TR, "output"), "λ", LAMBDAS, drawn=True),
    Family("sparse", "sparse Last 2", CONVNEXT, sparse, "weight of the balance losses", WEIGHTS),
    Family("DeepMoE-inputs", "DeepMoE, gates on inputs (Eqs. 3 to 5)", TR, partial(deepmoe, TR, "input"), "λ",
           LAMBDAS_OF_INPUTS, drawn=True, usual=False),
    Family("DeepMoE-native", "DeepMoE on resnet20, gates on outputs", RESNET, partial(deepmoe, RESNET, "output"), "λ",
           LAMBDAS, drawn=True, usual=False),
)  # fmt: skip
"""A line a family, on a body. The single gate is at home on tr-networks, sparse layers on a ConvNeXt. The text leaves
open whether DeepMoE's gates scale what a convolution writes or, as Eqs. (3) to (5) are printed, what it reads.
"""
