"""Steps 1 and 4 of Algorithm 1: the base model, and experts trained apart on their share of the data.

Axes: N training images, B images of a batch, C classes, D embedding, K experts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from repro.data.batches import Batch, BatchSource
from repro.errors import TrainingError
from repro.method.classifier import classification, train_classifier
from repro.method.compiling import forward_on
from repro.method.device import autocast
from repro.method.fit import Epoch, Report, Step, fit
from repro.method.recipe import Recipe
from repro.models.backbone import Backbone, Head
from repro.models.registry import freeze
from repro.randomness import generator

Sharing = Literal["sampling", "reweighting"]
TrunkBatchNorm = Literal["evaluation", "training"]
EVALUATION_BATCH = 512


def train_base(
    base: Backbone, source: BatchSource, recipe: Recipe, seed: int, device: torch.device,
    checkpoint: Path | None = None, report: Report = lambda epoch, history: None,
) -> list[Epoch]:  # fmt: skip
    """Step 1: train the base model φ on the whole training set, in place."""
    forward = forward_on(device, recipe.batch_size)

    def step(batch: Batch, done: float) -> Step:
        return classification(forward(base, batch.images), batch.labels, recipe)

    return train_classifier(base, source, recipe, step, device, f"base {base.name}", seed, checkpoint, report)


def chosen_images(share: Tensor, seed: int, expert: int, epoch: int) -> Tensor:
    """The images that expert k visits in an epoch under ``sampling``: i with probability ``share[i]``; bool ``[N]``."""
    return torch.rand(len(share), generator=generator(seed, "expert", expert, epoch)) < share


class Seen(NamedTuple):
    """What an expert is trained on: the frozen trunk's features ``[B, T, h, w]``, labels and indices ``[B]``."""

    features: Tensor
    labels: Tensor
    indices: Tensor


@torch.no_grad()
def through_trunk(base: Backbone, batches: Iterable[Batch], device: torch.device, batch_size: int) -> Iterator[Seen]:
    """Each batch (``batch_size``: of a whole one) as the frozen trunk of ``base`` shows it."""
    forward = forward_on(device, batch_size)
    for batch in batches:
        with autocast(device):
            features = forward(base.trunk, batch.images)
        yield Seen(features, batch.labels, batch.indices)


def expert_loss(
    expert: Head, share: Tensor, sharing: Sharing, k: int, device: torch.device, recipe: Recipe
) -> Callable[[Seen, float], Step]:
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
    forward = forward_on(device, recipe.batch_size)

    def loss_of(seen: Seen, done: float) -> Step:
        logits = forward(expert, seen.features).float()
        loss = F.cross_entropy(logits, seen.labels, reduction="none", label_smoothing=recipe.label_smoothing)
        if sharing == "reweighting":
            loss = loss * weights[seen.indices]
        return Step(loss.mean(), (logits.argmax(1) == seen.labels).sum(), len(logits))

    return loss_of


def train_expert(
    expert: Head, base: Backbone, source: BatchSource, share: Tensor, sharing: Sharing, recipe: Recipe,
    seed: int, k: int, device: torch.device,
    checkpoint: Path | None = None, report: Report = lambda epoch, history: None,
    trunk_batchnorm: TrunkBatchNorm = "evaluation",
) -> list[Epoch]:  # fmt: skip
    """Step 4: train expert k, in place, on trunk features of the frozen base.

    share  Γ(g0(k|x)) of every training image, ``[N]`` in [0, 1]
    ``sampling``     an epoch visits image i with probability ``share[i]``
    ``reweighting``  an epoch visits every image and weighs its loss by ``share[i]`` (divided by the
                     mean share, so that the learning rate means the same for any K)

    ``trunk_batchnorm`` is ours to choose: the frozen trunk normalises by its running statistics, or,
    while experts train, by each batch's (its weights and running statistics stay as they are).

    What expert k sees depends on (seed, k, epoch) alone, never on the other experts; so (but for a trunk
    that normalises by batches) :func:`~repro.method.one_pass.train_experts` makes the same experts from one pass.
    Raises :class:`TrainingError` if its share of the data is empty.
    """
    share = share.cpu()
    base.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    expert.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    freeze(base)
    if trunk_batchnorm == "training":
        use_batch_statistics(base.trunk)

    def chosen(epoch: int) -> Tensor | None:
        return chosen_images(share, seed, k, epoch) if sharing == "sampling" else None

    history = fit(
        expert, recipe,
        lambda epoch: through_trunk(
            base, source.train(seed, epoch, recipe.batch_size, chosen(epoch)), device, recipe.batch_size
        ),
        lambda epoch: source.num_steps(recipe.batch_size, chosen(epoch)),
        expert_loss(expert, share, sharing, k, device, recipe), device, f"expert {k}", seed, checkpoint, report,
    )  # fmt: skip
    freeze(base)
    return history


def use_batch_statistics(trunk: nn.Module) -> None:
    """BatchNorm normalises by each batch's statistics and leaves the running ones as they are."""
    for layer in trunk.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.train()
            layer.track_running_stats = False  # neither read nor moved while training; without effect in evaluation


@torch.no_grad()
def embed(base: Backbone, source: BatchSource, device: torch.device) -> Tensor:
    """Pre-logits ``[N, D]`` (float32, on the CPU) of all images, not augmented: what K-means and the gate see."""
    freeze(base.to(device, memory_format=torch.channels_last))  # type: ignore[call-overload]
    rows = []
    for batch in source.clean(EVALUATION_BATCH):
        with autocast(device):
            rows.append(base.embed(batch.images).float())
    return torch.cat(rows).cpu()
