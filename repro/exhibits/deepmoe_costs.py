"""DeepMoE's costs, counted: dense networks beside Tables 3 to 6, gated ones in two conventions. Nothing is trained."""

from __future__ import annotations

import time
from functools import cache
from math import inf
from typing import NamedTuple

import torch
from torch import Tensor

from repro.families.deepmoe.config import DeepMoEConfig
from repro.families.deepmoe.cost import Convention, DeepMoECost, deepmoe_cost
from repro.models.cost import count_macs, count_params
from repro.models.gated import GateAt, Gated
from repro.models.trnet import Shortcut
from repro.models.widenets import widenet
from repro.report.claim import Cell, Claim
from repro.report.exact_costs import Figure
from repro.report.exhibit import Exhibit
from repro.report.numbers import NONE
from repro.report.printed import PrintedValue, deepmoe_rows, printed, printed_deepmoe
from repro.report.tables import Captioned, Columns, frame
from repro.study.parameters import Counted
from repro.study.record import record_exact
from repro.study.results import Measurement, StudyResult

NAME = "deepmoe_costs"
EQUAL = 100 / 1.05
"""Percent of another cost from which two count as equal: the rule of DM1 in Table 2's chapter."""
ALL = (-0.5, inf)
DATASETS = ("imagenet", "cifar100")

WIDENED = ("W1-High", "W1-Mid", "W4-Low", "W13-All")
ROWS = {
    "resnet18": "Table 1: ResNet-18", "resnet34": "Table 1: ResNet-34", "resnet50-A": "Table 1: ResNet-50, A",
    "resnet50-B": "Section 5.1.2: ResNet-50, B", "resnet20": "ResNet-20", "resnet32": "ResNet-32",
    "resnet56": "Table 2: ResNet-56", "resnet110": "Table 2: ResNet-110", "resnet18-B": "Figure 5: ResNet-18, B",
    "vgg16": "Figure 3: VGG16", "drn50-A": "Table 5: DRN-A-50",
}  # fmt: skip
"""Backbones and where they stand; of the CIFAR ones, on CIFAR-100's classes."""


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
    found: list[int] = []
    with torch.device("meta"):
        net = widenet(name, classes, times)
        for layer in net.modules():
            if isinstance(layer, Shortcut):
                layer.register_forward_hook(lambda m, _, out: found.append(out.numel() * m[0].in_channels))
        macs, _ = count_macs(net, torch.empty(1, 3, height, width))
    weights = sum(p.numel() for p in net.parameters() if p.ndim == 4)
    return Dense(macs, sum(found), net.head.fc.weight.numel(), weights, count_params(net))


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
    shares: Tensor = torch.full((1, len(cost.sizes)), share, dtype=torch.float64)
    return float(cost.at_shares(shares, convention))


def share_for(cost: DeepMoECost, macs: float) -> float | None:
    """The share of every layer's channels, in [0, 1], at which an image costs ``macs``; None where none does."""
    low, high = 0.0, 1.0
    if not at(cost, low) <= macs <= at(cost, high):
        return None
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if at(cost, middle) < macs else (low, middle)
    return low


def narrow(name: str) -> int:
    """Multiply-adds of the plain backbone."""
    return gated(name, 1.0).dense_macs


@cache
def _resnet101() -> tuple[int, int]:
    from torchvision.models import resnet101  # seconds

    with torch.device("meta"):
        net = resnet101()
        return count_macs(net, torch.empty(1, 3, 224, 224))[0], count_params(net)


def _text(model: str, metric: str) -> PrintedValue:
    found = printed_deepmoe("text", "imagenet", model, "wide-deepmoe", metric)
    assert found
    return found


def reductions(shortcuts: bool) -> list[Figure]:
    """Table 3's multiply-adds, as what its reductions leave of ResNet-50 with or without its shortcuts."""
    whole = dense("resnet50", 1000, 224, 224)
    macs = whole.macs - (0 if shortcuts else whole.shortcuts)
    figures = []
    for (table, _, model, variant, metric), less in deepmoe_rows().items():
        flops = printed_deepmoe(3, "imagenet", model, variant, "flops")
        if table == "3" and metric == "flops_reduction_percent" and flops:
            counted = f"ResNet-50{'' if shortcuts else ' less its shortcuts'}, less {less.digits} %"
            figures.append(Figure(f"Table 3: {variant}, MACs", flops, counted, macs * (1 - less.value / 100)))
    return figures


def widenings() -> list[Figure]:
    """The upper half of Table 4, which is Table 6's networks run whole."""
    figures = []
    for name in WIDENED:
        net = dense(f"vgg16-{name}", 100, 32, 32)
        for what, metric, counted, exact in (
            ("MACs", "flops", "of convolutions, all channels", net.macs - net.linear),
            ("parameters", "params", "weights of convolutions", net.weights),
        ):
            if value := printed_deepmoe(4, "cifar100", "vgg16", f"{name} (same params)", metric):
                figures.append(Figure(f"Table 4: {name}, {what}", value, counted, exact))
    return figures


