"""Appendix 3 shown: numbers, heat maps, claims; with one seed and with nothing recorded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from repro.errors import SpecError
from repro.exhibits.appendix_specialisation import COLUMNS, EXHIBIT, Parameters, run
from repro.report.tables import claims_table
from repro.study.results import StudyResult, Table

MakeOf = Callable[..., StudyResult]


def cells(seeds: int, experts: tuple[int, ...] = (5, 10)) -> dict[tuple[str, str, int, str], list[float]]:
    def about(value: float) -> list[float]:
        return [value + 0.1 * seed for seed in range(seeds)]

    made = {}
    for k in experts:
        made |= {(metric, "least-loss", k, ""): about(20.0 / k) for metric, _ in COLUMNS.values()}
        for part, value in (("training", 70.0), ("evaluation", 50.0)):
            made["agreement", "gate", k, part] = about(value)
            made["agreement", "chance", k, part] = about(100 / k)
        if seeds > 1:
            made["likeness", "least-loss", k, "seeds"] = about(0.5)
            made["likeness", "chance", k, "seeds"] = about(0.1)
    if len(experts) > 1:
        made["likeness", "least-loss", 10, "5-10"] = about(0.6)
        made["likeness", "chance", 10, "5-10"] = about(0.1)
    return made


def counts(experts: tuple[int, ...] = (5, 10), classes: int = 7) -> dict[str, Table]:
    return {
        f"classes-{k}": Table(
            columns=["class", *(f"expert {e + 1}" for e in range(k))],
            rows=[[c, *(40 if e == c % k else c for e in range(k))] for c in range(classes)],
        )
        for k in experts
    }


@pytest.fixture
def result(made_of: MakeOf) -> StudyResult:
    return made_of("appendix_specialisation", cells(3), tables=counts())


def test_tables_say_shares_gate_and_stability(result: StudyResult) -> None:
    shown = EXHIBIT.tables(result)
    assert list(shown) == ["main", "gate", "stability"]
    assert shown["main"].frame.loc["5 experts", "smallest share, %"] == "4.10 ± 0.10"
    assert shown["gate"].frame.loc["10 experts", "test images, by chance"] == "10.1 ± 0.1"
    assert list(shown["stability"].frame.index) == [
        "5 experts, seed to seed",
        "10 experts, seed to seed",
        "5 and 10 experts",
    ]
    assert shown["stability"].frame.loc["5 and 10 experts", "each"] == "0.60 · 0.70 · 0.80"


def test_claims(result: StudyResult) -> None:
    claims = claims_table(EXHIBIT.judge(result))
    assert claims.loc["S/idle/10", "verdict"] == "holds (settled afterwards)"
    assert claims.loc["S/subsets/5", "verdict"] == "holds"
    assert claims.loc["S/split/5", "verdict"] == "opposite" and claims.loc["S/split/5", "ours"] == "−45.90"
    assert claims.loc["S/consistent/5-10", "verdict"] == "holds (settled afterwards)"
    assert claims.loc["S/consistent/10-20", "verdict"] == claims.loc["S/idle/20", "verdict"] == "not run"


def test_an_idle_expert_is_seen(made_of: MakeOf) -> None:
    idle = {**cells(3), ("smallest_share", "least-loss", 10, ""): [0.0, 0.0, 0.0]}
    claims = claims_table(EXHIBIT.judge(made_of("appendix_specialisation", idle)))
    assert claims.loc["S/idle/10", "verdict"] == "opposite (settled afterwards)"


@pytest.mark.parametrize(("seeds", "experts"), [(1, (5, 10)), (3, ()), (3, (5,))])
def test_one_seed_and_missing_parts(made_of: MakeOf, seeds: int, experts: tuple[int, ...]) -> None:
    partial = made_of("appendix_specialisation", cells(seeds, experts), tables=counts(experts))
    whole = made_of("appendix_specialisation", cells(seeds), "modes", "quick", counts())
    for shown in EXHIBIT.tables(partial).values():
        assert "nan" not in shown.in_page()
    for figure in EXHIBIT.figures([partial, whole]).values():
        figure.canvas.draw()


@pytest.fixture(scope="module")
def special(smoke_root: Path) -> StudyResult:
    made = run(Parameters.check(scale="smoke", experts="2,3", root=smoke_root, device="cpu"))
    return made


def test_every_image_is_counted_once(special: StudyResult) -> None:
    for k in (2, 3):
        table = special.tables[f"classes-{k}"]
        rows = [row[1:] for row in table.rows]
        assert len(rows) == 20 and sum(map(sum, rows)) == 400  # type: ignore[arg-type]
        smallest = min(sum(column) for column in zip(*rows, strict=True)) / 4  # type: ignore[arg-type]
        assert special.values("smallest_share", "least-loss", k) == [smallest]


def test_likeness_of_the_two_numbers_of_experts_has_its_chance(special: StudyResult) -> None:
    assert len(special.values("likeness", "least-loss", 3, "2-3")) == 1
    assert len(special.values("likeness", "chance", 3, "2-3")) == 1
    assert special.rows() == ["", "training", "evaluation", "2-3"]  # one seed has no other to be compared with


def test_one_expert_has_nothing_to_specialise_in() -> None:
    with pytest.raises(SpecError, match=r"experts: .*two or more"):
        Parameters.check(scale="smoke", experts="1,5")
