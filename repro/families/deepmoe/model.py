"""DeepMoE (Figure 1): a shallow embedding network, heads that make gates of it, and a gated backbone.

    images --embedding network--> e [B, E] --heads--> gates [B, G] --> gated backbone --> logits [B, C]

Axes: B images, E embedding, G gated channels of all layers, C classes.
"""

from __future__ import annotations

from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

from repro.families.deepmoe.config import DeepMoEConfig, EmbeddingOutput, GateInit
from repro.models.backbone import Backbone, in_float32
from repro.models.cost import model_cost
from repro.models.gated import GatedBackbone
from repro.models.trnet import ConvBN
from repro.models.widenets import widenet

GROWTH = (1, 2, 4, 4, 4)  # channels of the embedding network's convolutions, times c
RELU_MEAN = 0.4  # expectation of ReLU of a standard normal: what a pooled channel after BatchNorm begins at


class DeepMoEOutput(NamedTuple):
    """Of a batch: logits ``[B, C]``, gates ``[B, G]``, e ``[B, E]``, the embedding network's own logits ``[B, C]``."""

    logits: Tensor
    gates: Tensor
    embedding: Tensor
    embedding_logits: Tensor


class Gating(nn.Module):
    """The shallow embedding network and the heads of all gated layers, which are one matrix ``[G, E]`` (Eq. 6).

    Its convolutions are 3x3 of stride 2 with ``channels``; pooled, they go to a linear classifier. The embedding e is
    the classifier's ``softmax`` (E = C), or the pooled features themselves (``relu``, E = channels[-1]).
    """

    def __init__(
        self,
        channels: tuple[int, ...],
        num_classes: int,
        num_gates: int,
        output: EmbeddingOutput = "softmax",
        init: GateInit = "ones",
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in zip((3, *channels), channels, strict=False):
            layers += [ConvBN(before, after, 3, 2), nn.ReLU(inplace=True)]
        self.features = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.classifier = nn.Linear(channels[-1], num_classes)
        self.output = output
        self.heads = nn.Linear(num_classes if output == "softmax" else channels[-1], num_gates, bias=False)
        if init == "ones":  # then W e is near 1 for any softmax, and for features as they are at the start
            scale = 1.0 if output == "softmax" else 1 / (RELU_MEAN * channels[-1])
            nn.init.normal_(self.heads.weight, scale, 0.5 * scale)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Gates ``[B, G]``, the embedding e ``[B, E]`` and its logits ``[B, C]``."""
        features = self.features(images)
        logits = in_float32(self.classifier, features)
        e = logits.softmax(1) if self.output == "softmax" else features
        return self.gates(e), e, logits

    def gates(self, e: Tensor) -> Tensor:
        """Eq. (6): gates ``[B, G]`` of embeddings ``[B, E]``, none of them negative; in float32."""
        return F.relu(in_float32(self.heads, e))


class DeepMoE(nn.Module):
    """The whole: what decides (``gating``) and what is decided about (``network``)."""

    def __init__(self, gating: Gating, network: GatedBackbone) -> None:
        super().__init__()
        self.gating, self.network = gating, network

    def forward(self, images: Tensor) -> DeepMoEOutput:
        """Everything about normalised images ``[B, 3, H, W]``."""
        gates, e, embedding_logits = self.gating(images)
        return DeepMoEOutput(self.network(images, gates), gates, e, embedding_logits)


def build(config: DeepMoEConfig, backbone: Backbone | None = None) -> DeepMoE:
    """A fresh DeepMoE; ``backbone`` is a plain network to start from, which is changed in place."""
    plain = backbone or widenet(config.backbone, config.num_classes, config.width)
    network = GatedBackbone(plain, config.gate_at, config.gated, config.width)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.eps = config.batchnorm_eps
    channels = embedding_channels(config)
    gating = Gating(channels, config.num_classes, sum(network.sizes), config.embedding_output, config.gate_init)
    return DeepMoE(gating, network)


def embedding_channels(config: DeepMoEConfig) -> tuple[int, ...]:
    """(c, 2c, 4c, 4c, ...) with the largest c whose convolutions stay within their share of the backbone's MACs."""
    layers = config.embedding_layers or (5 if config.image_size > 64 else 4)
    plain = model_cost(config.backbone, None, config.num_classes, config.image_size, 0, config.width)
    budget = config.embedding_share * plain.base_macs
    side, linear, quadratic = config.image_size, 0, 0
    for before, after in zip((0, *GROWTH), GROWTH[:layers], strict=False):
        side = (side + 1) // 2
        linear += side**2 * 9 * 3 * after if before == 0 else 0
        quadratic += side**2 * 9 * before * after
    c = 1
    while linear * (c + 1) + quadratic * (c + 1) ** 2 <= budget:
        c += 1
    return tuple(growth * c for growth in GROWTH[:layers])
