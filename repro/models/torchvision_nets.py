"""torchvision's classifiers as backbones: the base models of Table 3, with or without their weights."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from repro.errors import SpecError
from repro.models.backbone import Backbone, Head

# Weights the paper names ("standard checkpoints provided in torchvision's model zoo"): the first versions.
WEIGHTS = {
    "resnet18": "ResNet18_Weights.IMAGENET1K_V1",
    "resnet34": "ResNet34_Weights.IMAGENET1K_V1",
    "mobilenet_v3_small": "MobileNet_V3_Small_Weights.IMAGENET1K_V1",
}
MOBILENET_TRUNK_ENTRIES = 8  # features[0..7]: "8 in the MobileNet ones (half of the model)", Table 3


class PooledFeatures(nn.Module):
    """Blocks, global average pool, then whatever stands before the last linear layer."""

    def __init__(self, blocks: nn.Module, before_fc: nn.Module) -> None:
        super().__init__()
        self.blocks = blocks
        self.before_fc = before_fc

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.before_fc(torch.flatten(nn.functional.adaptive_avg_pool2d(self.blocks(x), 1), 1))
        return out


def torchvision_backbone(name: str, num_classes: int, pretrained: bool = False) -> Backbone:
    """``resnet18``, ``resnet34`` or ``mobilenet_v3_small``, cut as in Table 3.

    With ``pretrained`` the weights are torchvision's (downloaded once to torch's own cache) and
    ``num_classes`` must be their 1000.
    """
    if name not in WEIGHTS:
        raise SpecError(f"unknown torchvision network {name!r}; choose one of {', '.join(WEIGHTS)}")
    if pretrained and num_classes != 1000:
        raise SpecError(f"pretrained weights of {name} have 1000 classes, not {num_classes}; set pretrained to false")
    net = _load(name, pretrained, num_classes)
    if name.startswith("resnet"):
        trunk = nn.Sequential(net.conv1, net.bn1, net.relu, net.maxpool, net.layer1, net.layer2)
        head = Head(PooledFeatures(nn.Sequential(net.layer3, net.layer4), nn.Identity()), net.fc, 128)
        return Backbone(name, trunk, head, 128)
    trunk, blocks = net.features[:MOBILENET_TRUNK_ENTRIES], net.features[MOBILENET_TRUNK_ENTRIES:]
    trunk_channels = trunk[-1].out_channels
    head = Head(PooledFeatures(blocks, net.classifier[:-1]), net.classifier[-1], trunk_channels)
    return Backbone(name, trunk, head, trunk_channels)


def _load(name: str, pretrained: bool, num_classes: int) -> Any:
    import torchvision.models as tv  # seconds, which only these networks need

    if not pretrained:
        return tv.get_model(name, weights=None, num_classes=num_classes)
    weights = tv.get_weight(WEIGHTS[name])
    try:
        return tv.get_model(name, weights=weights)
    except OSError as error:
        raise SpecError(
            f"torchvision's weights of {name} could not be downloaded ({error}); put {weights.url} "
            f"into {torch.hub.get_dir()}/checkpoints, or set pretrained to false"
        ) from error


def wide_resnet18(num_classes: int, factor: int = 2) -> nn.Module:
    """ResNet-18 with ``factor`` times the channels in every layer: the dense network behind Wide-DeepMoE-18 (Table 4).

    torchvision's own wide networks widen bottleneck blocks only.
    """
    from torchvision.models import resnet18

    net: nn.Module = resnet18(weights=None, num_classes=num_classes)
    for name, layer in list(net.named_modules()):
        parent, _, child = name.rpartition(".")
        if isinstance(layer, nn.Conv2d):
            channels_in = layer.in_channels if layer.in_channels == 3 else factor * layer.in_channels
            wide: nn.Module = nn.Conv2d(
                channels_in, factor * layer.out_channels, layer.kernel_size[0], layer.stride[0],
                layer.kernel_size[0] // 2, bias=False,
            )  # fmt: skip
        elif isinstance(layer, nn.BatchNorm2d):
            wide = nn.BatchNorm2d(factor * layer.num_features)
        elif isinstance(layer, nn.Linear):
            wide = nn.Linear(factor * layer.in_features, layer.out_features)
        else:
            continue
        setattr(net.get_submodule(parent), child, wide)
    return net
