"""Networks beside those of Table 2, each gated and plain: other widths (Figure 5), and Table 6's widenings of VGG16."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from repro.exhibits.deepmoe_costs.counted import WIDENED
from repro.families.single_gate.config import StudySpec
from repro.families.single_gate.controls import plain_cost
from repro.models.cost import width_for
from repro.models.gated import GateAt
from repro.report.claim import AS_GOOD, EQUAL_COST, Cell, Claim
from repro.report.printed import PrintedValue, deepmoe_rows
from repro.report.tables import Captioned, about, comparison, metric_columns
from repro.report.verdict import by_seed, collapsed
from repro.study.results import StudyResult

WIDEST = 8  # that a plain network is trained here
EVERYWHERE = "VGG16 W13-All"
LIKE_EVERYWHERE = "like_w13_all"
"""The metric of :func:`like_everywhere`."""
BESIDE: dict[str, dict[str, Any]] = {
    **{f"{times} times as wide": {"wide": float(times)} for times in (4, 8)},
    **{f"VGG16 {name}": {"backbone": f"vgg16-{name}", "wide": 1.0, "gated": "widened"} for name in WIDENED},
}
"""What differs of the parameters, by row. Of a VGG16 the widened layers have gates; all four have as many parameters
within 2 %, from an eighth of the paper's width on.
"""
CLAIMS = (
    *(
        Claim(f"DM3/{row}", f"DeepMoE {row} is as good as the network of that width without gates",
              Cell(0, "deepmoe", row), Cell(0, "wide", row), AS_GOOD, section="5.3.2", paired=False)
        for row, differs in BESIDE.items() if differs["wide"] > 1
    ),
    *(
        Claim(f"DM6/{name}", f"DeepMoE: VGG16 widened in all layers (W13-All) beats {name} of as many parameters",
              Cell(0, "deepmoe", EVERYWHERE), Cell(0, "deepmoe", f"VGG16 {name}"), section="5.3.3", paired=False,
              premise=(Cell(0, "deepmoe", f"VGG16 {name}", LIKE_EVERYWHERE), EQUAL_COST))
        for name in WIDENED if f"VGG16 {name}" != EVERYWHERE
    ),
)  # fmt: skip
"""The paper's; of Figure 5 it has more, higher accuracy than without gates. Parameters are equal without embedding
network and heads, of which DeepMoE has more where a network costs more; multiply-adds of DM6 stand beside, and differ.
"""


def check_networks(narrow: float, wide: float, gate_at: GateAt, rows: Sequence[str]) -> None:
    """Say by their parameters' names which of the networks cannot be made; ``narrow`` 0 is the usual one."""
    for row in rows:
        if BESIDE[row].get("gated") == "widened" and gate_at == "input":
            raise ValueError(f"beside: {row} has gates on what is widened, not on inputs; choose gate_at output")
    for asked, times in (("wide", wide), *((f"beside {row}", BESIDE[row]["wide"]) for row in rows)):
        if narrow * times > WIDEST:
            which = f"{asked} {times:g}" if asked == "wide" else asked
            raise ValueError(f"narrow {narrow:g} and {which} make a width of {narrow * times:g}, above {WIDEST}")


def like_everywhere(params: Mapping[str, int]) -> dict[str, float]:
    """Parameters of each other VGG16 beside W13-All's, the fewer in percent of the more; ``params``: by row."""
    return {
        row: 100 * min(own, params[EVERYWHERE]) / max(own, params[EVERYWHERE])
        for row, own in params.items() if EVERYWHERE in params and row.startswith("VGG16") and row != EVERYWHERE
    }  # fmt: skip


def printed(result: StudyResult, cell: Cell) -> PrintedValue | None:
    """Top-1 of Table 4: with gates at about equal multiply-adds, without at equal parameters."""
    cost = {"deepmoe": "same params and flops", "wide": "same params"}.get(cell.method)
    return deepmoe_rows().get(("4", result.dataset, "vgg16", f"{cell.row.removeprefix('VGG16 ')} ({cost})", "top1"))


def table(result: StudyResult) -> Captioned | None:
    """Gated and plain, a row each; None where none was run."""
    ways = {"deepmoe": "DeepMoE", "wide": "without gates"}
    cells = {f"{row}, {way}": Cell(0, method, row) for row in BESIDE for method, way in ways.items()}
    cells = {name: cell for name, cell in cells.items() if by_seed(result, cell) or collapsed(result, cell)}
    if not cells:
        return None
    rows = comparison(result, cells, printed, " at width" not in result.base)
    costs = metric_columns(result, list(cells.values()), {"MACs, millions": ("macs_millions", 3)})
    for place, (name, column) in enumerate(costs.items(), 2):
        rows.insert(place, name, column)
    caption = (
        f"{about(result, models=False)}; top-1 accuracy on the {result.evaluate} set in percent, and multiply-adds of "
        "an image. Other networks than Table 2's, all with the λ of this run: the same one wider, and VGG16 at the "
        "narrow network's width, with Table 6's widenings, whose widened layers have gates. Those have as many "
        "parameters without embedding network and heads, and not the same multiply-adds."
    )
    return Captioned(rows, caption)


def width_of(spec: StudySpec, wide: float, macs: float) -> float:
    """The width from half of narrow's to wide whose plain network costs nearest to ``macs``; narrow's if it does."""
    steps_of_width = max(48, round(32 * wide / spec.width) - 16)  # of narrow's width / 32, or finer
    between = [spec.width / 2 + step / steps_of_width * (wide - spec.width / 2) for step in range(steps_of_width + 1)]
    nearest = width_for(between, macs, lambda width: plain_cost(spec, width).macs)
    macs = plain_cost(spec, nearest).macs
    return next((width for width in (spec.width, wide) if plain_cost(spec, width).macs == macs), nearest)
