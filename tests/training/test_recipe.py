"""A recipe is data: what is written of it, what it refuses; and its groups of parameters."""

from typing import Any

import pytest
import torch
from torch import nn
from torchvision.models.convnext import CNBlockConfig, ConvNeXt
from torchvision.models.vision_transformer import VisionTransformer

from repro.errors import TrainingError
from repro.training.optimizers import make_optimizer, parameter_groups, set_learning_rate
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
    for name, value in LATER.items():
        recipe = PLAIN.model_copy(update={name: value})
        assert set(recipe.model_dump()) == SINCE_THE_FIRST | {name}
        assert Recipe(**recipe.model_dump()) == recipe == Recipe.model_validate_json(recipe.model_dump_json())


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


CPU = torch.device("cpu")
ADAMW = Recipe(source="test", epochs=1, batch_size=1, learning_rate=1e-3, optimizer="adamw", weight_decay=0.05)


def decayed(module: nn.Module, recipe: Recipe) -> set[str]:
    """The names of the parameters that decay."""
    decay = {id(p): group["weight_decay"] for group in parameter_groups(module, recipe) for p in group["params"]}  # type: ignore[attr-defined]
    return {name for name, parameter in module.named_parameters() if decay[id(parameter)]}


def names(module: nn.Module, *parts: str) -> set[str]:
    return {name for name, _ in module.named_parameters() if any(part in name for part in parts)}


def test_without_rules_there_is_one_group_of_what_is_not_frozen_in_the_modules_order() -> None:
    net = nn.Sequential(nn.Linear(4, 4).requires_grad_(False), nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 2))
    (group,) = parameter_groups(net, ADAMW)
    assert group == {"params": list(net[1:].parameters()), "rate": 1.0, "weight_decay": 0.05}


def test_what_decays_of_a_vision_transformer() -> None:
    """No bias, no norm, no position embedding, no class token."""
    net = VisionTransformer(8, 4, 2, 2, 8, 16, num_classes=3)
    rest = names(net, "bias", "ln", "pos_embedding", "class_token")
    assert rest > {"class_token", "encoder.pos_embedding", "encoder.ln.weight"}
    assert decayed(net, ADAMW.model_copy(update={"decayed": "weights"})) == names(net, "") - rest
    assert "encoder.layers.encoder_layer_0.self_attention.in_proj_weight" not in rest
    assert decayed(net, ADAMW) == names(net, "")


def test_what_decays_of_a_convnext() -> None:
    """No bias, no norm (blocks 1 and stem 1 hold them), no scale of a layer, no embedding; but stacked experts."""
    net = nn.ModuleDict({"net": ConvNeXt([CNBlockConfig(8, 16, 1), CNBlockConfig(16, None, 1)], num_classes=3)})
    net["places"] = nn.Embedding(4, 2)
    net["net"].weight_in, net["net"].bias_in = nn.Parameter(torch.ones(3, 2, 2)), nn.Parameter(torch.ones(3, 2))
    weights = {name for name, p in net.named_parameters() if "weight" in name and p.ndim > 1} - {"places.weight"}
    assert decayed(net, ADAMW.model_copy(update={"decayed": "weights"})) == weights > {"net.weight_in"}
    assert {name for name, _ in net.named_parameters()} - weights > names(net, "layer_scale", "bias")


def test_named_groups_have_their_own_rate_and_decay() -> None:
    net = nn.ModuleDict({"body": nn.Linear(2, 2), "experts": nn.Linear(2, 2), "gate": nn.Linear(2, 2)})
    rules = (Group(match=r"^experts", decay=2), Group(match="gate", rate=0.1, decay=0))
    optimizer = make_optimizer(net, ADAMW.model_copy(update={"groups": rules, "decayed": "weights"}), CPU)
    set_learning_rate(optimizer, 0.5)
    settings = {
        name: (group["lr"], group["weight_decay"])
        for group in optimizer.param_groups
        for name, parameter in net.named_parameters()
        if any(parameter is p for p in group["params"])
    }
    assert settings == {
        "body.weight": (0.5, 0.05), "body.bias": (0.5, 0.0),
        "experts.weight": (0.5, 0.1), "experts.bias": (0.5, 0.0),
        "gate.weight": (0.05, 0.0), "gate.bias": (0.05, 0.0),
    }  # fmt: skip
    with pytest.raises(TrainingError, match=r"group 'exprets' matches no parameter.*there are"):
        make_optimizer(net, ADAMW.model_copy(update={"groups": (Group(match="exprets"),)}), CPU)