def segmentation() -> list[Figure]:
    """Table 5's plain networks, on whole images; the classifier runs at every place of the 128 x 256 that are left."""
    figures = []
    for times, variant in ((1.0, "baseline"), (2.0, "wide-baseline")):
        net = dense("drn50-A", 19, 1024, 2048, times)
        exact = net.macs + (128 * 256 - 1) * net.linear - net.shortcuts
        if value := printed_deepmoe(5, "cityscapes", "drn-a-50", variant, "flops"):
            figures.append(Figure(f"Table 5: {variant}, MACs", value, "DRN-A-50 less its shortcuts", exact))
    return figures


def _dense_table() -> Captioned:
    fewer = 100 * (1 - dense("resnet50-B", 1000, 224, 224, 2.0).params / _resnet101()[1])
    section = Figure(
        "Section 5.1.2: wide B, fewer parameters, %", _text("resnet50-B", "params_reduction_percent"),
        "than ResNet-101", fewer,
    )  # fmt: skip
    figures = [*widenings(), section, *reductions(False), *reductions(True), *segmentation()]
    columns: Columns = {
        "printed": [figure.paper.digits for figure in figures],
        "by our count": [figure.counted for figure in figures],
        "exact": [figure.texts()[1] for figure in figures],
        "off by, %": [f"{100 * (figure.exact / figure.paper.value - 1):+.1f}" for figure in figures],
        "match": [figure.verdict for figure in figures],
    }
    caption = (
        f"Costs of networks without gates, printed and counted (in the printed unit): "
        f"{sum(figure.matches for figure in figures)} of {len(figures)} readings come out after rounding. "
        "Table 3 is counted twice, and comes out only where ResNet-50's shortcuts are left out."
    )
    return Captioned(frame(columns, [figure.what for figure in figures]), caption)


def _giga(macs: float) -> str:
    return f"{macs / 1e9:.3f} G"


def _conventions() -> Captioned:
    columns: Columns = {}
    for name in ROWS:
        wide = gated(name)
        share = share_for(wide, narrow(name))
        shown = {
            "narrow": _giga(narrow(name)),
            "wide": _giga(wide.dense_macs),
            "half, naive": _giga(at(wide, 0.5, "naive")),
            "half, honest": _giga(at(wide, 0.5)),
            "half, honest, inputs gated": _giga(at(gated(name, gate_at="input"), 0.5)),
            "embedding": _giga(wide.gating_macs),
            "equal at, %": NONE if share is None else f"{100 * share:.0f}",
        }
        for column, cell in shown.items():
            columns.setdefault(column, []).append(cell)
    caption = (
        "Multiply-adds of an image: the narrow network, the one twice as wide, and that with half of every gated "
        "layer's channels; embedding network and heads included. 'Equal at' is the share of channels at which it "
        "honestly costs what the narrow one does. DRN: half an image of Cityscapes."
    )
    return Captioned(frame(columns, list(ROWS.values())), caption)


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
    found = []
    for name in WIDENED:
        if value := printed_deepmoe(4, "cifar100", "vgg16", f"{name} (same params and flops)", "flops"):
            linear = dense(f"vgg16-{name}", 100, 32, 32).linear
            found.append(Implied(f"Table 4: {name}", value.value, linear, f"vgg16-{name}", 1.0, "vgg16"))
    for letter in "AB":
        name = f"resnet50-{letter}"
        macs = _resnet101()[0] * (1 - _text(name, "flops_reduction_percent").value / 100)
        found.append(Implied(f"Section 5.1.2: ResNet-50, {letter}", macs, 0, name, plain=name))
    half = dense("drn50-A", 19, 1024, 1024, 2.0)
    for letter in "ab":
        if value := printed_deepmoe(5, "cityscapes", "drn-a-50", f"wide-deepmoe-{letter}", "flops"):
            uncounted = half.shortcuts - (128 * 128 - 1) * half.linear
            found.append(Implied(f"Table 5: {letter.upper()}", value.value / 2, uncounted, "drn50-A", plain="drn50-A"))
    return tuple(found)


def active_share(one: Implied, which: Gated = "all") -> float | None:
    """The share of channels in percent, the same in every layer, at which the network costs what is printed."""
    cost = gated(one.name, one.times, which=which)
    share = share_for(cost, one.macs + one.uncounted + cost.gating_macs)
    return None if share is None else 100 * share


def _implied_table() -> Captioned:
    rows = implied()
    columns: Columns = {
        "printed": [_giga(one.macs) for one in rows],
        "all channels": [_giga(gated(one.name, one.times).dense_macs - one.uncounted) for one in rows],
        "the plain network": [_giga(narrow(one.plain)) for one in rows],
    }
    which: tuple[tuple[str, Gated], ...] = (("all", "all"), ("the widened", "widened"))
    for layers, gates in which:
        shares = [active_share(one, gates) for one in rows]
        columns[f"active if {layers} are gated, %"] = [NONE if share is None else f"{share:.0f}" for share in shares]
    caption = (
        "What the printed costs of gated networks say of their active channels: the share, the same in every layer, "
        "at which they cost so much (honestly; linear layer of VGG16 and DRN's shortcuts not counted, as it is printed;"
        " embedding not counted). Section 5.1.2 is given as a share of ResNet-101's cost. DRN: half an image."
    )
    return Captioned(frame(columns, [one.what for one in rows]), caption)


