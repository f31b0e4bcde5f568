"""What a trained model says of a set of images: all that tables, curves and ablations need.

Axes: N images, K experts, C classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from repro.data.batches import BatchSource
from repro.method.device import autocast
from repro.method.experts import EVALUATION_BATCH
from repro.models.backbone import Backbone
from repro.models.moe import SingleGateMoE
from repro.models.registry import freeze


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


def percent(of: Tensor) -> float:
    """100 times the mean of a tensor of truth values or shares."""
    return 100 * float(of.double().mean())


@dataclass(frozen=True)
class Losses:
    """Cross-entropy in nats of every training image: base ``[N]``, experts ``[N, K]``; and gate_probs ``[N, K]``."""

    base: Tensor
    experts: Tensor
    gate_probs: Tensor


@torch.no_grad()
def compute_losses(moe: SingleGateMoE, source: BatchSource, device: torch.device) -> Losses:
    """Run every expert on every image, without augmentation, and keep how well each did."""
    freeze(moe.to(device, memory_format=torch.channels_last))  # type: ignore[call-overload]
    base, experts, gate_probs = [], [], []
    for batch in source.clean(EVALUATION_BATCH):
        with autocast(device):
            out = moe(batch.images)
        labels = batch.labels[:, None].expand(-1, moe.num_experts)
        base.append(F.cross_entropy(out.base_logits.float(), batch.labels, reduction="none").cpu())
        experts.append(F.cross_entropy(out.expert_logits.float().movedim(2, 1), labels, reduction="none").cpu())
        gate_probs.append(out.gate_probs.float().cpu())
    return Losses(torch.cat(base), torch.cat(experts), torch.cat(gate_probs))


@torch.no_grad()
def compute_base_outputs(base: Backbone, source: BatchSource, device: torch.device) -> tuple[Tensor, Tensor]:
    """Run a base model alone on every image, without augmentation: logits ``[N, C]``, float32, and labels ``[N]``."""
    freeze(base.to(device, memory_format=torch.channels_last))  # type: ignore[call-overload]
    logits = []
    for batch in source.clean(EVALUATION_BATCH):
        with autocast(device):
            logits.append(base(batch.images).float().cpu())
    return torch.cat(logits), source.labels.cpu()


@torch.no_grad()
def compute_outputs(moe: SingleGateMoE, source: BatchSource, device: torch.device) -> Outputs:
    """Run every expert on every image, without augmentation."""
    freeze(moe.to(device, memory_format=torch.channels_last))  # type: ignore[call-overload]
    base_logits, gate_probs, expert_logits = [], [], []
    for batch in source.clean(EVALUATION_BATCH):
        with autocast(device):
            out = moe(batch.images)
        base_logits.append(out.base_logits.float().cpu())
        gate_probs.append(out.gate_probs.float().cpu())
        expert_logits.append(out.expert_logits.float().cpu())
    return Outputs(torch.cat(base_logits), torch.cat(gate_probs), torch.cat(expert_logits), source.labels.cpu())
