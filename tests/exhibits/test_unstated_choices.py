"""Unstated choices: parameters, table, reading and figure, at smoke scale and of what is not there."""

from repro.exhibits.unstated_choices import ALTERNATIVES, BY_NAME, EQUAL_STEPS, EXHIBIT, Parameters
from repro.families.single_gate.steps import steps
from tests.exhibits.conftest import Smoke


def test_every_alternative_changes_the_experts_and_nothing_of_the_base() -> None:
    assert Parameters.check(alternatives="soft m at 1, γ = 0.2").alternatives == ("soft m at 1", "γ = 0.2")
    parameters = Parameters.check(scale="smoke", experts=3, alternatives="all")
    assert parameters.alternatives == tuple(BY_NAME)
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


def test_a_run_has_each_row_once_a_seed(smoke: Smoke) -> None:
    result = smoke(EXHIBIT, experts=2, seeds="0,1", alternatives="γ = 0, batch statistics")
    for row in ("default", "γ = 0", "batch statistics", "logits averaged"):
        assert len(result.values("top1", "bagging", 2, row)) == 2
    assert len(result.values("top1", "backbone", 0)) == 2  # the same base throughout
    table, drawn = EXHIBIT.tables(result)["main"].frame, EXHIBIT.figures([result])["main"].axes[0]
    others = ["γ = 0", "batch statistics", "logits averaged"]
    assert list(table.index) == ["all choices at their default", *others]
    assert [label.get_text() for label in drawn.get_yticklabels()] == others
    ours, default = (sum(result.values("top1", "bagging", 2, row)) / 2 for row in ("γ = 0", "default"))
    assert str(table.loc["γ = 0", "against the default"]).replace("−", "-") == f"{ours - default:+.2f}"
