"""Whether gates choose by image: which channels are open for hardly any image, for nearly every one, or by image.

Axes: N images, G gated channels of all layers, L gated layers, C classes.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from repro.families.deepmoe.cost import active_shares, deepmoe_cost
from repro.families.deepmoe.model import build
from repro.families.deepmoe.steps import Asked, steps
from repro.report.tables import Captioned, Columns, frame
from repro.study.results import Table
from repro.study.runner import Runner

RARE = 0.01
"""Open for a smaller share of the images a channel counts as never open; closed for a smaller one, as always open."""
CLASSES = ["seed", "class", "active"]
CHANNELS = ["row", "seed", "layer", "channels", "never", "always"]
HOW = (
    "never: open for fewer than 1 % of the images; always: for more than 99 %; by image: the others, the only ones of "
    "which the gates choose"
)


def how_open(gates_NG: Tensor, sizes: Sequence[int]) -> Tensor:
    """How many channels of each layer are never open, always open, and neither: ``[L, 3]``, whole numbers."""
    often_G = (gates_NG > 0).double().mean(0)
    never, always = often_G < RARE, often_G > 1 - RARE
    each = torch.stack([never, always, ~(never | always)], 1).split(list(sizes))
    return torch.stack([layer.sum(0) for layer in each])


def open_by_class(gates_NG: Tensor, labels_N: Tensor, sizes: Sequence[int]) -> Tensor:
    """Share of each layer's channels that are open, the mean over a class's images: ``[C, L]``, of classes with any."""
    open_NL = active_shares(gates_NG, sizes)
    return torch.stack([open_NL[labels_N == label].mean(0) for label in labels_N.unique()])


def of_layers(row: str, asked: Asked, runner: Runner) -> list[list[str | int | float | None]]:
    """A row of :data:`CHANNELS` for each layer of a DeepMoE whose predictions stand."""
    gates_NG = runner.load(steps(asked)).tensors["gates"]
    with torch.device("meta"):
        layers = build(asked.model).network.layers
    counts_L3 = how_open(gates_NG, deepmoe_cost(asked.model).sizes)
    return [
        [row, asked.spec.seed, layer, sum(counts), *counts[:2]]
        for layer, counts in zip(layers, counts_L3.tolist(), strict=True)
    ]


def of_classes(asked: Asked, runner: Runner) -> list[list[str | int | float | None]]:
    """A row of :data:`CLASSES` for each class: its mean share of active channels, all layers alike, in percent."""
    tensors = runner.load(steps(asked)).tensors
    shares_C = open_by_class(tensors["gates"], tensors["labels"], deepmoe_cost(asked.model).sizes).mean(1)
    names = runner.context.sources.about(asked.spec).class_names
    classes = tensors["labels"].unique().tolist()
    return [
        [asked.spec.seed, names[c], round(100 * share, 2)] for c, share in zip(classes, shares_C.tolist(), strict=True)
    ]


def extremes(classes: Table, caption: str, number: int = 5) -> Captioned:
    """The classes with the fewest and with the most active channels, the mean over the seeds."""
    each = {name: classes.where(**{"class": name}).column("active") for name in classes.column("class")}
    means = sorted((sum(values) / len(values), name) for name, values in each.items())
    rows = means if len(means) <= 2 * number else [*means[:number], *means[-number:]]
    columns: Columns = {"active channels, %": [f"{share:.1f}" for share, _ in rows]}
    which = f"the {number} with the fewest and the {number} with the most of {len(means)}"
    return Captioned(frame(columns, [name for _, name in rows]), f"{caption}; {which}, means over images and layers.")


def shares(channels: Table, by: str, caption: str) -> Captioned:
    """Per cent of the channels, all seeds together, of each entry of one column, and of all where these are layers."""
    parts = {str(name): channels.where(**{by: name}) for name in dict.fromkeys(channels.column(by))}
    if by == "layer":
        parts["all layers"] = channels
    columns: Columns = {"channels": [], "never open, %": [], "always open, %": [], "by image, %": []}
    for part in parts.values():
        whole, never, always = (sum(part.column(name)) for name in ("channels", "never", "always"))
        columns["channels"].append(str(whole // len(set(part.column("seed")))))
        for name, count in zip(list(columns)[1:], (never, always, whole - never - always), strict=True):
            columns[name].append(f"{100 * count / whole:.1f}")
    return Captioned(frame(columns, parts), f"{caption}; {HOW}.")
