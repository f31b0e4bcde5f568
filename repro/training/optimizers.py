"""The optimiser that a recipe asks for, and which parameters decay."""

from __future__ import annotations

import torch
from torch import nn

from repro.training.recipe import Recipe


def make_optimizer(module: nn.Module, recipe: Recipe, device: torch.device) -> torch.optim.Optimizer:
    """The recipe's optimiser over the trainable parameters of a module on ``device``.

    The arithmetic is torch's: fused on a GPU, several tensors at a time elsewhere.
    """
    groups = parameter_groups(module, recipe)
    fast = {"foreach": device.type != "cuda", "fused": device.type == "cuda"}
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=recipe.learning_rate, **fast)
    nesterov = recipe.nesterov and recipe.momentum > 0
    return torch.optim.SGD(groups, lr=recipe.learning_rate, momentum=recipe.momentum, nesterov=nesterov, **fast)


def parameter_groups(module: nn.Module, recipe: Recipe) -> list[dict[str, object]]:
    """The trainable parameters by their weight decay; one group where all decay."""
    groups: dict[float, list[nn.Parameter]] = {}
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            decays = recipe.decayed == "all" or _is_weight(module, name, parameter)
            groups.setdefault(recipe.weight_decay if decays else 0.0, []).append(parameter)
    return [{"params": parameters, "weight_decay": decay} for decay, parameters in groups.items()]


def _is_weight(module: nn.Module, name: str, parameter: nn.Parameter) -> bool:
    """Whether it is a matrix or kernel that acts on features, and no bias, norm, scale, token or embedding."""
    owner, _, own_name = name.rpartition(".")
    return "weight" in own_name and parameter.ndim > 1 and not isinstance(module.get_submodule(owner), nn.Embedding)
