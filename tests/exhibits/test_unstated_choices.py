"""Unstated choices: parameters, table, reading and figure, at smoke scale and of what is not there."""

from pathlib import Path

import pytest

from repro.exhibits.unstated_choices import ALTERNATIVES, BY_NAME, EQUAL_STEPS, EXHIBIT, Parameters
from repro.families.single_gate.steps import steps
from repro.study.results import StudyResult


def test_every_alternative_changes_the_experts_and_nothing_of_the_base() -> None:
    parameters = Parameters.check(scale="smoke", experts=3)
    made = [steps(spec) for spec in parameters.specs()]
    assert len({each.experts[0] for each in made}) == len(made) == len(ALTERNATIVES) + 1
    assert len({each.base for each in made}) == 1


def test_the_control_of_shared_images_takes_as_many_steps() -> None:
    """Of ten experts at γ = 0.05 one sees 14.5 % of the images an epoch, without sharing 10 %: 8 epochs become 12."""
    asked = Parameters.check(scale="laptop", dataset="cifar100", alternatives=EQUAL_STEPS)
    (_, default), (_, alone) = asked.rows()
    assert (alone.gamma, alone.expert_recipe.epochs) == (0, 12)
    least, more = (spec.expert_recipe.epochs * spec.mean_share for spec in (default, alone))
    assert least <= more < least + alone.mean_share


@pytest.mark.parametrize(
    ("asked", "names"),
    [
        ("all", tuple(BY_NAME)),
        ("γ = 0", ("γ = 0",)),
        ("soft m at 1, γ = 0.2", ("soft m at 1", "γ = 0.2")),
        (["γ = 0.2", "γ = 0"], ("γ = 0.2", "γ = 0")),
    ],
)
def test_alternatives_are_named_as_in_the_table(asked: object, names: tuple[str, ...]) -> None:
    assert Parameters.check(alternatives=asked).alternatives == names


@pytest.fixture(scope="module")
def result(smoke_root: Path) -> StudyResult:
    asked = {"experts": 2, "seeds": "0,1", "alternatives": "γ = 0, batch statistics"}
    (found,) = EXHIBIT.run(Parameters.check(scale="smoke", **asked, root=smoke_root))
    assert isinstance(found, StudyResult)
    return found


def test_a_run_has_each_row_once_a_seed(result: StudyResult) -> None:
    for row in ("default", "γ = 0", "batch statistics", "logits averaged"):
        assert len(result.values("top1", "bagging", 2, row)) == 2
    assert len(result.values("top1", "backbone", 0)) == 2  # the same base throughout
    table = EXHIBIT.tables(result)["main"].frame
    assert list(table.index) == ["all choices at their default", "γ = 0", "batch statistics", "logits averaged"]
    first, second = result.values("top1", "bagging", 2, "γ = 0")
    mean = (first + second - sum(result.values("top1", "bagging", 2, "default"))) / 2
    assert str(table.loc["γ = 0", "against the default"]).replace("−", "-") == f"{mean:+.2f}"


def test_its_figure(result: StudyResult) -> None:
    labels = [label.get_text() for label in EXHIBIT.figures([result])["main"].axes[0].get_yticklabels()]
    assert labels == ["γ = 0", "batch statistics", "logits averaged"]
