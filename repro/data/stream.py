"""Batches of a set too large for memory: decoded as they are needed, behind the same interface.

Crops are cut while decoding (from the full-size image, antialiased), on threads; flips and
normalisation happen batched on the device. Order, crops and flips are the same pure functions of
(seed, epoch, image) as for images in memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from repro.data.augment import Augmentation, Draws, draw_epoch
from repro.data.batches import Batch, BatchSource, batch_orders, epoch_order, normaliser
from repro.data.imagenet import ImageFolderIndex, center_crop, read_image, resized_crop
from repro.errors import DataError

THREADS = 8  # that decode
AHEAD = 4  # batches that are decoded before they are asked for


class StreamBatches(BatchSource):
    """A :class:`~repro.data.batches.BatchSource` over image files."""

    def __init__(
        self, index: ImageFolderIndex, augmentation: Augmentation, device: torch.device, size: int, resize: int
    ) -> None:
        """``size`` is the images' side in pixels, ``resize`` the shorter side before the central square is cut."""
        if augmentation.crop == "pad":
            raise DataError("images that are streamed have no common size: use crop 'resized' or 'none', not 'pad'")
        self.index = index
        self.augmentation = augmentation
        self.device = device
        self.num_classes = index.num_classes
        self.image_size = size
        self.labels = torch.from_numpy(np.array(index.labels)).to(device)
        self._resize = resize
        self.normalise = normaliser(index.mean, index.std, device)

    def train(
        self, seed: int, epoch: int, batch_size: int, chosen: Tensor | None = None, fill: bool = False
    ) -> Iterator[Batch]:
        order = epoch_order(len(self), seed, epoch, None if chosen is None else chosen.cpu())
        draws = draw_epoch(self.augmentation, len(self), self.image_size, seed, epoch)
        for indices, pixels in self._decoded(batch_orders(order, batch_size, fill), draws):
            images = pixels.to(self.device, non_blocking=True)
            row = Draws(*(table.to(self.device) for table in draws.rows(indices)))
            yield self._batch(self.augmented(images, row), indices)

    def clean(self, batch_size: int, chosen: Tensor | None = None) -> Iterator[Batch]:
        for indices, pixels in self._decoded(self.visited(chosen).split(batch_size), None):
            yield self._batch(self.normalise(pixels.to(self.device, non_blocking=True)), indices)

    def _batch(self, images: Tensor, indices: Tensor) -> Batch:
        here = indices.to(self.device)
        return Batch(images, self.labels[here], here)

    def _decoded(self, batches: tuple[Tensor, ...], draws: Draws | None) -> Iterator[tuple[Tensor, Tensor]]:
        """Indices ``[B]`` and pixels uint8 ``[B, 3, S, S]`` of each batch, a few batches ahead of whoever asks."""
        with ThreadPoolExecutor(THREADS) as pool:
            todo = iter(batches)
            queue = [(b, [pool.submit(self._cut, i, draws) for i in b.tolist()]) for b in islice(todo, AHEAD)]
            while queue:
                indices, jobs = queue.pop(0)
                yield indices, torch.from_numpy(np.stack([job.result() for job in jobs]))
                queue += [(b, [pool.submit(self._cut, i, draws) for i in b.tolist()]) for b in islice(todo, 1)]

    def _cut(self, i: int, draws: Draws | None) -> np.ndarray:
        """Image i as uint8 ``[3, S, S]``: its random crop of this epoch, or the centre."""
        image, size = read_image(self.index.paths[i]), self.image_size
        if draws is None or self.augmentation.crop == "none":
            return center_crop(image, self._resize, size)
        area, log_ratio, top, left = draws.box[i].tolist()
        return resized_crop(image, area, log_ratio, top, left, size)
