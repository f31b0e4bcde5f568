"""What a trained mixture answers: every expert on every image, without augmentation.

Axes: N images, K experts, C classes.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from repro.analysis.outputs import Losses, Outputs
from repro.data.batches import BatchSource
from repro.families.single_gate.model import SingleGateMoE
from repro.models.registry import freeze
from repro.training.device import EVALUATION_BATCH, autocast


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
