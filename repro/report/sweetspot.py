"""What the sweet-spot paper prints: the rows of its tables, looked up, and the network that each is."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from repro.families.sparse.config import SparseConfig
from repro.report.printed import rows_of


@dataclass(frozen=True)
class SweetSpotRow:
    """A row of Table 2-6 or 13: parameters and active ones in 1e6, MACs in 1e9 (they say FLOPs), top-1 in percent.

    ``None`` where nothing is printed. ``config`` is the network that the row names, by our reading; ``model`` is its
    name as printed, with the recipe where a table has several.
    """

    table: str
    train_data: str
    model: str
    label: str
    params: float
    params_active: float
    macs: float | None
    top1: float
    config: SparseConfig


@cache
def sweetspot_rows() -> tuple[SweetSpotRow, ...]:
    """All rows whose costs are printed, in order of the tables."""
    return tuple(map(_row, rows_of("sweetspot2024")))


def _row(row: dict[str, str]) -> SweetSpotRow:
    network = row["model"].partition(" ")[0]
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
    label = f"{row['model']} {row['placement']} {row['num_experts']}"
    macs = float(row["flops"]) if row["flops"] else None
    return SweetSpotRow(
        row["table"], row["train_data"], row["model"], label,
        float(row["params"]), float(row["params_active"]), macs, float(row["top1"]), config,
    )  # fmt: skip
