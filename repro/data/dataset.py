"""One value for every image set.

Axes: N images, C classes, M modes, H x W pixels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch

from repro.randomness import generator

Split = Literal["train", "test"]


@dataclass(frozen=True)
class ImageDataset:
    """Images in memory (or mapped from a file) with their labels.

    images       uint8 ``[N, 3, H, W]``, RGB; a NumPy array, possibly read-only memory-mapped
    labels       int64 ``[N]`` in ``[0, C)``
    class_names  C names, in label order
    mean, std    per channel, in units of [0, 1]; what normalisation subtracts and divides by
    modes        int64 ``[N]`` in ``[0, M)``: the true mode of each image, where it is known (``modes`` only)
    boxes        float32 ``[N, 4]``: left, top, right, bottom of what the label names, in pixels from the top left
                 corner (right and bottom are the first that lie outside), where they are known
    """

    name: str
    split: str
    images: np.ndarray
    labels: np.ndarray
    class_names: tuple[str, ...]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    modes: np.ndarray | None = None
    boxes: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def num_classes(self) -> int:
        return len(self.class_names)

    @property
    def image_size(self) -> int:
        """Side of the square images, in pixels."""
        return int(self.images.shape[-1])

    def select(self, indices: np.ndarray, split: str | None = None) -> ImageDataset:
        """The images at ``indices``, in that order."""
        return replace(
            self,
            split=split or self.split,
            images=self.images[indices],
            labels=self.labels[indices],
            modes=None if self.modes is None else self.modes[indices],
            boxes=None if self.boxes is None else self.boxes[indices],
        )

    def holdout(self, fraction: float = 0.1) -> tuple[ImageDataset, ImageDataset]:
        """Split into (fit, validation), stratified by class; the same for every seed of a study.

        Everything that is tuned is tuned on the validation part, never on the test set.
        """
        held = np.zeros(len(self), bool)
        for label in range(self.num_classes):
            members = np.flatnonzero(self.labels == label)
            order = torch.randperm(len(members), generator=generator(0, "holdout", label)).numpy()
            held[members[order[: round(fraction * len(members))]]] = True
        return self.select(np.flatnonzero(~held), "fit"), self.select(np.flatnonzero(held), "validation")
