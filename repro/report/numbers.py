"""Numbers as text: how a value, its spread and its interval are written, everywhere the same.

:func:`look_up` is behind the roles with which the book's pages quote a recorded result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from repro.errors import ReproError
from repro.report.claim import Cell
from repro.report.printed import printed
from repro.report.statistics import Summary
from repro.report.verdict import ClaimVerdict, by_seed, summary_of
from repro.study.results import Cost, StudyResult

NONE = "–"
"""Stands where there is no number."""

DATASETS = {
    "modes": "modes",
    "cifar10": "CIFAR-10",
    "cifar100": "CIFAR-100",
    "tiny-imagenet": "tiny-ImageNet",
    "imagenet": "ImageNet",
    "none": "no images",
}
"""How image sets are written for readers."""

PRINTED = "printed"
"""The place of the paper's own numbers on the page of all recorded results."""


def where_run(result: StudyResult) -> str:
    """``CIFAR-100, laptop scale``: what a reader has to know beside every number of a result."""
    return f"{DATASETS.get(result.dataset, result.dataset)}, {result.scale} scale"


@dataclass(frozen=True)
class Quote:
    """A number as a page shows it, with what a reader wants to know about it (the tooltip, line by line).

    ``source`` is its record's place on the page of all recorded results; empty where there is none.
    """

    text: str
    tooltip: str
    source: str = ""


def mean_std(summary: Summary | None, decimals: int = 2) -> str:
    """``60.10 ± 0.20`` (sample standard deviation over the seeds); one seed has no ±; pairs of seeds: each."""
    if summary is None:
        return NONE
    if summary.std is None:
        each = ", ".join(f"{value:.{decimals}f}" for value in summary.values)
        return f"{summary.mean:.{decimals}f}" + (f" ({each})" if summary.n > 1 else "")
    return f"{summary.mean:.{decimals}f} ± {summary.std:.{decimals}f}"


def interval(summary: Summary | None, decimals: int = 2, sign: bool = False) -> str:
    """``59.60 to 60.60``, with ``sign`` ``−0.10 to +0.50``; a dash where there is no interval."""
    if summary is None or summary.interval is None:
        return NONE
    low, high = (signed(end, decimals) if sign else f"{end:.{decimals}f}" for end in summary.interval)
    return f"{low} to {high}"


def signed(value: float, decimals: int = 2) -> str:
    """``+0.91`` or ``−0.10``, with a true minus sign."""
    return f"{round(value, decimals) + 0.0:+.{decimals}f}".replace("-", "−")


def gain(summary: Summary | None, decimals: int = 2) -> str:
    """``+0.91``, a mean difference; of pairs of seeds each value besides."""
    if summary is None:
        return NONE
    each = ", ".join(signed(value, decimals) for value in summary.values)
    return signed(summary.mean, decimals) + (f" ({each})" if summary.std is None and summary.n > 1 else "")


def millions(count: int, decimals: int) -> str:
    """``16.3 M``."""
    return f"{count / 1e6:.{decimals}f} M"


def provenance_text(result: StudyResult) -> str:
    """Where a result came from, in four lines: what and which seeds; spec, code and date; command; hardware."""
    p = result.provenance
    seeds = ", ".join(str(seed) for seed in result.seeds)
    return "\n".join(
        (
            f"{DATASETS.get(result.dataset, result.dataset)}, {result.scale} scale, {result.evaluate} set: "
            f"base {result.base}, experts {result.expert}, seeds {seeds}",
            f"spec {result.spec_hash[:12]}, code {p.code[:12]}, {p.when[:10]}",
            p.command,
            f"{p.hardware}, {p.precision}",
        )
    )


def _plain(result: StudyResult) -> dict[str, str]:
    p = result.provenance
    return {
        "seeds": str(len(result.seeds)),
        "base": result.base,
        "expert": result.expert,
        "evaluate": result.evaluate,
        "minutes": f"{p.seconds / 60:.0f}",
        "hours": f"{p.seconds / 3600:.1f}",
        "hardware": p.hardware,
        "precision": p.precision,
        "when": p.when[:10],
        "command": p.command,
        "code": p.code[:12],
    }


