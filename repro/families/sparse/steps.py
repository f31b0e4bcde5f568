"""A sparse network in steps: the network, trained; and its predictions, with the experts that each token chose.

Axes: M images, T tokens of an image, K choices of a token, E experts, C classes.
"""

from __future__ import annotations

from functools import cache, partial
from typing import NamedTuple

import torch
from torch import Tensor

from repro.data.augment import Augmentation
from repro.families.sparse.cost import sparse_cost
from repro.families.sparse.model import SparseNetwork, build
from repro.families.sparse.scales import SparseSpec
from repro.families.sparse.training import make_network, predict, train_network
from repro.models.registry import with_weights
from repro.study.artifact import Artifact, trained
from repro.study.graph import BACKWARD, FORWARD, Context, Goal, Inputs, Step

REVISIONS = {"network": 2, "predictions": 2}  # raised when code makes other numbers (``test_golden.py`` says so)


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
    network = make_network(spec.model, spec.seed)
    source = context.sources.batches(spec, "train", spec.recipe.augmentation)
    history = train_network(
        network, spec.model, spec.recipe, source, context.device, spec.seed, inputs.checkpoint, inputs.report
    )
    return trained(network, history)


def _make_predictions(spec: SparseSpec, context: Context, inputs: Inputs) -> Artifact:
    images = context.sources.batches(spec, "evaluation", Augmentation())
    tensors = predict(load_network(spec, inputs["network"]), images, context.device)
    return Artifact({**tensors, "macs": torch.full((len(tensors["labels"]),), sparse_cost(spec.model).macs)})
