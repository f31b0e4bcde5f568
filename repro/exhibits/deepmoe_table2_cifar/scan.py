"""What a trained DeepMoE comes to in numbers, and of several λ the one that is taken by them on validation images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from repro.analysis.outputs import accuracy
from repro.errors import TrainingError
from repro.exhibits.three_families.asked import best
from repro.exhibits.three_families.bodies import Point
from repro.exhibits.three_families.families import SLACK
from repro.families.deepmoe.cost import active_shares, deepmoe_cost
from repro.families.deepmoe.steps import Asked, steps
from repro.progress import say
from repro.report.numbers import NONE
from repro.report.tables import Captioned, Columns, frame
from repro.study.results import Table
from repro.study.runner import Runner

SCAN = ["lam", "top1", "embedding", "active", "macs_millions", "narrows_cost", "taken"]


def numbers(asked: Asked, runner: Runner) -> dict[str, float]:
    """Top-1 of a DeepMoE and of its embedding network; mean cost in both conventions; mean active share in percent."""
    predictions, cost = steps(asked), deepmoe_cost(asked.model)
    runner.run([predictions])
    tensors = runner.load(predictions).tensors
    labels, gates = tensors["labels"], tensors["gates"]
    return {
        "top1": accuracy(tensors["logits"], labels), "embedding": accuracy(tensors["embedding_logits"], labels),
        "macs_millions": float(tensors["macs"].mean()) / 1e6,
        "naive_macs_millions": float(cost.macs(gates, "naive").mean()) / 1e6,
        "active": 100 * float(active_shares(gates, cost.sizes).mean()), "gating": cost.gating_macs / 1e6,
    }  # fmt: skip


def scanned(tried: Sequence[Asked], budget: float, runner: Runner, instead: str) -> tuple[float, Table]:
    """The chosen λ: the most accurate of those within :data:`SLACK` budgets, or as cheap as the cheapest.

    And a row of the scan for each, of a λ whose gates collapse without numbers. ``instead`` is what
    :class:`TrainingError` advises to choose where all of them do.
    """
    points: list[Point | None] = []
    rows: list[list[Any]] = []
    for asked in tried:
        try:
            at = numbers(asked, runner)
        except TrainingError as error:
            say(f"λ = {asked.model.lam:g} is not taken: {error}")
            points.append(None)
            rows.append([asked.model.lam, *[None] * 5, 0])
            continue
        macs = 1e6 * at["macs_millions"]
        points.append(Point("", at["top1"], macs))
        values = (*(at[name] for name in SCAN[1:5]), 100 * budget / macs)
        rows.append([asked.model.lam, *(round(value, 4) for value in values), 0])
    chosen = best(points, SLACK * budget, "DeepMoE", instead)
    rows[chosen][-1] = 1
    return tried[chosen].model.lam, Table(columns=SCAN, rows=rows)


def scan_table(scan: Table, whose: str) -> Captioned:
    """A scan as readers see it; ``whose`` multiply-adds a DeepMoE was held to."""
    names = ("top-1, %", "embedding's top-1, %", "active channels, %", "MACs, millions", f"MACs, % of the {whose}'s")
    values = [scan.column(of) for of in SCAN[1:6]]
    values[-1] = [None if x is None else 100 * 100 / x for x in values[-1]]  # recorded the other way round
    columns: Columns = {
        name: [NONE if x is None else f"{x:.4g}" for x in column] for name, column in zip(names, values, strict=True)
    }
    each = zip(scan.column("taken"), scan.column("top1"), strict=True)
    columns["taken"] = ["taken" if chosen else "collapsed" if top1 is None else "" for chosen, top1 in each]
    caption = (
        "The choice of λ, on validation images and the first seed: taken is the most accurate of those that cost at "
        f"most {SLACK:g} times what the {whose} does, or else the cheapest."
    )
    return Captioned(frame(columns, [f"λ = {lam:g}" for lam in scan.column("lam")]), caption)
