"""torchvision's classifiers as backbones: sequences of named stages, cut after one of them.

A network is written ``NAME`` or ``NAME@STAGE``, such as ``resnet50`` or ``resnet50@layer3``: the trunk ends with that
stage, and what follows is the head, which every expert copies. Stages have torchvision's names. Without one, half of
the stages (rounded up) are trunk; for the networks of Table 3 that, or the place that the paper names.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import nn

from repro.errors import SpecError
from repro.models.backbone import Backbone, Head

# Weights the paper names ("standard checkpoints provided in torchvision's model zoo"): the first versions.
WEIGHTS = "IMAGENET1K_V1"
PAPER_NETWORKS = ("resnet18", "resnet34", "mobilenet_v3_small")
PAPER_CUTS = {"mobilenet_v3_small": "features.7"}  # "8 in the MobileNet ones (half of the model)", Table 3


def _mean(net: Any) -> nn.Module:
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())


class Family(NamedTuple):
    """Networks that are put together alike.

    stages  paths of modules in order: ``a+b`` are one stage, named by the last; of ``features.*`` each child is one
    last    path of the last linear layer, or of a ``Sequential`` that ends with it
    pool    from a network to what turns its last feature map into what ``last`` takes
    axis    of the channels in a feature map
    """

    names: tuple[str, ...]
    stages: tuple[str, ...]
    last: str
    pool: Callable[[Any], nn.Module] = _mean
    axis: int = 1


FAMILIES = (
    Family(
        ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "resnext50_32x4d", "resnext101_32x8d",
         "resnext101_64x4d", "wide_resnet50_2", "wide_resnet101_2"),
        ("conv1+bn1+relu+maxpool", "layer1", "layer2", "layer3", "layer4"), "fc",
    ),
    Family(
        ("mobilenet_v2", "mobilenet_v3_small", "mobilenet_v3_large", *(f"efficientnet_b{i}" for i in range(8)),
         "efficientnet_v2_s", "efficientnet_v2_m", "efficientnet_v2_l"),
        ("features.*",), "classifier",
    ),
    Family(
        ("convnext_tiny", "convnext_small", "convnext_base", "convnext_large"),
        ("features.*",), "classifier", lambda net: net.avgpool,
    ),
    Family(
        ("densenet121", "densenet161", "densenet169", "densenet201"),
        ("features.conv0+features.norm0+features.relu0+features.pool0",
         *(f"features.denseblock{i}+features.transition{i}" for i in (1, 2, 3)),
         "features.denseblock4+features.norm5"), "classifier",
        lambda net: nn.Sequential(nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
    ),

    Family(
        ("shufflenet_v2_x0_5", "shufflenet_v2_x1_0", "shufflenet_v2_x1_5", "shufflenet_v2_x2_0"),
        ("conv1+maxpool", "stage2", "stage3", "stage4", "conv5"), "fc",
    ),
    Family(
        ("swin_t", "swin_s", "swin_b", "swin_v2_t", "swin_v2_s", "swin_v2_b"),
        ("features.*",), "head",
        lambda net: nn.Sequential(net.norm, net.permute, net.avgpool, nn.Flatten()), axis=3,
    ),
)  # fmt: skip
NETWORKS = tuple(name for family in FAMILIES for name in family.names)


Stages = dict[str, list[tuple[str, nn.Module]]]
"""The modules of each stage, with their own names."""


def torchvision_backbone(name: str, num_classes: int, pretrained: bool = False) -> Backbone:
    """One of ``NETWORKS``, cut after a stage.

    With ``pretrained`` the weights are torchvision's (downloaded once to torch's own cache) and
    ``num_classes`` must be their 1000. :class:`SpecError` for a stage that does not exist, or is the last.
    """
    net_name, _, _ = name.partition("@")
    if pretrained and num_classes != 1000:
        raise SpecError(
            f"pretrained weights of {net_name} have 1000 classes, not {num_classes}; set pretrained to false"
        )
    net = _load(net_name, pretrained, num_classes)
    family = _family(net_name)
    trunk, blocks = _halves(net, family, name)
    last: Any = net.get_submodule(family.last)
    several = isinstance(last, nn.Sequential)
    before_fc: nn.Module = last[:-1] if several else nn.Identity()
    parts = {"blocks": blocks, "pool": family.pool(net), "before_fc": before_fc}
    features = nn.Sequential(OrderedDict(parts))
    channels = _trunk_channels(name)
    return Backbone(name, trunk, Head(features, last[-1] if several else last, channels), channels)


def _family(name: str) -> Family:
    return next(family for family in FAMILIES if name in family.names)


def _stages(net: Any, family: Family) -> Stages:
    stages: Stages = {}
    for path in family.stages:
        parent, star, _ = path.partition(".*")
        if star:
            stages |= {f"{parent}.{key}": [(key, each)] for key, each in net.get_submodule(parent).named_children()}
        else:
            paths = path.split("+")
            stages[paths[-1]] = [(p.rpartition(".")[2], net.get_submodule(p)) for p in paths]
    return stages


def _halves(net: Any, family: Family, name: str) -> tuple[nn.Sequential, nn.Sequential]:
    """What comes before the cut of ``NAME@STAGE``, and what comes after it."""
    stages = _stages(net, family)
    names = list(stages)
    net_name, _, cut = name.partition("@")
    cut = cut or PAPER_CUTS.get(net_name) or names[(len(names) - 1) // 2]
    if cut not in names[:-1]:
        raise SpecError(f"backbone {name!r}: {net_name} can be cut after {', '.join(names[:-1])}, not after {cut!r}")
    place = names.index(cut) + 1
    halves = ([pair for name in half for pair in stages[name]] for half in (names[:place], names[place:]))
    trunk, blocks = (_sequence(half, family) for half in halves)
    return trunk, blocks


def _sequence(modules: list[tuple[str, nn.Module]], family: Family) -> nn.Sequential:
    if family is FAMILIES[0]:  # the weights of ResNets are stored under numbers
        return nn.Sequential(*(module for _, module in modules))
    return nn.Sequential(OrderedDict(modules))


@cache
def _trunk_channels(name: str) -> int:
    """T, by running the trunk where nothing is computed."""
    family = _family(name.partition("@")[0])
    with torch.device("meta"), torch.no_grad():
        trunk, _ = _halves(_load(name.partition("@")[0], False, 10), family, name)
        return int(trunk.eval()(torch.empty(1, 3, 64, 64)).shape[family.axis])


def _load(name: str, pretrained: bool, num_classes: int) -> Any:
    import torchvision.models as tv  # seconds, which only these networks need

    if not pretrained:
        return tv.get_model(name, weights=None, num_classes=num_classes)
    weights = tv.get_model_weights(name)[WEIGHTS]
    try:
        return tv.get_model(name, weights=weights)
    except OSError as error:
        raise SpecError(
            f"torchvision's weights of {name} could not be downloaded ({error}); put {weights.url} "
            f"into {torch.hub.get_dir()}/checkpoints, or set pretrained to false"
        ) from error
