"""Backbones and expert heads by name, and how an expert starts from the base's weights."""

from __future__ import annotations

import copy
from typing import Literal

from torch import nn

from repro.errors import SpecError
from repro.models.backbone import Backbone, Head, check_joins
from repro.models.torchvision_nets import WEIGHTS, torchvision_backbone
from repro.models.trnet import BLOCKS_PER_STAGE, tr_backbone, tr_head

BACKBONES = (*BLOCKS_PER_STAGE, *WEIGHTS)
ExpertInit = Literal["prefix", "scratch"]


def build_backbone(name: str, num_classes: int, width: float = 1.0, pretrained: bool = False) -> Backbone:
    """A backbone by its name; :class:`SpecError` names the choices if there is none."""
    if name in BLOCKS_PER_STAGE:
        if pretrained:
            raise SpecError(f"there are no pretrained weights of {name}; set pretrained to false")
        return tr_backbone(name, num_classes, width)
    if name in WEIGHTS:
        if width != 1.0:
            raise SpecError(f"{name} has no width multiplier; set width to 1.0")
        return torchvision_backbone(name, num_classes, pretrained)
    raise SpecError(f"unknown backbone {name!r}; choose one of {', '.join(BACKBONES)}")


def build_head(name: str, num_classes: int, width: float = 1.0) -> Head:
    """The upper half of a backbone by its name, freshly initialised."""
    if name in BLOCKS_PER_STAGE:
        return tr_head(name, num_classes, width)
    return build_backbone(name, num_classes, width).head


def init_expert(base: Backbone, expert: Head, init: ExpertInit = "prefix") -> Head:
    """Initialise an expert from the base model's weights (Algorithm 1: θ_e ← θ_φ), in place.

    Where both have the same depth the expert becomes a copy of the base's head. Where depths
    differ the paper is silent; ``prefix``, our declared rule, copies block i of a stage of the base
    to block i of the same stage of the expert as far as both have it (so tr10 -> tr18 leaves the
    second block of each stage fresh, and tr34 -> tr10 takes the first of each), and the fc.
    ``scratch`` copies nothing.
    """
    check_joins(base, expert)
    if init == "prefix":
        source = copy.deepcopy(base.head.state_dict())
        own = expert.state_dict()
        own.update({k: v for k, v in source.items() if k in own and own[k].shape == v.shape})
        expert.load_state_dict(own)
    return expert


def freeze(module: nn.Module) -> nn.Module:
    """No gradients and BatchNorm in evaluation mode: how the base, and a trained expert, are used."""
    return module.eval().requires_grad_(False)
