"""What the papers print: the numbers of their tables, looked up, never typed again."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from repro.families.sparse.config import SparseConfig

SEEDS = 3
"""'Each number is reported over three random seeds' (caption of Table 1)."""


@dataclass(frozen=True)
class PrintedValue:
    """One printed number: accuracies in percent, MACs in multiply-adds, parameters in units.

    ``std`` is the printed ±, which the paper does not explain; it is read as the standard deviation over
    ``seeds`` seeds. It is ``None`` where no ± is printed. ``digits`` is the number as it is printed, e.g. ``0.56e9``.
    """

    value: float
    std: float | None
    seeds: int = SEEDS
    digits: str = ""

    def text(self) -> str:
        """``79.90 ± 0.22``, or ``77.95`` where no ± is printed."""
        return f"{self.value:.2f}" if self.std is None else f"{self.value:.2f} ± {self.std:.2f}"

    @property
    def half_unit(self) -> float:
        """Half of the last printed digit: how far rounding may have moved the number (0.005e9 of ``0.56e9``)."""
        mantissa, _, exponent = self.digits.partition("e")
        return 0.5 * 10.0 ** (int(exponent or 0) - len(mantissa.partition(".")[2]))

    def matches(self, exact: float) -> bool:
        """Whether ``exact``, rounded to the digits that are printed, is the printed number."""
        return abs(round(exact / (2 * self.half_unit)) * 2 * self.half_unit - self.value) < self.half_unit


@cache
def rows_of(name: str) -> tuple[dict[str, str], ...]:
    """The lines of a table of printed numbers, ``paper/<name>.csv``, by column."""
    text = files("repro.report").joinpath("paper", f"{name}.csv").read_text(encoding="utf-8")
    return tuple(csv.DictReader(line for line in text.splitlines() if line and not line.startswith("#")))


@cache
def _values(name: str, seeds: int) -> dict[tuple[str, ...], PrintedValue]:
    """The numbers of a table by what stands before ``value`` in their lines."""
    values = {}
    for row in rows_of(name):
        key = tuple(row.values())[: list(row).index("value")]
        values[key] = PrintedValue(
            float(row["value"]), float(row["std"]) if row.get("std") else None, seeds, row["value"]
        )
    return values


def printed(
    table: int | str, dataset: str, base: str, expert: str | None, num_experts: int | None, method: str, metric: str
) -> PrintedValue | None:
    """The number that the paper prints, or ``None`` if it prints none.

    ``table`` is 1 ... 6, ``'3a'`` ... ``'3c'``, or ``'text'``; ``expert`` is ``None`` for a plain backbone of
    Table 1, and ``num_experts`` is 0 for a base model, ``None`` where a row holds for every number of experts.
    """
    count = "" if num_experts is None else str(num_experts)
    return _values("royer2022", SEEDS).get((str(table), dataset, base, expert or "", count, method, metric))


def mean_printed(values: Sequence[PrintedValue | None]) -> PrintedValue | None:
    """The mean of printed numbers, without ±; ``None`` unless all of them are printed."""
    known = [value.value for value in values if value]
    return PrintedValue(sum(known) / len(known), None) if known and len(known) == len(values) else None


def deepmoe_rows() -> dict[tuple[str, ...], PrintedValue]:
    """All that Wang et al. (2019) print, by table, image set, model, variant and metric (``err``: top-1 error, %)."""
    return _values("deepmoe2019", 1)


@cache
def drawn(dataset: str, series: str) -> tuple[tuple[int, float], ...]:
    """(MACs, top-1 in percent) of each marker of a series of Figure 2, as digitised from the poster's vector plot.

    ``series`` is ``backbone``, ``moe``, ``one_expert`` or ``anytime``; empty for an image set that it does not show.
    """
    wanted = [row for row in rows_of("royer2022_figure2") if (row["dataset"], row["series"]) == (dataset, series)]
    return tuple((int(row["macs"]), float(row["top1"])) for row in wanted)


@dataclass(frozen=True)
class SweetSpotRow:
    """A row of the sweet-spot paper's Tables 2-6 or 13.

    Parameters and active ones are in 1e6, MACs in 1e9 (they say FLOPs), top-1 in percent; ``None`` where nothing is
    printed. ``config`` is the network that the row names, by our reading; ``model`` is its name as printed, with the
    recipe where a table has several.
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
    return tuple(map(_sweetspot_row, rows_of("sweetspot2024")))


def _sweetspot_row(row: dict[str, str]) -> SweetSpotRow:
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
