"""Groups of parameters, and what decays."""

import pytest
import torch
from torch import nn
from torchvision.models.convnext import CNBlockConfig, ConvNeXt
from torchvision.models.vision_transformer import VisionTransformer

from repro.errors import TrainingError
from repro.training.optimizers import make_optimizer, parameter_groups, set_learning_rate
from repro.training.recipe import Group, Recipe

CPU = torch.device("cpu")
ADAMW = Recipe(source="test", epochs=1, batch_size=1, learning_rate=1e-3, optimizer="adamw", weight_decay=0.05)


def decayed(module: nn.Module, recipe: Recipe) -> set[str]:
    """The names of the parameters that decay."""
    decay = {id(p): group["weight_decay"] for group in parameter_groups(module, recipe) for p in group["params"]}  # type: ignore[attr-defined]
    return {name for name, parameter in module.named_parameters() if decay[id(parameter)]}


def names(module: nn.Module, *parts: str) -> set[str]:
    return {name for name, _ in module.named_parameters() if any(part in name for part in parts)}


def test_without_rules_there_is_one_group_in_the_modules_order() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 2))
    (group,) = parameter_groups(net, ADAMW)
    assert group == {"params": list(net.parameters()), "rate": 1.0, "weight_decay": 0.05}


def test_what_decays_of_a_vision_transformer() -> None:
    """No bias, no norm, no position embedding, no class token."""
    net = VisionTransformer(8, 4, 2, 2, 8, 16, num_classes=3)
    rest = names(net, "bias", "ln", "pos_embedding", "class_token")
    assert rest > {"class_token", "encoder.pos_embedding", "encoder.ln.weight"}
    assert decayed(net, ADAMW.model_copy(update={"decayed": "weights"})) == names(net, "") - rest
    assert "encoder.layers.encoder_layer_0.self_attention.in_proj_weight" not in rest
    assert decayed(net, ADAMW) == names(net, "")


def test_what_decays_of_a_convnext() -> None:
    """No bias, no norm (blocks 1 and stem 1 hold them), no scale of a layer."""
    net = ConvNeXt([CNBlockConfig(8, 16, 1), CNBlockConfig(16, None, 1)], num_classes=3)
    weights = {name for name, p in net.named_parameters() if name.endswith("weight") and p.ndim > 1}
    assert decayed(net, ADAMW.model_copy(update={"decayed": "weights"})) == weights
    assert {name for name, _ in net.named_parameters()} - weights > names(net, "layer_scale", "bias")


def test_embeddings_do_not_decay_and_stacked_experts_do() -> None:
    net = nn.ModuleDict({"places": nn.Embedding(4, 2), "experts": nn.Module()})
    net["experts"].weight_in = nn.Parameter(torch.ones(3, 2, 2))
    net["experts"].bias_in = nn.Parameter(torch.ones(3, 2))
    assert decayed(net, ADAMW.model_copy(update={"decayed": "weights"})) == {"experts.weight_in"}


def test_named_groups_have_their_own_rate_and_decay() -> None:
    net = nn.ModuleDict({"body": nn.Linear(2, 2), "experts": nn.Linear(2, 2), "gate": nn.Linear(2, 2)})
    rules = (Group(match=r"^experts", decay=2), Group(match="gate", rate=0.1, decay=0))
    optimizer = make_optimizer(net, ADAMW.model_copy(update={"groups": rules, "decayed": "weights"}), CPU)
    set_learning_rate(optimizer, 0.5)
    found = {
        name: (group["lr"], group["weight_decay"])
        for group in optimizer.param_groups
        for name, parameter in net.named_parameters()
        if any(parameter is p for p in group["params"])
    }
    assert found == {
        "body.weight": (0.5, 0.05), "body.bias": (0.5, 0.0),
        "experts.weight": (0.5, 0.1), "experts.bias": (0.5, 0.0),
        "gate.weight": (0.05, 0.0), "gate.bias": (0.05, 0.0),
    }  # fmt: skip


def test_what_is_frozen_is_in_no_group() -> None:
    net = nn.Sequential(nn.Linear(2, 2).requires_grad_(False), nn.Linear(2, 2))
    assert parameter_groups(net, ADAMW)[0]["params"] == list(net[1].parameters())


def test_a_group_that_matches_nothing_is_named() -> None:
    with pytest.raises(TrainingError, match=r"group 'exprets' matches no parameter.*there are weight, bias and 0 more"):
        make_optimizer(nn.Linear(2, 2), ADAMW.model_copy(update={"groups": (Group(match="exprets"),)}), CPU)
