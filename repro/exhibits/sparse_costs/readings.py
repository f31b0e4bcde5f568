"""What the sweet-spot paper's own printed numbers say of its claims: differences, and where each has to lie."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise, product
from typing import NamedTuple

from repro.families.sparse.config import Placement
from repro.families.sparse.cost import sparse_cost
from repro.report.claim import CHANGES_LITTLE, MORE
from repro.report.numbers import NONE
from repro.report.printed import SweetSpotRow, rows_of, sweetspot_rows

EQUAL = 0.02
"""Share by which multiply-adds of two networks may differ and still be called equal."""


class Pair(NamedTuple):
    """Two printed numbers: what they are of, their difference in points, the ratio of counted multiply-adds."""

    label: str
    gain: float
    macs: float | None = None

    @property
    def equal(self) -> bool:
        """Whether both networks cost the same, by our count."""
        return self.macs is not None and abs(self.macs - 1) <= EQUAL


def dense_of(row: SweetSpotRow) -> SweetSpotRow:
    """The network without mixtures that a row stands beside: of its name and training data, in its table or before."""
    alike = [r for r in sweetspot_rows() if (r.model, r.train_data) == (row.model, row.train_data)]
    dense = [r for r in alike if r.config.placement == "none"]
    return next((r for r in dense if r.table == row.table), dense[0])


def gain(more: SweetSpotRow, less: SweetSpotRow) -> Pair:
    """Top-1 of one row less that of another."""
    ratio = sparse_cost(more.config).macs / sparse_cost(less.config).macs
    label = f"Table {more.table}, {more.model} {more.config.placement}"
    return Pair(label, round(more.top1 - less.top1, 2), ratio)


def sparse_rows(body: str, *placements: Placement) -> list[SweetSpotRow]:
    """The sparse networks of a body at some placements, each once: Tables 4 to 6 repeat networks of Tables 2 and 3."""
    once: dict[object, SweetSpotRow] = {}
    for row in sweetspot_rows():
        if row.config.shape.body == body and row.config.placement in placements:
            once.setdefault((row.train_data, row.model, row.config, row.top1), row)
    return list(once.values())


def gains(body: str, *placements: Placement) -> list[Pair]:
    """Each of them over its dense network."""
    return [gain(row, dense_of(row)) for row in sparse_rows(body, *placements)]


GATES, PROBES, EXPERTS = (
    rows_of(f"sweetspot2024{name}") for name in ("_table10", "_table2_probes", "_experts_per_image")
)
"""Table 10; Table 2's linear probe and 0-shot columns; the experts that process an image, of the text."""


def _table2(body: str) -> list[tuple[str, list[float]]]:
    """The networks of Table 2 from small to large: gains fine-tuned, by linear probe, and 0-shot."""
    networks = []
    for row in sweetspot_rows():
        if row.table == "2" and row.config.placement != "none" and row.config.shape.body == body:
            own = {r["placement"]: r for r in PROBES if r["model"] == row.model}
            probes = [
                float(own[row.config.placement][column]) - float(own["none"][column])
                for column in ("linear_probe", "zero_shot")
            ]
            networks.append((row.model, [row.top1 - dense_of(row).top1, *probes]))
    return networks


def _sweet_spot() -> Iterator[Pair]:
    for body in ("convnext", "vit"):
        for (small, at_small), (large, at_large) in pairwise(_table2(body)):
            for kind, a, b in zip(("fine-tuned", "linear probe", "0-shot"), at_small, at_large, strict=True):
                yield Pair(f"Table 2, {small} less {large}, {kind}", round(a - b, 2))


def _placements(body: str, better: Placement, worse: Placement) -> Iterator[Pair]:
    for row, other in product(sweetspot_rows(), repeat=2):
        one, two = ((r.table, r.model, r.config.hidden_ratio) for r in (row, other))
        placed = (row.config.placement, other.config.placement) == (better, worse)
        if one == two and placed and row.config.shape.body == body:
            yield gain(row, other)


def _numbers() -> Iterator[Pair]:
    rows = sweetspot_rows()
    for row in rows:
        if row.table in ("4", "6") and row.config.num_experts == 8:
            more = (row.table, row.model, 16)
            yield gain(row, next(r for r in rows if (r.table, r.model, r.config.num_experts) == more))


def _gates() -> Iterator[Pair]:
    for conv in (r for r in GATES if r["gate"] == "conv"):
        for other in (r for r in GATES if r["model"] == conv["model"] and r["gate"] in ("cos", "l2")):
            difference = float(conv["in1k"]) - float(other["in1k"])
            yield Pair(f"Table 10, {conv['model']}, conv less {other['gate']}", round(difference, 2))


def _experts() -> Iterator[Pair]:
    for r in EXPERTS:
        share = 100 * float(r["experts"]) / int(r["num_experts"])
        yield Pair(f"text, {r['model']}, {r['num_experts']} experts: % of them beyond 45", round(share - 45, 1))


def _recipes() -> Iterator[Pair]:
    rows = [row for row in sweetspot_rows() if row.table == "13" and row.config.top_k == 2]
    weak, strong = (gain(row, dense_of(row)) for row in rows)
    yield Pair("Table 13, ViT-B, DeiT less DeiT III", round(weak.gain - strong.gain, 2))


def _shifts() -> Iterator[Pair]:
    for row in (r for r in GATES if r["gate"] != "none"):
        (dense,) = (r for r in GATES if (r["model"], r["gate"]) == (row["model"], "none"))
        clean = float(row["in1k"]) - float(dense["in1k"])
        for name in ("v2", "a", "r", "sketch") if clean else ():
            towards = (float(row[name]) - float(dense[name])) * (1 if clean > 0 else -1)
            yield Pair(f"Table 10, {row['model']}, {row['gate']}, {name}", round(towards, 2))


class Reading(NamedTuple):
    """A claim, the printed differences that speak of it, and where each has to lie."""

    text: str
    pairs: Callable[[], Iterable[Pair]]
    within: tuple[float, float] = MORE

    def holds(self, pairs: Iterable[Pair]) -> str:
        """``in all 4``, ``in 3 of 4`` or ``in none of 4``; a difference of 0 is no gain."""
        (least, most), each = self.within, [pair.gain for pair in pairs]
        count, total = sum(least < points < most for points in each), len(each)
        if not total:
            return NONE
        return {0: f"in none of {total}", total: f"in all {total}"}.get(count, f"in {count} of {total}")


READINGS = {
    "V1/convnext": Reading("ConvNeXt with Last 2 beats the dense one", lambda: gains("convnext", "last-2")),
    "V1/vit": Reading("ViT with Every 2 or Last 2 beats the dense one", lambda: gains("vit", "every-2", "last-2")),
    "V2": Reading("The sweet spot: the next smaller network gains more", _sweet_spot),
    "V3/convnext": Reading("ConvNeXt: Last 2 beats Every 2", lambda: _placements("convnext", "last-2", "every-2")),
    "V3/vit": Reading("ViT: Every 2 beats Last 2", lambda: _placements("vit", "every-2", "last-2")),
    "V4": Reading("8 experts beat 16", _numbers),
    "V5": Reading("The gate changes little", _gates, CHANGES_LITTLE),
    "V6": Reading("An image is processed by more than 0.45 E experts", _experts),
    "V9": Reading("The gain is larger under the weaker recipe", _recipes),
    "V10": Reading("Under shift the gain has the sign of the clean one", _shifts),
}
"""V7 and V8 (experts and classes, likeness of experts) rest on drawings alone, which were not read."""
