"""What records of one place say together, also where families and budgets were recorded apart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from repro.exhibits.three_families.families import BUDGETS, FAMILIES, Family
from repro.exhibits.three_families.rivals import INFERENCE, TRAINING, between, cell
from repro.exhibits.three_families.service import processor
from repro.exhibits.three_families.shown import CLAIMS, key, listed, mixture_cell, rows_of
from repro.report.claim import Cell
from repro.report.numbers import effect, mean_std, where_run
from repro.report.statistics import Summary
from repro.report.tables import Captioned, Columns, about, frame
from repro.report.verdict import difference, judge, not_printed, summary_of
from repro.study.results import StudyResult

UNKNOWN = "we do not know"
KNOWN = ("class", "superclass", "mode", "mode within class", "each other")
"""What gates may know."""
OPEN = 99.0
"""From so many percent of the multiply-adds on, all channels are open, and groups of them are groups of nothing."""


def together(results: Sequence[StudyResult]) -> dict[str, Captioned]:
    """``when``: when to use which; ``gates``: what they know; of records that were trained alike."""
    return {"when": _when(results), "gates": _gates(results)}


def _fewest_first(results: Sequence[StudyResult]) -> list[StudyResult]:
    """So that of two records which have a row the one of more seeds is taken last."""
    return sorted(results, key=lambda result: len(result.seeds))


def _when(results: Sequence[StudyResult]) -> Captioned:
    """A number or 'we do not know' for each family and each thing that a user may be short of."""
    at = {row: result for result in _fewest_first(results) for row in rows_of(result)}
    families = [family for family in FAMILIES if any(family is one for one, _ in at)]
    found = {result.name: {j.claim.key: j for j in judge(CLAIMS, result, not_printed)} for result in results}

    def against(family: Family, budget: str, method: str) -> str:
        """Points of a mixture over what it is held against, and the verdict where there is one."""
        if not (result := at.get((family, budget))):
            return UNKNOWN
        mixture = mixture_cell(family.name, budget, method)
        ours = difference(result, mixture, cell(family.name, budget, method), paired=False)
        judged = found[result.name].get(key(family.name, budget, method))
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
        least = middle(family, "cheapest")
        return f"down to {least.mean:.0f} % of its MACs" if least else "trained, it has one cost"

    lines: Columns = {}
    for method, words in ((INFERENCE, "inference compute is short"), (TRAINING, "training compute is short as well")):
        lines |= {f"{words}: {budget} budget": [against(f, budget, method) for f in families] for budget in BUDGETS}
    lines |= {
        "two networks can be trained instead": [against(f, "middle", "ensemble") for f in families],
        "memory is short (as many parameters)": [against(f, "middle", "equal-parameters") for f in families],
        "parameters": [times(f, "params") for f in families],
        "training": [times(f, "training") for f in families],
        "one trained model has to serve several budgets": [knob(f) for f in families],
        "milliseconds count, one image at a time": [against(f, "middle", "equal-latency") for f in families],
        "images a second count, 256 at a time": [against(f, "middle", "equal-throughput") for f in families],
    }
    clocks = [f"{f.words} on {processor(at[f, 'middle'])}" for f in families if (f, "middle") in at]
    caption = (
        f"{_about(results)}: when to use which. Points of top-1 accuracy over the plain network that one would pick "
        "instead, [95 % interval], and the verdict where there is one; at the middle budget where none is named. Each "
        "family against plain networks of its own body and record, so that columns are not compared with each other. "
        f"Timed on one thread: {'; '.join(clocks) or 'nothing'}."
    )
    return Captioned(frame(lines, [family.words for family in families]).T, caption)


def _about(results: Sequence[StudyResult]) -> str:
    """``CIFAR-100, laptop scale: single-gate, 3 seeds; sparse, 3 seeds``."""
    return f"{where_run(results[0])}: {'; '.join(about(result).partition(': ')[2] for result in results)}"


def _plain_at(result: StudyResult, family: Family, column: str, macs: float) -> float | None:
    """Parameters or training of the plain curve at the mixture's MACs; None beyond its ends."""
    if "plain" not in result.tables:
        return None
    curve = result.tables["plain"].where(body=family.body.name)
    points = sorted(set(zip(curve.column("macs"), curve.column(column), strict=True)))
    return between(macs, [point[0] for point in points], [point[1] for point in points])


def known_by_gates(results: Sequence[StudyResult]) -> dict[tuple[str, str], Summary]:
    """What the gates of a family, or of two, know, by its name (``A and B``) and what it is of."""
    return {
        (m.row, m.metric): found
        for result in _fewest_first(results)
        for m in result.measurements
        if m.method == "gates" and (found := summary_of(result, Cell.of(m)))
    }


def _gates(results: Sequence[StudyResult]) -> Captioned:
    known = known_by_gates(results)
    rows = sorted(dict.fromkeys(row for row, _ in known), key=lambda row: " and " in row)
    caption = (
        f"{_about(results)}, middle budget: what the gates know of the {results[0].evaluate} images. "
        f"{' '.join(_found(results))} Adjusted mutual "
        "information (0: chance, 1: the same grouping) of the groups that a gate makes with the classes, with "
        "superclasses and true modes (where they are known), with modes within each class; and of two families' groups "
        "with each other, where one record has both. Groups: the expert with the largest gate; K-means of the active "
        "channels, as many; the expert of most tokens. It depends on the number of groups, so families with unlike "
        "numbers of experts do not compare."
    )
    columns = {of: [mean_std(known.get((row, of))) for row in rows] for of in KNOWN if of in {of for _, of in known}}
    return Captioned(frame(columns, rows), caption)


def _found(results: Sequence[StudyResult]) -> Iterator[str]:
    """Of each two families how far they agree, unless the gates of one leave all channels open."""
    known, names = known_by_gates(results), {family.name: family for family in FAMILIES}
    shares = {row: share for row, _ in known if (share := _open_share(results, row)) is not None}
    for name, share in shares.items():
        so = ": its groups are groups of nothing, and agree with none" if share >= OPEN else ""
        yield f"{names[name].words} leaves {share:.0f} % of the multiply-adds of its wide network open{so}."
    for pair, of in known:
        both = pair.split(" and ")
        if of == "each other" and all(shares.get(name, 0) < OPEN for name in both):
            with_classes = listed([mean_std(known[name, "class"]) for name in both])
            yield (
                f"The groups of {listed([names[name].words for name in both])} agree by "
                f"{mean_std(known[pair, of])}, with the classes by {with_classes}."
            )


def _open_share(results: Sequence[StudyResult], family: str) -> float | None:
    """Multiply-adds of a DeepMoE of the middle budget, in percent of those of all its channels, in which it is trained;
    None of other families, whose rows have none.
    """
    shares = []
    for result in results:
        macs, training = (
            summary_of(result, cell(family, "middle", metric=f"{m}_millions")) for m in ("macs", "training")
        )
        if macs and training and family.startswith("DeepMoE"):
            shares.append(300 * result.spec["base_recipe"]["epochs"] * macs.mean / training.mean)
    return min(100.0, shares[0]) if shares else None
