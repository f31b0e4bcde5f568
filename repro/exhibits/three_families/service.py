"""What a service would find: the time of an image, one at a time and many at once, beside plain networks."""

from __future__ import annotations

import re
from collections.abc import Sequence

from repro.exhibits.three_families.families import FAMILIES
from repro.exhibits.three_families.rivals import BATCHES, CLOCK, between, cell
from repro.report.numbers import NONE, mean_std
from repro.report.statistics import Summary, summarise
from repro.report.tables import Captioned, about, frame_of_rows
from repro.report.verdict import summary_of
from repro.study.results import StudyResult


def service(result: StudyResult) -> Captioned:
    """A row a network that was timed, plain ones first, body by body.

    "times a plain network's" divides by the time of a plain network of equal MACs, straight between those of the curve
    over log MACs and log time; a dash beyond its ends.
    """
    speed = result.tables["speed"]
    rows: dict[str, dict[str, str]] = {}
    clauses: list[str] = []
    for body in dict.fromkeys(speed.column("body")):
        curve, timed = result.tables["plain"].where(body=body), speed.where(body=body)
        named = zip(timed.column("model"), timed.column("batch"), strict=True)
        ms: dict[tuple[str, int], float] = dict(zip(named, timed.column("ms"), strict=True))
        plain = sorted(set(curve.column("macs")))
        networks: dict[str, tuple[str, float, Summary]] = {}
        for i, each in enumerate(plain):
            top1 = summarise(curve.where(macs=each).column("top1"))
            networks[f"plain on {body}, {each / 1e6:.1f} M"] = (f"plain {i}", each, top1)
        for family in FAMILIES:
            cost, ours = (summary_of(result, cell(family.name, "middle", metric=m)) for m in ("macs_millions", "top1"))
            if cost and ours and (family.name, 1) in ms:
                networks[f"{family.phrase}, on {body}"] = (family.name, 1e6 * cost.mean, ours)
        for label, (name, macs, top1) in networks.items():
            rows[label] = {"MACs, M": f"{macs / 1e6:.2f}", "top-1": mean_std(top1)}
            for batch in BATCHES.values():
                batching, time = "one at a time" if batch == 1 else f"{batch} at a time", ms[name, batch]
                others = [ms[f"plain {i}", batch] for i in range(len(plain))]
                there = between(macs, plain, others)
                ratio = f"{time / there:.2f}" if there and not name.startswith("plain ") else NONE
                if not name.startswith("plain "):
                    clauses.append(f"{label} is {_beside(time, others)}, {batching}")
                rows[label] |= {f"ms, {batching}": f"{time:.3f}", f"times a plain network's, {batching}": ratio}
    caption = (
        f"{about(result)}; what a service would find, on one thread of {processor(result)}: "
        "milliseconds of an image, and in times of a plain network of equal MACs (between those above it; a dash "
        f"beyond the curve): {'; '.join(clauses) or 'no mixture was timed'}."
    )
    return Captioned(frame_of_rows(rows), caption)


def _beside(time: float, plain: Sequence[float]) -> str:
    """Where a time lies among those of plain networks."""
    if time > (1 + CLOCK) * max(plain):
        return "slower than every plain network"
    if time * (1 + CLOCK) < min(plain):
        return "faster than every plain network"
    return (
        "about as slow as the slowest plain network" if time * (1 + CLOCK) >= max(plain) else "between plain networks"
    )


def processor(result: StudyResult) -> str:
    """Which timed it."""
    return re.split("[,;]", result.provenance.hardware)[0]  # it stands first
