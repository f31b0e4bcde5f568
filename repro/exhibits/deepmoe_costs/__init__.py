"""DeepMoE's costs, counted: dense networks beside Tables 3 to 6, gated ones in two conventions. Nothing is trained."""

from __future__ import annotations

import time
from math import inf
from typing import Any

from repro.exhibits.deepmoe_costs.counted import (
    active_share,
    at,
    dense,
    gated,
    implied,
    narrow,
    reductions,
    resnet101,
    segmentation,
    share_for,
    widenings,
)
from repro.models.gated import Gated
from repro.report.claim import EQUAL_COST, LESS, Cell, Claim
from repro.report.exact_costs import Figure, figures_table
from repro.report.exhibit import Exhibit
from repro.report.numbers import NONE
from repro.report.printed import deepmoe_rows, printed
from repro.report.tables import Captioned, Columns, frame, frame_of_rows
from repro.study.parameters import Counted
from repro.study.record import record_exact
from repro.study.results import StudyResult

NAME = "deepmoe_costs"
ALL = (-0.5, inf)
DATASETS = ("imagenet", "cifar100")

ROWS = {
    "resnet18": "Table 1: ResNet-18", "resnet34": "Table 1: ResNet-34", "resnet50-A": "Table 1: ResNet-50, A",
    "resnet50-B": "Section 5.1.2: ResNet-50, B", "resnet20": "ResNet-20", "resnet32": "ResNet-32",
    "resnet56": "Table 2: ResNet-56", "resnet110": "Table 2: ResNet-110", "resnet18-B": "Figure 5: ResNet-18, B",
    "vgg16": "Figure 3: VGG16", "drn50-A": "Table 5: DRN-A-50",
}  # fmt: skip
"""Backbones and where they stand; of the CIFAR ones, on CIFAR-100's classes."""


def _dense_table() -> Captioned:
    fewer = 100 * (1 - dense("resnet50-B", 1000, 224, 224, 2.0).params / resnet101().base_params)
    value = deepmoe_rows()["text", "imagenet", "resnet50-B", "wide-deepmoe", "params_reduction_percent"]
    section = Figure("Section 5.1.2: wide B, fewer parameters, %", value, "than ResNet-101", fewer)
    figures = [*widenings(), section, *reductions(False), *reductions(True), *segmentation()]
    caption = (
        "Costs of networks without gates, printed and counted: {matching} of {all} readings come out after rounding. "
        "Table 3 is counted twice, and comes out only where ResNet-50's shortcuts are left out."
    )
    return figures_table(figures, caption)


def _giga(macs: float) -> str:
    return f"{macs / 1e9:.3f} G"


def _percent(share: float | None) -> str:
    return NONE if share is None else f"{100 * share:.0f}"


def _conventions() -> Captioned:
    rows = {}
    for name, label in ROWS.items():
        wide = gated(name)
        rows[label] = {
            "narrow": _giga(narrow(name)),
            "wide": _giga(wide.dense_macs),
            "half, naive": _giga(at(wide, 0.5, "naive")),
            "half, honest, gates on outputs": _giga(at(wide, 0.5)),
            "half, honest, gates on inputs (Eqs. 3 to 5)": _giga(at(gated(name, gate_at="input"), 0.5)),
            "embedding": _giga(wide.gating_macs),
            "equal at, %": _percent(share_for(wide, narrow(name))),
        }
    caption = (
        "Multiply-adds of an image: the narrow network, the one twice as wide, and that with half of every gated "
        "layer's channels; embedding network and heads included. 'Equal at' is the share of channels at which it "
        "honestly costs what the narrow one does. DRN: half an image of Cityscapes."
    )
    return Captioned(frame_of_rows(rows), caption)


def _implied_table() -> Captioned:
    rows = implied()
    columns: Columns = {
        "printed": [_giga(one.macs) for one in rows],
        "all channels": [_giga(gated(one.name, one.times).dense_macs - one.uncounted) for one in rows],
        "the plain network": [_giga(narrow(one.plain)) for one in rows],
    }
    gates: dict[str, Gated] = {"all": "all", "the widened": "widened"}
    for layers, which in gates.items():
        shares = [active_share(one, which) for one in rows]
        columns[f"active if {layers} are gated, %"] = [_percent(share) for share in shares]
    caption = (
        "What the printed costs of gated networks say of their active channels: the share, the same in every layer, "
        "at which they cost so much (honestly; linear layer of VGG16 and DRN's shortcuts not counted, as it is printed;"
        " embedding not counted). Section 5.1.2 is given as a share of ResNet-101's cost. DRN: half an image."
    )
    return Captioned(frame(columns, [one.what for one in rows]), caption)


