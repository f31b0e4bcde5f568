"""Table 2 shown, of a made-up result; and its run where the time is up."""

from collections.abc import Callable
from pathlib import Path

import pytest

from repro.analysis.outputs import Outputs
from repro.errors import TimeIsUpError
from repro.exhibits.table2_num_experts import EXHIBIT, Parameters, run
from repro.families.single_gate.config import StudySpec
from repro.families.single_gate.study import Study
from repro.report.numbers import look_up
from repro.study.results import StudyResult, Table, load_result
from tests.helpers import TABLE2

MakeUp = Callable[..., StudyResult]


@pytest.fixture
def result(made_up: MakeUp) -> StudyResult:
    return made_up(TABLE2)


def test_the_table_puts_the_paper_beside_ours(result: StudyResult) -> None:
    table = EXHIBIT.tables(result)["main"].frame
    assert list(table.index)[:2] == ["base model", "1 expert (ensembling baseline)"]
    row = table.loc["20 experts"]
    assert (row["paper"], row["ours"], row["each seed"]) == ("79.90 ± 0.22", "59.60 ± 0.10", "59.50 · 59.60 · 59.70")
    assert "verdict" not in table  # which only the paper's own scale has
    assert row["test set's error"] == "0.49"  # 59.6 % of 10,000 images
    assert table.loc["5 experts", "ours"] == "not run"


def test_an_image_set_that_is_not_in_the_paper_has_both_its_columns(made_up: MakeUp) -> None:
    modes = made_up({("backbone", 0): [70.0]}, dataset="modes", scale="quick")
    table = EXHIBIT.tables(modes)["main"].frame
    row = table.loc["20 experts"]
    assert (row["paper, CIFAR-100"], row["paper, tiny-ImageNet"]) == ("79.90 ± 0.22", "66.26 ± 0.05")


def test_details_hold_what_was_measured_and_the_cost(result: StudyResult) -> None:
    details = EXHIBIT.tables(result)["details"].frame
    assert details.loc["20 experts", "expert alone"] == "59.10 ± 0.10" and "stacking" not in details
    assert (details.loc["20 experts", "MACs"], details.loc["20 experts", "parameters"]) == ("1.5 M", "2.34 M")


def test_table_2_records_what_is_whole_when_the_time_is_up(smoke_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Study.run

    def late(study: Study, spec: StudySpec) -> Outputs:
        if (spec.seed, spec.num_experts) == (1, 2):
            raise TimeIsUpError("two experts of the second seed: not begun")
        return whole(study, spec)

    monkeypatch.setattr(Study, "run", late)
    with pytest.raises(TimeIsUpError):
        run(Parameters(scale="smoke", dataset="modes", experts="1,2", controls="2", root=smoke_root, seeds="0,1"))
    result = load_result(smoke_root / "results" / "table2_num_experts-modes-smoke.json")
    assert result.seeds == [0, 1]
    found = {(m.method, m.num_experts) for m in result.measurements if m.seed == 0}
    assert {("bagging", 1), ("bagging", 2), ("equal-training", 2), ("equal-inference", 1)} <= found
    found = {(m.method, m.num_experts) for m in result.measurements if m.seed == 1}
    assert {("bagging", 1), ("equal-training", 2)} <= found and ("bagging", 2) not in found


def test_what_twice_the_epochs_would_gain_is_measured_on_validation_images(smoke_root: Path) -> None:
    parameters = Parameters(scale="smoke", dataset="modes", experts="1", controls="none", root=smoke_root, longer=True)
    once, twice = parameters.longer_bases()
    assert once.evaluate == twice.evaluate == "validation" and twice.base_recipe.epochs == 2 * once.base_recipe.epochs
    result = run(parameters)
    before, after = result.tables["longer"].column("top1")
    assert f"Twice the base's {once.base_recipe.epochs} epochs gain {after - before:+.1f} points" in EXHIBIT.advice(
        result
    )


@pytest.mark.parametrize(("twice", "enough"), [(64.4, True), (65.1, False)])
def test_a_base_that_would_gain_two_points_is_not_trained_for_long_enough(
    twice: float, enough: bool, made_up: MakeUp
) -> None:
    result = made_up({("backbone", 0): [62.5], ("bagging", 1): [63.0], ("bagging", 20): [64.2]})
    table = Table(columns=["epochs", "top1"], rows=[[24, 62.5], [48, twice]])
    measured = result.model_copy(update={"tables": {"longer": table}})
    assert look_up(measured, "longer").text == f"{twice - 62.5:+.2f}"
    found = EXHIBIT.advice(measured)
    assert ("for long enough" in found) is enough
    assert ("**The base could learn more" in found) is not enough
