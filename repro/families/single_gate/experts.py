"""Step 4 of Algorithm 1: what an expert sees and learns from its share of the data.

Axes: N training images, B images of a batch, C classes, D embedding, K experts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from repro.data.batches import Batch, BatchSource
from repro.errors import TrainingError
from repro.models.backbone import Backbone, Head
from repro.randomness import generator
from repro.training.classifier import on_all_images
from repro.training.compiling import Forward, plain
from repro.training.device import autocast
from repro.training.fit import Step
from repro.training.recipe import Recipe

Sharing = Literal["sampling", "reweighting"]
TrunkBatchNorm = Literal["evaluation", "training"]


def chosen_images(share: Tensor, seed: int, expert: int, epoch: int) -> Tensor:
    """The images that expert k visits in an epoch under ``sampling``: i with probability ``share[i]``; bool ``[N]``."""
    return torch.rand(len(share), generator=generator(seed, "expert", expert, epoch)) < share


class TrunkBatch(NamedTuple):
    """What an expert is trained on: the frozen trunk's features ``[B, T, h, w]``, labels and indices ``[B]``."""

    features: Tensor
    labels: Tensor
    indices: Tensor


@torch.no_grad()
def through_trunk(
    base: Backbone, batches: Iterable[Batch], device: torch.device, forward: Forward = plain
) -> Iterator[TrunkBatch]:
    """Each batch as the frozen trunk of ``base`` shows it."""
    for batch in batches:
        with autocast(device):
            features = forward(base.trunk, batch.images)
        yield TrunkBatch(features, batch.labels, batch.indices)


def expert_loss(
    expert: Head, share: Tensor, sharing: Sharing, k: int, device: torch.device, recipe: Recipe,
    forward: Forward = plain,
) -> Callable[[TrunkBatch, float], Step]:  # fmt: skip
    """The loss of expert k on a batch: cross-entropy, under ``reweighting`` times the images' weights.

    Weights are ``share`` ``[N]`` divided by its mean, so that the learning rate means the same for any K.
    Raises :class:`TrainingError` if the share of the data is empty, or the recipe mixes images.
    """
    if float(share.sum()) == 0:
        raise TrainingError(f"expert {k} has no data: no training image is assigned to it; ask for fewer experts")
    if recipe.mixup or recipe.cutmix:
        raise TrainingError(
            "experts share one pass over the images, each with its own pairs of them: set mixup and cutmix of the "
            "experts' recipe to 0"
        )
    weights = (share / share.mean()).to(device)

    def loss_of(batch: TrunkBatch, done: float) -> Step:
        logits = forward(expert, batch.features).float()
        loss = F.cross_entropy(logits, batch.labels, reduction="none", label_smoothing=recipe.label_smoothing)
        if sharing == "reweighting":
            loss = loss * weights[batch.indices]
        return Step(loss.mean(), (logits.argmax(1) == batch.labels).sum(), len(logits))

    return loss_of


def use_batch_statistics(trunk: nn.Module) -> None:
    """BatchNorm normalises by each batch's statistics and leaves the running ones as they are."""
    for layer in trunk.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.train()
            layer.track_running_stats = False  # neither read nor moved while training; without effect in evaluation


def embed(base: Backbone, source: BatchSource, device: torch.device) -> Tensor:
    """Pre-logits ``[N, D]`` (float32, on the CPU) of all images, not augmented: what K-means and the gate see."""
    (embeddings,) = on_all_images(base, source, device, lambda batch: (base.embed(batch.images).float(),))
    return embeddings
