"""What a service would find: the time of an image, one at a time and many at once, beside plain networks."""

from __future__ import annotations

from repro.exhibits.three_families.families import FAMILIES
from repro.exhibits.three_families.rivals import between, cell
from repro.exhibits.three_families.speed import BATCHES
from repro.report.numbers import NONE, mean_std
from repro.report.statistics import summarise
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
    for body in dict.fromkeys(speed.column("body")):
        curve = result.tables["plain"].where(body=body)
        by_macs: dict[float, list[float]] = {}
        for macs, top1 in zip(curve.column("macs"), curve.column("top1"), strict=True):
            by_macs.setdefault(macs, []).append(top1)
        plain = sorted(by_macs)
        timed = speed.where(body=body)
        named = zip(timed.column("model"), timed.column("batch"), strict=True)
        ms: dict[tuple[str, int], float] = dict(zip(named, timed.column("ms"), strict=True))
        for i, macs in enumerate(plain):
            times = {batch: ms[f"plain {i}", batch] for batch in BATCHES.values()}
            rows[f"plain on {body}, {macs / 1e6:.1f} M"] = _row(macs, mean_std(summarise(by_macs[macs])), times, {})
        for family in FAMILIES:
            found = summary_of(result, cell(family.name, "middle", metric="macs_millions"))
            if found is None or (family.name, 1) not in ms:
                continue
            macs = 1e6 * found.mean
            ratios: dict[int, float] = {}
            times = {batch: ms[family.name, batch] for batch in BATCHES.values()}
            for batch, time in times.items():
                if there := between(macs, plain, [ms[f"plain {i}", batch] for i in range(len(plain))]):
                    ratios[batch] = time / there
            top1 = mean_std(summary_of(result, cell(family.name, "middle")))
            rows[f"{family.words} on {body}"] = _row(macs, top1, times, ratios)
    caption = (
        f"{about(result)}; what a service would find, on one thread of {result.provenance.hardware.partition(',')[0]}: "
        "milliseconds of an image, each network in the form in which it is fastest to use, and in times of a plain "
        "network of equal MACs (between those above it; a dash beyond the curve). Read once, for the first seed. Of "
        "256 at a time DeepMoE answers by prototypes; their top-1 is in the first table."
    )
    return Captioned(frame_of_rows(rows), caption)


def _row(macs: float, top1: str, ms: dict[int, float], ratios: dict[int, float]) -> dict[str, str]:
    row = {"MACs, M": f"{macs / 1e6:.2f}", "top-1": top1}
    for batch, time in ms.items():
        words = "one at a time" if batch == 1 else f"{batch} at a time"
        row |= {f"ms, {words}": f"{time:.3f}"}
        row |= {f"times a plain network's, {words}": f"{ratios[batch]:.2f}" if batch in ratios else NONE}
    return row
