"""Speed that is real: networks from which inactive channels are gone, rather than multiplied by zero.

Masking alone saves nothing: every channel is computed and then scaled. Two ways save something. ``Folded.gather``
builds the small network of one image's gates, at batch 1. ``Prototypes`` has K such networks, gathered beforehand, for
K prototype gates (K-means over the gates of the images that it is given), and runs each image through the one whose
centre is nearest to its own gates: a single-gate mixture of K experts with shared weights.

Axes: B images, N training images, G gated channels of all layers, K prototypes, C classes.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from functools import partial
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from repro.models.gated import Block, Gate, GatedBackbone, blocks, wiring
from repro.models.trnet import ConvBN, Residual
from repro.randomness import derive

Op = Callable[[Tensor], Tensor]
Values = dict[Gate, Tensor]


class Folded:
    """A gated backbone in evaluation mode with BatchNorm folded into the convolutions.

    ``masked(images, gates_BG)`` is that network, with every channel computed and then scaled, as in training.
    """

    def __init__(self, network: GatedBackbone) -> None:
        self.masked = copy.deepcopy(network).eval().requires_grad_(False)
        for layer in self.masked.modules():
            if isinstance(layer, ConvBN):
                layer[0] = fuse_conv_bn_eval(layer.convolution, cast(nn.BatchNorm2d, layer[1]))
                layer[1] = nn.Identity()
        self._blocks = blocks(self.masked.backbone)

    @torch.no_grad()
    def gather(self, gates_G: Tensor) -> Op:
        """The network of one choice of gates ``[G]``, from images to logits, without any inactive channel.

        Active gates are multiplied into the weights, so it computes what ``masked`` does.
        """
        gates = dict(zip(self.masked.gates, gates_G.split(self.masked.sizes), strict=True))
        # Nothing can be computed of no channel: where none is active the first stays, times its gate, which is 0.
        active = {gate: v.nonzero()[:, 0] if bool(v.any()) else v.new_zeros(1).long() for gate, v in gates.items()}
        for block in self._blocks[:-1]:
            if not block.residual:  # a stem costs less than to spread its channels over the stream afterwards
                active |= {
                    op: torch.arange(op.channels, device=gates_G.device) for op in block.ops if isinstance(op, Gate)
                }
        fc = self.masked.backbone.head.fc
        steps: list[Op] = []
        for block in self._blocks:
            ops, channels = _gather_ops(block, gates, active)
            if block.residual:
                size = block.convolutions[-1].convolution.out_channels
                steps.append(_residual(ops if channels is None else [*ops, _spread(channels, size)], block.residual))
            elif block is self._blocks[-1]:
                steps += [*ops, partial(F.linear, weight=_columns(fc.weight, channels), bias=fc.bias)]
            else:
                steps += ops
        return partial(_run, steps)


def _gather_ops(block: Block, gates: Values, active: Values) -> tuple[list[Op], Tensor | None]:
    """The ops of a block on its active channels, and which those are in the end (None: all)."""
    ops: list[Op] = []
    writes = {layer: gate for layer, _, gate in wiring(block.ops)}
    channels: Tensor | None = None  # of the tensor at hand
    for op in block.ops:
        if isinstance(op, ConvBN):
            own = op.convolution
            weight, bias = _columns(own.weight, channels), cast(Tensor, own.bias)
            gate = writes[op]
            channels = active[gate] if gate else None
            if gate:  # it scales what comes out, through ReLU and pooling too: gates are not negative
                scale = gates[gate][channels]
                weight, bias = weight[channels] * scale[:, None, None, None], bias[channels] * scale
            weight = weight.contiguous(memory_format=torch.channels_last)
            ops.append(
                partial(
                    F.conv2d, weight=weight, bias=bias, stride=own.stride, padding=own.padding, dilation=own.dilation
                )
            )
        elif not isinstance(op, Gate):
            ops.append(op)
        elif channels is None:  # a gate that reads the residual stream: no convolution before it
            channels = active[op]
            ops.append(_select(channels, gates[op][channels]))
    return ops, channels


def _columns(weight: Tensor, channels: Tensor | None) -> Tensor:
    return weight if channels is None else weight[:, channels]


def _select(channels: Tensor, scale: Tensor) -> Op:
    return lambda x: x[:, channels] * scale[:, None, None]


def _spread(channels: Tensor, size: int) -> Op:
    """Channels to their places among ``size``: a 1x1 convolution with ones, four times as fast as an indexed copy."""
    weight = torch.zeros(size, len(channels), 1, 1, device=channels.device)
    weight[channels, torch.arange(len(channels))] = 1
    return partial(F.conv2d, weight=weight.contiguous(memory_format=torch.channels_last))


def _residual(ops: Sequence[Op], residual: Residual) -> Op:
    return lambda x: F.relu_(_run(ops, x).add_(residual.shortcut(x)))


def _run(ops: Sequence[Op], x: Tensor) -> Tensor:
    for op in ops:
        x = op(x)
    return x


class Prototypes:
    """K networks gathered beforehand, and which image goes through which.

    gates ``[K, G]``    a cluster's mean gates where at least half of its images have the channel active, else 0
    centres ``[K, G]``  the means themselves, which decide who belongs to a cluster
    """

    def __init__(self, folded: Folded, gates_NG: Tensor, k: int, seed: int = 0) -> None:
        from sklearn.cluster import KMeans  # seconds

        kmeans = KMeans(k, n_init=3, random_state=derive(seed, "prototypes") % 2**32).fit(gates_NG.cpu().numpy())
        cluster = torch.from_numpy(kmeans.labels_).long()
        self.centres = torch.stack([gates_NG[cluster == c].mean(0) for c in range(k)])
        usual = torch.stack([(gates_NG[cluster == c] > 0).float().mean(0) >= 0.5 for c in range(k)])
        self.gates = self.centres * usual
        self._networks = [folded.gather(gates) for gates in self.gates]

    def nearest(self, gates_BG: Tensor) -> Tensor:
        """The prototype ``[B]`` of each image."""
        return torch.cdist(gates_BG, self.centres).argmin(1)

    def __call__(self, images: Tensor, gates_BG: Tensor) -> Tensor:
        """Logits ``[B, C]``, images grouped by prototype."""
        chosen = self.nearest(gates_BG)
        order = chosen.argsort()
        sizes = torch.bincount(chosen, minlength=len(self._networks)).tolist()
        groups = zip(self._networks, images[order].split(sizes), strict=True)
        with torch.no_grad():
            logits = torch.cat([network(group) for network, group in groups if len(group)])
        return torch.empty_like(logits).index_copy_(0, order, logits)
