"""Gated backbones (DeepMoE, Wang et al., UAI 2019): channels of a network's tensors are scaled, or not run, by gates.

Axes: B images, G gated channels of all layers side by side, L gated layers, C_l channels of one, C classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from torch import Tensor, nn

from repro.errors import SpecError
from repro.models.backbone import Backbone
from repro.models.trnet import ConvBN, Residual
from repro.models.widenets import widenet

GateAt = Literal["output", "input"]
Gated = Literal["all", "inner", "widened"]


class Gate(nn.Module):
    """Scales each channel of a tensor ``[B, C_l, h, w]`` by its gate, which the network sets before it runs."""

    value: Tensor | None = None

    def __init__(self, name: str, channels: int) -> None:
        super().__init__()
        self.name, self.channels = name, channels

    def forward(self, x: Tensor) -> Tensor:
        assert self.value is not None, "a gate runs inside its network"
        return x * self.value[:, :, None, None].to(x.dtype)


class Block(NamedTuple):
    """What runs between residual blocks, or inside one: convolutions, gates, ReLUs and poolings, in order."""

    ops: list[nn.Module]
    residual: Residual | None = None

    @property
    def convolutions(self) -> list[ConvBN]:
        """In order, less the shortcut's."""
        return [op for op in self.ops if isinstance(op, ConvBN)]


def blocks(backbone: Backbone) -> list[Block]:
    """A backbone as a list of blocks, up to its last linear layer."""
    in_order = [Block([])]
    for op in [*_flat(backbone.trunk), *_flat(backbone.head.features)]:
        if isinstance(op, Residual):
            in_order += [Block(list(_flat(op.body)), op), Block([])]
        else:
            in_order[-1].ops.append(op)
    return [block for block in in_order if block.ops]


def wiring(ops: Sequence[nn.Module]) -> Iterator[tuple[ConvBN, Gate | None, Gate | None]]:
    """Each convolution among ``ops``, and the gates on what it reads and on what it writes (None: all channels)."""
    reads: Gate | None = None
    for index, op in enumerate(ops):
        if isinstance(op, Gate):
            reads = op
        elif isinstance(op, ConvBN):
            after = next((o for o in ops[index + 1 :] if isinstance(o, Gate | ConvBN)), None)
            yield op, reads, after if isinstance(after, Gate) else None
            reads = None


def _flat(module: nn.Module) -> Iterator[nn.Module]:
    if isinstance(module, nn.Sequential) and not isinstance(module, ConvBN):
        for child in module:
            yield from _flat(child)
    else:
        yield module


class GatedBackbone(nn.Module):
    """A backbone some of whose tensors are scaled by gates ``[B, G]``; with all gates 1 it is the plain one.

    gate_at  ``output``: of each convolution after BatchNorm, in a block before the sum (gates are not negative, so
             before and after ReLU are the same); ``input``: of each convolution but the first, Eq. (5) literally
    gated    ``all`` convolutions but the shortcuts'; ``inner``: but those that write to (``output``), or read from
             (``input``), the residual stream; ``widened``: those with more channels than the plain network has

    The backbone is changed in place; it may have been trained (an off-the-shelf start).
    """

    def __init__(
        self, backbone: Backbone, gate_at: GateAt = "output", gated: Gated = "all", width: float = 1.0
    ) -> None:
        """``width`` is that of the plain network, by which the channels of a VGG16 count as widened."""
        super().__init__()
        if gated == "widened" and gate_at == "input":
            raise SpecError("gated 'widened' means a convolution's own channels; choose gate_at 'output'")
        self.backbone, self.gate_at = backbone, gate_at
        names = dict(_to_gate(backbone, gate_at, gated, width))
        if not names:
            raise SpecError(f"gated {gated!r} leaves {backbone.name} without a gate; choose 'all', or a wider network")
        for parent in list(backbone.modules()):
            for key, layer in parent.named_children():
                if not isinstance(layer, ConvBN) or layer not in names:
                    continue
                if gate_at == "output":
                    setattr(parent, key, nn.Sequential(layer, Gate(names[layer], layer.convolution.out_channels)))
                else:
                    setattr(parent, key, nn.Sequential(Gate(names[layer], layer.convolution.in_channels), layer))

    @property
    def gates(self) -> list[Gate]:
        """The L gates, in the order in which they run."""
        return [module for module in self.backbone.modules() if isinstance(module, Gate)]

    @property
    def sizes(self) -> list[int]:
        """Channels of each gated layer; they add up to G."""
        return [gate.channels for gate in self.gates]

    @property
    def layers(self) -> list[str]:
        """A name for each gated layer, for people."""
        return [gate.name for gate in self.gates]

    def forward(self, images: Tensor, gates_BG: Tensor) -> Tensor:
        """Logits ``[B, C]`` of normalised images ``[B, 3, H, W]``."""
        gates = self.gates
        for gate, value in zip(gates, gates_BG.split(self.sizes, 1), strict=True):
            gate.value = value
        try:
            out: Tensor = self.backbone(images)
        finally:
            for gate in gates:
                gate.value = None  # it holds the graph of a step
        return out


def _to_gate(backbone: Backbone, gate_at: GateAt, gated: Gated, width: float) -> Iterator[tuple[ConvBN, str]]:
    """The convolutions that get a gate, each with a name for people."""
    name, of_table_6, _ = backbone.name.partition("-W")
    plain = widenet(name, 10, width if of_table_6 else 1.0)
    plain_channels = iter([layer.convolution.out_channels for block in blocks(plain) for layer in block.convolutions])
    residuals = 0
    for block in blocks(backbone):
        layers = block.convolutions
        residuals += block.residual is not None
        stem = block.residual is None and len(layers) == 1
        at_stream = 0 if gate_at == "input" else len(layers) - 1
        for i, layer in enumerate(layers):
            wider = layer.convolution.out_channels > next(plain_channels)
            inner = not stem and (block.residual is None or i != at_stream)
            reads_image = gate_at == "input" and layer.convolution.in_channels == 3
            if {"all": True, "inner": inner, "widened": wider}[gated] and not reads_image:
                place = f"block {residuals}, " if block.residual else ""
                yield layer, "stem" if stem else f"{place}convolution {i + 1}"
