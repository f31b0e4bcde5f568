"""A recipe is data: what is written of it, what it refuses."""

import pytest
from pydantic import ValidationError

from repro.training.recipe import Group, Recipe

SINCE_THE_FIRST = {
    "source", "epochs", "batch_size", "learning_rate", "momentum", "nesterov", "weight_decay", "schedule",
    "milestones", "drop", "warmup", "augmentation",
}  # fmt: skip
PLAIN = Recipe(source="test", epochs=2, batch_size=8, learning_rate=0.1)
LATER = {
    "optimizer": "adamw", "betas": (0.9, 0.95), "eps": 1e-6, "decayed": "weights", "groups": (Group(match="gate"),),
    "clip_norm": 1.0, "warmup_from": 0.0, "label_smoothing": 0.1, "mixup": 0.8, "cutmix": 1.0,
}  # fmt: skip


def test_fields_that_came_later_are_no_part_of_an_old_recipe() -> None:
    """So what was trained before keeps its key, and what was recorded reads as it did."""
    assert set(PLAIN.model_dump()) == SINCE_THE_FIRST
    assert set(PLAIN.model_dump(exclude={"source"})) == SINCE_THE_FIRST - {"source"}
    assert set(Recipe.model_fields) == SINCE_THE_FIRST | set(LATER), "a new field stands in one of the two lists"


@pytest.mark.parametrize("name", LATER)
def test_each_of_them_is_written_where_it_differs(name: str) -> None:
    recipe = PLAIN.model_copy(update={name: LATER[name]})
    assert set(recipe.model_dump()) == SINCE_THE_FIRST | {name}
    assert Recipe(**recipe.model_dump()) == recipe == Recipe.model_validate_json(recipe.model_dump_json())


def test_a_group_is_a_regular_expression() -> None:
    with pytest.raises(ValidationError, match="not a regular expression"):
        Group(match="experts[")


def test_warm_up_from_nothing_by_hand() -> None:
    recipe = PLAIN.model_copy(update={"schedule": "one-cycle", "warmup": 0.2, "warmup_from": 0.0, "learning_rate": 1.0})
    assert [recipe.learning_rate_at(done) for done in (0, 0.1, 0.2, 0.6)] == pytest.approx([0, 0.5, 1, 0.5])
