"""What the campaigns measured, as the book quotes it."""

from __future__ import annotations

from repro.errors import ReproError
from repro.progress import duration
from repro.report.numbers import Quote
from repro.study.campaigns import CAMPAIGNS, FOLDER, Campaign


def fact(name: str, key: str, campaign: Campaign | None) -> Quote:
    """A figure of a campaign, e.g. ``kills``, or ``minutes``; "not run" where it was not; ReproError names the keys."""
    if campaign is None:
        return Quote("not run", CAMPAIGNS[name])
    if key == "minutes":
        return Quote(duration(campaign.provenance.seconds), tooltip(campaign), f"{FOLDER}-{name}")
    if key not in campaign.facts:
        raise ReproError(f"the campaign {name} has no {key!r} (it has: {', '.join(campaign.facts)}, minutes)")
    return Quote(f"{campaign.facts[key]:,}", tooltip(campaign), f"{FOLDER}-{name}")


def tooltip(campaign: Campaign) -> str:
    """Where the figures come from, line by line."""
    p = campaign.provenance
    return f"{p.command}\n{p.hardware}\ncommit {p.code}, {p.when[:10]}"


def table(campaign: Campaign) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Head and rows of a campaign's table, as text."""
    head = tuple(campaign.rows[0]) if campaign.rows else ()
    return head, [tuple(f"{row[name]:,}" if isinstance(row[name], int) else str(row[name]) for name in head)
                  for row in campaign.rows]  # fmt: skip
