"""What was recorded is shown: every table, figure and verdict of every exhibit, of one seed and of several."""

from __future__ import annotations

from pathlib import Path

import pytest

from repro.exhibits import exhibit, names
from repro.report.verdict import Verdict
from repro.study.results import load_results

RECORDS = load_results(Path(__file__).parents[2] / "results")


@pytest.mark.parametrize("name", [name for name in names() if any(r.study == name for r in RECORDS.values())])
def test_every_record_is_shown(name: str) -> None:
    shown, records = exhibit(name), [record for record in RECORDS.values() if record.study == name]
    for record in records:
        pages = [table.in_page() for table in shown.tables(record).values()]
        assert all("ours" in page or "<td" in page for page in pages) and "nan" not in "".join(pages).split()
        alone = [j for j in shown.judge(record) if j.verdict is Verdict.ANECDOTE]
        assert all(j.ours and j.ours.n == 1 for j in alone)
    for figures in (shown.drawn(records), shown.drawn(records[:1])):
        assert all(svg.startswith("<?xml") for svg in figures.values())
