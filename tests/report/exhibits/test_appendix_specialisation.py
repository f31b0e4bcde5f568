"""Appendix 3 shown: numbers, heat maps, claims; with one seed and with nothing recorded."""

from collections.abc import Callable

import pytest

from repro.report.exhibits import exhibit
from repro.report.exhibits.appendix_specialisation import COLUMNS
from repro.report.tables import claims_table
from repro.study.results import StudyResult, Table

MakeOf = Callable[..., StudyResult]
SPECIALISATION = exhibit("appendix_specialisation")


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
    shown = SPECIALISATION.tables(result)
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
    claims = claims_table(SPECIALISATION.judge(result))
    assert claims.loc["S/idle/10", "verdict"] == "holds (settled afterwards)"
    assert claims.loc["S/subsets/5", "verdict"] == "holds"
    assert claims.loc["S/split/5", "verdict"] == "opposite" and claims.loc["S/split/5", "ours"] == "−45.90"
    assert claims.loc["S/consistent/5-10", "verdict"] == "holds (settled afterwards)"
    assert claims.loc["S/consistent/10-20", "verdict"] == claims.loc["S/idle/20", "verdict"] == "not run"


def test_an_idle_expert_is_seen(made_of: MakeOf) -> None:
    idle = {**cells(3), ("smallest_share", "least-loss", 10, ""): [0.0, 0.0, 0.0]}
    claims = claims_table(SPECIALISATION.judge(made_of("appendix_specialisation", idle)))
    assert claims.loc["S/idle/10", "verdict"] == "opposite (settled afterwards)"


def test_the_reading_names_test_images_and_chance(result: StudyResult) -> None:
    text = SPECIALISATION.read(result)
    assert "of 50.1 ± 0.1 % of the test images (by chance 20.1 ± 0.1 %)" in text


@pytest.mark.parametrize(("seeds", "experts"), [(1, (5, 10)), (3, ()), (3, (5,))])
def test_one_seed_and_missing_parts(made_of: MakeOf, seeds: int, experts: tuple[int, ...]) -> None:
    partial = made_of("appendix_specialisation", cells(seeds, experts), tables=counts(experts))
    whole = made_of("appendix_specialisation", cells(seeds), "modes", "quick", counts())
    for shown in SPECIALISATION.tables(partial).values():
        assert "nan" not in shown.in_page()
    SPECIALISATION.read(partial)
    for figure in SPECIALISATION.figures([partial, whole]).values():
        figure.canvas.draw()
