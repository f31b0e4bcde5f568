"""What all networks that are trained to tell classes apart have in common: their step and their batches.

Axes: B images of a batch, C classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from repro.data.batches import Batch, BatchSource
from repro.data.mixing import mixed
from repro.models.backbone import Backbone
from repro.models.registry import freeze
from repro.training.compiling import Forward, forward_on
from repro.training.device import EVALUATION_BATCH, autocast
from repro.training.fit import NOTHING, Epoch, Report, Step, Training, fit
from repro.training.recipe import Recipe


def classification(
    logits: Tensor,
    labels: Tensor,
    recipe: Recipe,
    auxiliary: Mapping[str, Tensor] = NOTHING,
    statistics: Mapping[str, Tensor] = NOTHING,
) -> Step:
    """The step of a classifier: mean cross-entropy in single precision, smoothed as the recipe says.

    ``logits`` are ``[B, C]``; ``labels`` classes ``[B]`` or, of mixed images, distributions ``[B, C]``, of which the
    most probable class is the right one; the rest is :class:`~repro.training.fit.Step`'s.
    """
    logits = logits.float()
    loss = F.cross_entropy(logits, labels, label_smoothing=recipe.label_smoothing)
    right = labels if labels.ndim == 1 else labels.argmax(1)
    return Step(loss, (logits.argmax(1) == right).sum(), len(logits), auxiliary, statistics)


def train_classifier(
    network: nn.Module,
    source: BatchSource,
    recipe: Recipe,
    step: Callable[[Batch, float], Step],
    device: torch.device,
    what: str,
    seed: int,
    checkpoint: Path | None = None,
    report: Report = lambda epoch, history: None,
) -> list[Epoch]:
    """Train a network, in place, on all images of ``source``, augmented, and mixed if the recipe mixes.

    ``what`` is the purpose of what is drawn for mixing, too; the rest is :class:`~repro.training.fit.Training`'s.
    """
    network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def batches(epoch: int) -> tuple[int, Iterable[Batch]]:
        images = source.train(seed, epoch, recipe.batch_size)
        mixes = mixed(images, recipe.mixup, recipe.cutmix, source.num_classes, seed, what, epoch)
        return source.num_steps(recipe.batch_size), mixes

    return fit(Training(network, recipe, step, device, what, seed, checkpoint, report), batches)


def forward_in(recipe: Recipe, source: BatchSource, device: torch.device) -> Forward:
    """How networks are called that are trained by a recipe on all images of a source."""
    return forward_on(device, recipe.batch_size, recipe.epochs * source.num_steps(recipe.batch_size))


def train_base(
    base: Backbone, source: BatchSource, recipe: Recipe, seed: int, device: torch.device,
    checkpoint: Path | None = None, report: Report = lambda epoch, history: None,
) -> list[Epoch]:  # fmt: skip
    """Step 1: train the base model φ on the whole training set, in place."""
    forward = forward_in(recipe, source, device)

    def step(batch: Batch, done: float) -> Step:
        return classification(forward(base, batch.images), batch.labels, recipe)

    return train_classifier(base, source, recipe, step, device, f"base {base.name}", seed, checkpoint, report)


@torch.no_grad()
def on_all_images(
    network: nn.Module, source: BatchSource, device: torch.device, answer: Callable[[Batch], Iterable[Tensor]],
    chosen: Tensor | None = None,
) -> list[Tensor]:  # fmt: skip
    """What ``answer`` makes of every batch, ``[B, ...]`` each, for all images, ``[N, ...]`` each, on the CPU.

    ``network`` is what it runs, frozen here; the images (all, or those where ``chosen`` ``[N]`` is set) are in order
    and not augmented.
    """
    freeze(network.to(device, memory_format=torch.channels_last))  # type: ignore[call-overload]
    return of_all_images(source, device, answer, chosen)


def of_all_images(
    source: BatchSource, device: torch.device, answer: Callable[[Batch], Iterable[Tensor]],
    chosen: Tensor | None = None,
) -> list[Tensor]:  # fmt: skip
    """:func:`on_all_images` of what is no module, or needs no preparation."""
    answers = []
    for batch in source.clean(EVALUATION_BATCH, chosen):
        with autocast(device):
            answers.append([tensor.cpu() for tensor in answer(batch)])
    return [torch.cat(batches) for batches in zip(*answers, strict=True)]
