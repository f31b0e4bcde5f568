"""The optimiser that a recipe asks for, with its groups of parameters."""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import nn

from repro.errors import TrainingError
from repro.training.recipe import Group, Recipe

REST = Group(match=".")


def make_optimizer(module: nn.Module, recipe: Recipe, device: torch.device) -> torch.optim.Optimizer:
    """The recipe's optimiser over the trainable parameters of a module on ``device``.

    The arithmetic is torch's: fused on a GPU, several tensors at a time elsewhere. :class:`TrainingError` if a group
    of the recipe matches no parameter.
    """
    groups = parameter_groups(module, recipe)
    fast: dict[str, Any] = {"foreach": device.type != "cuda", "fused": device.type == "cuda"}
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=recipe.learning_rate, **fast)
    nesterov = recipe.nesterov and recipe.momentum > 0
    return torch.optim.SGD(groups, lr=recipe.learning_rate, momentum=recipe.momentum, nesterov=nesterov, **fast)


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Each group of parameters gets ``rate`` times its own factor."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["rate"]


def parameter_groups(module: nn.Module, recipe: Recipe) -> list[dict[str, object]]:
    """The trainable parameters by weight decay and factor on the learning rate; one group if there are no rules."""
    named = {name: parameter for name, parameter in module.named_parameters() if parameter.requires_grad}
    for rule in recipe.groups:
        if not any(re.search(rule.match, name) for name in named):
            raise TrainingError(
                f"the recipe's group {rule.match!r} matches no parameter that is trained; "
                f"there are {', '.join(list(named)[:5])} and {max(len(named) - 5, 0)} more"
            )
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in named.items():
        own = next((rule for rule in recipe.groups if re.search(rule.match, name)), REST)
        rate, decay = own.rate, own.decay
        if recipe.decayed == "weights" and not _is_weight(module, name, parameter):
            decay = 0.0
        groups.setdefault((rate, recipe.weight_decay * decay), []).append(parameter)
    return [{"params": params, "rate": rate, "weight_decay": decay} for (rate, decay), params in groups.items()]


def _is_weight(module: nn.Module, name: str, parameter: nn.Parameter) -> bool:
    """Whether it is a matrix or kernel that acts on features, and no bias, norm, scale, token or embedding."""
    owner, _, own_name = name.rpartition(".")
    return "weight" in own_name and parameter.ndim > 1 and not isinstance(module.get_submodule(owner), nn.Embedding)
