"""Sentences that exhibits share."""

from __future__ import annotations

from collections.abc import Sequence

from repro.report.verdict import ClaimVerdict
from repro.study.results import EXACT, StudyResult


def verdicts(result: StudyResult, judged: Sequence[ClaimVerdict]) -> str:
    """The verdicts in a sentence; empty where no claim is about the result's image set."""
    if not judged:
        return ""
    if len(result.seeds) == 1 and result.scale != EXACT:
        return "With one seed this is an anecdote: no claim is judged. Run it with `-p seeds 0,1,2`."
    by_verdict: dict[str, list[str]] = {}
    for claim in judged:
        by_verdict.setdefault(claim.text, []).append(claim.claim.key)
    listed = "; ".join(f"{verdict}: {', '.join(keys)}" for verdict, keys in by_verdict.items())
    how = "counted" if result.scale == EXACT else "as trends at this scale"
    return f"Of the claims, {how}, {listed}."
