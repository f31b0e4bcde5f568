"""What records of one place say together, also where families and budgets were recorded apart."""

from __future__ import annotations

import re
from collections.abc import Sequence

from repro.exhibits.three_families.families import BUDGETS, FAMILIES, Family
from repro.exhibits.three_families.rivals import INFERENCE, TRAINING, between, cell
from repro.exhibits.three_families.verdicts import CLAIMS, key, mixture_cell, rows_of
from repro.report.numbers import effect, where_run
from repro.report.statistics import Summary
from repro.report.tables import Captioned, Columns, about, frame
from repro.report.verdict import difference, judge, not_printed, summary_of
from repro.study.results import StudyResult

UNKNOWN = "we do not know"


def together(results: Sequence[StudyResult]) -> dict[str, Captioned]:
    """When to use which, of records that were trained alike.

    A number or 'we do not know' for each family and each thing that a user may be short of.
    """
    fewest_first = sorted(results, key=lambda result: len(result.seeds))  # of two that have a row the last counts
    at = {row: result for result in fewest_first for row in rows_of(result)}
    families = [family for family in FAMILIES if any(family is one for one, _ in at)]
    judged_of = {result.name: {j.claim.key: j for j in judge(CLAIMS, result, not_printed)} for result in results}

    def against(family: Family, budget: str, method: str) -> str:
        """Points of a mixture over what it is held against, and the verdict where there is one."""
        if not (result := at.get((family, budget))):
            return UNKNOWN
        mixture = mixture_cell(family.name, budget, method)
        ours = difference(result, mixture, cell(family.name, budget, method), paired=False)
        judged = judged_of[result.name].get(key(family.name, budget, method))
        return UNKNOWN if ours is None else effect(ours, " to ") + (f", {judged.text}" if judged else "")

    def middle(family: Family, metric: str) -> Summary | None:
        result = at.get((family, "middle"))
        return summary_of(result, cell(family.name, "middle", metric=metric)) if result else None

    def times(family: Family, metric: str) -> str:
        """In units of the plain network of equal inference, at the recipe's own length."""
        mixture, macs = middle(family, f"{metric}_millions"), middle(family, "macs_millions")
        plain = _plain_at(at[family, "middle"], family, metric, 1e6 * macs.mean) if macs else None
        return f"{1e6 * mixture.mean / plain:.1f} times the plain network's" if mixture and plain else UNKNOWN

    def knob(family: Family) -> str:
        if (family, "middle") not in at:
            return UNKNOWN
        least = middle(family, "cheapest")
        return f"down to {least.mean:.0f} % of its MACs" if least else "trained, it has one cost"

    lines: Columns = {}
    for method, lack in ((INFERENCE, "inference compute is short"), (TRAINING, "training compute is short as well")):
        lines |= {f"{lack}: {budget} budget": [against(f, budget, method) for f in families] for budget in BUDGETS}
    lines |= {
        "two networks can be trained instead": [against(f, "middle", "ensemble") for f in families],
        "memory is short (as many parameters)": [against(f, "middle", "equal-parameters") for f in families],
        "parameters": [times(f, "params") for f in families],
        "training": [times(f, "training") for f in families],
        "one trained model has to serve several budgets": [knob(f) for f in families],
        "milliseconds count, one image at a time": [against(f, "middle", "equal-latency") for f in families],
        "images a second count, 256 at a time": [against(f, "middle", "equal-throughput") for f in families],
    }
    clocks = [f"{f.phrase}: {_processor(at[f, 'middle'])}" for f in families if (f, "middle") in at]
    caption = (
        f"{_about(results)}: when to use which. Points of top-1 accuracy over the plain network that one would pick "
        "instead, [95 % interval], and the verdict where there is one; at the middle budget where none is named. Each "
        "family against plain networks of its own body and record, so that columns are not compared with each other. "
        f"Timed on one thread: {'; '.join(clocks) or 'nothing'}."
    )
    return {"when": Captioned(frame(lines, [family.label for family in families]).T, caption)}


def _about(results: Sequence[StudyResult]) -> str:
    """``CIFAR-100, laptop scale: single-gate, 3 seeds; sparse, 3 seeds``."""
    return f"{where_run(results[0])}: {'; '.join(about(result).partition(': ')[2] for result in results)}"


def _processor(result: StudyResult) -> str:
    """Which timed it."""
    return re.split("[,;]", result.provenance.hardware)[0]  # it stands first


def _plain_at(result: StudyResult, family: Family, column: str, macs: float) -> float | None:
    """Parameters or training of the plain curve at the mixture's MACs; None beyond its ends."""
    if "plain" not in result.tables:
        return None
    curve = result.tables["plain"].where(body=family.body.name)
    points = sorted(set(zip(curve.column("macs"), curve.column(column), strict=True)))
    return between(macs, [point[0] for point in points], [point[1] for point in points])
