"""Dense costs of Tables 1, 3, 4 and 5, and both conventions for gated networks."""

from __future__ import annotations

import csv
from importlib.resources import files
from typing import NamedTuple

import pytest
import torch
import torchvision

from repro.families.deepmoe.config import DeepMoEConfig
from repro.families.deepmoe.cost import Convention, active_shares, deepmoe_cost
from repro.families.deepmoe.model import embedding_channels
from repro.models.cost import count_macs, count_params
from repro.models.gated import GateAt
from repro.models.trnet import Shortcut
from repro.models.widenets import VGG, widenet
from repro.report.printed import printed_deepmoe

DENSE = "same params"


class Count(NamedTuple):
    """Of a plain network and one image: multiply-adds, those of the shortcuts' among them, and parameters."""

    macs: int
    shortcuts: int
    params: int


def count(name: str, classes: int, size: tuple[int, int], width: float = 1.0) -> Count:
    found: list[int] = []
    with torch.device("meta"):
        net = widenet(name, classes, width)
        for layer in net.modules():
            if isinstance(layer, Shortcut):
                layer.register_forward_hook(lambda m, _, out: found.append(out.numel() * m[0].in_channels))
        macs, _ = count_macs(net, torch.empty(1, 3, *size))
    return Count(macs, sum(found), count_params(net))


def test_every_line_of_the_paper_is_looked_up() -> None:
    text = files("repro.report").joinpath("paper", "deepmoe2019.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(line for line in text.splitlines() if not line.startswith("#")))
    assert len(rows) == 51
    for row in rows:
        found = printed_deepmoe(int(row["table"]), row["dataset"], row["model"], row["variant"], row["metric"])
        assert found and found.value == float(row["value"])
    assert printed_deepmoe(1, "imagenet", "resnet18", "baseline", "top1") is None


@pytest.mark.parametrize("name", ["resnet18", "resnet34", "resnet50"])
def test_the_backbones_of_table_1_are_torchvisions(name: str) -> None:
    with torch.device("meta"):
        theirs = torchvision.models.get_model(name, num_classes=1000)
        macs, _ = count_macs(theirs, torch.empty(1, 3, 224, 224))
    ours = count(name, 1000, (224, 224))
    assert (ours.macs, ours.params) == (macs, count_params(theirs))


@pytest.mark.parametrize("variant", [f"{name} ({DENSE})" for name in ("W1-High", "W1-Mid", "W4-Low", "W13-All")])
def test_dense_costs_of_table_4(variant: str) -> None:
    """Its upper half, as dense: multiply-adds of the convolutions, and their weights alone as parameters."""
    name = f"vgg16-{variant.split()[0]}"
    assert name in VGG
    macs = count(name, 100, (32, 32)).macs
    with torch.device("meta"):
        net = widenet(name, 100)
    weights = sum(p.numel() for p in net.parameters() if p.ndim == 4)
    fc = net.head.fc.weight.numel()
    printed_macs = printed_deepmoe(4, "cifar100", "vgg16", variant, "flops")
    printed_params = printed_deepmoe(4, "cifar100", "vgg16", variant, "params")
    assert printed_macs and printed_macs.matches(macs - fc)
    assert printed_params and printed_params.matches(weights)


def test_dense_cost_of_table_3() -> None:
    """1.6 G and -56.8 % imply the dense network: ResNet-50 fits only if its shortcuts are not counted."""
    flops = printed_deepmoe(3, "imagenet", "resnet50", "narrow-deepmoe", "flops")
    reduction = printed_deepmoe(3, "imagenet", "resnet50", "narrow-deepmoe", "flops_reduction_percent")
    assert flops and reduction
    dense = count("resnet50", 1000, (224, 224))
    left = 1 - reduction.value / 100
    assert dense.macs == 4_089_184_256
    assert flops.matches((dense.macs - dense.shortcuts) * left) and not flops.matches(dense.macs * left)


@pytest.mark.parametrize(("width", "variant"), [(1, "baseline"), (2, "wide-baseline")])
def test_dense_costs_of_table_5(width: float, variant: str) -> None:
    """DRN-A-50 on whole images of 1024 x 2048, again without shortcuts: within 0.5 % of what is printed."""
    flops = printed_deepmoe(5, "cityscapes", "drn-a-50", variant, "flops")
    dense = count("drn50-A", 19, (1024, 2048), width)
    classifier = (128 * 256 - 1) * 19 * 2048  # at every place, where ours is counted once
    assert flops
    assert dense.macs + classifier - dense.shortcuts == pytest.approx(flops.value, rel=5e-3)
    assert dense.macs + classifier != pytest.approx(flops.value, rel=0.03)


def test_bottleneck_b_has_6_percent_fewer_parameters_than_resnet101() -> None:
    """Section 5.1.2; of the ways to widen one inner convolution only that of the 3x3 one fits."""
    with torch.device("meta"):
        larger = count_params(torchvision.models.resnet101())
    assert round(100 * (1 - count("resnet50-B", 1000, (224, 224), 2).params / larger)) == 6


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
    narrow = count(name, 10, (32, 32)).macs
    if name == "resnet50-B":  # widens one of three convolutions, so half of all channels is less than narrow
        assert wide.at_shares(shares(len(wide.sizes), 0.5), "naive")[0] - wide.gating_macs < narrow
    else:
        assert wide.at_shares(shares(len(wide.sizes), 0.5), "naive")[0] - wide.gating_macs == narrow


@pytest.mark.parametrize("gate_at", ["output", "input"])
@pytest.mark.parametrize("convention", ["naive", "honest"])
def test_with_all_channels_an_image_costs_the_dense_network(gate_at: GateAt, convention: Convention) -> None:
    cost = deepmoe_cost(DeepMoEConfig(backbone="tr10", num_classes=10, gate_at=gate_at))
    macs = count("tr10", 10, (32, 32)).macs
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
