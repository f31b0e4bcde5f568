"""What holds and what does not, at a glance: the claims that the front page shows, and how often each verdict falls."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from repro.errors import ReproError
from repro.report.claim import Claim
from repro.report.exhibit import Exhibit
from repro.report.numbers import DATASETS
from repro.report.verdict import ClaimVerdict, Verdict
from repro.study.results import StudyResult

HEADLINES = (
    ("table2_num_experts", "C1", "Base and one expert beat that expert alone"),
    ("table2_num_experts", "C2/20", "Twenty experts beat the one"),
    ("table2_num_experts", "C2/20/equal-training", "They beat the base trained as long as all of them"),
    ("table2_num_experts", "C2/20/equal-inference", "They beat a plain network of their cost"),
    ("table2_num_experts", "C3", "Twenty are hardly better than ten"),
    ("table1_main", "P1", "A pair beats a plain network of its cost (tr10-tr18, tr18)"),
    ("table1_main", "P2", "A pair beats a dearer plain network (tr18-tr10, tr34)"),
    ("table1_main", "D1", "A deeper base beats deeper experts (tr18-tr10, tr10-tr18)"),
    ("table1_main", "D2", "The same, one step on (tr34-tr10, tr18-tr18)"),
    ("figure2_anytime", "F1", "Exits by the threshold beat exits at random"),
    ("appendix_early_exit", "X2/logistic", "A learned exit rule does not beat the threshold"),
    ("table5_per_class", "C5/per-class/with", "Routing each image beats routing each class"),
    ("table6_ensemblers", "E2/bagging", "Averaging with the base beats the expert alone"),
    ("table6_ensemblers", "E5", "The base is over-confident"),
    ("appendix_specialisation", "S/idle/10", "No expert is idle"),
    ("unstated_choices", "U2", "Showing experts some of the other images helps"),
)
"""Exhibit, claim and its short wording: one or two of each exhibit; a test holds them to the exhibits' claims."""

WHERE = (("cifar100", "laptop"), ("tiny-imagenet", "laptop"), ("cifar100", "gpu"))
"""The columns beside the paper's own scale; the embedded set is a demonstration and has none."""

DECIDED = (Verdict.HOLDS, Verdict.OPPOSITE, Verdict.UNDECIDED)


@dataclass(frozen=True)
class JudgedRecord:
    """A verdict and the record behind it."""

    result: StudyResult
    judged: ClaimVerdict


@dataclass(frozen=True)
class Headline:
    """A claim in short words and its verdict in each column: ``None`` where it is not about that image set, the
    name of the run where that was not recorded.
    """

    study: str
    title: str
    words: str
    claim: Claim
    found: tuple[JudgedRecord | str | None, ...]


def columns() -> tuple[str, ...]:
    """What stands above the verdicts."""
    return (*(f"{DATASETS[data]}, {scale} scale" for data, scale in WHERE), "paper scale")


def headlines(results: Sequence[StudyResult], exhibits: Sequence[Exhibit]) -> list[Headline]:
    """The front page's claims against everything recorded."""
    rows = []
    by_name = {shown.name: shown for shown in exhibits}
    for study, key, words in HEADLINES:
        shown = by_name[study]
        claims = {claim.key: claim for claim in shown.claims}
        if key not in claims:
            raise ReproError(f"{study} has no claim '{key}' (there are: {', '.join(claims)})")
        own = [r for r in results if r.study == study]
        places = [next((r for r in own if (r.dataset, r.scale) == place), place) for place in WHERE]
        places.append(next((r for r in own if r.scale == "paper"), ("cifar100", "paper")))
        rows.append(
            Headline(study, shown.title, words, claims[key], tuple(_found(claims[key], shown, p) for p in places))
        )
    return rows


def _found(claim: Claim, shown: Exhibit, place: StudyResult | tuple[str, str]) -> JudgedRecord | str | None:
    if isinstance(place, tuple):
        dataset, scale = place
        about = scale == "paper" or not claim.datasets or dataset in claim.datasets
        return f"{shown.name}-{dataset}-{scale}" if about else None
    judged = {j.claim.key: j for j in shown.judge(place)}
    return JudgedRecord(place, judged[claim.key]) if claim.key in judged else None


def tally(results: Sequence[StudyResult], exhibits: Sequence[Exhibit]) -> dict[str, Counter[str]]:
    """How often each verdict fell, marks included, over all claims and recorded runs, by scale.

    Neither what was not or cannot be judged is counted, nor a claim whose rule was settled with its numbers in sight.
    """
    counts: dict[str, Counter[str]] = {}
    for shown in exhibits:
        for result in (r for r in results if r.study == shown.name):
            of_scale = counts.setdefault(result.scale, Counter())
            of_scale.update(
                j.text if j.verdict in DECIDED else str(j.verdict)
                for j in shown.judge(result)
                if j.verdict in (*DECIDED, Verdict.ANECDOTE) and not j.claim.settled_after
            )
    return counts


def tally_text(results: Sequence[StudyResult], exhibits: Sequence[Exhibit]) -> str:
    """The counts in sentences, in the order of the scales that are recorded."""
    sentences = []
    for scale, counts in tally(results, exhibits).items():
        if not (total := sum(counts.values())):
            continue  # counted, not trained: there is nothing to judge
        parts = [f"{counts[text]} {text}" for verdict in DECIDED for text in sorted(counts) if text.startswith(verdict)]
        if one_seed := counts[Verdict.ANECDOTE]:
            parts.append(f"{one_seed} with one seed alone")
        sentences.append(
            f"{scale} scale: {total} comparison{'s' * (total != 1)} of a claim with a run, of which {', '.join(parts)}."
        )
    return " ".join(s[0].upper() + s[1:] for s in sentences) or "Nothing has been recorded yet."
