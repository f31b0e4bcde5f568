"""Every exhibit: what was recorded is shown, each claim can fail, and what cannot be run is said before any work."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from repro.errors import SpecError
from repro.exhibits import exhibit, exhibits, names
from repro.exhibits.figure2_anytime import NO_LOSS
from repro.report.claim import LESS, Cell, Claim
from repro.report.exhibit import Exhibit
from repro.report.verdict import Verdict
from repro.study.results import Table, load_results
from tests.records import RecordOf, cost_of, judged

RECORDS = load_results(Path(__file__).parents[2] / "results")
APART = ("deepmoe_costs", "sparse_costs")
"""Shown in the files of their own tests, which count for seconds what these count."""


@pytest.mark.parametrize("name", sorted({record.study for record in RECORDS.values()} & {*names()} - {*APART}))
def test_every_record_is_shown(name: str) -> None:
    show(name)


def show(name: str) -> None:
    owner, records = exhibit(name), [record for record in RECORDS.values() if record.study == name]
    for record in records:
        pages = [table.in_page() for table in owner.tables(record).values()]
        assert all("</td>" in page and ">nan" not in page for page in pages)
        assert all(j.ours.n <= max(len(record.seeds), 1) for j in owner.judge(record) if j.ours)
    assert all(svg.startswith("<?xml") for svg in owner.drawn(records).values())


CLAIMS = [pytest.param(owner, claim, id=f"{owner.name}:{claim.key}") for owner in exhibits() for claim in owner.claims]

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
    "costs": [cost_of(0, 100, "tr10"), cost_of(0, 200, "tr18"), cost_of(20, 200, PAIR)],
}


def refuted(claim: Claim) -> dict[str, Any]:
    """A record, of possible numbers alone, that speaks against a claim."""
    if not isinstance(claim.more, Cell):
        return EXITS_THAT_LOSE
    lowest = LOWEST.get(claim.more.metric, 0.0)
    bar = claim.bar if claim.less is None else lowest + 2.0
    farthest = 2 * bar if claim.within == LESS else lowest
    values = {claim.more: [farthest + part * (bar - farthest) for part in (0.0, 0.01, 0.02)]}
    if claim.less:
        values[claim.less] = [bar] * 3
    if claim.premise and isinstance(claim.premise[0], Cell):
        values[claim.premise[0]] = [claim.premise[1]] * 3
    elif claim.premise:
        values[replace(claim.more, metric="runs_expert")] = [50.0] * 3  # half of the images exit
    return {"values": values, "tables": {"sweep": Table(columns=["pair"], rows=[[PAIR], ["tr10-tr18"]])}}


@pytest.mark.parametrize(("owner", "claim"), CLAIMS)
def test_a_claim_can_come_out_opposite(record_of: RecordOf, owner: Exhibit, claim: Claim) -> None:
    result = record_of(owner.name, **refuted(claim), dataset=(*claim.datasets, "cifar100")[0])
    judgement = judged(owner, result)[claim.key]
    pairs = any(cell.of_pairs for cell in (claim.more, claim.less) if isinstance(cell, Cell))
    assert judgement.verdict is (Verdict.PAIRS if pairs else Verdict.OPPOSITE)
    assert judgement.ours is not None and (judgement.ours.mean > 0) is (claim.within == LESS)


def test_a_key_names_one_claim_of_one_exhibit() -> None:
    """C1 or P1/equal-training is found in one chapter of the book: no two share the part before the stroke."""
    owners: dict[str, str] = {}
    for owner in map(exhibit, names()):
        keys = [claim.key for claim in owner.claims]
        assert len(set(keys)) == len(keys), owner.name
        for code in {key.partition("/")[0] for key in keys}:
            assert owners.setdefault(code, owner.name) == owner.name, code


@pytest.mark.parametrize(
    ("name", "asked"),
    [("three_families", {"families": "sparse", "budgets": "middle", "elsewhere": 0}), ("sparse_placement", {})],
)
def test_sparse_layers_are_trained_on_tiny_imagenet_too(name: str, asked: dict[str, object]) -> None:
    laptop = exhibit(name).parameters.check(scale="laptop", dataset="tiny-imagenet", **asked)
    assert all('"image_size":32' in goal.config for goal in laptop.goals())


@pytest.mark.parametrize(
    ("name", "wrong", "sentence"),
    [
        ("table1_main", {"pairs": "tr10"}, "write base-expert"),
        ("table1_main", {"fewer_seeds": "tr50:1"}, "tr50 is no row of this run"),
        ("table1_main", {"fewer_seeds": "tr18"}, "write row:count"),
        ("table1_main", {"controls": "tr18-tr18"}, "tr18-tr18 is no pair of this run"),
        ("table1_main", {"pairs": "none", "backbones": "none"}, "nothing is left to run"),
        ("deepmoe_table2_cifar", {"lam": "2,-1"}, "lam: .*numbers from 0"),
        ("deepmoe_table2_cifar", {"lam": "0.5,0.5"}, "lam: .*different"),
        ("appendix_em", {"em_steps": "1,2"}, "em_steps: .*should begin with 0"),
        ("appendix_em", {"experts": 1}, "experts: "),
        ("appendix_specialisation", {"experts": "1,5"}, "experts: .*two or more"),
        ("unstated_choices", {"alternatives": "γ = 7"}, "alternatives: there is no .*; choose of"),
        ("unstated_choices", {"alternatives": 5}, "alternatives: .*names"),
        ("deepmoe_table2_cifar", {"epochs": 1}, "at least one epoch each"),
        ("deepmoe_table2_cifar", {"gate_at": "input", "beside": "VGG16 W1-Mid"}, "^beside: VGG16 W1-Mid .*gate_at"),
        ("deepmoe_table2_cifar", {"narrow": 2, "beside": "8 times as wide"}, "^narrow 2 and beside 8 times as wide"),
        ("deepmoe_table2_cifar", {"narrow": 2, "wide": 8}, "^narrow 2 and wide 8 make a width of 16, above 8"),
        ("sparse_placement", {"scale": "paper"}, "scale 'paper' has no 'modes'; choose one of imagenet"),
        ("sparse_placement", {"others": "wider"}, "others: there is no .wider.; choose of equal-parameters, "),
        ("sparse_placement", {"placements": "first-2"}, "placement"),
        ("sparse_placement", {"network": "vit-micro", "placements": "stage"}, "needs stages"),
        ("three_families", {"budgets": "huge"}, "budgets: there is no 'huge'; choose of small, middle, large"),
        ("three_families", {"scale": "paper", "dataset": "cifar100"}, "scale 'paper' has no 'cifar100'"),
    ],
)
def test_what_cannot_be_run_is_said(name: str, wrong: dict[str, object], sentence: str) -> None:
    with pytest.raises(SpecError, match=sentence):
        exhibit(name).parameters.check(**{"scale": "smoke", **wrong})
