"""A backbone and the one place where it is cut.

    images [B, 3, H, W] --trunk--> features [B, T, h, w] --head--> logits [B, C]
                                                           head = blocks, pool -> embedding [B, D], fc

The trunk of the base model is shared and frozen; an expert is a head. For residual networks the
trunk is stem + stage 1 + stage 2 and the head stage 3 + stage 4 + fc: the only reading under which
Table 1's costs come out (see :mod:`repro.models.cost`).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from repro.errors import SpecError


class Head(nn.Module):
    """The upper half of a backbone: what an expert is.

    features     trunk features ``[B, T, h, w]`` -> embedding (pre-logits) ``[B, D]``
    fc           the last linear layer, ``[B, D]`` -> logits ``[B, C]``
    in_channels  T, the channels that it expects from a trunk
    """

    def __init__(self, features: nn.Module, fc: nn.Linear, in_channels: int) -> None:
        super().__init__()
        self.features = features
        self.fc = fc
        self.in_channels = in_channels

    def embed(self, trunk_features: Tensor) -> Tensor:
        """Pre-logits ``[B, D]`` of trunk features ``[B, T, h, w]``."""
        out: Tensor = self.features(trunk_features)
        return out

    def forward(self, trunk_features: Tensor) -> Tensor:
        """Logits ``[B, C]`` of trunk features ``[B, T, h, w]``."""
        return in_float32(self.fc, self.embed(trunk_features))


class Backbone(nn.Module):
    """A whole network, e.g. the base model φ: a trunk and a head that fit each other."""

    def __init__(self, name: str, trunk: nn.Module, head: Head, trunk_channels: int) -> None:
        super().__init__()
        self.name = name
        self.trunk = trunk
        self.head = head
        self.trunk_channels = trunk_channels

    def forward(self, images: Tensor) -> Tensor:
        """Logits ``[B, C]`` of normalised images ``[B, 3, H, W]``."""
        out: Tensor = self.head(self.trunk(images))
        return out

    def embed(self, images: Tensor) -> Tensor:
        """Pre-logits ``[B, D]`` of normalised images ``[B, 3, H, W]``."""
        return self.head.embed(self.trunk(images))


def in_float32(layer: nn.Linear, x: Tensor) -> Tensor:
    """``layer(x)`` in float32 even under autocast: with bf16's 8 bits the largest of 100 logits often ties."""
    if x.is_meta or not torch.is_autocast_enabled(x.device.type):  # meta, where costs are counted, knows no autocast
        out: Tensor = layer(x)
        return out
    with torch.autocast(x.device.type, enabled=False):
        out = layer(x.float())
    return out


def check_joins(base: Backbone, expert: Head) -> None:
    """Raise :class:`SpecError` unless ``expert`` takes what ``base``'s trunk gives."""
    if base.trunk_channels != expert.in_channels:
        raise SpecError(
            f"expert and base do not join: the trunk of {base.name} gives {base.trunk_channels} channels, "
            f"the expert takes {expert.in_channels}; choose networks of the same family and width"
        )