def _accuracies() -> Captioned:
    rows = {}
    for (table, dataset, model, variant, metric), value in deepmoe_rows().items():
        if table in "1345" and metric in ACCURACIES and ("deepmoe" in variant or table == "4"):
            asked = _asked(table, dataset, model, variant)
            options = "".join(f" -p {name} {value}" for name, value in asked.items())
            rows[f"Table {table}: {variant} on {model}"] = {
                "printed": value.digits + ACCURACIES[metric],
                "the command": f"uv run repro run {TRAINED}{options}" if asked else NONE,
            }
    caption = (
        "The accuracies beside these costs, each with a command that trains such a network and its controls; whatever "
        "was run of them stands in the chapter of Table 2. No λ is printed for them: it is the default, and the share "
        "of channels that stays active is not the paper's. Cityscapes is not among the image sets here."
    )
    return Captioned(frame_of_rows(rows), caption)


ACCURACIES = {"err": " % error", "top1": " %", "miou": " % mIoU"}
TRAINED = "deepmoe_table2_cifar"


def _asked(table: str, dataset: str, model: str, variant: str) -> dict[str, Any]:
    """Parameters with which such a network is trained; none where there are no such images."""
    if dataset not in DATASETS:
        return {}
    backbone = (
        f"vgg16-{variant.split()[0]}" if table == "4" else "resnet50-A" if table + model == "1resnet50" else model
    )
    return {
        "scale": "paper", "dataset": dataset, "backbone": backbone, **({} if table == "1" else {"wide": 1}),
        **({"gated": "widened"} if table == "4" else {}), **({"mu": 0, "stages": 1} if dataset == "imagenet" else {}),
    }  # fmt: skip


def counts() -> dict[str, Captioned]:
    """``dense``; ``conventions``: half of the channels; ``implied``: active channels; ``accuracies``: as printed."""
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
              "than the narrow one (percent of its MACs)", cell("narrow", name), bar=105, within=LESS,
              section="5.1.1", settled_after=True)
        for name in HALF
    ),
    *(
        Claim(f"DC4/{letter}", f"Wide-DeepMoE-50 with bottleneck {letter}, by its printed share of ResNet-101's cost, "
              "costs no more than ResNet-50 (percent of its MACs)", cell("implied", f"resnet50-{letter}"),
              bar=105, within=LESS, section="5.1.1", settled_after=True)
        for letter in "AB"
    ),
    Claim("DC5", "Table 4: the networks 'at equal parameters and FLOPs' cost the same (the most, percent of the least)",
          cell("equal", "4"), bar=105, within=LESS, section="5.3.3", settled_after=True),
    Claim("DC6", "Royer et al., Table 4: DeepMoE costs what the single gate does (percent of its MACs)",
          cell("single gate", "resnet18"), bar=100, within=(EQUAL_COST - 100, 5.0), settled_after=True),
)  # fmt: skip
"""Two costs are equal up to 5 %, as for DM1; gated ones are counted honestly, gates on outputs, embedding network
included. The counts of DC3 to DC6 were in sight when that was settled."""


def run(parameters: Counted) -> StudyResult:
    """Count, and write the record to ``<root>/results``."""
    began = time.monotonic()
    counted = {cell("match", "4"): _matching(widenings()), cell("match", "3"): _matching(reductions(True))}
    counted |= {cell("narrow", name): 100 * at(gated(name), 0.5) / narrow(name) for name in HALF}
    rows = implied()
    resnets = [one for one in rows if one.name.startswith("resnet50")]
    counted |= {cell("implied", one.name): 100 * one.macs / narrow(one.name) for one in resnets}
    equal = [one.macs for one in rows if one.name.startswith("vgg16")]
    counted[cell("equal", "4")] = 100 * max(equal) / min(equal)
    if single := printed(4, "imagenet", "resnet18", "resnet18", 4, "bagging", "macs"):
        counted[cell("single gate", "resnet18")] = 100 * at(gated("resnet18"), 0.5) / single.value
    measurements = [of.measurement(0, value) for of, value in counted.items()]
    return record_exact(NAME, parameters, measurements, time.monotonic() - began)


def _matching(figures: list[Figure]) -> float:
    return 100 * sum(figure.matches for figure in figures) / len(figures)


EXHIBIT = Exhibit(
    NAME, "DeepMoE, Tables 1 and 3 to 6: the costs", Counted, run, lambda result: counts(), CLAIMS, exact=counts,
    place=14,
)  # fmt: skip
