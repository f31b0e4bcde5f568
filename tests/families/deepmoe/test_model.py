"""BatchNorm's ε in the gated backbone; networks without their inactive channels compute what masked ones do."""

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from repro.families.deepmoe.config import DeepMoEConfig
from repro.families.deepmoe.cost import deepmoe_cost
from repro.families.deepmoe.model import DeepMoE, build
from repro.families.deepmoe.speed import Folded, Prototypes
from repro.models.gated import GateAt, GatedBackbone
from repro.models.widenets import widenet
from repro.randomness import seeded_init
from tests.helpers import draw_statistics

TINY = 1e-12


def model(eps: float, gate_at: GateAt = "output") -> DeepMoE:
    with seeded_init(0, "test"):
        return build(
            DeepMoEConfig(backbone="tr10", width=0.0625, num_classes=5, gate_at=gate_at, batchnorm_eps=eps)
        ).double()


def logits(of: DeepMoE, scale: float) -> tuple[Tensor, Tensor]:
    """In training, then in evaluation with the statistics of that batch; the gates of one layer have this scale."""
    network, draw = of.network, torch.Generator().manual_seed(1)
    images = torch.randn(16, 3, 32, 32, generator=draw, dtype=torch.float64)
    gates = torch.rand(16, sum(network.sizes), generator=draw, dtype=torch.float64) + 0.5
    layers = list(gates.split(network.sizes, 1))
    layers[network.layers.index("block 2, convolution 1")] *= scale  # a view: a convolution and BatchNorm follow
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = 1.0
    with torch.no_grad():
        return network.train()(images, gates), network.eval()(images, gates)


@pytest.mark.parametrize(("gate_at", "eps"), [("output", TINY), ("output", 1e-5), ("input", TINY)])
def test_the_scale_of_gates_is_nothing_to_a_network_only_if_eps_is_tiny(eps: float, gate_at: GateAt) -> None:
    for whole, scaled in zip(logits(model(eps, gate_at), 1.0), logits(model(eps, gate_at), 1e-3), strict=True):
        away = float((whole - scaled).abs().max() / whole.std())
        assert away < 1e-3 if eps == TINY else away > 0.1


def test_eps_is_that_of_the_gated_backbone_alone_and_the_default_is_in_no_key_and_no_record() -> None:
    def of_batchnorms(module: nn.Module) -> set[float]:
        return {layer.eps for layer in module.modules() if isinstance(layer, nn.BatchNorm2d)}

    made, other = model(TINY), DeepMoEConfig(num_classes=5, width=0.0625, batchnorm_eps=1e-9)
    assert of_batchnorms(made.network) == {TINY} and of_batchnorms(made.gating) == {1e-5}
    assert of_batchnorms(build(other, widenet("tr10", 5, 0.0625)).network) == {1e-9}, "also from a plain start"
    assert other.model_dump(mode="json")["batchnorm_eps"] == 1e-9
    assert "batchnorm_eps" not in DeepMoEConfig(num_classes=5).model_dump(mode="json")


def network(name: str, gate_at: GateAt = "output") -> GatedBackbone:
    """With BatchNorm that has something to fold, by its own ε."""
    with seeded_init(0, "test", name):
        gated_backbone = GatedBackbone(widenet(name, 7, 0.25), gate_at).eval()
        draw_statistics(gated_backbone)
        for norm in (m for m in gated_backbone.modules() if isinstance(m, nn.BatchNorm2d)):
            nn.init.uniform_(norm.bias, -0.2, 1)
            norm.eps = 0.1
    return gated_backbone


def some_gates(net: GatedBackbone, images: int, share: float = 0.4) -> torch.Tensor:
    draw = torch.Generator().manual_seed(1)
    gates = torch.rand(images, sum(net.sizes), generator=draw) + 0.2
    return gates * (torch.rand(gates.shape, generator=draw) < share)


@pytest.mark.parametrize("gate_at", ["output", "input"])
@pytest.mark.parametrize("name", ["tr10", "resnet20", "resnet18-B", "vgg16"])
@torch.no_grad()
def test_gathered_and_masked_are_the_same_function(name: str, gate_at: GateAt) -> None:
    """Also where a layer has no active channel, as that of the last image has."""
    net = network(name, gate_at)
    images, gates, folded = torch.randn(3, 3, 32, 32), some_gates(net, 3), Folded(net)
    start = sum(net.sizes[:3])
    gates[2, start : start + net.sizes[3]] = 0
    expected = net(images, gates)
    torch.testing.assert_close(folded.masked(images, gates), expected, rtol=1e-4, atol=1e-4)
    for i in range(3):
        torch.testing.assert_close(folded.gather(gates[i])(images[i, None]), expected[i, None], rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_a_gathered_network_has_no_inactive_channel_in_it() -> None:
    """It runs the honest multiply-adds, a whole stem, which is read whole, and what spreads a block's channels."""
    net = network("tr10")
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
def test_prototypes_compute_the_masked_network_with_the_channels_that_half_of_their_images_have() -> None:
    net = network("tr10")
    groups = some_gates(net, 2)
    which = torch.tensor([0, 1, 1, 0, 1, 0, 0, 1])
    gates = groups[which] * (1 + 0.01 * torch.rand(8, 1))
    images, prototypes = torch.randn(8, 3, 32, 32), Prototypes(Folded(net), gates, 2)
    chosen = prototypes.nearest(gates)
    assert len(set(zip(chosen.tolist(), which.tolist(), strict=True))) == 2, "one prototype a group"
    expected = net(images, prototypes.gates[chosen])
    torch.testing.assert_close(prototypes(images, gates), expected, rtol=1e-4, atol=1e-4)
    gates = torch.zeros(4, sum(net.sizes))
    gates[:, 0], gates[:2, 1], gates[0, 2] = 1.0, 2.0, 4.0
    prototype = Prototypes(Folded(net), gates, 1)
    assert prototype.gates[0, :3].tolist() == [1.0, 1.0, 0.0]
    assert prototype.centres[0, :3].tolist() == [1.0, 1.0, 1.0]
