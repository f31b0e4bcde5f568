"""Does a model know how often it is right? Confidence against accuracy, by bins (Section 2.2 blames over-confidence).

Axes: N images, C classes, B bins.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

BINS = 15
"""As in Guo et al. 2017, the paper's reference [15]."""


@dataclass(frozen=True)
class Reliability:
    """Images by their confidence, the largest probability: bins of equal width, closed above, the first at 0 too.

    count       images in each bin, int64 ``[B]``
    confidence  mean confidence of each bin, in [0, 1], ``[B]`` (0 in an empty bin)
    accuracy    share of each bin that is answered rightly, in [0, 1], ``[B]`` (0 in an empty bin)
    """

    count: Tensor
    confidence: Tensor
    accuracy: Tensor

    @property
    def share(self) -> Tensor:
        """Share of the images in each bin, ``[B]``."""
        return self.count.double() / self.count.sum()

    @property
    def ece(self) -> float:
        """Expected calibration error in percentage points: |accuracy - confidence| of the bin, mean over images."""
        return 100 * float((self.share * (self.accuracy - self.confidence).abs()).sum())

    @property
    def overconfidence(self) -> float:
        """Mean confidence minus accuracy in percentage points; below zero, the model knows more than it says."""
        return 100 * float((self.share * (self.confidence - self.accuracy)).sum())


def reliability(probabilities: Tensor, labels: Tensor, bins: int = BINS) -> Reliability:
    """:class:`Reliability` of probabilities ``[N, C]`` (rows sum to 1) for labels ``[N]``."""
    confidence, answer = probabilities.double().max(1)
    edges = torch.arange(1, bins, dtype=torch.float64) / bins
    which = torch.bucketize(confidence.clamp(0, 1), edges)  # edges[i - 1] < confidence <= edges[i]
    count = torch.bincount(which, minlength=bins)
    some = count.clamp_min(1)
    return Reliability(
        count,
        torch.bincount(which, confidence, minlength=bins) / some,
        torch.bincount(which, (answer == labels).double(), minlength=bins) / some,
    )


def fit_of(losses: Tensor, sure: float = 0.9) -> tuple[float, float]:
    """How closely images are fitted, from their cross-entropies ``[N]`` in nats.

    Returns the mean loss in nats, and the percentage of images whose own class is given more than ``sure``.
    """
    return float(losses.double().mean()), 100 * float((losses.double().neg().exp() > sure).double().mean())
