"""Every claim of every exhibit can fail: for each there is a possible record in which it comes out opposite."""

from collections.abc import Callable
from typing import Any

import pytest

from repro.exhibits import exhibit, exhibits, names
from repro.exhibits.figure2_anytime import NO_LOSS
from repro.report.claim import Cell, Claim
from repro.report.exhibit import Exhibit
from repro.report.verdict import Verdict
from repro.study.results import Cost, StudyResult, Table

RecordOf = Callable[..., StudyResult]
CLAIMS = [pytest.param(shown, claim, id=f"{shown.name}:{claim.key}") for shown in exhibits() for claim in shown.claims]

LOWEST = {"top1_gain": -100.0, "overconfidence": -100.0, "likeness": -1.0, "agreement": -100.0, "modes": -100.0}
"""The least value that a metric can have, where it is not 0: no record can hold less, so no claim may ask for it."""

PAIR = "tr10-tr10"
EXITS_THAT_LOSE: dict[str, Any] = {
    "values": {
        Cell(0, row="tr10"): [50.0] * 3,
        Cell(0, row="tr18"): [60.0] * 3,
        Cell(20, row=PAIR): [60.0] * 3,
        Cell(20, NO_LOSS, PAIR): [52.0, 52.1, 52.2],  # exits at random, and plain networks between: 55
        Cell(20, NO_LOSS, PAIR, "experts"): [0.5] * 3,
        Cell(20, NO_LOSS, PAIR, "saved"): [25.0] * 3,
    },
    "tables": {"sweep": Table(columns=["pair"], rows=[[PAIR]])},
    "costs": [
        Cost(num_experts=k, row=row, macs=macs, params_inference=1, params_trainable=1)
        for k, row, macs in ((0, "tr10", 100), (0, "tr18", 200), (20, PAIR, 200))
    ],
}


def refuted(claim: Claim) -> dict[str, Any]:
    """A record, of possible numbers alone, that speaks against a claim."""
    if not isinstance(claim.more, Cell):
        return EXITS_THAT_LOSE
    lowest = LOWEST.get(claim.more.metric, 0.0)
    bar = claim.bar if claim.less is None else lowest + 2.0
    values = {claim.more: [lowest + part * (bar - lowest) for part in (0.0, 0.01, 0.02)]}
    if claim.less:
        values[claim.less] = [bar] * 3
    if claim.premise and isinstance(claim.premise[0], Cell):
        values[claim.premise[0]] = [claim.premise[1]] * 3
    return {"values": values, "tables": {"sweep": Table(columns=["pair"], rows=[[PAIR], ["tr10-tr18"]])}}


@pytest.mark.parametrize(("shown", "claim"), CLAIMS)
def test_a_claim_can_come_out_opposite(record_of: RecordOf, shown: Exhibit, claim: Claim) -> None:
    result = record_of(shown.name, **refuted(claim), dataset=(*claim.datasets, "cifar100")[0])
    judged = {j.claim.key: j for j in shown.judge(result)}[claim.key]
    pairs = any(cell.of_pairs for cell in (claim.more, claim.less) if isinstance(cell, Cell))
    assert judged.verdict is (Verdict.PAIRS if pairs else Verdict.OPPOSITE)
    assert judged.ours is not None and judged.ours.mean < 0


def test_a_key_names_one_claim_of_one_exhibit() -> None:
    """C1 or P1/equal-training is found in one chapter of the book: no two share the part before the stroke."""
    owners: dict[str, str] = {}
    for shown in map(exhibit, names()):
        keys = [claim.key for claim in shown.claims]
        assert len(set(keys)) == len(keys), shown.name
        for code in {key.partition("/")[0] for key in keys}:
            assert owners.setdefault(code, shown.name) == shown.name, code
