"""torchvision's ConvNeXt and VisionTransformer with mixtures in place of some MLPs.

What routing decides leaves through the return value, so torchvision's modules are used and its blocks' forward is
written again: a block returns its output and, where it has a mixture, the choice.
Axes: B images, S pixels a side, C classes, T tokens of an image, D model, K choices of a token.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models import ConvNeXt, VisionTransformer, get_model
from torchvision.models.convnext import CNBlock, CNBlockConfig
from torchvision.models.vision_transformer import EncoderBlock
from torchvision.ops import StochasticDepth

from repro.families.sparse.config import SparseConfig, places
from repro.models.backbone import in_float32
from repro.models.sparse_moe import MLP, SparseMoE
from repro.models.token_routing import Choice


class SparseOutput(NamedTuple):
    """logits ``[B, C]``, and what each mixture decided for the B T tokens, first layer first."""

    logits: Tensor
    choices: tuple[Choice, ...]


class ConvNeXtBlock(nn.Module):
    """x + γ MLP(h), h = LN(depthwise(x)); with a mixture x + γ (MoE(h) + h), the latter h being the added skip."""

    def __init__(self, block: CNBlock, moe: SparseMoE | None, added_skip: bool) -> None:
        super().__init__()
        self.spatial = block.block[:3]  # depthwise, [B, D, h, w] -> [B, h, w, D], norm
        self.mlp = moe or block.block[3:6]
        self.layer_scale = block.layer_scale
        self.drop_path = block.stochastic_depth
        self.added_skip = added_skip and moe is not None

    def forward(self, x: Tensor) -> tuple[Tensor, Choice | None]:
        """``[B, D, h, w]`` to the same."""
        h = self.spatial[1:](_depthwise(self.spatial[0], x))
        y, choice = apply(self.mlp, h)
        y = y + h if self.added_skip else y
        return self.drop_path(self.layer_scale * y.permute(0, 3, 1, 2)) + x, choice


def _depthwise(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """Float32 weights in float32 on a CPU: oneDNN takes three times as long for a gradient of them in bf16.

    The bias is added apart, as its gradient beside the weights' takes oneDNN up to half as long again.
    """
    wanted = x.device.type == "cpu" and conv.weight.dtype is torch.float32 and torch.is_autocast_enabled("cpu")
    if not wanted:
        out: Tensor = conv(x)
        return out
    with torch.autocast("cpu", enabled=False):
        without = F.conv2d(x.float(), conv.weight, None, conv.stride, conv.padding, conv.dilation, conv.groups)
        return without if conv.bias is None else without + conv.bias[:, None, None]


class ViTBlock(nn.Module):
    """Attention, then an MLP or a mixture, each with its skip. The class token is routed as all are."""

    def __init__(self, block: EncoderBlock, moe: SparseMoE | None, drop_path: float) -> None:
        super().__init__()
        self.ln_1, self.self_attention, self.ln_2 = block.ln_1, block.self_attention, block.ln_2
        self.mlp = moe or block.mlp
        self.drop_path = StochasticDepth(drop_path, "row")

    def forward(self, x: Tensor) -> tuple[Tensor, Choice | None]:
        """``[B, T, D]`` to the same."""
        h = self.ln_1(x)
        x = x + self.drop_path(self.self_attention(h, h, h, need_weights=False)[0])
        y, choice = apply(self.mlp, self.ln_2(x))
        return x + self.drop_path(y), choice


def apply(mlp: nn.Module, h: Tensor) -> tuple[Tensor, Choice | None]:
    """A mixture's output and choice, or a dense MLP's output and ``None``."""
    out: tuple[Tensor, Choice | None] = mlp(h) if isinstance(mlp, SparseMoE) else (mlp(h), None)
    return out


class ViTStem(nn.Module):
    """Patches, class token and positions, as torchvision's: images ``[B, 3, S, S]`` -> ``[B, T, D]``."""

    def __init__(self, net: VisionTransformer) -> None:
        super().__init__()
        self.conv_proj, self.class_token, self.positions = net.conv_proj, net.class_token, net.encoder.pos_embedding

    def forward(self, images: Tensor) -> Tensor:
        patches = self.conv_proj(images).flatten(2).transpose(1, 2)
        return torch.cat([self.class_token.expand(len(images), -1, -1), patches], 1) + self.positions


class ViTNorm(nn.Module):
    """Norm of the class token: ``[B, T, D]`` -> ``[B, D]``."""

    def __init__(self, norm: nn.LayerNorm) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.norm(x)[:, 0]
        return out


