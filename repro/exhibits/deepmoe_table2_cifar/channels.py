"""Which of DeepMoE's channels are open for no image, for every one, or by image: what is recorded, and its tables."""

from __future__ import annotations

import torch

from repro.analysis.open_channels import how_open, open_by_class
from repro.families.deepmoe.cost import deepmoe_cost
from repro.families.deepmoe.model import build
from repro.families.deepmoe.steps import Asked, steps
from repro.report.tables import Captioned, Columns, frame
from repro.study.results import Table
from repro.study.runner import Runner

CLASSES = ["seed", "class", "active"]
CHANNELS = ["row", "seed", "layer", "channels", "never", "always"]
HOW = (
    "never: open for fewer than 1 % of the images; always: for more than 99 %; by image: the others, the only ones of "
    "which the gates choose"
)


def of_layers(row: str, asked: Asked, runner: Runner) -> list[list[str | int | float | None]]:
    """A row of :data:`CHANNELS` for each layer of a DeepMoE whose predictions stand."""
    gates_NG = runner.load(steps(asked)).tensors["gates"]
    with torch.device("meta"):
        layers = build(asked.model).network.layers
    found = how_open(gates_NG, deepmoe_cost(asked.model).sizes).tolist()
    return [
        [row, asked.spec.seed, layer, sum(counts), *counts[:2]] for layer, counts in zip(layers, found, strict=True)
    ]


def of_classes(asked: Asked, runner: Runner) -> list[list[str | int | float | None]]:
    """A row of :data:`CLASSES` for each class: its mean share of active channels, all layers alike, in percent."""
    tensors = runner.load(steps(asked)).tensors
    found = open_by_class(tensors["gates"], tensors["labels"], deepmoe_cost(asked.model).sizes).mean(1)
    names = runner.context.sources.about(asked.spec).class_names
    classes = tensors["labels"].unique().tolist()
    return [
        [asked.spec.seed, names[c], round(100 * share, 2)] for c, share in zip(classes, found.tolist(), strict=True)
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
