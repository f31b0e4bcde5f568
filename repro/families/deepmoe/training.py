"""Both stages of Procedure 1 through the one training loop, and what a trained DeepMoE says of images.

Axes: N images, G gated channels of all layers, L gated layers, C classes.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from repro.data.batches import Batch, BatchSource
from repro.families.deepmoe.config import DeepMoEConfig
from repro.families.deepmoe.losses import check_collapse, nearly_closed, stage_one, stage_two
from repro.families.deepmoe.model import DeepMoE
from repro.progress import say
from repro.randomness import generator
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

    found = zip(("logits", "embedding_logits", "gates"), on_all_images(model, source, device, answer), strict=True)
    return {**dict(found), "labels": source.labels.cpu()}


SHUFFLES = ("own class", "own superclass", "another superclass")
"""Whose gates an image is given: those of an image of its class; of its superclass, not its class; of another one."""


def donors(labels_N: Tensor, superclass_C: Tensor, shuffle: str, seed: int, repeat: int) -> Tensor:
    """The image ``[N]`` whose gates each image is given, drawn anew for each repeat; -1 where there is none."""
    draw, found_N = generator(seed, "donors", shuffle, repeat), torch.full_like(labels_N, -1)
    for c in labels_N.unique().tolist():
        own, group = labels_N == c, superclass_C[labels_N] == superclass_C[c]
        pools = dict(zip(SHUFFLES, (own, group & ~own, ~group), strict=True))
        pool = pools[shuffle].nonzero()[:, 0]
        if len(pool):
            found_N[own] = pool[torch.randint(len(pool), (int(own.sum()),), generator=draw)]
    return found_N


def correct_when_shuffled(
    model: DeepMoE, source: BatchSource, device: torch.device, gates_NG: Tensor, superclass_C: Tensor, seed: int,
    repeats: int = 2,
) -> dict[str, Tensor]:  # fmt: skip
    """How often each image is answered rightly under each shuffle, in [0, 1] ``[N]``; -1: no such gates."""
    labels, gates = source.labels.cpu(), gates_NG.float().to(device)
    drawn = [[donors(labels, superclass_C, name, seed, r).to(device) for r in range(repeats)] for name in SHUFFLES]

    def right(batch: Batch, donor_N: Tensor) -> Tensor:
        donor_B = donor_N[batch.indices]
        logits = model.network(batch.images, gates[donor_B.clamp(min=0)])
        return torch.where(donor_B < 0, -1.0, (logits.argmax(1) == batch.labels).float())

    def answer(batch: Batch) -> Iterator[Tensor]:
        return (torch.stack([right(batch, each) for each in several]).mean(0) for several in drawn)

    return dict(zip(SHUFFLES, on_all_images(model, source, device, answer), strict=True))
