"""Both conventions for gated networks; the paper's dense costs are the exhibit's."""

from __future__ import annotations

import pytest
import torch

from repro.families.deepmoe.config import DeepMoEConfig
from repro.families.deepmoe.cost import Convention, active_shares, deepmoe_cost
from repro.families.deepmoe.model import embedding_channels
from repro.models.cost import model_cost
from repro.models.gated import GateAt


def plain_macs(name: str) -> int:
    """Of the plain network on CIFAR-10."""
    return model_cost(name, None, 10, 32, 0).base_macs


def shares(cost_sizes: int, share: float) -> torch.Tensor:
    return torch.full((1, cost_sizes), share, dtype=torch.float64)


@pytest.mark.parametrize(
    ("gate_at", "convention", "macs", "gates"),
    [("output", "naive", 1.814e9, 17), ("output", "honest", 2.624e9, 17), ("input", "honest", 2.915e9, 16)],
)
def test_wide_resnet18_with_half_of_its_channels(
    gate_at: GateAt, convention: Convention, macs: float, gates: int
) -> None:
    cost = deepmoe_cost(DeepMoEConfig(backbone="resnet18", width=2, num_classes=1000, image_size=224, gate_at=gate_at))
    assert len(cost.sizes) == gates
    backbone = float(cost.at_shares(shares(gates, 0.5), convention)[0]) - cost.gating_macs
    assert backbone == pytest.approx(macs, rel=3e-4)


@pytest.mark.parametrize("name", ["tr10", "tr50", "resnet56", "resnet50-B", "vgg16"])
def test_naively_half_of_a_wide_network_costs_the_narrow_one(name: str) -> None:
    wide = deepmoe_cost(DeepMoEConfig(backbone=name, width=2, num_classes=10))
    narrow = plain_macs(name)
    if name == "resnet50-B":  # widens one of three convolutions, so half of all channels is less than narrow
        assert wide.at_shares(shares(len(wide.sizes), 0.5), "naive")[0] - wide.gating_macs < narrow
    else:
        assert wide.at_shares(shares(len(wide.sizes), 0.5), "naive")[0] - wide.gating_macs == narrow


@pytest.mark.parametrize("gate_at", ["output", "input"])
@pytest.mark.parametrize("convention", ["naive", "honest"])
def test_with_all_channels_an_image_costs_the_dense_network(gate_at: GateAt, convention: Convention) -> None:
    cost = deepmoe_cost(DeepMoEConfig(backbone="tr10", num_classes=10, gate_at=gate_at))
    macs = plain_macs("tr10")
    assert cost.dense_macs == macs
    assert cost.at_shares(shares(len(cost.sizes), 1.0), convention)[0] == macs + cost.gating_macs


def test_cost_is_of_each_image() -> None:
    """By hand: VGG16 with one channel of its last convolution off loses 1/512 of it and one weight a class."""
    cost = deepmoe_cost(DeepMoEConfig(backbone="vgg16", num_classes=10))
    gates = torch.ones(2, sum(cost.sizes))
    gates[1, -1] = 0
    full, less = cost.macs(gates).tolist()
    assert full == cost.dense_macs + cost.gating_macs
    assert full - less == pytest.approx(2 * 2 * 9 * 512 + 10)
    assert active_shares(gates, cost.sizes)[:, -1].tolist() == [1.0, 511 / 512]


@pytest.mark.parametrize(("name", "width", "size"), [("tr10", 0.25, 32), ("resnet56", 2, 32), ("resnet18", 2, 224)])
def test_the_embedding_network_is_the_largest_within_2_percent(name: str, width: float, size: int) -> None:
    config = DeepMoEConfig(backbone=name, width=width, num_classes=100, image_size=size)
    channels = embedding_channels(config)
    assert len(channels) == (5 if size == 224 else 4)
    budget = 0.02 * deepmoe_cost(config).dense_macs

    def convolutions(first: int) -> int:
        side, before, macs = size, 3, 0
        for growth in (1, 2, 4, 4, 4)[: len(channels)]:
            side = -(-side // 2)
            macs += side**2 * 9 * before * growth * first
            before = growth * first
        return macs

    assert convolutions(channels[0]) <= budget < convolutions(channels[0] + 1)
