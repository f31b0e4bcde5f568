"""The EM variant shown: gains beside the paper's two, the control, the cost; and run."""

import pytest

from repro.exhibits.appendix_em import EXHIBIT, Parameters
from repro.exhibits.appendix_specialisation import Parameters as Specialisation
from repro.report.claim import Cell
from repro.report.tables import claims_table
from repro.study.graph import ordered
from tests.exhibits.conftest import Smoke
from tests.records import RecordOf


def test_gains_stand_beside_the_papers_and_the_control_and_cost_is_in_units_of_algorithm_1(record_of: RecordOf) -> None:
    made: dict[Cell, float | list[float]] = {}
    for row in ("em-0", "em-1", "em-2", "long-1", "long-2"):
        steps = int(row[-1])
        gain = steps * (0.9 if row.startswith("long") else 0.5)
        for method in ("expert", "bagging"):
            made |= {Cell(10, method, row): 34 + gain, Cell(10, method, row, "top1_gain"): [gain] * 3}
        made |= {Cell(10, "training", row, "tera-macs"): [1.0 + steps] * 3, Cell(10, "E-step", row, "moved"): 3.0}
    result = record_of("appendix_em", made, "tiny-imagenet")
    tables, claims = EXHIBIT.tables(result), claims_table(EXHIBIT.judge(result))
    main, cost = tables["main"].frame, tables["cost"].frame
    assert main.loc["gain of 1 E-step, without ensembling", "paper"] == "1.37"
    assert list(main.loc["gain of 2 E-steps, with ensembling", ["paper", "ours"]]) == ["0.43", "1.00 ± 0.00"]
    assert main.loc["gain of Algorithm 1, 2 x the epochs, with ensembling", "paper"] == "–"
    assert list(cost["x Algorithm 1"]) == ["1.00", "2.00", "3.00", "2.00", "3.00"]
    assert cost.loc["2 E-steps", "images that moved, %"] == "3.1 ± 0.1"
    assert list(claims.loc["EM/1/without", ["paper", "ours"]]) == ["+1.37", "+0.50"]
    assert claims.loc["EM/2/with", "verdict"] == "holds"
    assert list(claims.loc["EM/cost/with", ["ours", "verdict"]]) == ["+0.80", "holds"]
    control = next(c for c in EXHIBIT.claims if c.key == "EM/2/with/as-long")
    assert control.paired, "both rest on one base, as those of EM/cost do"


def test_without_an_e_step_it_is_algorithm_1_and_training_costs_more_with_every_round(smoke: Smoke) -> None:
    em = smoke(EXHIBIT, experts=2, em_steps="1,0")
    assert em.values("top1_gain", "bagging", 2, "em-0") == [0.0]
    assert not em.values("moved", "E-step", 2, "em-0")
    (first,), (one,), (longer,) = (em.values("tera-macs", "training", 2, row) for row in ("em-0", "em-1", "long-1"))
    assert first < longer < one
    (gain,), (after,) = (em.values(metric, "expert", 2, "em-1") for metric in ("top1_gain", "top1"))
    assert em.values("top1", "expert", 2, "em-0") == [pytest.approx(after - gain)]
    assert "em_steps" not in em.spec and em.provenance.command.endswith("-p em_steps 0,1 -p experts 2")
    parameters = Parameters.check(scale="smoke", experts=2, em_steps="0,1")
    assert parameters.specs()[0] == Specialisation.check(scale="smoke", experts="2,3").specs()[0]
    planned = ordered(step for goal in parameters.goals() for step in goal.steps)
    # of 2 experts each: Algorithm 1, after the E-step, trained longer
    assert sum(step.kind == "expert" for step in planned) == 2 + 2 + 2
