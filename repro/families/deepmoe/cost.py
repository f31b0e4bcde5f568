"""What an image costs a DeepMoE, in two conventions.

``naive``: each convolution costs the product of the active shares of what it reads and what it writes, as if the
residual stream were as sparse as what was last written to it. Then wide with half of its channels costs what narrow
costs, which is what the paper says of it; it prints no formula. ``honest``: the stream is a sum over blocks, and what
reads it, a block's first convolution and a shortcut's, reads each channel that anything has written to. Up to the first
shortcut with a convolution these are the active channels of the stem and of every block since; after it, all. The
embedding network and the heads are paid for in both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from repro.families.deepmoe.config import DeepMoEConfig
from repro.families.deepmoe.model import DeepMoE, build
from repro.models.cost import count_macs, count_params, counter
from repro.models.gated import Gate, GatedBackbone, blocks, wiring
from repro.models.trnet import ConvBN

Convention = Literal["naive", "honest"]


class LayerCost(NamedTuple):
    """Dense multiply-adds of one convolution, and the gated layers (None: dense) that it reads and writes.

    Of several layers it reads each channel that is active in any of them.
    """

    macs: int
    reads: tuple[int, ...] | None
    writes: tuple[int, ...] | None


class DeepMoECost(NamedTuple):
    """Of one image: the dense backbone, embedding network and heads (multiply-adds), and all parameters.

    layers  the backbone's convolutions and last linear layer, by convention
    sizes   channels of each gated layer
    """

    dense_macs: int
    gating_macs: int
    params: int
    sizes: tuple[int, ...]
    layers: dict[Convention, tuple[LayerCost, ...]]

    def macs(self, gates_NG: Tensor, convention: Convention = "honest") -> Tensor:
        """Multiply-adds ``[N]`` (float64) of images with these gates, embedding network and heads included."""
        active = [part > 0 for part in gates_NG.split(list(self.sizes), 1)]

        def share(layers: tuple[int, ...]) -> Tensor:
            return torch.stack([active[layer] for layer in layers]).any(0).double().mean(1)

        return self._sum(len(gates_NG), share, convention)

    def at_shares(self, shares_NL: Tensor, convention: Convention = "honest") -> Tensor:
        """The same of active shares ``[N, L]``, each in [0, 1]; at most: added layers may share channels."""

        def share(layers: tuple[int, ...]) -> Tensor:
            return shares_NL[:, list(layers)].sum(1).clamp(max=1)

        return self._sum(len(shares_NL), share, convention)

    def _sum(self, images: int, share: Callable[[tuple[int, ...]], Tensor], convention: Convention) -> Tensor:
        one = torch.ones(images, dtype=torch.float64)
        total = one * self.gating_macs
        for layer in self.layers[convention]:
            read, written = (one if each is None else share(each) for each in (layer.reads, layer.writes))
            total = total + layer.macs * read * written
        return total


def active_shares(gates_NG: Tensor, sizes: Sequence[int]) -> Tensor:
    """Share of each layer's channels that are active, ``[N, L]`` in float64."""
    return torch.stack([(part > 0).double().mean(1) for part in gates_NG.split(list(sizes), 1)], 1)


@cache
def deepmoe_cost(config: DeepMoEConfig) -> DeepMoECost:
    """The exact cost; nothing is computed."""
    with torch.device("meta"):
        model = build(config)
        image = torch.empty(1, 3, config.image_size, config.image_size)
        gating_macs, _ = count_macs(model.gating, image)
        dense = _layer_macs(model, image)
    network = model.network
    layers: dict[Convention, tuple[LayerCost, ...]] = {
        "naive": tuple(_naive_layers(network, dense)),
        "honest": tuple(_honest_layers(network, dense)),
    }
    return DeepMoECost(sum(dense.values()), gating_macs, count_params(model), tuple(network.sizes), layers)


def _layer_macs(model: DeepMoE, image: Tensor) -> dict[nn.Module, int]:
    """Dense multiply-adds of every convolution and linear layer of the backbone."""
    with counter() as flops:
        model.eval()(image)
    counts = {name: sum(by_op.values()) // 2 for name, by_op in flops.get_flop_counts().items()}
    layers = model.network.named_modules(prefix=f"{type(model).__name__}.network")
    return {layer: counts[name] for name, layer in layers if isinstance(layer, nn.Conv2d | nn.Linear)}


def _naive_layers(network: GatedBackbone, dense: dict[nn.Module, int]) -> Iterator[LayerCost]:
    """Every convolution, the shortcuts' and the last linear layer: the blocks are one chain of convolutions."""
    parts, number = blocks(network.backbone), _numbers(network)
    wires = {layer: (reads, writes) for layer, reads, writes in wiring([op for block in parts for op in block.ops])}
    for layer, (reads, writes) in wires.items():
        yield LayerCost(dense[layer.convolution], number[reads], number[writes])
    for block in parts:
        if block.residual and isinstance(block.residual.shortcut, ConvBN):
            reads, writes = wires[block.convolutions[0]][0], wires[block.convolutions[-1]][1]
            yield LayerCost(dense[block.residual.shortcut.convolution], number[reads], number[writes])
    yield LayerCost(dense[network.backbone.head.fc], number[writes], None)


def _honest_layers(network: GatedBackbone, dense: dict[nn.Module, int]) -> Iterator[LayerCost]:
    """The same; a block reads the stream, which has the channels of all that was added up to it."""
    number = _numbers(network)
    stream: tuple[int, ...] | None = None
    for block in (block for block in blocks(network.backbone) if block.convolutions):  # others pool
        for layer, reads, writes in wiring(block.ops):
            first = layer is block.convolutions[0] and reads is None
            yield LayerCost(dense[layer.convolution], stream if first else number[reads], number[writes])
        written = number[writes]
        if block.residual is None:
            stream = written
        elif isinstance(block.residual.shortcut, ConvBN):
            yield LayerCost(dense[block.residual.shortcut.convolution], stream, None)
            stream = None
        else:
            stream = None if stream is None or written is None else stream + written
    yield LayerCost(dense[network.backbone.head.fc], stream, None)


def _numbers(network: GatedBackbone) -> dict[Gate | None, tuple[int, ...] | None]:
    return {None: None, **{gate: (index,) for index, gate in enumerate(network.gates)}}
