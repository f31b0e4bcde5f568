"""Images to experts and back: who runs what was decided elsewhere; here it is carried out without waste.

The decision is a table of (image, expert) pairs. Pairs are put in order of expert, so that each
expert's images are one contiguous slice and one call; what comes out goes back by the same table.
Axes: B images of a batch, K experts, P selected pairs, C classes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Dispatch:
    """Selected pairs in order of expert, and of image within an expert.

    images  int64 ``[P]``: the image of each pair
    counts  K numbers: how many images each expert gets; their sum is P
    size    B
    """

    images: Tensor
    counts: tuple[int, ...]
    size: int

    @classmethod
    def of(cls, selected: Tensor) -> Dispatch:
        """The plan of ``selected``, bool ``[B, K]``. Waits for the device once, for the counts."""
        # Of a fixed size, so that the device need not be asked how many there are.
        pairs = torch.nonzero_static(selected.t(), size=selected.numel())
        counts = tuple(selected.sum(0).tolist())
        return cls(pairs[: sum(counts), 1], counts, len(selected))

    @property
    def any(self) -> bool:
        """Whether any image goes to any expert."""
        return sum(self.counts) > 0

    def slices(self) -> Iterator[tuple[int, slice]]:
        """(expert, its slice of the pairs), for each expert that has any."""
        begin = 0
        for k, count in enumerate(self.counts):
            if count:
                yield k, slice(begin, begin + count)
            begin += count

    def run(self, experts: nn.ModuleList, features: Tensor) -> Tensor:
        """Each expert that has images, called once on its own of ``features`` ``[B, ...]``: logits ``[P, C]``.

        There must be a pair.
        """
        own = features[self.images]
        return torch.cat([experts[k](own[part]) for k, part in self.slices()])

    def combine(self, values: Tensor, weights: Tensor) -> Tensor:
        """``out[i] = Σ_k weights[i, k] values[pair (i, k)]``; values ``[P, C]``, weights ``[B, K]``, out ``[B, C]``.

        An expert sees an image once, so an addition touches each row once and sums have one order: the
        result is the same every time, on a GPU too.
        """
        out = values.new_zeros(self.size, values.shape[1])
        for k, part in self.slices():
            rows = self.images[part]
            out.index_add_(0, rows, weights[rows, k, None] * values[part])
        return out
