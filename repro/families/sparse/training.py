"""A sparse network's way through the one training loop, and what it then says of images.

Axes: M images, B images of a batch, T tokens of an image, K choices of a token, E experts, C classes.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from repro.analysis.chosen_experts import tokens_per_image
from repro.data.batches import Batch, BatchSource
from repro.families.sparse.config import SparseConfig
from repro.families.sparse.model import SparseNetwork, SparseOutput, build
from repro.progress import say
from repro.randomness import seeded
from repro.training.classifier import classification, on_all_images, train_classifier
from repro.training.fit import Epoch, Report, Step
from repro.training.recipe import Recipe

IDLE = 0.1
"""An expert with less than this part of an equal share of an epoch's tokens is named as dead."""


def make_network(config: SparseConfig, seed: int) -> SparseNetwork:
    """The network with its first weights, a function of (config, seed)."""
    with seeded(seed, "sparse", config.network):
        return build(config)


def train_network(
    network: SparseNetwork,
    config: SparseConfig,
    recipe: Recipe,
    source: BatchSource,
    device: torch.device,
    seed: int,
    checkpoint: Path | None = None,
    report: Report = lambda epoch, history: None,
) -> list[Epoch]:
    """Train, in place; experts that get next to no tokens are named after each epoch.

    The arguments and errors are those of :func:`repro.training.classifier.train_classifier`.
    """

    def hear(epoch: int, history: Epoch) -> None:
        if idle := idle_experts(history):
            say(f"{config.network}, epoch {epoch + 1}: next to no tokens for {'; '.join(idle)}")
        report(epoch, history)

    step = sparse_step(network, config, recipe)
    return train_classifier(network, source, recipe, step, device, "sparse", seed, checkpoint, hear)


def sparse_step(network: SparseNetwork, config: SparseConfig, recipe: Recipe) -> Callable[[Batch, float], Step]:
    """A step: cross-entropy, the two balance losses by name, and each mixture's load and dropped share."""

    def step(batch: Batch, done: float) -> Step:
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
