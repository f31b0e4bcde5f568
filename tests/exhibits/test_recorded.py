"""What was recorded is shown: every table, figure and verdict of every exhibit, of one seed and of several."""

from pathlib import Path

import pytest

from repro.exhibits import exhibit, names
from repro.study.results import load_results

RECORDS = load_results(Path(__file__).parents[2] / "results")
APART = ("deepmoe_costs", "sparse_costs")
"""Shown in the files of their own tests, which count for seconds what these count."""


@pytest.mark.parametrize("name", sorted({record.study for record in RECORDS.values()} & {*names()} - {*APART}))
def test_every_record_is_shown(name: str) -> None:
    show(name)


def show(name: str) -> None:
    shown, records = exhibit(name), [record for record in RECORDS.values() if record.study == name]
    for record in records:
        pages = [table.in_page() for table in shown.tables(record).values()]
        assert all("</td>" in page and ">nan" not in page for page in pages)
        assert all(j.ours.n <= max(len(record.seeds), 1) for j in shown.judge(record) if j.ours)
    assert all(svg.startswith("<?xml") for svg in shown.drawn(records).values())
