"""Networks of any width made of the tr-networks' blocks: the backbones of DeepMoE (Wang et al., UAI 2019).

``resnet20/32/56/110`` are CIFAR's: stem 3x3, three stages of 16-32-64 channels, a 1x1 convolution on the shortcut
where the shape changes (the text does not say; He et al. pad with zeros). ``resnet18/34/50`` are ImageNet's, the same
functions as torchvision's. ``-A`` and ``-B`` are bottlenecks whose width widens the inner channels alone: of both inner
convolutions (A) or of the 3x3 one (B). Figure 2, which draws them, was not read; these readings fit what
is printed: twice as wide, B has 6 % fewer parameters than ResNet-101 (Section 5.1.2), and A costs 3.1 times the plain
network in Table 5. ``vgg16`` has BatchNorm and one linear layer; ``vgg16-W...`` are Table 6's widenings.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice, pairwise

import torch
from torch import nn

from repro.models.backbone import Backbone, Head
from repro.models.trnet import BLOCKS_PER_STAGE, ConvBN, basic_block, bottleneck, widened

Stage = tuple[nn.Module, int]  # and the channels that it gives
POOLED_AFTER = (2, 4, 7, 10, 13)  # convolutions of VGG16 that max-pooling follows
VGG = {
    "vgg16": (64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512),
    "vgg16-W1-High": (64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 1536, 512, 512),
    "vgg16-W1-Mid": (64, 64, 128, 128, 2990, 256, 256, 512, 512, 512, 512, 512, 512),
    "vgg16-W4-Low": (512, 512, 615, 615, 256, 256, 256, 512, 512, 512, 512, 512, 512),
    "vgg16-W13-All": (128, 128, 256, 256, 405, 405, 405, 615, 615, 615, 615, 615, 615),
}


@dataclass(frozen=True)
class Plan:
    """A residual network at width 1; ``inner``: which of a bottleneck's two inner convolutions a width widens."""

    blocks: tuple[int, ...]
    channels: tuple[int, ...] = (64, 128, 256, 512)
    strides: tuple[int, ...] = (1, 2, 2, 2)
    dilations: tuple[int, ...] = (1, 1, 1, 1)
    bottleneck: bool = False
    inner: tuple[bool, bool] | None = None
    large_images: bool = True  # stem 7x7 of stride 2 and max-pooling, else 3x3 of stride 1
    stem_apart: bool = False  # a stage of its own, as in the tr-networks


def _cifar(blocks: int) -> Plan:
    return Plan((blocks,) * 3, (16, 32, 64), (1, 2, 2), large_images=False)


_50 = (3, 4, 6, 3)
PLANS = {
    **{
        name: Plan(blocks, bottleneck=name == "tr50", large_images=False, stem_apart=True)
        for name, blocks in BLOCKS_PER_STAGE.items()
    },
    "resnet20": _cifar(3),
    "resnet32": _cifar(5),
    "resnet56": _cifar(9),
    "resnet110": _cifar(18),
    "resnet18": Plan((2, 2, 2, 2)),
    "resnet34": Plan(_50),
    "resnet50": Plan(_50, bottleneck=True),
    "resnet50-A": Plan(_50, bottleneck=True, inner=(True, True)),
    "resnet50-B": Plan(_50, bottleneck=True, inner=(False, True)),
    "resnet18-B": Plan((2, 2, 2, 2), bottleneck=True, inner=(False, True), large_images=False),  # Figure 5
    "drn50-A": Plan(_50, strides=(1, 2, 1, 1), dilations=(1, 1, 2, 4), bottleneck=True, inner=(True, True)),
}
WIDENETS = (*PLANS, *VGG)


def widenet(name: str, num_classes: int, width: float = 1.0) -> Backbone:
    """One of ``WIDENETS``, freshly initialised; the trunk ends after half of the stages, rounded up."""
    stages = _stages(name, width)
    trunk, channels = zip(*islice(stages, _half(name)), strict=True)
    return Backbone(name, nn.Sequential(*trunk), _head(stages, num_classes, channels[-1]), channels[-1])


def head_alone(name: str, num_classes: int, width: float = 1.0) -> Head:
    """The head of one of ``WIDENETS``, for which no trunk is drawn."""
    stages = _stages(name, width)
    with torch.device("meta"):
        *_, (_, channels) = islice(stages, _half(name))
    return _head(stages, num_classes, channels)


def _head(stages: Iterator[Stage], num_classes: int, in_channels: int) -> Head:
    modules, channels = zip(*stages, strict=True)
    features = nn.Sequential(*modules, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return Head(features, nn.Linear(channels[-1], num_classes), in_channels)


def _half(name: str) -> int:
    stages = len(POOLED_AFTER) if name in VGG else len(PLANS[name].blocks) + PLANS[name].stem_apart
    return (stages + 1) // 2


def _stages(name: str, width: float) -> Iterator[Stage]:
    """The stages, each drawn when it is asked for; the first has the stem."""
    return _vgg(VGG[name], width) if name in VGG else _residual(PLANS[name], width)


def _residual(plan: Plan, width: float) -> Iterator[Stage]:
    channels = plan.channels if plan.inner else widened(plan.channels, width)
    last = channels[0]
    modules: list[nn.Module] = [ConvBN(3, last, 7 if plan.large_images else 3, 2 if plan.large_images else 1)]
    modules += [nn.ReLU(inplace=True), *([nn.MaxPool2d(3, 2, 1)] if plan.large_images else [])]
    if plan.stem_apart:
        yield nn.Sequential(*modules), last
        modules = []
    for blocks, own, stride, dilation in zip(plan.blocks, channels, plan.strides, plan.dilations, strict=False):
        inner = [widened((own,), width)[0] if wide else own for wide in plan.inner or (False, False)]
        for index in range(blocks):
            first = stride if index == 0 else 1
            if plan.bottleneck:
                modules.append(bottleneck(last, (inner[0], inner[1]), own, first, dilation))
            else:
                modules.append(basic_block(last, own, first))
            last = 4 * own if plan.bottleneck else own
        yield nn.Sequential(*modules), last
        modules = []


def _vgg(channels: tuple[int, ...], width: float) -> Iterator[Stage]:
    """The five groups between max-poolings."""
    channels = channels if width == 1 else widened(channels, width)
    for begin, end in pairwise((0, *POOLED_AFTER)):
        group: list[nn.Module] = []
        for index in range(begin, end):
            group += [ConvBN(channels[index - 1] if index else 3, channels[index], 3), nn.ReLU(inplace=True)]
        yield nn.Sequential(*group, nn.MaxPool2d(2)), channels[end - 1]
