"""What DeepMoE's networks cost by our count, dense and gated, and what its printed costs say of them."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import torch
from scipy.optimize import brentq

from repro.families.deepmoe.config import DeepMoEConfig
from repro.families.deepmoe.cost import Convention, DeepMoECost, deepmoe_cost
from repro.models.cost import ModelCost, count_macs, count_params, model_cost
from repro.models.gated import GateAt, Gated
from repro.models.trnet import Shortcut
from repro.models.widenets import widenet
from repro.report.exact_costs import Figure
from repro.report.printed import deepmoe_rows

WIDENED = ("W1-High", "W1-Mid", "W4-Low", "W13-All")


class Dense(NamedTuple):
    """A plain network and one image: multiply-adds, those of shortcuts and of the last linear layer among them;
    weights of convolutions; all parameters.
    """

    macs: int
    shortcuts: int
    linear: int
    weights: int
    params: int


@cache
def dense(name: str, classes: int, height: int, width: int, times: float = 1.0) -> Dense:
    """The exact count of a backbone that is ``times`` as wide, on images of ``height`` x ``width`` pixels."""
    shortcuts: list[int] = []
    with torch.device("meta"):
        net = widenet(name, classes, times)
        for layer in net.modules():
            if isinstance(layer, Shortcut):
                layer.register_forward_hook(lambda m, _, out: shortcuts.append(out.numel() * m[0].in_channels))
        macs, _ = count_macs(net, torch.empty(1, 3, height, width))
    weights = sum(p.numel() for p in net.parameters() if p.ndim == 4)
    return Dense(macs, sum(shortcuts), net.head.fc.weight.numel(), weights, count_params(net))


def _images(name: str) -> tuple[int, int]:
    """Classes, and pixels a side; DRN's are half of Cityscapes' images, 1024 x 2048 pixels."""
    if name == "drn50-A":
        return 19, 1024
    return (1000, 224) if name in ("resnet18", "resnet34") or name.startswith("resnet50") else (100, 32)


@cache
def gated(name: str, times: float = 2.0, gate_at: GateAt = "output", which: Gated = "all") -> DeepMoECost:
    """The cost of a DeepMoE on a backbone ``times`` as wide."""
    classes, side = _images(name)
    return deepmoe_cost(
        DeepMoEConfig(backbone=name, width=times, num_classes=classes, image_size=side, gate_at=gate_at, gated=which)
    )


def at(cost: DeepMoECost, share: float, convention: Convention = "honest") -> float:
    """Multiply-adds where the same share of every gated layer's channels is active, gating included."""
    shares = torch.full((1, len(cost.sizes)), share, dtype=torch.float64)
    return float(cost.at_shares(shares, convention))


def share_for(cost: DeepMoECost, macs: float) -> float | None:
    """The share of every layer's channels, in [0, 1], at which an image costs ``macs``; None where none does."""
    if not at(cost, 0.0) <= macs <= at(cost, 1.0):
        return None
    return float(brentq(lambda share: at(cost, share) - macs, 0.0, 1.0))


def narrow(name: str) -> int:
    """Multiply-adds of the plain backbone."""
    return gated(name, 1.0).dense_macs


def resnet101() -> ModelCost:
    """What ResNet-101 costs on ImageNet."""
    return model_cost("resnet101", None, 1000, 224, 0)


def reductions(shortcuts: bool) -> list[Figure]:
    """Table 3's multiply-adds, as what its reductions leave of ResNet-50 with or without its shortcuts."""
    whole = dense("resnet50", 1000, 224, 224)
    macs = whole.macs - (0 if shortcuts else whole.shortcuts)
    whose = f"ResNet-50{'' if shortcuts else ' less its shortcuts'}"
    figures = []
    for (*row, metric), less in deepmoe_rows().items():
        if row[0] == "3" and metric == "flops_reduction_percent":
            counted, exact = f"{whose}, less {less.digits} %", macs * (1 - less.value / 100)
            figures.append(Figure(f"Table 3: {row[-1]}, MACs", deepmoe_rows()[*row, "flops"], counted, exact))
    return figures


def widenings() -> list[Figure]:
    """The upper half of Table 4, which is Table 6's networks run whole."""
    figures = []
    for name in WIDENED:
        net, row = dense(f"vgg16-{name}", 100, 32, 32), ("4", "cifar100", "vgg16", f"{name} (same params)")
        macs, params = (deepmoe_rows()[*row, metric] for metric in ("flops", "params"))
        counted = "of convolutions, all channels"
        figures.append(Figure(f"Table 4: {name}, MACs", macs, counted, net.macs - net.linear))
        figures.append(Figure(f"Table 4: {name}, parameters", params, "weights of convolutions", net.weights))
    return figures


def segmentation() -> list[Figure]:
    """Table 5's plain networks, on whole images; the classifier runs at every place of the 128 x 256 that are left."""
    figures = []
    for times, variant in ((1.0, "baseline"), (2.0, "wide-baseline")):
        net = dense("drn50-A", 19, 1024, 2048, times)
        exact = net.macs + (128 * 256 - 1) * net.linear - net.shortcuts
        value = deepmoe_rows()["5", "cityscapes", "drn-a-50", variant, "flops"]
        figures.append(Figure(f"Table 5: {variant}, MACs", value, "DRN-A-50 less its shortcuts", exact))
    return figures


class Implied(NamedTuple):
    """A printed cost of a gated network: what it is of, the cost, what it leaves uncounted, and whose it is."""

    what: str
    macs: float
    uncounted: int
    name: str
    times: float = 2.0
    plain: str = ""


@cache
def implied() -> tuple[Implied, ...]:
    """The lower half of Table 4, the gated rows of Table 5, and Section 5.1.2's shares of ResNet-101."""
    rows = []
    for name in WIDENED:
        macs = deepmoe_rows()["4", "cifar100", "vgg16", f"{name} (same params and flops)", "flops"].value
        linear = dense(f"vgg16-{name}", 100, 32, 32).linear
        rows.append(Implied(f"Table 4: {name}", macs, linear, f"vgg16-{name}", 1.0, "vgg16"))
    for letter in "AB":
        name = f"resnet50-{letter}"
        less = deepmoe_rows()["text", "imagenet", name, "wide-deepmoe", "flops_reduction_percent"].value
        macs = resnet101().base_macs * (1 - less / 100)
        rows.append(Implied(f"Section 5.1.2: ResNet-50, {letter}", macs, 0, name, plain=name))
    half = dense("drn50-A", 19, 1024, 1024, 2.0)
    uncounted = half.shortcuts - (128 * 128 - 1) * half.linear
    for letter in "ab":
        macs = deepmoe_rows()["5", "cityscapes", "drn-a-50", f"wide-deepmoe-{letter}", "flops"].value / 2
        rows.append(Implied(f"Table 5: {letter.upper()}", macs, uncounted, "drn50-A", plain="drn50-A"))
    return tuple(rows)


def active_share(one: Implied, which: Gated = "all") -> float | None:
    """The share of channels, the same in every layer, at which the network costs what is printed."""
    cost = gated(one.name, one.times, which=which)
    return share_for(cost, one.macs + one.uncounted + cost.gating_macs)