class SparseNetwork(nn.Module):
    """stem, blocks (and what shrinks maps between stages), pooling, last layer."""

    def __init__(self, stem: nn.Module, blocks: list[nn.Module], pool: nn.Module, fc: nn.Linear) -> None:
        super().__init__()
        self.stem = stem
        self.blocks = nn.ModuleList(blocks)
        self.pool = pool
        self.fc = fc

    def forward(self, images: Tensor) -> SparseOutput:
        """Logits and choices for normalised images ``[B, 3, S, S]``."""
        x, choices = self.stem(images), []
        for block in self.blocks:
            if isinstance(block, ConvNeXtBlock | ViTBlock):
                x, choice = block(x)
                choices += [choice] if choice else []
            else:
                x = block(x)
        return SparseOutput(in_float32(self.fc, self.pool(x)), tuple(choices))

    @property
    def mixtures(self) -> list[SparseMoE]:
        """The layers that route, first one first."""
        return [module for module in self.modules() if isinstance(module, SparseMoE)]


def build(config: SparseConfig) -> SparseNetwork:
    """The network of a config. New weights come from torch's global generator (:class:`repro.randomness.seeded`).

    :class:`OSError` where ``start`` is ``imagenet`` and the weights cannot be downloaded.
    """
    return _convnext(config) if config.shape.body == "convnext" else _vit(config)


def _convnext(config: SparseConfig) -> SparseNetwork:
    shape = config.shape
    if config.start == "imagenet":
        net: Any = get_model(shape.torchvision, weights="IMAGENET1K_V1", stochastic_depth_prob=config.drop_path)
        net.classifier[2] = nn.Linear(shape.dims[-1], config.num_classes)
    else:
        after = (*shape.dims[1:], None)
        stages = [CNBlockConfig(*stage) for stage in zip(shape.dims, after, shape.depths, strict=True)]
        net = ConvNeXt(stages, config.drop_path, config.layer_scale, config.num_classes)
        if config.patch != 4:
            net.features[0][0] = nn.Conv2d(3, shape.dims[0], config.patch, config.patch)
            _small_normal(net.features[0][0])
    chosen, stage, blocks = places(shape, config.placement), 0, []
    for part in net.features[1:]:
        if not isinstance(part[0], CNBlock):  # what shrinks the map
            blocks.append(part)
            stage += 1
            continue
        for index, block in enumerate(part):
            dense = block.block[3], block.block[5]
            moe = _mixture(config, dense, _small_normal) if (stage, index) in chosen else None
            blocks.append(ConvNeXtBlock(block, moe, config.added_skip))
    return SparseNetwork(net.features[0], blocks, nn.Sequential(net.avgpool, *net.classifier[:2]), net.classifier[2])


def _vit(config: SparseConfig) -> SparseNetwork:
    shape = config.shape
    (dim,), (depth,) = shape.dims, shape.depths
    if config.start == "imagenet":
        net: Any = get_model(shape.torchvision, weights="IMAGENET1K_V1")
        net.heads.head = nn.Linear(dim, config.num_classes)
    else:
        net = VisionTransformer(
            config.image_size, config.patch, depth, shape.heads, dim, 4 * dim, num_classes=config.num_classes
        )
    chosen = places(shape, config.placement)
    blocks: list[nn.Module] = []
    for index, block in enumerate(net.encoder.layers):
        dense = block.mlp[0], block.mlp[3]
        moe = _mixture(config, dense, _xavier) if (0, index) in chosen else None
        blocks.append(ViTBlock(block, moe, config.drop_path * index / max(depth - 1, 1)))
    return SparseNetwork(ViTStem(net), blocks, ViTNorm(net.encoder.ln), net.heads.head)


def _mixture(config: SparseConfig, dense: MLP, initialise: Callable[[nn.Module], None]) -> SparseMoE:
    """What takes the place of a dense MLP: experts that begin as it does elsewhere, or as copies of it."""
    dim, hidden = dense[0].in_features, round(config.hidden_ratio * dense[0].in_features)

    def fresh() -> MLP:
        pair = nn.Linear(dim, hidden), nn.Linear(hidden, dim)
        for linear in pair:
            initialise(linear)
        return pair

    if config.start == "imagenet":
        experts = [dense] * config.num_experts
    elif config.expert_init == "shared":
        experts = [fresh()] * config.num_experts
    else:
        experts = [fresh() for _ in range(config.num_experts)]
    return SparseMoE(experts, config.gate, config.routing, min(config.code_dim, max(1, dim // 2)))


def _small_normal(layer: Any) -> None:
    """ConvNeXt's rule."""
    nn.init.trunc_normal_(layer.weight, std=0.02)
    nn.init.zeros_(layer.bias)


def _xavier(layer: Any) -> None:
    """The rule of torchvision's ViT for its MLPs."""
    nn.init.xavier_uniform_(layer.weight)
    nn.init.normal_(layer.bias, std=1e-6)