def _accuracies() -> Captioned:
    columns: Columns = {"printed": [], "ours": [], "the command": []}
    labels = []
    for (table, dataset, model, variant, metric), value in deepmoe_rows().items():
        if table in "1345" and metric in ACCURACIES and ("deepmoe" in variant or table == "4"):
            labels.append(f"Table {table}: {variant} on {model}")
            columns["printed"].append(value.digits + ACCURACIES[metric])
            columns["ours"].append("not run")
            columns["the command"].append(_command(table, dataset, model, variant))
    caption = (
        "The accuracies beside these costs, each with the command that trains it and its controls. "
        "Cityscapes is not among the image sets here."
    )
    return Captioned(frame(columns, labels), caption)


ACCURACIES = {"err": " % error", "top1": " %", "miou": " % mIoU"}


def _command(table: str, dataset: str, model: str, variant: str) -> str:
    if dataset not in DATASETS:
        return NONE
    backbone = (
        f"vgg16-{variant.split()[0]}" if table == "4" else "resnet50-A" if table + model == "1resnet50" else model
    )
    more = "" if table == "1" else " -p wide 1"
    more += " -p mu 0 -p stages 1" if dataset == "imagenet" else ""
    return f"uv run repro run deepmoe_table2_cifar -p scale paper -p dataset {dataset} -p backbone {backbone}{more}"


def counts() -> dict[str, Captioned]:
    """``dense``; ``conventions``: half of the channels; ``implied``: active channels; ``accuracies``: not run."""
    return {
        "dense": _dense_table(), "conventions": _conventions(), "implied": _implied_table(),
        "accuracies": _accuracies(),
    }  # fmt: skip


def cell(metric: str, row: str) -> Cell:
    """Where the record holds a count, in percent."""
    return Cell(0, "counted", row, metric)


HALF = ("resnet18", "resnet50-A", "resnet56", "resnet110", "vgg16")
CLAIMS = (
    Claim("DC1", "Table 4: all dense costs come out (percent of them)", cell("match", "4"), bar=100, within=ALL),
    Claim("DC2", "Table 3: its reductions are of the whole ResNet-50 (percent that come out)", cell("match", "3"),
          bar=100, within=ALL, section="5.2.2"),
    *(
        Claim(f"DC3/{name}", f"{ROWS[name].partition(': ')[2]} twice as wide, with half of its channels, costs no more "
              "than the narrow one (whose MACs, percent of its)", cell("narrow", name), bar=EQUAL, section="5.1.1",
              settled_after=True)
        for name in HALF
    ),
    *(
        Claim(f"DC4/{letter}", f"Wide-DeepMoE-50 with bottleneck {letter}, by its printed share of ResNet-101's cost, "
              "costs no more than ResNet-50 (whose MACs, percent of its)", cell("implied", f"resnet50-{letter}"),
              bar=EQUAL, section="5.1.1", settled_after=True)
        for letter in "AB"
    ),
    Claim("DC5", "Table 4: the networks 'at equal parameters and FLOPs' cost the same (the least, percent of the most)",
          cell("equal", "4"), bar=EQUAL, section="5.3.3", settled_after=True),
    Claim("DC6", "Royer et al., Table 4: DeepMoE costs less than the single gate (whose MACs, percent of its)",
          cell("single gate", "resnet18"), bar=100),
)  # fmt: skip
"""Two costs are equal up to 5 %, as for DM1; gated ones are counted honestly, embedding network included. The counts of
DC3 to DC5 were in sight when that was settled."""


def run(parameters: Counted) -> StudyResult:
    """Count, and write the record to ``<root>/results``."""
    began = time.monotonic()
    counted = {cell("match", "4"): _matching(widenings()), cell("match", "3"): _matching(reductions(True))}
    counted |= {cell("narrow", name): 100 * narrow(name) / at(gated(name), 0.5) for name in HALF}
    rows = implied()
    counted |= {
        cell("implied", one.name): 100 * narrow(one.name) / one.macs for one in rows if one.name.startswith("resnet50")
    }
    equal = [one.macs for one in rows if one.name.startswith("vgg16")]
    counted[cell("equal", "4")] = 100 * min(equal) / max(equal)
    if single := printed(4, "imagenet", "resnet18", "resnet18", 4, "bagging", "macs"):
        counted[cell("single gate", "resnet18")] = 100 * single.value / at(gated("resnet18"), 0.5)
    found = [
        Measurement(seed=0, num_experts=0, method=c.method, metric=c.metric, value=round(value, 4), row=c.row)
        for c, value in counted.items()
    ]
    return record_exact(NAME, parameters, found, time.monotonic() - began)


def _matching(figures: list[Figure]) -> float:
    return 100 * sum(figure.matches for figure in figures) / len(figures)


EXHIBIT = Exhibit(
    NAME, "DeepMoE, Tables 1 and 3 to 6: the costs", Counted, run, lambda result: counts(), CLAIMS, exact=counts,
    place=14,
)  # fmt: skip
