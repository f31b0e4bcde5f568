"""Specialisation without images: tables and claims; and run."""

from typing import Any

import pytest

from repro.exhibits.appendix_specialisation import COLUMNS, EXHIBIT, WHO
from repro.report.claim import Cell
from repro.report.tables import claims_table
from tests.exhibits.conftest import Smoke
from tests.records import RecordOf


@pytest.mark.parametrize("idle", [False, True])
def test_tables_and_claims_say_shares_gate_and_stability(idle: bool, record_of: RecordOf) -> None:
    made: dict[Cell, Any] = {}
    for k in (5, 10):
        made |= {Cell(k, WHO, metric=metric): 20.0 / k for metric, _ in COLUMNS.values()}
        for part, value in (("training", 70.0), ("evaluation", 50.0)):
            made |= {Cell(k, "gate", part, "agreement"): value, Cell(k, "chance", part, "agreement"): 100 / k}
        made |= {Cell(k, WHO, "seeds", "likeness"): 0.5, Cell(k, "chance", "seeds", "likeness"): 0.1}
    made |= {Cell(10, WHO, "5-10", "likeness"): 0.6, Cell(10, "chance", "5-10", "likeness"): 0.1}
    if idle:
        made[Cell(10, WHO, metric="smallest_share")] = [0.0] * 3
    result = record_of("appendix_specialisation", made, "tiny-imagenet")
    tables, claims = EXHIBIT.tables(result), claims_table(EXHIBIT.judge(result))
    assert tables["main"].frame.loc["5 experts", "smallest share, %"] == "4.10 ± 0.10"
    assert tables["gate"].frame.loc["10 experts", "test images, by chance"] == "10.1 ± 0.1"
    stability = tables["stability"].frame
    assert list(stability.index) == ["5 experts, seed to seed", "10 experts, seed to seed", "5 and 10 experts"]
    assert stability.loc["5 and 10 experts", "each"] == "0.60 · 0.70 · 0.80"
    after = "(settled afterwards)"
    assert list(claims.loc["S/split/5", ["ours", "verdict"]]) == ["4.10 (bar: above 2)", f"holds {after}"]
    verdicts = {
        "S/idle/10": f"opposite {after}" if idle else f"holds {after}", "S/subsets/5": "holds",
        "S/split/10": f"undecided {after}",  # 2.0 ± 0.1 experts a class
        "S/consistent/5-10": f"holds {after}", "S/consistent/10-20": "not run", "S/idle/20": "not run",
    }  # fmt: skip
    assert {key: claims.loc[key, "verdict"] for key in verdicts} == verdicts


def test_every_image_is_counted_once_and_likeness_has_its_chance(smoke: Smoke) -> None:
    special = smoke(EXHIBIT, experts="2,3")
    for k in (2, 3):
        rows: list[list[Any]] = [row[1:] for row in special.tables[f"classes-{k}"].rows]
        assert len(rows) == 20 and sum(map(sum, rows)) == 400
        smallest = min(sum(column) for column in zip(*rows, strict=True)) / 4
        assert special.values("smallest_share", "least-loss", k) == [smallest]
    assert all(len(special.values("likeness", of, 3, "2-3")) == 1 for of in ("least-loss", "chance"))
    assert special.rows() == ["", "training", "evaluation", "2-3"]  # one seed has no other to be compared with
