"""Images of a batch mixed in pairs, on the device: mixup (Zhang et al. 2018) and CutMix (Yun et al. 2019).

As ``torchvision.transforms.v2`` defines both: one λ ~ Beta(α, α) a batch, each image with the one before it.
Axes: B images of a batch, S pixels a side, C classes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor

from repro.data.batches import Batch
from repro.randomness import derive


def mixed(
    batches: Iterable[Batch], mixup: float, cutmix: float, num_classes: int, seed: int, purpose: str, epoch: int
) -> Iterator[Batch]:
    """The batches of an epoch, mixed: labels ``[B]`` become distributions, float32 ``[B, C]``.

    ``mixup`` and ``cutmix`` are the α of each, 0 for none; with both, a batch has one or the other with probability
    1/2, and with neither it stays as it is. What is drawn is a function of (seed, purpose, epoch, step), on the host:
    nothing waits for the device.
    """
    ways = [(way, alpha) for way, alpha in ((mix_up, mixup), (cut_mix, cutmix)) if alpha]
    if not ways:
        yield from batches
        return
    for step, batch in enumerate(batches):
        random = np.random.default_rng(derive(seed, "mixing", purpose, epoch, step))
        way, alpha = ways[random.integers(len(ways))]
        images, share = way(batch.images, float(random.beta(alpha, alpha)), random)
        yield Batch(images, mixed_labels(batch.labels, share, num_classes), batch.indices)


def mix_up(images: Tensor, share: float, random: np.random.Generator) -> tuple[Tensor, float]:
    """``share`` of each of the images ``[B, 3, S, S]`` plus the rest of the one before it; and that share."""
    return images * share + _before(images) * (1 - share), share


def cut_mix(images: Tensor, share: float, random: np.random.Generator) -> tuple[Tensor, float]:
    """The images ``[B, 3, S, S]`` with a box out of the one before each; and the share of its own pixels.

    The box has the share ``1 - share`` of the area where it is not clipped at the borders.
    """
    height, width = images.shape[-2:]
    x, y = int(random.integers(width)), int(random.integers(height))
    half = 0.5 * math.sqrt(1 - share)
    rows = slice(max(y - int(half * height), 0), min(y + int(half * height), height))
    columns = slice(max(x - int(half * width), 0), min(x + int(half * width), width))
    images = images.clone()
    images[..., rows, columns] = _before(images[..., rows, columns])
    return images, 1 - (rows.stop - rows.start) * (columns.stop - columns.start) / (height * width)


def mixed_labels(labels: Tensor, share: float, num_classes: int) -> Tensor:
    """Distributions ``[B, C]``: ``share`` on the labels ``[B]``, the rest on the one before each."""
    own = labels.new_zeros(len(labels), num_classes, dtype=torch.float32).scatter_(1, labels[:, None], share)
    return own.scatter_add_(1, _before(labels)[:, None], torch.full_like(own[:, :1], 1 - share))


def _before(rows: Tensor) -> Tensor:
    """The row before each, of the first the last; unlike ``roll`` it leaves the layout in memory as it is."""
    return torch.cat([rows[-1:], rows[:-1]])
