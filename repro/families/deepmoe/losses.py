"""Eqs. (7) and (8), the two stages of Procedure 1 as functions that any training loop can call, and collapse.

Axes: B images, G gated channels of all layers, L gated layers, C classes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from repro.errors import TrainingError
from repro.families.deepmoe.config import L1, DeepMoEConfig
from repro.families.deepmoe.model import DeepMoE, DeepMoEOutput


class Terms(NamedTuple):
    """What a step is worth (scalars on the device): ``loss`` is minimised, and ``cross_entropy`` the loss to report.

    auxiliary   by name, already weighted: loss = cross_entropy + their sum
    statistics  by name, for the record
    logits      ``[B, C]``
    """

    loss: Tensor
    cross_entropy: Tensor
    auxiliary: dict[str, Tensor]
    statistics: dict[str, Tensor]
    logits: Tensor


def sparsity(gates_BG: Tensor, sizes: Sequence[int], l1: L1 = "mean") -> Tensor:
    """L_g of Eq. (8), the mean over images: the sum over layers of ‖g‖₁, or of the mean over a layer's channels."""
    layers = gates_BG.split(list(sizes), 1)  # gates are not negative: their L1 norm is their sum
    return torch.stack([part.mean(1) if l1 == "mean" else part.sum(1) for part in layers]).sum(0).mean()


def lam_at(config: DeepMoEConfig, done: float) -> float:
    """λ when the share ``done`` in [0, 1] of stage one lies behind."""
    return config.lam * (min(1.0, done / config.lambda_warmup) if config.lambda_warmup else 1.0)


def objective(config: DeepMoEConfig, out: DeepMoEOutput, labels: Tensor, sizes: Sequence[int], done: float) -> Terms:
    """J of Eq. (7) of a batch, in stage one."""
    cross_entropy = F.cross_entropy(out.logits.float(), labels)
    auxiliary = {
        "gates": lam_at(config, done) * sparsity(out.gates, sizes, config.l1),
        "embedding": config.mu * F.cross_entropy(out.embedding_logits, labels),
    }
    loss = cross_entropy + auxiliary["gates"] + auxiliary["embedding"]
    right = (out.embedding_logits.argmax(1) == labels).float().mean()
    statistics = {"embedding accuracy": right, **activity(out.gates, sizes)}
    return Terms(loss, cross_entropy.detach(), auxiliary, statistics, out.logits.detach())


def activity(gates_BG: Tensor, sizes: Sequence[int]) -> dict[str, Tensor]:
    """``active``: mean share of active channels over layers; ``active/l``: that of layer l (from 0)."""
    shares = torch.stack([(part > 0).float().mean() for part in gates_BG.detach().split(list(sizes), 1)])
    return {"active": shares.mean(), **{f"active/{index}": share for index, share in enumerate(shares)}}


def stage_one(model: DeepMoE, config: DeepMoEConfig) -> Callable[[Tensor, Tensor, float], Terms]:
    """Joint training: ``step(images, labels, done)``; train all of ``model``."""
    sizes = model.network.sizes
    return lambda images, labels, done: objective(config, model(images), labels, sizes, done)


def stage_two(model: DeepMoE) -> tuple[nn.Module, Callable[[Tensor, Tensor, float], Terms]]:
    """Embedding and gates frozen, λ = μ = 0: the module to train, and its ``step(images, labels, done)``.

    A loop gets the gated backbone alone, so that neither an optimiser nor ``train()`` reaches what is frozen; its
    BatchNorm stays in evaluation mode.
    """
    gating, network = model.gating.eval().requires_grad_(False), model.network

    def step(images: Tensor, labels: Tensor, done: float) -> Terms:
        with torch.no_grad():
            gates, embedding_logits = gating(images)
        logits = network(images, gates)
        loss = F.cross_entropy(logits.float(), labels)
        right = (embedding_logits.argmax(1) == labels).float().mean()
        statistics = {"embedding accuracy": right, **activity(gates, network.sizes)}
        return Terms(loss, loss.detach(), {}, statistics, logits.detach())

    return network, step


def check_collapse(statistics: Mapping[str, float], layers: Sequence[str], epoch: int, config: DeepMoEConfig) -> None:
    """Raise :class:`TrainingError` if a layer had no active channel for any image of an epoch (counted from 1)."""
    dead = [name for index, name in enumerate(layers) if statistics[f"active/{index}"] == 0]
    if dead:
        others = f" and {len(dead) - 1} more" if len(dead) > 1 else ""
        raise TrainingError(
            f"the gates collapsed: {dead[0]}{others} had no active channel in epoch {epoch}; lower lam ({config.lam})"
            + ("" if config.gate_init == "ones" else ", set gate_init to 'ones'")
            + (", or raise lambda_warmup" if config.lambda_warmup < 1 else "")
        )
