"""What an image costs a DeepMoE, in two conventions.

``naive``: each convolution costs the product of the active shares of what it reads and what it writes, as if the
residual stream were as sparse as what was last written to it. Then wide with half of its channels costs what narrow
costs, which is how the paper counts. ``honest``: the stream is a sum over blocks and is dense, so a block's first
convolution reads, and its last one's result is added to, all of its channels; shortcuts are dense. The embedding
network and the heads are paid for in both.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from repro.families.deepmoe.config import DeepMoEConfig
from repro.families.deepmoe.model import DeepMoE, build
from repro.models.cost import count_macs, count_params
from repro.models.gated import Gate, GatedBackbone, blocks, wiring
from repro.models.trnet import ConvBN

Convention = Literal["naive", "honest"]


class LayerCost(NamedTuple):
    """Dense multiply-adds of one convolution, and the gated layers (None: dense) that it reads and writes."""

    macs: int
    reads: int | None
    writes: int | None


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
        return self.at_shares(active_shares(gates_NG, self.sizes), convention)

    def at_shares(self, shares_NL: Tensor, convention: Convention = "honest") -> Tensor:
        """The same of active shares ``[N, L]``, each in [0, 1]."""
        one = shares_NL.new_ones(len(shares_NL))
        total = one * self.gating_macs
        for layer in self.layers[convention]:
            read = one if layer.reads is None else shares_NL[:, layer.reads]
            written = one if layer.writes is None else shares_NL[:, layer.writes]
            total = total + layer.macs * read * written
        return total


def active_shares(gates_NG: Tensor, sizes: Sequence[int]) -> Tensor:
    """Share of each layer's channels that are active, ``[N, L]`` in float64."""
    return torch.stack([(part > 0).double().mean(1) for part in gates_NG.split(list(sizes), 1)], 1)


def deepmoe_cost(config: DeepMoEConfig) -> DeepMoECost:
    """The exact cost; nothing is computed."""
    with torch.device("meta"):
        model = build(config)
        image = torch.empty(1, 3, config.image_size, config.image_size)
        gating_macs, _ = count_macs(model.gating, image)
        dense = _layer_macs(model, image)
    network = model.network
    layers: dict[Convention, tuple[LayerCost, ...]] = {
        "naive": tuple(_layers(network, dense, honest=False)),
        "honest": tuple(_layers(network, dense, honest=True)),
    }
    return DeepMoECost(sum(dense.values()), gating_macs, count_params(model), tuple(network.sizes), layers)


def _layer_macs(model: DeepMoE, image: Tensor) -> dict[nn.Module, int]:
    """Dense multiply-adds of every convolution and linear layer of the backbone."""
    macs: dict[nn.Module, int] = {}

    def note(layer: nn.Module, _: object, out: Tensor) -> None:
        if isinstance(layer, nn.Conv2d):
            macs[layer] = out.numel() * layer.weight[0].numel()
        elif isinstance(layer, nn.Linear):
            macs[layer] = layer.weight.numel()

    handles = [layer.register_forward_hook(note) for layer in model.network.modules()]
    model.eval()(image)
    for handle in handles:
        handle.remove()
    return macs


def _layers(network: GatedBackbone, dense: dict[nn.Module, int], honest: bool) -> Iterator[LayerCost]:
    """Every convolution, the shortcuts' and the last linear layer; naively the blocks are one chain of convolutions."""
    parts = blocks(network.backbone)
    number: dict[Gate | None, int | None] = {None: None, **{gate: index for index, gate in enumerate(network.gates)}}
    chains = [block.ops for block in parts] if honest else [[op for block in parts for op in block.ops]]
    wires = {layer: (reads, writes) for ops in chains for layer, reads, writes in wiring(ops)}
    for layer, (reads, writes) in wires.items():
        yield LayerCost(dense[layer.convolution], number[reads], number[writes])
    for block in parts:
        if block.residual and isinstance(block.residual.shortcut, ConvBN):
            reads, writes = wires[block.convolutions[0]][0], wires[block.convolutions[-1]][1]
            ends = (None, None) if honest else (number[reads], number[writes])
            yield LayerCost(dense[block.residual.shortcut.convolution], *ends)
    summed = honest and any(block.residual for block in parts)
    yield LayerCost(dense[network.backbone.head.fc], None if summed else number[writes], None)
