"""Both stages of Procedure 1 through the one training loop, and what a trained DeepMoE says of images.

Axes: N images, G gated channels of all layers, C classes.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from repro.data.batches import Batch, BatchSource
from repro.families.deepmoe.config import DeepMoEConfig
from repro.families.deepmoe.losses import check_collapse, nearly_closed, stage_one, stage_two
from repro.families.deepmoe.model import DeepMoE
from repro.progress import say
from repro.training.classifier import forward_in, on_all_images, train_classifier
from repro.training.fit import Epoch, Report
from repro.training.recipe import Recipe


def train_jointly(
    model: DeepMoE, config: DeepMoEConfig, recipe: Recipe, source: BatchSource, device: torch.device, seed: int,
    checkpoint: Path | None = None, report: Report = lambda epoch, history: None,
) -> list[Epoch]:  # fmt: skip
    """Stage one, in place; :class:`TrainingError` at the end of an epoch in which a layer had no active channel.

    A layer with hardly any is named when it is seen first.
    """
    layers = model.network.layers
    named: set[str] = set()

    def watch(epoch: int, entry: Epoch) -> None:
        check_collapse(entry.means["active"], layers, epoch, config)
        if new := [name for name in nearly_closed(entry.means["active"], layers) if name not in named]:
            named.update(new)
            say(
                f"deepmoe, λ {config.lam:g}: epoch {epoch + 1} had under 1 % of the channels active in {', '.join(new)}"
            )
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
    """Stage two, in place: the gated backbone goes on alone, and ``model.gating`` stays frozen."""
    step, what = stage_two(model.to(device), recipe, forward_in(recipe, source, device)), "deepmoe, gates frozen"
    return train_classifier(model.network, source, recipe, step, device, what, seed, checkpoint, report)


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
