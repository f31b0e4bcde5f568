"""The steps of a DeepMoE: what shares what, and an off-the-shelf start."""

from pathlib import Path
from typing import Any

import torch

from repro.families.deepmoe.config import DeepMoEConfig
from repro.families.deepmoe.cost import deepmoe_cost
from repro.families.deepmoe.steps import Asked, goal, steps
from repro.families.single_gate.scales import default_spec
from repro.study.graph import ordered
from tests.golden import made

SPEC = default_spec("smoke", "modes").with_(width=0.0625)
ONE_EPOCH = SPEC.base_recipe.model_copy(update={"epochs": 1})


def asked(two: bool = True, seed: int = 0, **model: Any) -> Asked:
    return Asked(
        spec=SPEC.with_(seed=seed), recipe=ONE_EPOCH, recipe_two=ONE_EPOCH if two else None,
        model=DeepMoEConfig(backbone="tr10", width=0.0625, num_classes=20, **model),
    )  # fmt: skip


def kinds(of: Asked) -> list[str]:
    return [step.kind for step in ordered(goal(of).steps)]


def test_stage_two_and_an_off_the_shelf_start_are_steps_of_their_own() -> None:
    assert kinds(asked()) == ["deepmoe", "deepmoe-frozen", "predictions"]
    assert kinds(asked(two=False)) == ["deepmoe", "predictions"]
    assert kinds(asked(start="plain")) == ["base", "deepmoe", "deepmoe-frozen", "predictions"]


def test_what_differs_later_shares_what_is_before_it() -> None:
    def keys(of: Asked) -> list[str]:
        return [step.key for step in ordered(goal(of).steps)]

    assert keys(asked())[0] == keys(asked(two=False))[0]
    assert not set(keys(asked())) & set(keys(asked(lam=0.5)))
    assert not set(keys(asked())) & set(keys(asked(seed=1)))


def test_a_start_from_a_trained_network_is_made_and_found_again(tmp_path: Path) -> None:
    of = asked(start="plain")
    tensors = made([goal(of)], tmp_path).load(steps(of)).tensors
    cost = deepmoe_cost(of.model)
    assert torch.equal(tensors["macs"], cost.macs(tensors["gates"])) and len(tensors["labels"]) == 200
    assert made([goal(of)], tmp_path).made == []
