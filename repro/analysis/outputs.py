"""What a trained model says of a set of images: all that tables, curves and ablations need; and how right that is.

Is its routing right (Table 5), and does it know how often it is right: confidence against accuracy, by bins (Section
2.2 blames over-confidence)? Axes: N images, K experts, C classes, B bins.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

BINS = 15
"""As in Guo et al. 2017, the paper's reference [15]."""


@dataclass(frozen=True)
class Outputs:
    """base_logits ``[N, C]``, gate_probs ``[N, K]``, expert_logits ``[N, K, C]`` (float32), labels ``[N]`` (int64).

    Every accuracy, ablation and any-time curve is a pure function of these and the cost.
    """

    base_logits: Tensor
    gate_probs: Tensor
    expert_logits: Tensor
    labels: Tensor

    @property
    def num_experts(self) -> int:
        """K."""
        return self.gate_probs.shape[1]

    def top_experts(self, k: int = 1) -> Tensor:
        """The k most probable experts of each image, ``[N, k]``, most probable first (g_test for k = 1)."""
        return self.gate_probs.topk(k, dim=1).indices

    def chosen_logits(self, experts: Tensor) -> Tensor:
        """Logits ``[N, k, C]`` of the experts ``[N, k]`` named for each image."""
        return self.expert_logits.gather(1, experts[..., None].expand(-1, -1, self.expert_logits.shape[2]))


def accuracy(scores: Tensor, labels: Tensor) -> float:
    """Top-1 accuracy in percent of scores ``[N, C]``."""
    return percent(scores.argmax(1) == labels)


def accuracy_among(scores: Tensor, labels: Tensor) -> float:
    """Top-1 accuracy in percent among the classes that occur as labels, whatever others there are scores of."""
    classes, label_N = labels.unique(return_inverse=True)
    return accuracy(scores[:, classes], label_N)


def percent(of: Tensor) -> float:
    """100 times the mean of a tensor of truth values or shares."""
    return 100 * float(of.double().mean())


@dataclass(frozen=True)
class Losses:
    """Cross-entropy in nats of every training image: base ``[N]``, experts ``[N, K]``; and gate_probs ``[N, K]``."""

    base: Tensor
    experts: Tensor
    gate_probs: Tensor


def with_oracle_gate(outputs: Outputs, expert_of: Tensor) -> Outputs:
    """The same model with a gate that knows each image's class: all weight on ``expert_of[label]`` (``[C]``)."""
    return replace(outputs, gate_probs=F.one_hot(expert_of[outputs.labels], outputs.num_experts).float())


def rightly_routed(outputs: Outputs, expert_of: Tensor) -> Tensor:
    """Whether the gate selects the expert of the image's class, bool ``[N]``."""
    return outputs.top_experts(1)[:, 0] == expert_of[outputs.labels]


def routed_by_base(outputs: Outputs, expert_of: Tensor) -> Tensor:
    """The expert ``[N]`` whose classes the base model gives most probability: a gate that needs no training."""
    probabilities = outputs.base_logits.softmax(-1)
    groups = torch.zeros(len(probabilities), outputs.num_experts).index_add_(1, expert_of, probabilities)
    return groups.argmax(1)


def base_with_oracle(outputs: Outputs, expert_of: Tensor) -> Tensor:
    """The base model told which group of classes the image's label is in: probabilities ``[N, C]``.

    The oracle gate knows as much. What the base gains from it is what the label gives away, without any expert.
    """
    outside = expert_of[None, :] != expert_of[outputs.labels][:, None]
    return outputs.base_logits.masked_fill(outside, -torch.inf).softmax(-1)


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
