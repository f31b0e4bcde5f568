"""Networks of any width made of the tr-networks' blocks: the backbones of DeepMoE (Wang et al., UAI 2019).

``resnet20/32/56/110`` are CIFAR's: stem 3x3, three stages of 16-32-64 channels, a 1x1 convolution on the shortcut
where the shape changes (the text does not say; He et al. pad with zeros). ``resnet18/34/50`` are ImageNet's, the same
functions as torchvision's. ``-A`` and ``-B`` are bottlenecks whose width widens the inner channels alone: of both inner
convolutions (A) or of the 3x3 one (B). Figure 2, which draws them, is not in our text; these readings fit what
is printed: twice as wide, B has 6 % fewer parameters than ResNet-101 (Section 5.1.2), and A costs 3.1 times the plain
network in Table 5. ``vgg16`` has BatchNorm and one linear layer; ``vgg16-W...`` are Table 6's widenings.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from repro.models.backbone import Backbone, Head
from repro.models.trnet import BLOCKS_PER_STAGE as TR_NETWORKS
from repro.models.trnet import ConvBN, basic_block, bottleneck, tr_backbone, widened

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


def _cifar(blocks: int) -> Plan:
    return Plan((blocks,) * 3, (16, 32, 64), (1, 2, 2), large_images=False)


_50 = (3, 4, 6, 3)
PLANS = {
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
WIDENETS = (*TR_NETWORKS, *PLANS, *VGG)


def widenet(name: str, num_classes: int, width: float = 1.0) -> Backbone:
    """One of ``WIDENETS``, freshly initialised; the trunk ends after half of the stages, rounded up."""
    if name in TR_NETWORKS:
        return tr_backbone(name, num_classes, width)
    stages, channels = _vgg(VGG[name], width) if name in VGG else _residual(PLANS[name], width)
    half = (len(stages) + 1) // 2
    features = nn.Sequential(*stages[half:], nn.AdaptiveAvgPool2d(1), nn.Flatten())
    head = Head(features, nn.Linear(channels[-1], num_classes), channels[half - 1])
    return Backbone(name, nn.Sequential(*stages[:half]), head, channels[half - 1])


def _residual(plan: Plan, width: float) -> tuple[list[nn.Module], list[int]]:
    """Stages (the first with the stem) and the channels that each gives."""
    channels = plan.channels if plan.inner else widened(plan.channels, width)
    stem: list[nn.Module] = [ConvBN(3, channels[0], 7 if plan.large_images else 3, 2 if plan.large_images else 1)]
    stem += [nn.ReLU(inplace=True), *([nn.MaxPool2d(3, 2, 1)] if plan.large_images else [])]
    stages: list[nn.Module] = []
    given, last = [], channels[0]
    for number, own, first_stride, dilation in zip(
        plan.blocks, channels, plan.strides, plan.dilations[: len(plan.blocks)], strict=True
    ):
        inner = [widened((own,), width)[0] if wide else own for wide in plan.inner or (False, False)]
        blocks: list[nn.Module] = []
        for index in range(number):
            stride = first_stride if index == 0 else 1
            if plan.bottleneck:
                blocks.append(bottleneck(last, own, stride, (inner[0], inner[1]), dilation))
            else:
                blocks.append(basic_block(last, own, stride))
            last = 4 * own if plan.bottleneck else own
        stages.append(nn.Sequential(*([] if stages else stem), *blocks))
        given.append(last)
    return stages, given


def _vgg(channels: tuple[int, ...], width: float) -> tuple[list[nn.Module], list[int]]:
    """The five groups between max-poolings, and the channels that each gives."""
    channels = channels if width == 1 else widened(channels, width)
    stages: list[nn.Module] = []
    begin = 0
    for end in POOLED_AFTER:
        group: list[nn.Module] = []
        for index in range(begin, end):
            group += [ConvBN(channels[index - 1] if index else 3, channels[index], 3), nn.ReLU(inplace=True)]
        stages.append(nn.Sequential(*group, nn.MaxPool2d(2)))
        begin = end
    return stages, [channels[end - 1] for end in POOLED_AFTER]
