"""A sparse network in steps: the network, trained; and its predictions, with the experts that each token chose.

Axes: M images, B images of a batch, T tokens of an image, K choices of a token, E experts, C classes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from repro.analysis.chosen_experts import tokens_per_image
from repro.data.augment import Augmentation
from repro.data.batches import Batch, BatchSource
from repro.families.sparse.config import SparseConfig
from repro.families.sparse.cost import sparse_cost
from repro.families.sparse.model import SparseNetwork, SparseOutput, build
from repro.families.sparse.scales import SparseSpec
from repro.models.registry import with_weights
from repro.progress import say
from repro.randomness import seeded
from repro.study.artifact import Artifact, trained
from repro.study.graph import BACKWARD, FORWARD, Context, Goal, Inputs, Step
from repro.training.classifier import classification, on_all_images, train_classifier
from repro.training.fit import Epoch, Report
from repro.training.fit import Step as TrainingStep
from repro.training.recipe import Recipe

REVISIONS = {"network": 2, "predictions": 2}  # raised when code makes other numbers (``test_golden.py`` says so)
IDLE = 0.1
"""An expert with less than this part of an equal share of an epoch's tokens is named as dead."""


class Steps(NamedTuple):
    """The steps of one spec."""

    network: Step
    predictions: Step


def goal(spec: SparseSpec | str) -> Goal:
    """The predictions of a spec (or of its JSON)."""
    asked = spec if isinstance(spec, SparseSpec) else SparseSpec.model_validate_json(spec)
    return Goal(asked.label, (steps(asked).predictions,), f"{__name__}:goal", asked.model_dump_json())


@cache
def steps(spec: SparseSpec) -> Steps:
    """What a spec is made of."""
    (train, test), macs = spec.num_images, sparse_cost(spec.model).macs
    how = {"model": spec.model.model_dump(mode="json"), "recipe": spec.recipe.settings, "seed": spec.seed}
    network = Step(
        "network", {**spec.trained_on(), **how, "revision": REVISIONS["network"]},
        partial(_make_network, spec), (), spec.label, spec.recipe.epochs * BACKWARD * train * macs, spec.recipe.epochs,
    )  # fmt: skip
    predictions = Step(
        "predictions", {**spec.evaluated_on(), "revision": REVISIONS["predictions"]},
        partial(_make_predictions, spec), (network,), f"predictions of {spec.label}", FORWARD * test * macs,
    )  # fmt: skip
    return Steps(network, predictions)


def load_network(spec: SparseSpec, artifact: Artifact) -> SparseNetwork:
    """The trained network of an artifact, in evaluation mode."""
    return with_weights(lambda: build(spec.model), artifact.tensors).eval()


def chosen_experts(spec: SparseSpec, tensors: dict[str, Tensor]) -> list[Tensor]:
    """The experts of each token of predictions, int64 ``[M, T, K]``, mixture by mixture; without a class token."""
    first = 1 if spec.model.shape.body == "vit" else 0
    return [tensors[name][:, first:].long() for name in sorted(tensors) if name.startswith("experts")]


def _make_network(spec: SparseSpec, context: Context, inputs: Inputs) -> Artifact:
    with seeded(spec.seed, "sparse", spec.model.network):
        network = build(spec.model)
    source = context.sources.batches(spec, "train", spec.recipe.augmentation)
    history = train_network(
        network, spec.model, spec.recipe, source, context.device, spec.seed, inputs.checkpoint, inputs.report
    )
    return trained(network, history)


def _make_predictions(spec: SparseSpec, context: Context, inputs: Inputs) -> Artifact:
    images = context.sources.batches(spec, "evaluation", Augmentation())
    tensors = predict(load_network(spec, inputs["network"]), images, context.device)
    return Artifact({**tensors, "macs": torch.full((len(tensors["labels"]),), sparse_cost(spec.model).macs)})


def train_network(
    network: SparseNetwork, config: SparseConfig, recipe: Recipe, source: BatchSource, device: torch.device, seed: int,
    checkpoint: Path | None = None, report: Report = lambda epoch, history: None,
) -> list[Epoch]:  # fmt: skip
    """Train, in place; experts that get next to no tokens are named after each epoch.

    The arguments and errors are those of :func:`repro.training.classifier.train_classifier`.
    """

    def hear(epoch: int, history: Epoch) -> None:
        if idle := idle_experts(history):
            say(f"{config.network}, epoch {epoch + 1}: next to no tokens for {'; '.join(idle)}")
        report(epoch, history)

    step = sparse_step(network, config, recipe)
    return train_classifier(network, source, recipe, step, device, "sparse", seed, checkpoint, hear)


def sparse_step(network: SparseNetwork, config: SparseConfig, recipe: Recipe) -> Callable[[Batch, float], TrainingStep]:
    """A step: cross-entropy, the two balance losses by name, and each mixture's load and dropped share."""

    def step(batch: Batch, done: float) -> TrainingStep:
        out = network(batch.images)
        return classification(out.logits, batch.labels, recipe, balance_losses(out, config), loads(out, config))

    return step


def balance_losses(out: SparseOutput, config: SparseConfig) -> dict[str, Tensor]:
    """``importance`` and ``load``: means over the mixtures, times their weights; those with weight 0 left out."""
    weights = {"importance": config.importance_weight, "load": config.load_weight}
    each = {
        name: [c.losses[name] for c in out.choices if name in c.losses] for name, weight in weights.items() if weight
    }
    return {name: weights[name] * torch.stack(values).mean() for name, values in each.items() if values}


def loads(out: SparseOutput, config: SparseConfig) -> dict[str, Tensor]:
    """Of mixture 1, 2, ...: ``experts i`` ``[E]``, chosen pairs in equal shares; ``dropped i``, what found no place."""
    shares = {}
    for number, choice in enumerate(out.choices, 1):
        counts = tokens_per_image(choice.experts_NK[None], config.num_experts)[0]
        shares[f"experts {number}"] = counts * (config.num_experts / choice.experts_NK.numel())
        if choice.kept_NK is not None:
            shares[f"dropped {number}"] = 1 - choice.kept_NK.float().mean()
    return shares


def idle_experts(history: Epoch) -> list[str]:
    """Those with less than :data:`IDLE` of an equal share, e.g. ``experts 3, 5 of mixture 2`` (counted from 0)."""
    phrases = []
    for name, load in history.means.items():
        if name.startswith("experts ") and (idle := [str(e) for e, share in enumerate(load) if share < IDLE]):
            phrases.append(
                f"expert{'s' * (len(idle) > 1)} {', '.join(idle)} of mixture {name.removeprefix('experts ')}"
            )
    return phrases


def predict(network: SparseNetwork, source: BatchSource, device: torch.device) -> dict[str, Tensor]:
    """What a trained network says of all images, not augmented, dropless.

    Returns:
        ``logits`` float32 ``[M, C]``, ``labels`` ``[M]``, and of each mixture ``experts-001``, ``experts-002`` ...:
        int16 ``[M, T, K]``, best first; of a ViT, token 0 is the class token.
    """

    def answer(batch: Batch) -> list[Tensor]:
        out = network(batch.images)
        chosen = [choice.experts_NK.unflatten(0, (len(batch.labels), -1)) for choice in out.choices]
        return [out.logits.float(), *(each.to(torch.int16) for each in chosen)]

    logits, *experts = on_all_images(network, source, device, answer)
    by_mixture = {f"experts-{i:03d}": each for i, each in enumerate(experts, 1)}
    return {"logits": logits, "labels": source.labels.cpu(), **by_mixture}
