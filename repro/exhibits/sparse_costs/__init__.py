"""What the sweet-spot paper prints: its costs beside exact counts, and what its own numbers say of its claims.

Nothing is trained. Every network whose cost Tables 2-6 and 13 print is built by our reading of its row and counted.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure

from repro.exhibits.sparse_costs.readings import EQUAL, PROBES, READINGS, dense_of, gain, sparse_rows
from repro.families.sparse.config import Placement, SparseConfig
from repro.families.sparse.cost import SparseCost, sparse_cost
from repro.report.exhibit import Exhibit
from repro.report.numbers import NONE, signed
from repro.report.plots import PALETTE, common_legend, new_figure
from repro.report.printed import SweetSpotRow, sweetspot_rows
from repro.report.tables import Captioned, Columns, frame
from repro.study.parameters import Counted
from repro.study.record import record_exact
from repro.study.results import StudyResult, Table

if TYPE_CHECKING:
    import pandas as pd

NAME = "sparse_costs"
TENTH = 0.1 + 1e-9
"""Million parameters within which a count is the printed number: the paper rounds some numbers and cuts others."""


def matches(row: SweetSpotRow) -> bool:
    """Whether the number of parameters that a row prints is the counted one."""
    return abs(round(sparse_cost(row.config).params / 1e6, 1) - row.params) <= TENTH


def name_of(row: SweetSpotRow) -> str:
    """How records and tables call a row."""
    return f"Table {row.table}: {row.label}"


def run(parameters: Counted) -> StudyResult:
    """Count every network, and write the record to ``<root>/results``: a few seconds, and no seed changes anything."""
    began = time.monotonic()
    costs = {row: sparse_cost(row.config) for row in sweetspot_rows()}
    counted = Table(
        columns=["row", "printed", "counted", "match", "active, printed", "active, counted", "GMACs, printed",
                 "GMACs, counted", "MACs / dense", "routed, %", "what the printed number may be"],
        rows=[_counted(row, cost) for row, cost in costs.items()],
    )  # fmt: skip
    pairs_of = {key: list(reading.pairs()) for key, reading in READINGS.items()}
    pairs = [
        [key, pair.label, pair.gain, pair.macs and round(pair.macs, 3)]
        for key, each in pairs_of.items()
        for pair in each
    ]
    claims = [
        [key, one.text, one.holds(pairs_of[key]), one.holds(pair for pair in pairs_of[key] if pair.equal)]
        for key, one in READINGS.items()
    ]
    return record_exact(
        NAME, parameters, [], time.monotonic() - began,
        [cost.row(row.config.num_experts if row.config.placement != "none" else 0, name_of(row))
         for row, cost in costs.items()],
        {
            "counted": counted,
            "claims": Table(columns=["key", "claim", "holds", "holds at equal MACs"], rows=claims),
            "pairs": Table(columns=["claim", "printed difference", "points", "MACs ratio"], rows=pairs),
        },
    )  # fmt: skip


def _counted(row: SweetSpotRow, cost: SparseCost) -> list[str | float | None]:
    dense = sparse_cost(dense_of(row).config)
    return [
        name_of(row), row.params, round(cost.params / 1e6, 1), "match" if matches(row) else "mismatch",
        row.params_active, round(cost.active_params / 1e6, 1), row.macs, round(cost.macs / 1e9, 2),
        round(cost.macs / dense.macs, 2), round(100 * cost.routed_share),
        "" if matches(row) else explained(row),
    ]  # fmt: skip


def explained(row: SweetSpotRow) -> str:
    """What a number of parameters that is not its row's may be: another network's count, or another row's number.

    Where it is neither, the nearest count of Every 2 with other numbers of mixtures; the row's own explains nothing.
    """
    own, reasons = row.config, []
    for placement in ("stage", "last-3", "last-2"):
        other = own.model_copy(update={"placement": placement})
        if other != own and abs(sparse_cost(other).params / 1e6 - row.params) <= TENTH:
            reasons.append(f"the count of {placement} with {own.num_experts} experts")
    before = sweetspot_rows()[: sweetspot_rows().index(row)]
    reasons += [f"what Table {r.table} prints for {r.label}" for r in before if r.params == row.params][:1]
    if not reasons:
        near = min(product((0, 1), (1,), range(1, 5), (1,)), key=lambda n: abs(with_mixtures(own, n) - row.params))
        count, usual = with_mixtures(own, near), tuple(depth // 2 for depth in own.shape.depths)
        if near == usual:
            reasons.append(f"nearest to the row's own {count} M; the {row.params - count:+.1f} M are not explained")
        else:
            reasons.append(f"nearest: {count} M with {near} mixtures in the stages; Every 2 has {usual}")
    return "; ".join(reasons)


def with_mixtures(config: SparseConfig, counts: Sequence[int]) -> float:
    """Millions of parameters of a ConvNeXt with so many mixtures in each of its stages."""
    e, ratio = config.num_experts, config.hidden_ratio
    dense = sparse_cost(config.model_copy(update={"placement": "none"})).params
    more = [e * (2 * ratio * d * d + (ratio + 1) * d) + e * d - (8 * d * d + 5 * d) for d in config.shape.dims]
    return round((dense + sum(n * m for n, m in zip(counts, more, strict=True))) / 1e6, 1)


def tables(result: StudyResult) -> dict[str, Captioned]:
    """``main``: Tables 2 and 3; ``others``: 4, 5, 6 and 13; ``eight``: what does not match; ``claims``, ``probes``."""
    counted = result.tables["counted"]
    rows: list[dict[str, Any]] = [dict(zip(counted.columns, row, strict=True)) for row in counted.rows]
    costs = [name for name in counted.columns if name not in ("row", counted.columns[-1])]
    first = [row for row in rows if row["row"].startswith(("Table 2", "Table 3"))]
    eight = [row for row in rows if row["match"] == "mismatch"]
    caption = (
        "parameters in millions (all, and active: those that a token meets), 10⁹ multiply-adds of an image, printed "
        "(as FLOPs) and counted; multiply-adds over those of the dense network, and the share that is routed, counted. "
        f"A count within 0.1 M is a match: {len(rows) - len(eight)} of {len(rows)} rows."
    )
    return {
        "main": Captioned(_texts(first, costs), f"Tables 2 and 3; {caption}"),
        "eight": Captioned(
            _texts(eight, ["printed", "counted", counted.columns[-1]]),
            f"The {len(eight)} numbers of parameters (millions) that are not their row's, and what they may be.",
        ),
        "claims": _claims(result),
        "probes": _probes(),
        "others": Captioned(
            _texts([row for row in rows if row not in first], costs), f"Tables 4 to 6 and 13; {caption}"
        ),
    }


def _texts(rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> pd.DataFrame:
    cells: Columns = {name: [NONE if row[name] is None else str(row[name]) for row in rows] for name in columns}
    return frame(cells, [str(row["row"]) for row in rows])


def _claims(result: StudyResult) -> Captioned:
    claims, pairs = result.tables["claims"], result.tables["pairs"]
    columns: Columns = {name: claims.column(name) for name in claims.columns[1:]}
    columns["printed differences"] = [
        ", ".join(signed(points, 1) for points in pairs.where(claim=key).column("points"))
        for key in claims.column("key")
    ]
    caption = (
        "The claims by the paper's own printed numbers: in how many of the differences between them they hold, and in "
        f"how many of those whose two networks cost the same by our count, within {100 * EQUAL:.0f} % (–: none do). "
        "Points of top-1 unless the claim says otherwise; no spread is printed, so no interval can be given. "
        "A network that several tables repeat counts once. V7 and V8 rest on drawings alone."
    )
    return Captioned(frame(columns, claims.column("key")), caption)


def _probes() -> Captioned:
    columns: Columns = {
        "linear probe, printed": [row["linear_probe"] for row in PROBES],
        "0-shot, printed": [row["zero_shot"] for row in PROBES],
        "ours": ["not run"] * len(PROBES),
    }
    caption = "Table 2's other columns (top-1 on ImageNet-1k, %); both need weights pre-trained on ImageNet-21k."
    return Captioned(frame(columns, [f"{row['model']} {row['placement']}" for row in PROBES]), caption)


GROUPS = {
    ("convnext", "imagenet-21k"): "o", ("convnext", "imagenet-1k"): "s", ("vit", "imagenet-21k"): "^",
    ("vit", "imagenet-1k"): "v",
}  # fmt: skip
PLACEMENTS: tuple[Placement, ...] = ("last-2", "last-3", "stage", "every-2")


def figures(results: Sequence[StudyResult]) -> dict[str, Figure]:
    """The printed gain over the dense network, against its counted multiply-adds and its printed accuracy."""
    figure = new_figure(8.6, 4.0)
    size, skill = figure.subplots(1, 2, sharey=True)
    for colour, ((body, data), marker) in zip(PALETTE, GROUPS.items(), strict=False):
        name = f"{'ViT' if body == 'vit' else 'ConvNeXt'}, {data.replace('imagenet', 'ImageNet')}"
        size.plot([], [], marker, color=colour, label=name)
        for row in (row for row in sparse_rows(body, *PLACEMENTS) if row.train_data == data):
            dense = dense_of(row)
            pair = gain(row, dense)
            face = colour if pair.equal else "white"
            for axes, x in ((size, sparse_cost(dense.config).macs / 1e9), (skill, dense.top1)):
                axes.plot(x, pair.gain, marker, color=colour, markerfacecolor=face)
    for axes, label in ((size, "10⁹ multiply-adds without mixtures"), (skill, "top-1 without mixtures, %")):
        axes.axhline(0, color="#595959", linewidth=1)
        axes.set_xlabel(label)
    size.set_ylabel("printed gain, points of top-1")
    common_legend(figure, [size], columns=2)
    return {"main": figure}


EXHIBIT = Exhibit(
    NAME, "Sweet spot, Tables 2 and 3 and Figure 2: costs", Counted, run, tables, figures=figures, place=15
)
