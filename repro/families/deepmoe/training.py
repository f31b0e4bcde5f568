"""Both stages of Procedure 1 through the one training loop, with Eqs. (7) and (8) and collapse; and predictions.

Axes: B images of a batch, N images, G gated channels of all layers, L gated layers, C classes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from repro.data.batches import Batch, BatchSource
from repro.errors import TrainingError
from repro.families.deepmoe.config import L1, DeepMoEConfig
from repro.families.deepmoe.cost import active_shares
from repro.families.deepmoe.model import DeepMoE, DeepMoEOutput
from repro.training.classifier import classification, forward_in, on_all_images, train_classifier
from repro.training.compiling import Forward, plain
from repro.training.fit import Epoch, Report, Step
from repro.training.recipe import Recipe


def sparsity(gates_BG: Tensor, sizes: Sequence[int], l1: L1 = "mean") -> Tensor:
    """L_g of Eq. (8), the mean over images: the sum over layers of ‖g‖₁, or of the mean over a layer's channels."""
    layers = gates_BG.split(list(sizes), 1)  # gates are not negative: their L1 norm is their sum
    return torch.stack([part.mean(1) if l1 == "mean" else part.sum(1) for part in layers]).sum(0).mean()


def lam_at(config: DeepMoEConfig, done: float) -> float:
    """λ when the share ``done`` in [0, 1] of stage one lies behind."""
    return config.lam * (min(1.0, done / config.lambda_warmup) if config.lambda_warmup else 1.0)


def objective(
    config: DeepMoEConfig, recipe: Recipe, out: DeepMoEOutput, labels: Tensor, sizes: Sequence[int], done: float,
    penalised_BG: Tensor,
) -> Step:  # fmt: skip
    """J of Eq. (7) of a batch in stage one; its last two terms are auxiliary. L_g is of the gates ``penalised_BG``."""
    auxiliary = {
        "gates": lam_at(config, done) * sparsity(penalised_BG, sizes, config.l1),
        "embedding": config.mu * F.cross_entropy(out.embedding_logits, labels),
    }
    return classification(out.logits, labels, recipe, auxiliary, {"active": active_shares(out.gates, sizes).mean(0)})


def stage_one(
    model: DeepMoE, config: DeepMoEConfig, recipe: Recipe, forward: Forward = plain
) -> Callable[[Batch, float], Step]:
    """The step of joint training, of all of ``model``."""
    sizes = model.network.sizes

    def step(batch: Batch, done: float) -> Step:
        out: DeepMoEOutput = forward(model, batch.images)
        penalised = model.gating.gates(out.embedding.detach()) if config.lambda_reaches == "heads" else out.gates
        return objective(config, recipe, out, batch.labels, sizes, done, penalised)

    return step


def check_collapse(active: Sequence[float], layers: Sequence[str], epoch: int, config: DeepMoEConfig) -> None:
    """Raise :class:`TrainingError` if a layer had no active channel for any image of an epoch (counted from 0)."""
    dead = [name for name, share in zip(layers, active, strict=True) if share == 0]
    if dead:
        others = f" and {len(dead) - 1} more" if len(dead) > 1 else ""
        raise TrainingError(
            f"the gates collapsed: {dead[0]}{others} had no active channel in epoch {epoch + 1}; lower lam "
            f"({config.lam}), raise lambda_warmup ({config.lambda_warmup}) or set gate_init to 'ones'"
        )


def train_jointly(
    model: DeepMoE, config: DeepMoEConfig, recipe: Recipe, source: BatchSource, device: torch.device, seed: int,
    checkpoint: Path | None = None, report: Report = lambda epoch, history: None,
) -> list[Epoch]:  # fmt: skip
    """Stage one, in place; :class:`TrainingError` at the end of an epoch in which a layer had no active channel."""
    layers = model.network.layers

    def watch(epoch: int, entry: Epoch) -> None:
        check_collapse(entry.means["active"], layers, epoch, config)
        report(epoch, entry)

    step = stage_one(model, config, recipe, forward_in(recipe, source, device))
    history = train_classifier(model, source, recipe, step, device, "deepmoe", seed, checkpoint, watch)
    for epoch, entry in enumerate(history):  # one that was read from a checkpoint was not watched
        check_collapse(entry.means["active"], layers, epoch, config)
    return history


def train_with_gates_frozen(
    model: DeepMoE, recipe: Recipe, source: BatchSource, device: torch.device, seed: int,
    checkpoint: Path | None = None, report: Report = lambda epoch, history: None,
) -> list[Epoch]:  # fmt: skip
    """Stage two, λ = μ = 0, in place: the gated backbone goes on, and ``model.gating`` is frozen.

    The loop is given the network alone, so that neither its optimiser nor its ``train()`` reaches what is frozen: the
    embedding's BatchNorm stays in evaluation mode.
    """
    gating, network = model.to(device).gating.eval().requires_grad_(False), model.network.requires_grad_(True)
    forward = forward_in(recipe, source, device)

    def step(batch: Batch, done: float) -> Step:
        with torch.no_grad():
            gates, _, _ = forward(gating, batch.images)
        statistics = {"active": active_shares(gates, network.sizes).mean(0)}
        return classification(forward(network, batch.images, gates), batch.labels, recipe, statistics=statistics)

    return train_classifier(network, source, recipe, step, device, "deepmoe, gates frozen", seed, checkpoint, report)


def predict(model: DeepMoE, source: BatchSource, device: torch.device) -> dict[str, Tensor]:
    """What the model says of every image, not augmented.

    Returns:
        ``logits`` and ``embedding_logits`` ``[N, C]`` (float32), ``gates`` ``[N, G]`` (bfloat16, which keeps what is
        0 and what is not), ``labels`` ``[N]``.
    """

    def answer(batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        out = model(batch.images)
        return out.logits.float(), out.embedding_logits.float(), out.gates.bfloat16()

    logits, embedding_logits, gates = on_all_images(model, source, device, answer)
    return {"logits": logits, "embedding_logits": embedding_logits, "gates": gates, "labels": source.labels.cpu()}
