"""BatchNorm's ε in the gated backbone: what it does to the scale of gates, where it is set, what it leaves alone."""

from functools import partial

import pytest
import torch
from torch import Tensor, nn

from repro.families.deepmoe.config import DeepMoEConfig
from repro.families.deepmoe.cost import _counted, deepmoe_cost
from repro.families.deepmoe.model import DeepMoE, build
from repro.families.deepmoe.speed import Folded
from repro.models.gated import GateAt, blocks
from repro.models.widenets import widenet
from repro.randomness import seeded_init

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


@pytest.mark.parametrize("gate_at", ["output", "input"])
@pytest.mark.parametrize("eps", [TINY, 1e-5])
def test_the_scale_of_gates_is_nothing_to_a_network_only_if_eps_is_tiny(eps: float, gate_at: GateAt) -> None:
    for whole, scaled in zip(logits(model(eps, gate_at), 1.0), logits(model(eps, gate_at), 1e-3), strict=True):
        away = float((whole - scaled).abs().max() / whole.std())
        assert away < 1e-3 if eps == TINY else away > 0.1


def of_batchnorms(module: nn.Module) -> set[float]:
    return {layer.eps for layer in module.modules() if isinstance(layer, nn.BatchNorm2d)}


def test_eps_is_that_of_the_gated_backbone_alone_also_from_a_plain_start() -> None:
    made = model(TINY)
    assert of_batchnorms(made.network) == {TINY} and of_batchnorms(made.gating) == {1e-5}
    started = build(DeepMoEConfig(num_classes=5, width=0.0625, batchnorm_eps=1e-9), widenet("tr10", 5, 0.0625))
    assert of_batchnorms(started.network) == {1e-9}


def test_a_compacted_network_has_the_eps_of_what_it_was_made_of() -> None:
    network = model(TINY).network.float().eval()
    layer = blocks(network.backbone)[-2].convolutions[0][1]
    assert isinstance(layer, nn.BatchNorm2d) and layer.running_var is not None
    layer.running_var.fill_(1e-8)  # 1e-5 would make a thirtieth of what it gives
    images, gates = torch.randn(4, 3, 32, 32), torch.rand(4, sum(network.sizes))
    with torch.no_grad():
        expected = network(images, gates)
        close = partial(torch.testing.assert_close, rtol=1e-3, atol=1e-3 * float(expected.std()))
        close(Folded(network).masked(images, gates), expected)
        close(Folded(network).gather(gates[0])(images[:1]), expected[:1])


def test_the_default_is_in_no_key_and_no_record_and_costs_are_the_same() -> None:
    usual, other = (DeepMoEConfig(num_classes=5, width=0.25, batchnorm_eps=eps) for eps in (1e-5, TINY))
    assert "batchnorm_eps" not in usual.model_dump(mode="json")
    assert other.model_dump(mode="json")["batchnorm_eps"] == TINY
    before = _counted.cache_info().misses
    assert deepmoe_cost(usual) == deepmoe_cost(other) and _counted.cache_info().misses <= before + 1
