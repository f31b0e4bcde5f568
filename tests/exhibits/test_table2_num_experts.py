"""Table 2 shown, of a made-up result; and how long its base should be trained. Its run: tests/cli."""

from collections.abc import Callable

import pytest

from repro.exhibits.table2_num_experts import EXHIBIT, Parameters
from repro.report.numbers import look_up
from repro.study.results import StudyResult, Table
from tests.exhibits.conftest import Smoke
from tests.helpers import TABLE2

MakeUp = Callable[..., StudyResult]


def test_tables_put_the_paper_beside_ours_and_hold_what_was_measured_and_the_cost(made_up: MakeUp) -> None:
    tables = EXHIBIT.tables(made_up(TABLE2))
    table, details = tables["main"].frame, tables["details"].frame
    assert list(table.index)[:2] == ["base model", "1 expert (ensembling baseline)"]
    row = table.loc["20 experts"]
    assert (row["paper"], row["ours"], row["each seed"]) == ("79.90 ± 0.22", "59.60 ± 0.10", "59.50 · 59.60 · 59.70")
    assert "verdict" not in table  # which only the paper's own scale has
    assert row["test set's error"] == "0.49"  # 59.6 % of 10,000 images
    assert table.loc["5 experts", "ours"] == "not run"
    assert details.loc["20 experts", "expert alone"] == "59.10 ± 0.10" and "stacking" not in details
    assert (details.loc["20 experts", "MACs"], details.loc["20 experts", "parameters"]) == ("1.5 M", "2.34 M")
    modes = EXHIBIT.tables(made_up({("backbone", 0): [70.0]}, dataset="modes", scale="quick"))["main"].frame
    both = modes.loc["20 experts", ["paper, CIFAR-100", "paper, tiny-ImageNet"]]
    assert list(both) == ["79.90 ± 0.22", "66.26 ± 0.05"], "of a set that is not in the paper"


def test_what_twice_the_epochs_would_gain_is_measured_on_validation_images(smoke: Smoke) -> None:
    once, twice = Parameters(scale="smoke", longer=True).longer_bases()
    assert once.evaluate == twice.evaluate == "validation" and twice.base_recipe.epochs == 2 * once.base_recipe.epochs
    result = smoke(EXHIBIT, experts="1", controls="none", longer=True)
    before, after = result.tables["longer"].column("top1")
    sentence = f"Twice the base's {once.base_recipe.epochs} epochs gain {after - before:+.1f} points"
    assert sentence in EXHIBIT.advice(result)


@pytest.mark.parametrize(("twice", "enough"), [(64.4, True), (65.1, False)])
def test_a_base_that_would_gain_two_points_is_not_trained_for_long_enough(
    twice: float, enough: bool, made_up: MakeUp
) -> None:
    result = made_up({("backbone", 0): [62.5], ("bagging", 1): [63.0], ("bagging", 20): [64.2]})
    table = Table(columns=["epochs", "top1"], rows=[[24, 62.5], [48, twice]])
    measured = result.model_copy(update={"tables": {"longer": table}})
    assert look_up(measured, "longer").text == f"{twice - 62.5:+.2f}"
    advice = EXHIBIT.advice(measured)
    assert ("for long enough" in advice, "**The base could learn more" in advice) == (enough, not enough)
