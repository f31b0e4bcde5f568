"""The EM variant shown: gains beside the paper's two, the control, the cost; one seed, parts missing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from repro.errors import SpecError
from repro.exhibits.appendix_em import EXHIBIT, Parameters, run
from repro.exhibits.appendix_specialisation import Parameters as Specialisation
from repro.report.tables import claims_table
from repro.study.results import StudyResult

MakeOf = Callable[..., StudyResult]
ROWS = ("em-0", "em-1", "em-2", "long-1", "long-2")


def cells(seeds: int = 3, rows: tuple[str, ...] = ROWS) -> dict[tuple[str, str, int, str], list[float]]:
    def about(value: float) -> list[float]:
        return [round(value + 0.1 * seed, 2) for seed in range(seeds)]

    made = {("top1", "backbone", 0, ""): about(30)}
    for row in rows:
        steps = int(row[-1])
        for method in ("expert", "bagging"):
            gain = steps * (0.9 if row.startswith("long") else 0.5)
            made["top1", method, 10, row] = about(34 + gain)
            made["top1_gain", method, 10, row] = [gain] * seeds
        made["tera-macs", "training", 10, row] = [1.0 + steps] * seeds
        made["seconds", "training", 10, row] = [60.0 * (1 + steps)] * seeds
        made["visits", "training", 10, row] = [1.45] * seeds
        if row in ("em-1", "em-2"):
            made["moved", "E-step", 10, row] = about(3)
            made["entropy", "E-step", 10, row] = [0.2] * seeds
    return made


@pytest.fixture
def result(made_of: MakeOf) -> StudyResult:
    return made_of("appendix_em", cells())


def test_gains_stand_beside_the_papers(result: StudyResult) -> None:
    table = EXHIBIT.tables(result)["main"].frame
    assert table.loc["gain of 1 E-step, without ensembling", "paper"] == "1.37"
    assert table.loc["gain of 2 E-steps, with ensembling", "paper"] == "0.43"
    assert table.loc["gain of 2 E-steps, with ensembling", "ours"] == "1.00 ± 0.00"
    assert table.loc["gain of Algorithm 1, 2 x the epochs, with ensembling", "paper"] == "–"
    assert table.loc["Algorithm 1 (no E-step), without ensembling", "ours"] == "34.10 ± 0.10"


def test_the_cost_is_in_units_of_algorithm_1(result: StudyResult) -> None:
    cost = EXHIBIT.tables(result)["cost"].frame
    assert list(cost["x Algorithm 1"]) == ["1.00", "2.00", "3.00", "2.00", "3.00"]
    assert cost.loc["2 E-steps", "images that moved, %"] == "3.1 ± 0.1"


def test_claims_have_the_papers_gain_and_the_control(result: StudyResult) -> None:
    claims = claims_table(EXHIBIT.judge(result))
    assert (claims.loc["EM/1/without", "paper"], claims.loc["EM/1/without", "ours"]) == ("+1.37", "+0.50")
    assert claims.loc["EM/2/with", "verdict"] == "holds"
    assert (claims.loc["EM/cost/with", "ours"], claims.loc["EM/cost/with", "verdict"]) == ("+0.80", "holds")


@pytest.mark.parametrize(("seeds", "rows"), [(1, ROWS), (3, ()), (3, ("em-0", "em-1"))])
def test_one_seed_and_missing_parts(made_of: MakeOf, seeds: int, rows: tuple[str, ...]) -> None:
    partial = made_of("appendix_em", cells(seeds, rows))
    elsewhere = made_of("appendix_em", cells(seeds), "modes", "quick")
    assert "paper, tiny-ImageNet" in EXHIBIT.tables(elsewhere)["main"].frame
    for shown in EXHIBIT.tables(partial).values():
        assert "nan" not in shown.in_page()
    for figure in EXHIBIT.figures([partial, elsewhere]).values():
        figure.canvas.draw()


@pytest.fixture(scope="module")
def em(tmp_path_factory: pytest.TempPathFactory) -> tuple[StudyResult, Path]:
    root = tmp_path_factory.mktemp("em")
    return run(Parameters.check(scale="smoke", experts=2, em_steps="1,0", root=root, device="cpu")), root


def test_without_an_e_step_it_is_algorithm_1(em: tuple[StudyResult, Path]) -> None:
    result, root = em
    assert result.values("top1_gain", "bagging", 2, "em-0") == [0.0]
    assert not result.values("moved", "E-step", 2, "em-0")
    specs = Parameters.check(scale="smoke", experts=2, em_steps="0,1", root=root).specs()
    assert specs[0] == Specialisation.check(scale="smoke", experts="2,3", root=root).specs()[0]
    # of 2 experts each: Algorithm 1, after the E-step, trained longer
    assert len(list((root / "store" / "expert").glob("*"))) == 2 + 2 + 2


def test_training_costs_more_with_every_round(em: tuple[StudyResult, Path]) -> None:
    result, _ = em
    (first,), (one,), (longer,) = (result.values("tera-macs", "training", 2, row) for row in ("em-0", "em-1", "long-1"))
    assert first < longer < one
    (gain,), (before,), (after,) = (
        result.values("top1_gain", "expert", 2, "em-1"),
        result.values("top1", "expert", 2, "em-0"),
        result.values("top1", "expert", 2, "em-1"),
    )
    assert gain == pytest.approx(after - before)
    assert "em_steps" not in result.spec and result.provenance.command.endswith("-p em_steps 0,1 -p experts 2")


@pytest.mark.parametrize(
    ("asked", "sentence"), [({"em_steps": "1,2"}, "em_steps: .*should begin with 0"), ({"experts": 1}, "experts: ")]
)
def test_what_makes_no_sense_is_said(asked: dict[str, object], sentence: str) -> None:
    with pytest.raises(SpecError, match=sentence):
        Parameters.check(scale="smoke", **asked)
