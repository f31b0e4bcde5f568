"""The two interactive pieces: recorded numbers, small enough to stand in the page itself, and a script that turns them.

No server is asked. In a notebook the script stands in the page too; in the book it is a file of the book.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from json import dumps
from pathlib import Path
from typing import Any

from repro.families.single_gate.class_pictures import short
from repro.report.claim import Cell
from repro.report.curves import each_seed, mean
from repro.report.links import Book
from repro.report.numbers import where_run
from repro.report.verdict import summary_of
from repro.study.places import project_folder
from repro.study.results import StudyResult


def anytime(results: Sequence[StudyResult]) -> list[dict[str, Any]]:
    """Of Figure 2's records, a curve a model: at every recorded threshold the means over the seeds.

    points  ``[τ, multiply-adds, top-1 %, images that exit %, experts of the others]``, the last None where all exit
    marks   what stands beside the curve: base alone, one expert for every image
    """
    curves = []
    for r in (r for r in results if "sweep" in r.tables):
        sweep = r.tables["sweep"]
        for pair, k in dict.fromkeys(zip(sweep.column("pair"), sweep.column("K"), strict=True)):
            part = sweep.where(pair=pair, K=k)
            columns = [mean(each_seed(part, "tau", name)) for name in ("macs", "top1", "exits", "experts_of_others")]
            points = [
                [tau, round(macs), round(top1, 2), round(exits, 2), round(others, 2) if exits < 100 else None]
                for tau, macs, top1, exits, others in zip(columns[0].xs, *(c.ys for c in columns), strict=True)
            ]
            curves.append({"name": f"{where_run(r)}: {pair}, {k} experts", "set": r.evaluate, "seeds": len(r.seeds),
                           "points": points, "marks": _marks(r, pair, k)})  # fmt: skip
    return curves


def _marks(r: StudyResult, pair: str, k: int) -> list[dict[str, Any]]:
    """Base alone and one expert for every image of a pair, where they were measured."""
    costs = {(cost.row, cost.num_experts): cost.macs for cost in r.costs}
    base = pair.split("-")[0]
    plain = (
        ("base alone", Cell(0, "backbone", base), (base, 0)),
        ("one expert for every image", Cell(k, "bagging", pair), (pair, k)),
    )
    measured = [(name, summary_of(r, cell), costs.get(key)) for name, cell, key in plain]
    return [{"name": name, "macs": macs, "top1": round(s.mean, 2)} for name, s, macs in measured if s and macs]


def routing(results: Sequence[StudyResult]) -> list[dict[str, Any]]:
    """Of Figure 3's records, how the training images of a class are dealt to the experts: ``counts[class][expert]``.

    Of the first seed and the largest number of experts, as in the pictures; records without the table are left out.
    """
    return [
        {
            "name": f"{where_run(r)}: {len(table.columns) - 1} experts, seed {r.seeds[0]}",
            "classes": [short(str(name)) for name in table.column("class")],
            "counts": [row[1:] for row in table.rows],
            "start": class_of(r),
        }
        for r in results
        if (table := r.tables.get("counts"))
    ]


def class_of(result: StudyResult) -> str:
    """The class that Figure 3 pictures, e.g. ``king penguin``."""
    table = result.tables.get("experts")
    return short(str(table.column("class")[0])) if table and table.rows else "the class"


WIDGETS = {
    "anytime-slider": ("Turn the threshold", anytime),
    "routing-explorer": ("Choose a class, and see its experts", routing),
}
"""Each piece by the name of its script: its title, and what draws its data from the records."""


def widget(name: str, results: Sequence[StudyResult], book: Book | None = None) -> str:
    """A box that its script fills; without JavaScript a sentence stands in its place."""
    title, extract = WIDGETS[name]
    data = extract(results)
    if not data:
        return "<p>No record has what this interactive piece shows.</p>"
    text = dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    if book:
        script = f'<script src="{book.root}_static/{name}.js" defer></script>'
    else:
        source = (project_folder() or Path()) / "book" / "_static" / f"{name}.js"
        script = f"<script>{source.read_text(encoding='utf-8')}</script>" if source.is_file() else ""
    return (
        f'<section class="repro-widget" id="{name}" aria-label="{escape(title)}" hidden>'
        f'<p class="repro-widget-title">{escape(title)}</p>'
        f'<script type="application/json">{text}</script></section>'
        f'<noscript><p class="repro-source">{escape(title)}: needs JavaScript; the figures say it too.</p></noscript>'
        f"{script}"
    )
