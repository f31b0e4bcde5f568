"""Figure 4: whether an image is answered rightly with the gates of others, within and across superclasses.

Axes: N images, G gated channels of all layers, C classes.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor

from repro.data.batches import Batch, BatchSource
from repro.families.deepmoe import steps as deepmoe
from repro.families.deepmoe.cost import deepmoe_cost
from repro.families.deepmoe.model import DeepMoE
from repro.families.deepmoe.steps import Asked, load
from repro.randomness import generator
from repro.study.artifact import Artifact
from repro.study.graph import FORWARD, Context, Goal, Inputs, Step
from repro.training.classifier import on_all_images

SHUFFLES = ("own class", "own superclass", "another superclass")
"""Whose gates an image is given: those of an image of its class; of its superclass, not its class; of another one."""
REPEATS = 2
"""So many donors are drawn for each image."""
REVISIONS = {"shuffles": 1}  # raised when code makes other numbers


def goal(asked: Asked | str) -> Goal:
    """The predictions of a DeepMoE, or of its JSON, and its shuffles."""
    asked = asked if isinstance(asked, Asked) else Asked.model_validate_json(asked)
    label = deepmoe.goal(asked).label
    return Goal(label, (deepmoe.steps(asked), shuffles(asked)), f"{__name__}:goal", asked.model_dump_json())


def shuffles(asked: Asked) -> Step:
    """Whether each image is answered rightly with the gates of others (:data:`SHUFFLES`)."""
    predictions, cost = deepmoe.steps(asked), deepmoe_cost(asked.model)
    return Step(
        "shuffles", {"seed": asked.spec.seed, "revision": REVISIONS["shuffles"]}, partial(_make_shuffles, asked),
        (*predictions.needs, predictions), f"gates of other images for {deepmoe.goal(asked).label}",
        6 * FORWARD * asked.spec.num_images[1] * cost.dense_macs,
    )  # fmt: skip


def _make_shuffles(asked: Asked, context: Context, inputs: Inputs) -> Artifact:
    trained, predictions = map(inputs.load, inputs.step.needs)
    source = context.sources.batches(asked.spec, "evaluation", asked.recipe.augmentation)
    _, of_class = context.sources.superclasses(asked.spec)
    gates, seed = predictions.tensors["gates"], asked.spec.seed
    return Artifact(correct_when_shuffled(load(asked, trained), source, context.device, gates, of_class, seed))


def donors(labels_N: Tensor, superclass_C: Tensor, shuffle: str, seed: int, repeat: int) -> Tensor:
    """The image ``[N]`` whose gates each image is given, drawn anew for each repeat; -1 where there is none."""
    draw, donor_N = generator(seed, "donors", shuffle, repeat), torch.full_like(labels_N, -1)
    for c in labels_N.unique().tolist():
        own, group = labels_N == c, superclass_C[labels_N] == superclass_C[c]
        pools = dict(zip(SHUFFLES, (own, group & ~own, ~group), strict=True))
        pool = pools[shuffle].nonzero()[:, 0]
        if len(pool):
            donor_N[own] = pool[torch.randint(len(pool), (int(own.sum()),), generator=draw)]
    return donor_N


def correct_when_shuffled(
    model: DeepMoE, source: BatchSource, device: torch.device, gates_NG: Tensor, superclass_C: Tensor, seed: int
) -> dict[str, Tensor]:
    """How often each image is answered rightly under each shuffle, in [0, 1] ``[N]``; -1: no such gates."""
    labels, gates = source.labels.cpu(), gates_NG.float().to(device)
    drawn = [[donors(labels, superclass_C, name, seed, r).to(device) for r in range(REPEATS)] for name in SHUFFLES]

    def right(batch: Batch, donor_N: Tensor) -> Tensor:
        donor_B = donor_N[batch.indices]
        logits = model.network(batch.images, gates[donor_B.clamp(min=0)])
        return torch.where(donor_B < 0, -1.0, (logits.argmax(1) == batch.labels).float())

    def answer(batch: Batch) -> Iterator[Tensor]:
        return (torch.stack([right(batch, each) for each in several]).mean(0) for several in drawn)

    return dict(zip(SHUFFLES, on_all_images(model, source, device, answer), strict=True))
