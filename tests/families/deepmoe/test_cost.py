"""Both conventions for gated networks; the paper's dense costs are the exhibit's."""

import pytest
import torch

from repro.families.deepmoe.config import DeepMoEConfig
from repro.families.deepmoe.cost import Convention, DeepMoECost, active_shares, deepmoe_cost
from repro.families.deepmoe.model import embedding_channels
from repro.models.cost import model_cost
from repro.models.gated import GateAt


def at(cost: DeepMoECost, share: float, convention: Convention) -> float:
    """The multiply-adds of an image without its gating, where each layer has this share of its channels."""
    shares = torch.full((1, len(cost.sizes)), share, dtype=torch.float64)
    return float(cost.at_shares(shares, convention)[0]) - cost.gating_macs


@pytest.mark.parametrize(
    ("gate_at", "convention", "macs", "gates"),
    [("output", "naive", 1.814e9, 17), ("output", "honest", 2.624e9 - 0.1156e9, 17), ("input", "honest", 2.915e9, 16)],
)
def test_wide_resnet18_with_half_of_its_channels(
    gate_at: GateAt, convention: Convention, macs: float, gates: int
) -> None:
    cost = deepmoe_cost(DeepMoEConfig(backbone="resnet18", width=2, num_classes=1000, image_size=224, gate_at=gate_at))
    assert len(cost.sizes) == gates
    # 2.624 G where all of the stream is read; block 1 reads the stem alone: half of 128 channels, 9 * 64 * 128 * 56^2
    assert at(cost, 0.5, convention) == pytest.approx(macs, rel=3e-4)


@pytest.mark.parametrize("name", ["tr10", "tr50", "resnet56", "vgg16"])
def test_half_of_a_wide_network_costs_the_narrow_one_and_all_of_a_narrow_one(name: str) -> None:
    plain = model_cost(name, None, 10, 32, 0).base_macs
    assert at(deepmoe_cost(DeepMoEConfig(backbone=name, width=2, num_classes=10)), 0.5, "naive") == plain
    for gate_at in ("output", "input"):
        cost = deepmoe_cost(DeepMoEConfig(backbone=name, num_classes=10, gate_at=gate_at))
        assert cost.dense_macs == at(cost, 1.0, "naive") == at(cost, 1.0, "honest") == plain


def test_cost_is_of_each_image() -> None:
    """By hand: VGG16 with one channel of its last convolution off loses 1/512 of it and one weight a class."""
    cost = deepmoe_cost(DeepMoEConfig(backbone="vgg16", num_classes=10))
    gates = torch.ones(2, sum(cost.sizes))
    gates[1, -1] = 0
    full, less = cost.macs(gates).tolist()
    assert full == cost.dense_macs + cost.gating_macs
    assert full - less == pytest.approx(2 * 2 * 9 * 512 + 10)
    assert active_shares(gates, cost.sizes)[:, -1].tolist() == [1.0, 511 / 512]


@pytest.mark.parametrize(("name", "width", "size"), [("tr10", 0.25, 32), ("resnet18", 2, 224)])
def test_the_embedding_network_is_the_largest_within_2_percent(name: str, width: float, size: int) -> None:
    config = DeepMoEConfig(backbone=name, width=width, num_classes=100, image_size=size)
    channels = embedding_channels(config)
    assert len(channels) == (5 if size == 224 else 4)

    def convolutions(first: int) -> int:
        side, before, macs = size, 3, 0
        for growth in (1, 2, 4, 4, 4)[: len(channels)]:
            side = -(-side // 2)
            macs += side**2 * 9 * before * growth * first
            before = growth * first
        return macs

    assert convolutions(channels[0]) <= 0.02 * deepmoe_cost(config).dense_macs < convolutions(channels[0] + 1)


def test_a_block_reads_what_stem_and_blocks_before_it_have_written() -> None:
    """By hand: tr10's block 1 reads the stem, block 2 and its shortcut what either wrote; after it all is read."""
    cost = deepmoe_cost(DeepMoEConfig(backbone="tr10", width=0.25, num_classes=10))
    honest = cost.layers["honest"]
    assert [(honest[i].reads, honest[i].writes) for i in (1, 3)] == [((0,), (1,)), ((0, 2), (3,))]
    assert [layer.reads for layer in honest].count((0, 2)) == 2  # block 2's first convolution and its shortcut
    assert honest[-1].reads is None
    gates = torch.ones(3, sum(cost.sizes))
    gates[0, :8] = 0  # of the stem's 16 channels: block 1 adds to them, so block 2 reads all
    gates[1, :8] = gates[1, 32:40] = 0  # block 1 leaves the same alone
    half, less, full = cost.macs(gates).tolist()
    stem, one, two = 32 * 32 * 27 * 16, 32 * 32 * 9 * 16 * 16, 16 * 16 * 9 * 16 * 32
    assert full - half == pytest.approx((stem + one) / 2)
    assert half - less == pytest.approx(one / 2 + two / 2 + 16 * 16 * 16 * 32 / 2)
    assert full == at(cost, 1.0, "honest") + cost.gating_macs
