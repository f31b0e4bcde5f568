"""Networks without their inactive channels compute what masked ones do."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from repro.families.deepmoe.config import DeepMoEConfig
from repro.families.deepmoe.cost import deepmoe_cost
from repro.families.deepmoe.speed import Folded, Prototypes
from repro.models.gated import GateAt, Gated, GatedBackbone
from repro.models.widenets import widenet
from repro.randomness import seeded_init
from tests.helpers import draw_statistics


def network(name: str, gate_at: GateAt, gated: Gated = "all") -> GatedBackbone:
    """With BatchNorm that has something to fold."""
    with seeded_init(0, "test", name):
        gated_backbone = GatedBackbone(widenet(name, 7, 0.25), gate_at, gated).eval()
        draw_statistics(gated_backbone)
        for norm in (m for m in gated_backbone.modules() if isinstance(m, nn.BatchNorm2d)):
            nn.init.uniform_(norm.bias, -0.2, 1)
    return gated_backbone


def some_gates(net: GatedBackbone, images: int, share: float = 0.4) -> torch.Tensor:
    draw = torch.Generator().manual_seed(1)
    gates = torch.rand(images, sum(net.sizes), generator=draw) + 0.2
    return gates * (torch.rand(gates.shape, generator=draw) < share)


@pytest.mark.parametrize("gate_at", ["output", "input"])
@pytest.mark.parametrize("name", ["tr10", "resnet20", "resnet18", "resnet18-B", "vgg16"])
@torch.no_grad()
def test_gathered_and_masked_are_the_same_function(name: str, gate_at: GateAt) -> None:
    net = network(name, gate_at)
    images, gates, folded = torch.randn(3, 3, 32, 32), some_gates(net, 3), Folded(net)
    expected = net(images, gates)
    torch.testing.assert_close(folded.masked(images, gates), expected, rtol=1e-4, atol=1e-4)
    for i in range(3):
        torch.testing.assert_close(folded.gather(gates[i])(images[i, None]), expected[i, None], rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_a_layer_without_an_active_channel_gives_nothing() -> None:
    net = network("tr10", "output")
    images, gates = torch.randn(2, 3, 32, 32), some_gates(net, 2)
    start = sum(net.sizes[:3])
    gates[:, start : start + net.sizes[3]] = 0
    got = Folded(net).gather(gates[0])(images[:1])
    torch.testing.assert_close(got, net(images, gates)[:1], rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_a_gathered_network_has_no_inactive_channel_in_it() -> None:
    """It runs the honest multiply-adds, a whole stem, and the 1x1 convolutions that spread a block's channels.

    And it reads the stem's output whole, of which block 1, and 2 where block 1 adds nothing, could read a part.
    """
    net = network("tr10", "output")
    gates = some_gates(net, 1)
    with FlopCounterMode(display=False) as counter:
        Folded(net).gather(gates[0])(torch.randn(1, 3, 32, 32))
    cost = deepmoe_cost(DeepMoEConfig(backbone="tr10", width=0.25, num_classes=7))
    active = [int((part > 0).sum()) for part in gates[0].split(net.sizes)]
    stem = 32 * 32 * 27 * (net.sizes[0] - active[0])
    spread = sum(active[2 * i + 2] * net.sizes[2 * i + 2] * side**2 for i, side in enumerate((32, 16, 8, 4)))
    stem_N, added_N = (gates[0].split(net.sizes)[layer] > 0 for layer in (0, 2))
    unread = 32 * 32 * 9 * int((~stem_N).sum()) * active[1]
    neither = int((~(stem_N | added_N)).sum())
    unread += 16 * 16 * neither * (9 * active[3] + 32)  # block 2's first convolution, and its shortcut
    assert counter.get_total_flops() // 2 == cost.macs(gates)[0] - cost.gating_macs + stem + spread + unread


@torch.no_grad()
def test_prototypes_compute_the_masked_network_with_their_gates() -> None:
    net = network("tr10", "output")
    groups = some_gates(net, 2)
    which = torch.tensor([0, 1, 1, 0, 1, 0, 0, 1])
    gates = groups[which] * (1 + 0.01 * torch.rand(8, 1))
    images, prototypes = torch.randn(8, 3, 32, 32), Prototypes(Folded(net), gates, 2)
    chosen = prototypes.nearest(gates)
    assert len(set(zip(chosen.tolist(), which.tolist(), strict=True))) == 2, "one prototype a group"
    expected = net(images, prototypes.gates[chosen])
    torch.testing.assert_close(prototypes(images, gates), expected, rtol=1e-4, atol=1e-4)


def test_a_prototype_has_the_channels_that_half_of_its_images_have() -> None:
    net = network("tr10", "output")
    gates = torch.zeros(4, sum(net.sizes))
    gates[:, 0], gates[:2, 1], gates[0, 2] = 1.0, 2.0, 4.0
    prototype = Prototypes(Folded(net), gates, 1)
    assert prototype.gates[0, :3].tolist() == [1.0, 1.0, 0.0]
    assert prototype.centres[0, :3].tolist() == [1.0, 1.0, 1.0]
