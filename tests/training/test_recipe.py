"""A recipe is data: what is written of it, what it refuses."""

from typing import Any

import pytest
from pydantic import ValidationError

from repro.training.recipe import Group, Recipe

SINCE_THE_FIRST = {
    "source", "epochs", "batch_size", "learning_rate", "momentum", "nesterov", "weight_decay", "schedule",
    "milestones", "drop", "warmup", "augmentation",
}  # fmt: skip
PLAIN = Recipe(source="test", epochs=2, batch_size=8, learning_rate=0.1)
LATER = {
    "optimizer": "adamw", "decayed": "weights", "groups": (Group(match="gate"),),
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


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ({"schedule": "constant"}, [1, 1, 1, 1]),
        ({"schedule": "cosine"}, [1, 0.8535533906, 0.5, 0.1464466094]),
        ({"schedule": "multistep", "milestones": (0.5, 0.75)}, [1, 1, 0.2, 0.04]),
        ({"schedule": "one-cycle"}, [0.1, 1, 0.75, 0.25]),
        ({"schedule": "one-cycle", "warmup": 0.5, "warmup_from": 0.0}, [0, 0.5, 1, 0.5]),
    ],
)
def test_schedules_by_hand(schedule: dict[str, Any], expected: list[float]) -> None:
    recipe = PLAIN.model_copy(update={"learning_rate": 1.0, **schedule})
    assert [recipe.learning_rate_at(done) for done in (0, 0.25, 0.5, 0.75)] == pytest.approx(expected)
