"""Batches of images that live on the device: order and augmentation are pure functions of (seed, epoch).

Axes: N images of the set, B images of a batch, S pixels a side, C classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from repro.data.augment import Augmentation, Draws, cutout, draw_epoch, flip_some, pad_crop, resized_crop
from repro.data.dataset import ImageDataset
from repro.randomness import generator


class Batch(NamedTuple):
    """images float32 ``[B, 3, S, S]``, normalised, channels last in memory; labels, indices in the set: ``[B]``."""

    images: Tensor
    labels: Tensor
    indices: Tensor


class BatchSource(Protocol):
    """What training and evaluation ask of a set of images, in memory or streamed."""

    labels: Tensor
    num_classes: int
    image_size: int
    augmentation: Augmentation
    device: torch.device
    normalise: Callable[[Tensor], Tensor]

    def __len__(self) -> int:
        return len(self.labels)

    def num_steps(self, batch_size: int, chosen: Tensor | None = None) -> int:
        """Steps of one training epoch."""
        return num_steps(len(self) if chosen is None else int(chosen.sum()), batch_size)

    def train(
        self, seed: int, epoch: int, batch_size: int, chosen: Tensor | None = None, fill: bool = False
    ) -> Iterator[Batch]:
        """One epoch of augmented batches over the images where ``chosen`` ``[N]`` is set (all, without it).

        Images that make no whole batch are left out; with ``fill`` they come last, in a batch filled up
        with the epoch's first images.
        """

    def clean(self, batch_size: int, chosen: Tensor | None = None) -> Iterator[Batch]:
        """The chosen images (all, without it) once, in order, not augmented; the last batch may be smaller."""

    def visited(self, chosen: Tensor | None) -> Tensor:
        """The indices ``[n]`` of the chosen images (all, without it) in order, on the host."""
        return torch.arange(len(self)) if chosen is None else chosen.cpu().nonzero()[:, 0]

    def augmented(self, images: Tensor, draws: Draws) -> Tensor:
        """Cropped images ``[B, 3, S, S]`` flipped, normalised and cut out, by their rows of an epoch's draws."""
        if self.augmentation.flip:
            images = flip_some(images, draws.flip)
        images = self.normalise(images)
        return cutout(images, draws.hole, self.augmentation.cutout) if self.augmentation.cutout else images


def epoch_order(num_images: int, seed: int, epoch: int, chosen: Tensor | None = None) -> Tensor:
    """The order ``[n]`` in which an epoch visits the chosen images.

    One permutation of all N images an epoch; an expert visits its own images in that same order, so
    what it sees does not depend on which other experts are trained.
    """
    order = torch.randperm(num_images, generator=generator(seed, "order", epoch))
    return order if chosen is None else order[chosen[order]]


def batch_orders(order: Tensor, batch_size: int, fill: bool = False) -> tuple[Tensor, ...]:
    """The images ``[b]`` of each batch of an epoch: whole batches only, or one small batch.

    With ``fill`` nothing is left out: the order is filled up to whole batches from its own beginning.
    """
    if not fill:
        return order[: num_steps(len(order), batch_size) * batch_size].split(batch_size)
    whole = -(-len(order) // batch_size) * batch_size
    return order.repeat(-(-whole // max(len(order), 1)))[:whole].split(batch_size)


def num_steps(num_images: int, batch_size: int) -> int:
    """Steps of an epoch: whole batches only, or one small batch if there are fewer images than that."""
    return max(num_images // batch_size, 1)


def normaliser(
    mean: tuple[float, float, float], std: tuple[float, float, float], device: torch.device
) -> Callable[[Tensor], Tensor]:
    """uint8 or float ``[B, 3, S, S]`` in [0, 255] -> normalised float32, channels last in memory."""
    scale = (1 / (255 * torch.tensor(std)))[:, None, None].to(device)
    shift = (torch.tensor(mean) / torch.tensor(std))[:, None, None].to(device)

    def normalise(images: Tensor) -> Tensor:
        return images.to(torch.float32, memory_format=torch.channels_last, copy=True).mul_(scale).sub_(shift)

    return normalise


class DeviceBatches(BatchSource):
    """A set of images kept on the device as uint8; crops, flips and Cutout happen there, a batch at a time."""

    def __init__(self, dataset: ImageDataset, augmentation: Augmentation, device: torch.device) -> None:
        self.augmentation = augmentation
        self.device = device
        self.num_classes = dataset.num_classes
        self.image_size = dataset.image_size
        self.labels = torch.from_numpy(np.array(dataset.labels)).to(device)
        self._pad = pad = augmentation.pad if augmentation.crop == "pad" else 0
        images = torch.from_numpy(np.ascontiguousarray(dataset.images.transpose(0, 2, 3, 1)))
        self._padded = F.pad(images, (0, 0, pad, pad, pad, pad)).to(device)  # [N, S + 2 pad, S + 2 pad, 3]
        self.normalise = normaliser(dataset.mean, dataset.std, device)

    def train(
        self, seed: int, epoch: int, batch_size: int, chosen: Tensor | None = None, fill: bool = False
    ) -> Iterator[Batch]:
        order = epoch_order(len(self), seed, epoch, None if chosen is None else chosen.cpu()).to(self.device)
        draws = draw_epoch(self.augmentation, len(self), self.image_size, seed, epoch)
        draws = Draws(*(table.to(self.device) for table in draws))
        for indices in batch_orders(order, batch_size, fill):
            row = draws.rows(indices)
            if self.augmentation.crop == "pad":
                images = pad_crop(self._padded, indices, row.offset, self.image_size)
            else:
                images = self._plain(indices)
            if self.augmentation.crop == "resized":
                images = resized_crop(images.float(), row.box, self.image_size)
            yield Batch(self.augmented(images, row), self.labels[indices], indices)

    def clean(self, batch_size: int, chosen: Tensor | None = None) -> Iterator[Batch]:
        for indices in self.visited(chosen).to(self.device).split(batch_size):
            yield Batch(self.normalise(self._plain(indices)), self.labels[indices], indices)

    def _plain(self, indices: Tensor) -> Tensor:
        size, pad = self.image_size, self._pad
        return self._padded[indices, pad : pad + size, pad : pad + size].permute(0, 3, 1, 2)
