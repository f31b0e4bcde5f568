"""Gated backbones: the plain network with all gates 1, which layers have a gate, and what a gate does."""

import copy

import pytest
import torch
import torchvision

from repro.errors import SpecError
from repro.models.gated import GateAt, Gated, GatedBackbone, blocks
from repro.models.widenets import widenet

SMALL = {"tr10": 0.0625, "tr50": 0.0625, "resnet20": 0.25, "resnet18": 0.25, "resnet50-A": 0.0625,
         "resnet18-B": 0.0625, "vgg16": 0.0625, "vgg16-W13-All": 0.0625}  # fmt: skip
"""One of each kind of block, with a width."""


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("gate_at", ["output", "input"])
def test_with_all_gates_1_it_is_the_plain_network_to_the_last_bit(name: str, gate_at: GateAt) -> None:
    """Outputs and gradients, while training: BatchNorm sees the same numbers."""
    plain = widenet(name, 5, SMALL[name]).train()
    gated = GatedBackbone(copy.deepcopy(plain), gate_at)
    images = torch.randn(4, 3, 32, 32)
    expected, got = plain(images), gated(images, torch.ones(4, sum(gated.sizes)))
    assert torch.equal(expected, got)
    expected.square().sum().backward()
    got.square().sum().backward()
    for ours, theirs in zip(gated.parameters(), plain.parameters(), strict=True):
        assert ours.grad is not None and theirs.grad is not None and torch.equal(ours.grad, theirs.grad)


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
@torch.no_grad()
def test_imagenet_resnets_are_torchvisions_functions(name: str) -> None:
    ours, theirs = widenet(name, 10).eval(), torchvision.models.get_model(name, num_classes=10).eval()
    weights = theirs.state_dict().values()  # in one order: a block's own layers stand before its shortcut in both
    ours.load_state_dict(dict(zip(ours.state_dict(), weights, strict=True)))
    images = torch.randn(1, 3, 64, 64)
    torch.testing.assert_close(ours(images), theirs(images), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "gate_at", "gated", "count"),
    [
        ("resnet18", "output", "all", 17),  # the number of gates that Royer et al. count
        ("resnet18", "input", "all", 16),
        ("resnet18", "output", "inner", 8),
        ("tr10", "input", "inner", 4),
        ("resnet56", "output", "all", 55),
        ("vgg16", "output", "all", 13),
        ("vgg16", "input", "all", 12),
        ("vgg16-W1-High", "output", "widened", 1),
        ("vgg16-W1-Mid", "output", "widened", 1),
        ("vgg16-W4-Low", "output", "widened", 4),
        ("vgg16-W13-All", "output", "widened", 13),
    ],
)
def test_how_many_layers_have_a_gate(name: str, gate_at: GateAt, gated: Gated, count: int) -> None:
    """Those that were widened are told from the plain VGG16 of any width."""
    for width in (0.0625, 0.125, 2.0) if gated == "widened" else (1.0,):
        with torch.device("meta"):
            net = GatedBackbone(widenet(name, 10, width), gate_at, gated, width=width)
        assert len(net.gates) == len(set(net.layers)) == count


def test_bottlenecks_widen_what_their_letter_says() -> None:
    with torch.device("meta"):
        channels = [
            [c[0].out_channels for c in blocks(widenet(name, 10, 2))[1].convolutions]
            for name in ("resnet50", "resnet50-A", "resnet50-B", "drn50-A")
        ]
    assert channels == [[128, 128, 512], [128, 128, 256], [64, 128, 256], [128, 128, 256]]


@torch.no_grad()
def test_a_gate_scales_its_channel_and_no_other() -> None:
    net = GatedBackbone(widenet("vgg16", 5, 0.0625)).eval()
    images, gates = torch.randn(2, 3, 32, 32), torch.ones(2, sum(net.sizes))
    gates[0, -1], gates[0, -2] = 0.0, 3.0
    plain, seen = net.backbone.head.fc, []
    plain.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    net(images, torch.ones_like(gates))
    net(images, gates)
    before, after = seen
    torch.testing.assert_close(after[0, -2:], before[0, -2:] * torch.tensor([3.0, 0.0]))
    assert torch.equal(after[0, :-2], before[0, :-2]) and torch.equal(after[1], before[1])


def test_gates_are_let_go_after_a_step() -> None:
    net = GatedBackbone(widenet("tr10", 5, 0.0625))
    gates = torch.ones(2, sum(net.sizes), requires_grad=True)
    net(torch.randn(2, 3, 8, 8), gates * 1).sum().backward()
    assert gates.grad is not None and bool(gates.grad.any())
    copy.deepcopy(net)  # impossible while a gate holds a tensor with a history


def test_widened_means_the_channels_that_a_convolution_gives() -> None:
    with pytest.raises(SpecError, match="choose gate_at 'output'"):
        GatedBackbone(widenet("vgg16", 5, 0.0625), "input", "widened")
    with pytest.raises(SpecError, match="leaves vgg16 without a gate"):
        GatedBackbone(widenet("vgg16", 5, 0.0625), "output", "widened")
