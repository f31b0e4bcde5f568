"""Backbones and expert heads by name, and how an expert starts from the base's weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Literal, TypeVar

import torch
from torch import Tensor, nn

from repro.errors import SpecError
from repro.models.backbone import Backbone, Head
from repro.models.torchvision_nets import NETWORKS, torchvision_backbone
from repro.models.trnet import BLOCKS_PER_STAGE
from repro.models.widenets import WIDENETS, head_alone, widenet

ExpertInit = Literal["prefix", "scratch"]
Start = Literal["scratch", "imagenet"]
M = TypeVar("M", bound=nn.Module)


def build_backbone(
    name: str, num_classes: int, width: float = 1.0, pretrained: bool = False, start: Start = "scratch"
) -> Backbone:
    """A backbone by its name, torchvision's also with a cut (``resnet50@layer3``); ImageNet's ResNets are
    torchvision's at width 1, and those of :mod:`repro.models.widenets` at any other.

    ``pretrained`` takes torchvision's weights for its 1000 classes as they are; ``start`` ``imagenet`` takes them
    but for the last layer, which is fresh and has ``num_classes``: where fine-tuning begins.
    :class:`SpecError` names the choices, and the nearest names, if there is none.
    """
    if name in WIDENETS and (name not in NETWORKS or width != 1.0):
        if pretrained or start == "imagenet":
            raise SpecError(f"there are no pretrained weights of {name} at width {width}; set pretrained to false")
        return widenet(name, num_classes, width)
    if name.partition("@")[0] in NETWORKS:
        if width != 1.0:
            raise SpecError(f"{name} has no width multiplier; set width to 1.0")
        if start == "imagenet":
            base = torchvision_backbone(name, 1000, pretrained=True)
            base.head.fc = nn.Linear(base.head.fc.in_features, num_classes)
            return base
        return torchvision_backbone(name, num_classes, pretrained)
    usual = ["resnet18", "efficientnet_b0", "convnext_tiny"]
    near = get_close_matches(name.partition("@")[0], NETWORKS, 4, 0.5) or usual
    raise SpecError(
        f"unknown backbone {name!r}; choose one of {', '.join(WIDENETS)}, "
        f"or a network of torchvision, such as {', '.join(near)}"
    )


def build_head(name: str, num_classes: int, width: float = 1.0) -> Head:
    """The upper half of a backbone by its name, freshly initialised."""
    if name in BLOCKS_PER_STAGE:
        return head_alone(name, num_classes, width)
    return build_backbone(name, num_classes, width).head


def with_weights(build: Callable[[], M], tensors: Mapping[str, Tensor]) -> M:
    """What ``build`` builds, with ``tensors`` as its own weights: none is drawn first, none is copied."""
    with torch.device("meta"):
        module = build()
    module.load_state_dict(tensors, assign=True)
    return module


def init_expert(base: Backbone, expert: Head, init: ExpertInit = "prefix") -> Head:
    """Initialise an expert from the base model's weights (Algorithm 1: θ_e ← θ_φ), in place.

    Where both have the same depth the expert becomes a copy of the base's head. Where depths
    differ the paper is silent; ``prefix``, our declared rule, copies block i of a stage of the base
    to block i of the same stage of the expert as far as both have it (so tr10 -> tr18 leaves the
    second block of each stage fresh, and tr34 -> tr10 takes the first of each), and the fc.
    ``scratch`` copies nothing.
    """
    if init == "prefix":
        source, own = base.head.state_dict(), expert.state_dict()
        own.update({k: v for k, v in source.items() if k in own and own[k].shape == v.shape})
        expert.load_state_dict(own)
    return expert


def freeze(module: M) -> M:
    """The module, from now on without gradients and in evaluation mode: how the base and trained experts are used."""
    return module.eval().requires_grad_(False)
