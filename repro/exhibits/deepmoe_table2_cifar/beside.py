"""Networks beside those of Table 2, each gated and plain: other widths (Figure 5), and Table 6's widenings of VGG16."""

from __future__ import annotations

from typing import Any

from repro.exhibits.deepmoe_costs.counted import WIDENED
from repro.report.claim import AS_GOOD, Cell, Claim
from repro.report.printed import PrintedValue, deepmoe_rows
from repro.report.tables import Captioned, about, comparison, metric_columns
from repro.report.verdict import by_seed
from repro.study.results import StudyResult

EVERYWHERE = "VGG16 W13-All"
BESIDE: dict[str, dict[str, Any]] = {
    **{f"{times} times as wide": {"wide": float(times)} for times in (4, 8)},
    **{f"VGG16 {name}": {"backbone": f"vgg16-{name}", "wide": 1.0, "gated": "widened"} for name in WIDENED},
}
"""What differs of the parameters, by row. Of a VGG16 the widened layers have gates; all four have as many parameters
within 2 %, at any width.
"""
CLAIMS = (
    *(
        Claim(f"DM3/{row}", f"{row.capitalize()} it is as good as the network of that width without gates",
              Cell(0, "deepmoe", row), Cell(0, "wide", row), AS_GOOD, section="5.3.2", paired=False)
        for row, differs in BESIDE.items() if differs["wide"] > 1
    ),
    *(
        Claim(f"DM6/{name}", f"A VGG16 widened in all layers (W13-All), gated, beats {name}, of as many parameters",
              Cell(0, "deepmoe", EVERYWHERE), Cell(0, "deepmoe", f"VGG16 {name}"), section="5.3.3", paired=False)
        for name in WIDENED if f"VGG16 {name}" != EVERYWHERE
    ),
)  # fmt: skip
"""The paper's; of Figure 5 it has more, higher accuracy than without gates."""


def printed(result: StudyResult, cell: Cell) -> PrintedValue | None:
    """Top-1 of Table 4: with gates at about equal multiply-adds, without at equal parameters."""
    cost = {"deepmoe": "same params and flops", "wide": "same params"}.get(cell.method)
    return deepmoe_rows().get(("4", result.dataset, "vgg16", f"{cell.row.removeprefix('VGG16 ')} ({cost})", "top1"))


def table(result: StudyResult) -> Captioned | None:
    """Gated and plain, a row each; None where none was run."""
    ways = {"deepmoe": "DeepMoE", "wide": "without gates"}
    cells = {f"{row}, {words}": Cell(0, method, row) for row in BESIDE for method, words in ways.items()}
    cells = {name: cell for name, cell in cells.items() if by_seed(result, cell)}
    if not cells:
        return None
    shown = comparison(result, cells, printed, " at width" not in result.base)
    costs = metric_columns(result, list(cells.values()), {"MACs, millions": ("macs_millions", 3)})
    for place, (name, column) in enumerate(costs.items(), 2):
        shown.insert(place, name, column)
    caption = (
        f"{about(result, models=False)}; top-1 accuracy on the {result.evaluate} set in percent, and multiply-adds of "
        "an image. Other networks than Table 2's, all with the λ of this run: the same one wider, and VGG16 at the "
        "narrow network's width, with Table 6's widenings, whose widened layers have gates. They have as many "
        "parameters, and not as many multiply-adds."
    )
    return Captioned(shown, caption)
