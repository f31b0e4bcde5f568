"""The paper's Figure 2 as digitised from the poster's vector plots: looked up, never typed again."""

from __future__ import annotations

import numpy as np

from repro.report.exact_costs import TABLE1_DATASETS, paper_cost
from repro.report.printed import PrintedValue, drawn

IMAGES = TABLE1_DATASETS
"""The two image sets that it draws."""

NEAR = 1e-3
"""Relative tolerance at which a digitised cost is a computed one (they were read to about 1e-4 G)."""


def paper_macs(dataset: str, base: str, expert: str | None = None) -> int:
    """Multiply-adds of a backbone or of a pair with 20 experts, at the paper's own width and image size."""
    return paper_cost(dataset, base, expert, 20 if expert else 0).macs


def marker(dataset: str, name: str, macs: int) -> PrintedValue | None:
    """The mean of a series' markers at a cost, if it has any there."""
    found = [top1 for cost, top1 in drawn(dataset, name) if abs(cost - macs) <= NEAR * macs]
    return PrintedValue(sum(found) / len(found), None) if found else None


def anytime_at(dataset: str, macs: int) -> PrintedValue | None:
    """The paper's any-time curve at a cost, on the line between its markers; its last value beyond its end."""
    points = sorted(drawn(dataset, "anytime"))
    if not points or macs < points[0][0] * (1 - NEAR):
        return None
    value = float(np.interp(macs, [cost for cost, _ in points], [top1 for _, top1 in points]))
    return PrintedValue(round(value, 2), None)
