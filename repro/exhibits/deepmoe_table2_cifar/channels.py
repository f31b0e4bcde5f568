"""Which of DeepMoE's channels are open for no image, for every one, or by image: what is recorded, and its tables."""

from __future__ import annotations

import torch

from repro.analysis.open_channels import how_open
from repro.families.deepmoe.cost import deepmoe_cost
from repro.families.deepmoe.model import build
from repro.families.deepmoe.steps import Asked, steps
from repro.report.tables import Captioned, Columns, frame
from repro.study.results import Table
from repro.study.runner import Runner

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
