"""Grad-CAM (Selvaraju et al. 2017) of the base and of every expert, for a whole image set at once.

``L_c = ReLU(Σ_channels α_c A)``: A is what the last block of stage 4 gives, α_c the mean over positions of the
gradient of class c's logit. Only pool and fc follow that block, so the gradient costs next to nothing and a set is
mapped in the time of one evaluation. The numbers are those of the package grad-cam, which makes Figure 1's pictures,
before it stretches each map to [0, 1]; a test holds the two equal.

Axes: B images of a batch, N images, K experts, C classes, h x w positions of the map.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from repro.data.batches import Batch, BatchSource
from repro.families.single_gate.model import SingleGateMoE
from repro.models.backbone import Head
from repro.training.classifier import on_all_images

TARGETS = ("true class", "own prediction")
"""What a map explains: the logit of the image's label, or of the class that this very network predicts."""


@dataclass(frozen=True)
class ClassMaps:
    """Grad-CAM before any scaling, float32 and never negative.

    maps     ``[N, 1 + K, 2, h, w]``: the base, then experts 1..K; the classes of :data:`TARGETS`
    correct  bool ``[N, 1 + K]``: whether that network alone predicts the label
    """

    maps: Tensor
    correct: Tensor


def last_block(head: Head) -> nn.Module:
    """The last block of stage 4: what a head's global average pool is fed with."""
    block: nn.Module = head.features[-3]  # type: ignore[index]  # blocks, or their last stage; then pooling and one more
    while isinstance(block, nn.Sequential):
        block = block[-1]
    return block


@torch.enable_grad()
def class_maps(head: Head, trunk_features: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Maps ``[B, 2, h, w]`` of the :data:`TARGETS`, and logits ``[B, C]``; the head may be frozen.

    The block's output is cut off what lies below it and becomes the leaf that gradients are taken of.
    """
    kept: list[Tensor] = []

    def cut(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        kept.append(output.detach().requires_grad_())
        return kept[0]

    handle = last_block(head).register_forward_hook(cut)
    try:
        logits = head(trunk_features)
    finally:
        handle.remove()
    (features,) = kept
    maps = []
    for target in (labels, logits.argmax(1)):
        score = logits.gather(1, target[:, None]).sum()
        (gradient,) = torch.autograd.grad(score, features, retain_graph=True)
        weights = gradient.float().mean((2, 3), keepdim=True)
        maps.append((weights * features.detach().float()).sum(1).relu())
    return torch.stack(maps, 1), logits.detach()


def compute_class_maps(moe: SingleGateMoE, source: BatchSource, device: torch.device) -> ClassMaps:
    """The maps of every network of a trained model on every image, without augmentation."""
    heads: list[Head] = [moe.base.head, *moe.experts]

    def answer(batch: Batch) -> tuple[Tensor, Tensor]:
        features = moe.base.trunk(batch.images)
        maps, logits = zip(*(class_maps(head, features, batch.labels) for head in heads), strict=True)
        return torch.stack(maps, 1), torch.stack(logits, 1).argmax(2) == batch.labels[:, None]

    return ClassMaps(*on_all_images(moe, source, device, answer))
