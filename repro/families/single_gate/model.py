"""The single-gate mixture of experts (Figure 1b): trunk, base head, gate, experts.

Axes: B images of a batch, T x h x w trunk features, D embedding, K experts, C classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

from repro.models.backbone import Backbone, Head, in_float32


class MoEOutput(NamedTuple):
    """What the model says of a batch, before any ensembling.

    base_logits ``[B, C]``, gate_probs ``[B, K]`` (rows sum to 1), expert_logits ``[B, K, C]``
    """

    base_logits: Tensor
    gate_probs: Tensor
    expert_logits: Tensor


class Mixture(Protocol):
    """A mixture by its parts, each a function of a batch: what dense evaluation and inference with exits ask for."""

    @property
    def experts(self) -> Iterable[Callable[[Tensor], Tensor]]: ...

    def trunk(self, images: Tensor) -> Tensor: ...

    def base_and_gate(self, trunk_features: Tensor) -> MoEOutput: ...


def every_expert(moe: Mixture, images: Tensor) -> MoEOutput:
    """Base, gate and every expert on every image.

    This is the plain, dense form that analyses use: which expert counts is decided afterwards, from the output.
    """
    trunk_features = moe.trunk(images)
    expert_logits = torch.stack([expert(trunk_features) for expert in moe.experts], 1)
    return moe.base_and_gate(trunk_features)._replace(expert_logits=expert_logits)


class SingleGateMoE(nn.Module):
    """A frozen base model φ, a linear gate g on its pre-logits, and K experts fed by its trunk."""

    def __init__(self, base: Backbone, gate: nn.Linear, experts: Sequence[Head]) -> None:
        super().__init__()
        self.base = base
        self.gate = gate
        self.experts = nn.ModuleList(experts)

    @property
    def num_experts(self) -> int:
        """K."""
        return len(self.experts)

    def forward(self, images: Tensor) -> MoEOutput:
        """:func:`every_expert`."""
        return every_expert(self, images)

    def trunk(self, images: Tensor) -> Tensor:
        """Features ``[B, T, h, w]`` of images ``[B, 3, H, W]``, which base head, gate and experts share."""
        features: Tensor = self.base.trunk(images)
        return features

    def base_and_gate(self, trunk_features: Tensor) -> MoEOutput:
        """What base and gate say of trunk features ``[B, T, h, w]``; no expert has spoken (``[B, 0, C]``).

        With one expert there is nothing to decide, and no gate runs.
        """
        embedding = self.base.head.embed(trunk_features)
        base_logits = in_float32(self.base.head.fc, embedding)
        alone = self.num_experts == 1
        gate_probs = base_logits.new_ones(len(embedding), 1) if alone else in_float32(self.gate, embedding).softmax(-1)
        return MoEOutput(base_logits, gate_probs, base_logits[:, None][:, :0])
