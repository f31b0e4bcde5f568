"""What a trained model says of a set of images: all that tables, curves and ablations need.

Axes: N images, K experts, C classes.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


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
