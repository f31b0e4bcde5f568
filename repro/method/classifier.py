"""What all networks that are trained to tell classes apart have in common: their step and their batches.

Axes: B images of a batch, C classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from repro.data.batches import Batch, BatchSource
from repro.data.mixing import mixed
from repro.method.fit import NOTHING, Epoch, Report, Step, fit
from repro.method.recipe import Recipe


def classification(
    logits: Tensor,
    labels: Tensor,
    recipe: Recipe,
    auxiliary: Mapping[str, Tensor] = NOTHING,
    statistics: Mapping[str, Tensor] = NOTHING,
) -> Step:
    """The step of a classifier: mean cross-entropy in single precision, smoothed as the recipe says.

    Args:
        logits: ``[B, C]``.
        labels: Classes ``[B]`` or, of mixed images, distributions ``[B, C]``; the most probable class is the right one.
        recipe: Has the label smoothing.
        auxiliary: As in :class:`~repro.method.fit.Step`.
        statistics: As in :class:`~repro.method.fit.Step`.
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

    ``what`` is the purpose of what is drawn for mixing and inside the network; the rest is :func:`fit`'s.
    """
    network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def batches(epoch: int) -> Iterator[Batch]:
        images = source.train(seed, epoch, recipe.batch_size)
        return mixed(images, recipe.mixup, recipe.cutmix, source.num_classes, seed, what, epoch)

    steps = source.num_steps(recipe.batch_size)
    return fit(network, recipe, batches, lambda epoch: steps, step, device, what, seed, checkpoint, report)
