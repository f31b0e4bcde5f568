"""What exits at no loss are held against: exits at random that cost as much, and plain networks that cost as much.

That a threshold saves multiply-adds proves nothing: whoever may choose among thresholds and finds none may choose the
full mixture, and experts that are copies of their base can be left out at will.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from repro.families.single_gate.controls import EQUAL_INFERENCE
from repro.report.claim import Cell
from repro.report.verdict import by_seed
from repro.study.results import StudyResult

K = 20
NO_LOSS = "anytime-no-loss"


def pairs(result: StudyResult) -> list[str]:
    """The pairs whose any-time curves were recorded."""
    return list(dict.fromkeys(result.tables["sweep"].column("pair"))) if "sweep" in result.tables else []


def over_chance(result: StudyResult) -> dict[int, float]:
    """``{seed: points}`` above as many exits at random: these lie on the line from the base to the full mixture."""

    def at_random(pair: str, seed: int) -> float:
        base, plain = _value(result, Cell(0, row=pair.partition("-")[0]), seed), _value(result, Cell(K, row=pair), seed)
        runs = _value(result, Cell(K, NO_LOSS, pair, "experts"), seed)
        return base + min(runs, 1.0) * (plain - base)

    return _above(result, at_random)


def plain_networks(result: StudyResult) -> dict[Cell, int]:
    """Multiply-adds of the plain networks trained as a base is: backbones, and what costs as much as a pair."""
    found = {}
    for cost in (cost for cost in result.costs if not cost.num_experts):
        method, _, pair = cost.row.partition(" of ")
        cell = Cell(1, EQUAL_INFERENCE, pair) if method == EQUAL_INFERENCE else Cell(0, row=cost.row)
        if by_seed(result, cell):
            found[cell] = cost.macs
    return found


def over_plain_networks(result: StudyResult) -> dict[int, float]:
    """``{seed: points}`` above the line between the two plain networks around the cost; above the costliest, that.

    On that line lies whoever sends each image to one of the two at random. One network alone makes no line.
    """
    macs = plain_networks(result)
    cells = sorted(macs, key=lambda cell: macs[cell])
    whole = {cost.row: cost.macs for cost in result.costs if cost.num_experts == K}

    def on_the_line(pair: str, seed: int) -> float:
        cost = whole.get(pair, np.nan) * (1 - _value(result, Cell(K, NO_LOSS, pair, "saved"), seed) / 100)
        at, top1 = [macs[cell] for cell in cells], [_value(result, cell, seed) for cell in cells]
        return float(np.interp(cost, at, top1, left=np.nan)) if len(cells) > 1 else np.nan

    return _above(result, on_the_line)


def several_pairs(result: StudyResult) -> dict[int, float]:
    """``{seed: how many pairs have a curve}``: the envelope of one model is its curve."""
    return dict.fromkeys(result.seeds, float(len(pairs(result))))


def _above(result: StudyResult, rival: Callable[[str, int], float]) -> dict[int, float]:
    """Top-1 at no loss minus a rival's, the mean over the pairs that have one; seeds of which none has are left out."""
    found = {}
    for seed in result.seeds:
        gaps = [_value(result, Cell(K, NO_LOSS, pair), seed) - rival(pair, seed) for pair in pairs(result)]
        if known := [gap for gap in gaps if not np.isnan(gap)]:
            found[seed] = sum(known) / len(known)
    return found


def _value(result: StudyResult, cell: Cell, seed: int) -> float:
    return by_seed(result, cell).get(seed, np.nan)