def look_up(result: StudyResult, key: str, judged: Sequence[ClaimVerdict] = ()) -> Quote:
    """The quote for ``key``: ``metric/method/num_experts`` (and ``/row``), a cost ``macs/num_experts`` (and
    ``/row``), the difference of a claim among ``judged`` such as ``C2/20``, or a fact such as ``seeds``.

    Raises:
        ReproError: the result has no such number; the sentence names the keys that there are.
    """
    tooltip = provenance_text(result)
    for cell in _cells(result):
        if cell.key == key:
            values = by_seed(result, cell)
            each = ", ".join(f"{value:.2f}" for value in values.values())
            summary = summary_of(result, cell)
            spread = f"each seed: {each}; 95 % interval: {interval(summary)}"
            return Quote(mean_std(summary), f"{spread}\n{tooltip}", result.name)
    for cost in result.costs:
        for field in ("macs", "params_inference", "params_trainable"):
            if key == cost_key(cost, field):
                return Quote(millions(getattr(cost, field), 1 if field == "macs" else 2), tooltip, result.name)
    for claim in judged:
        if claim.claim.key == key:
            text = "not run" if claim.ours is None else signed(claim.ours.mean)
            return Quote(text, f"{claim_tooltip(claim)}\n{tooltip}", result.name)
    if key in (plain := _plain(result)):
        return Quote(plain[key], tooltip, result.name)
    raise ReproError(f"{result.name} has no '{key}'. It has: {', '.join(_keys(result))}.")


def cost_key(cost: Cost, field: str) -> str:
    """How the book's pages name a cost: ``macs/20``, and ``/row`` where there are rows."""
    return f"{field}/{cost.num_experts}" + (f"/{cost.row}" if cost.row else "")


def _cells(result: StudyResult) -> list[Cell]:
    return list(dict.fromkeys(map(Cell.of, result.measurements)))


def _keys(result: StudyResult) -> list[str]:
    measured = sorted(cell.key for cell in _cells(result))
    costs = [cost_key(cost, field) for field in ("macs", "params_inference") for cost in result.costs]
    return [*measured, *costs, *_plain(result)]


def claim_of(judged: Sequence[ClaimVerdict], key: str) -> ClaimVerdict:
    """The judged claim ``key`` (``C1``, ``C2/5`` ...); ``ReproError`` names those there are."""
    for claim in judged:
        if claim.claim.key == key:
            return claim
    raise ReproError(f"There is no claim '{key}'. There are: {', '.join(claim.claim.key for claim in judged)}.")


def claim_tooltip(judged: ClaimVerdict) -> str:
    """The claim, our difference and the paper's, in one line."""
    ours = "not run" if judged.ours is None else gain(judged.ours)
    if judged.ours is not None and judged.ours.interval is not None:
        ours += f" (95 % interval {interval(judged.ours, sign=True)}, {judged.ours.n} seeds)"
    paper = "" if judged.paper is None else f"; the paper, at its own scale: {signed(judged.paper)}"
    return f"{judged.claim.text}. Here: {ours}{paper}"


def verdict_quote(result: StudyResult, judged: ClaimVerdict) -> Quote:
    """The verdict on a claim, with its numbers and where they come from."""
    return Quote(judged.text, f"{claim_tooltip(judged)}\n{provenance_text(result)}", result.name)


def paper_quote(key: str) -> Quote:
    """The paper's number for ``table/dataset/base/expert/num_experts/method/metric``.

    ``expert`` may be empty (a plain backbone) and ``num_experts`` too (a row that holds for any number).

    Raises:
        ReproError: the paper prints no such number, or the key has not seven parts.
    """
    parts = key.split("/")
    if len(parts) != 7 or not (parts[4] == "" or parts[4].isdigit()):
        shape = "table/dataset/base/expert/num_experts/method/metric"
        raise ReproError(f"'{key}' does not name a number of the paper: write {shape}.")
    table, dataset, base, expert, count, method, metric = parts
    value = printed(table, dataset, base, expert, int(count) if count else None, method, metric)
    if value is None:
        raise ReproError(f"The paper prints no '{key}'.")
    spread = f"; ± over {value.seeds} seeds" if value.std is not None else "; no ± printed"
    where = "text" if table == "text" else f"Table {table}"
    models = f"{base}-{expert}" if expert else base
    text = value.text() if metric.startswith("top1") else f"{value.value / 1e6:.4g} M"
    source = f"Royer et al. 2022, {where}: {DATASETS.get(dataset, dataset)}, {models}, {method}{spread}"
    return Quote(text, source, PRINTED)
