"""What the sweet-spot paper prints: the rows of its tables, looked up, and the network that each is."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from repro.families.sparse.config import SparseConfig


@dataclass(frozen=True)
class SweetSpotRow:
    """A row of Table 2-6 or 13: parameters and active ones in 1e6, MACs in 1e9 (they say FLOPs), top-1 in percent.

    ``None`` where nothing is printed. ``config`` is the network that the row names, by our reading.
    """

    table: str
    train_data: str
    label: str
    params: float
    params_active: float
    macs: float | None
    top1: float
    config: SparseConfig


@cache
def sweetspot_rows() -> tuple[SweetSpotRow, ...]:
    """All rows whose costs are printed, in order of the tables."""
    text = files("repro.report").joinpath("paper", "sweetspot2024.csv").read_text(encoding="utf-8")
    return tuple(_row(row) for row in csv.DictReader(line for line in text.splitlines() if not line.startswith("#")))


def _row(row: dict[str, str]) -> SweetSpotRow:
    network, _, note = row["model"].partition(" ")
    placement, _, ratio = row["placement"].partition(" ")
    # "For ImageNet-1k, non-isotropic ConvNext models feature an mlp_ratio of 2" (caption of Table 1)
    halved = "ratio 2" in ratio or (network == "convnext-t" and row["train_data"] == "imagenet-1k")
    experts = row["num_experts"] if row["num_experts"].isdigit() and row["num_experts"] != "0" else "8"
    config = SparseConfig.model_validate(
        {
            "network": network, "num_classes": 1000, "image_size": 224, "placement": placement,
            "num_experts": int(experts), "top_k": int(row["topk"] or 1), "hidden_ratio": 2.0 if halved else 4.0,
        }
    )  # fmt: skip
    label = " ".join(filter(None, (network, note, row["placement"], row["num_experts"])))
    macs = float(row["flops"]) if row["flops"] else None
    return SweetSpotRow(
        row["table"], row["train_data"], label,
        float(row["params"]), float(row["params_active"]), macs, float(row["top1"]), config,
    )  # fmt: skip
