"""Numbers as text: how a value, its spread and its interval are written, everywhere the same.

:func:`look_up` is behind the roles with which the book's pages quote a recorded result.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from repro.errors import ReproError
from repro.report.claim import Cell
from repro.report.printed import printed
from repro.report.statistics import Summary
from repro.report.verdict import ClaimVerdict, by_seed, summary_of
from repro.study.results import EXACT, StudyResult

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

OWN = "own"
"""The scale of a reader's own images."""

PRINTED = "printed"
"""The place of the paper's own numbers on the page of all recorded results."""


def so_many(number: int, what: str = "seed") -> str:
    """``1 seed``, ``3 seeds``, ``20 experts``."""
    return f"{number} {what}{'s' * (number != 1)}"


def where_run(result: StudyResult) -> str:
    """``CIFAR-100, laptop scale``: what a reader has to know beside every number of a result."""
    if result.scale in (EXACT, OWN):
        return "counted or computed" if result.scale == EXACT else f"your images ({result.dataset})"
    return f"{DATASETS.get(result.dataset, result.dataset)}, {result.scale} scale"


def which_run(result: StudyResult) -> str:
    """Where it was run, and the part, if it is one: what tells the runs of an exhibit apart."""
    return ", ".join(filter(None, (where_run(result), part_text(result))))


def part_text(result: StudyResult) -> str:
    """The part of a study that a record is of: ``narrow 0.0625``, where its name has a hyphen."""
    return re.sub(r"-(?=\d)", " ", result.part)


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


def interval(summary: Summary | None, sign: bool = False) -> str:
    """``59.60 to 60.60``, with ``sign`` ``−0.10 to +0.50``; a dash where there is no interval."""
    if summary is None or summary.interval is None:
        return NONE
    form, minus = f"{'+' if sign else ''}.2f", "−" if sign else "-"
    low, high = (f"{end + 0.0:{form}}".replace("-", minus) for end in summary.interval)  # −0.003: −0.00
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


def effect(summary: Summary | None, to: str = ", ") -> str:
    """``+0.27 [−1.14, +1.68]``: a mean difference, and its interval where there is one."""
    ends = interval(summary, sign=True).replace(" to ", to)
    return gain(summary) + ("" if ends == NONE else f" [{ends}]")


def claim_value(judged: ClaimVerdict) -> str:
    """A run's side of a claim: the difference, ``+0.91``; or a number and its bar, ``50.40 (bar: above 63.8)``."""
    if judged.ours is None or not judged.claim.bar:
        return gain(judged.ours)
    return f"{judged.claim.bar + judged.ours.mean:.2f} (bar: {judged.claim.asked})"


def claim_interval(judged: ClaimVerdict) -> str:
    """The interval of what :func:`claim_value` has."""
    ours, claim = judged.ours, judged.claim
    if ours is None or ours.interval is None or not claim.bar:
        return interval(ours, sign=True)
    low, high = (claim.bar + end for end in ours.interval)
    return interval(replace(ours, interval=(low, high)))


def claim_effect(judged: ClaimVerdict) -> str:
    """``+0.27 [−1.14, +1.68]``: both."""
    ends = claim_interval(judged).replace(" to ", ", ")
    return claim_value(judged) + ("" if ends == NONE else f" [{ends}]")


def claim_paper(judged: ClaimVerdict) -> str:
    """The same of the paper's own numbers."""
    if judged.paper is None:
        return NONE
    return f"{judged.claim.bar + judged.paper:.2f}" if judged.claim.bar else signed(judged.paper)


def millions(count: int, decimals: int) -> str:
    """``16.3 M``."""
    return f"{count / 1e6:.{decimals}f} M"


def provenance_text(result: StudyResult) -> str:
    """Where a result came from, in four lines: what and which seeds; spec, code and date; command; hardware."""
    p = result.provenance
    models = f", {result.evaluate} set: base {result.base}, experts {result.expert}" if result.scale != EXACT else ""
    return (
        f"{where_run(result)}{models}, seeds {', '.join(map(str, result.seeds))}\n"
        f"spec {result.spec_hash[:12]}, code {p.code}, {p.when[:10]}\n{p.command}\n{p.hardware}, {p.precision}"
    )


def gain_of_longer(result: StudyResult) -> float:
    """What twice the epochs gain the base alone, in points on validation images, of a record that has measured it."""
    once, twice = map(float, result.tables["longer"].column("top1"))
    return twice - once


def look_up(result: StudyResult, key: str, judged: Sequence[ClaimVerdict] = ()) -> Quote:
    """The quote for ``key``: ``metric/method/num_experts`` (and ``/row``), a cost ``macs/num_experts`` (and
    ``/row``), the difference of a claim among ``judged`` such as ``C2/20``, or a fact such as ``seeds``.

    Raises:
        ReproError: the result has no such number; the sentence names the keys that there are.
    """
    cells = {cell.key: cell for cell in map(Cell.of, result.measurements)}
    claims = {one.claim.key: one for one in judged}
    facts = {
        f"{field}/{cost.num_experts}" + (f"/{cost.row}" if cost.row else ""): millions(getattr(cost, field), decimals)
        for field, decimals in (("macs", 1), ("params_inference", 2), ("params_trainable", 2))
        for cost in result.costs
    }
    facts |= {
        "seeds": str(len(result.seeds)),
        "base": result.base,
        "minutes": f"{result.provenance.seconds / 60:.0f}",
        "hardware": result.provenance.hardware,
        "command": result.provenance.command,
    }
    if "base_recipe" in result.spec:
        facts["epochs"] = str(result.spec["base_recipe"]["epochs"])
    if "longer" in result.tables:
        facts["longer"] = signed(gain_of_longer(result))
    about = ""
    if key in cells:
        summary = summary_of(result, cells[key])
        each = ", ".join(f"{value:.2f}" for value in by_seed(result, cells[key]).values())
        spread = summary and summary.std  # a count has none
        text = mean_std(summary) if spread or not summary else f"{summary.mean:.2f}"
        about = f"each seed: {each}; 95 % interval: {interval(summary)}\n"
    elif key in claims:
        one = claims[key]
        text = claim_value(one).partition(" (")[0] if one.ours else one.verdict
        about = f"{claim_tooltip(one)}\n"
    elif key in facts:
        text = facts[key]
    else:
        raise ReproError(f"{result.name} has no '{key}'. It has: {', '.join([*sorted(cells), *claims, *facts])}.")
    return Quote(text, about + provenance_text(result), result.name)


def claim_tooltip(judged: ClaimVerdict) -> str:
    """The claim, our difference and the paper's, in one line."""
    ours = claim_value(judged) if judged.ours else judged.verdict
    if judged.ours and judged.ours.interval:
        ours += f" (95 % interval {claim_interval(judged)}, {judged.ours.n} seeds)"
    paper = "" if judged.paper is None else f"; the paper, at its own scale: {claim_paper(judged)}"
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
