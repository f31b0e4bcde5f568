"""Twenty experts cost little more to train than one, because one pass over the frozen trunk feeds them all.

tr10-tr10 at width 0.25, 32 pixels, batches of 64, one epoch over images of noise, a made-up hard gate smoothed by
0.05 (an image is visited by its own expert and by each other one with probability 0.05). *One pass* is the
project's way; *apart* trains one expert after the other, each with its own trunk passes; *one expert* trains a
single expert on as many samples as all K together; *plain* is a DataLoader loop an expert (no workers): PIL
transforms, fp32, trunk recomputed. Interleaved, three repetitions of an epoch each, medians; ratios are taken within
a repetition.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import SubsetRandomSampler

from benchmarks import plain
from benchmarks.timing import CPU, Goal, Outcome, command, table, timed
from repro.data.batches import DeviceBatches
from repro.families.single_gate.one_pass import NewExpert, chosen_images, train_experts
from repro.families.single_gate.scales import LAPTOP_EXPERT
from repro.models.backbone import Backbone, Head
from repro.models.registry import build_backbone, build_head, freeze, init_expert

RECIPE = LAPTOP_EXPERT.model_copy(update={"epochs": 1, "batch_size": 64})


class Task:
    """K experts to be trained on N images of noise."""

    def __init__(self, num_experts: int, num_images: int, gamma: float, width: float) -> None:
        self.images = plain.random_images(num_images)
        self.source = DeviceBatches(self.images, RECIPE.augmentation, CPU)
        self.shares = plain.made_up_shares(num_images, num_experts, gamma)
        self.width = width
        steps = [self.source.num_steps(RECIPE.batch_size, self.chosen(k)) for k in range(num_experts)]
        self.samples = sum(steps) * RECIPE.batch_size

    def chosen(self, k: int) -> Tensor:
        return chosen_images(self.shares[:, k], 0, k, 0)

    def networks(self, number: int) -> tuple[Backbone, list[Head]]:
        torch.manual_seed(0)
        base = build_backbone("tr10", 100, self.width)
        freeze(base)
        return base, [init_expert(base, build_head("tr10", 100, self.width)) for _ in range(number)]

    def one_pass(self, apart: bool = False) -> None:
        base, experts = self.networks(self.shares.shape[1])
        new = [NewExpert(k, expert, self.shares[:, k]) for k, expert in enumerate(experts)]
        for several in [[each] for each in new] if apart else [new]:
            train_experts(several, base, self.source, "sampling", RECIPE, 0, CPU)

    def plain(self) -> None:
        base, experts = self.networks(self.shares.shape[1])
        for k, expert in enumerate(experts):
            sgd = plain.optimizer(expert)
            mine = SubsetRandomSampler(self.chosen(k).nonzero()[:, 0].tolist())
            for images, labels in plain.loader(self.images, RECIPE.batch_size, 0, mine):
                with torch.no_grad():
                    features = base.trunk(images)
                plain.step(expert, sgd, features, labels)


COLUMNS = [
    "experts", "γ", "images", "expert-samples", "one pass, s", "spread", "one expert, s", "apart, s", "plain, s",
    "one pass / one expert", "apart / one pass", "plain / one pass",
]  # fmt: skip


def row(num_experts: int, gamma: float, task: Task, with_plain: bool, repetitions: int) -> list[Any]:
    """Seconds of an epoch by each way, and their ratios."""
    ways: dict[str, Callable[[], None]] = {
        "one pass": task.one_pass, "one expert": Task(1, task.samples, 1.0, task.width).one_pass,
        "apart": partial(task.one_pass, apart=True), **({"plain": task.plain} if with_plain else {}),
    }  # fmt: skip
    times = timed(ways, repetitions)
    ours, reference = times["one pass"], times.get("plain")
    return [
        num_experts, gamma, len(task.images), task.samples, ours.median, ours.spread, times["one expert"].median,
        times["apart"].median, reference and reference.median, ours.over(times["one expert"]),
        times["apart"].over(ours), reference and reference.over(ours),
    ]  # fmt: skip


def benchmark(args: argparse.Namespace) -> Outcome:
    width, images, repetitions = (0.0625, 128, 1) if args.quick else (0.25, 5120, 3)
    usual = 2 if args.quick else 20
    rows = []
    for num_experts, gamma in [*((k, 0.05) for k in ((1, 2) if args.quick else (1, 5, 20, 64))), (usual, 0.0)]:
        task = Task(num_experts, images, gamma, width)
        rows.append(row(num_experts, gamma, task, num_experts == usual and gamma > 0, repetitions))
    central, disjoint = next(row for row in rows if row[0] == usual), rows[-1]
    goals = [
        Goal(text=f"{central[0]} experts in one pass / one expert, same samples", measured=central[9], bound=1.1,
             at_most=True),
        Goal(text=f"{central[0]} experts, no image shared (γ = 0), / one expert, same samples", measured=disjoint[9],
             bound=1.1, at_most=True),
        Goal(text=f"plain / one pass, {central[0]} experts", measured=central[11], bound=3.0),
    ]  # fmt: skip
    base, _ = task.networks(0)
    with torch.no_grad():
        feature = base.trunk(torch.zeros(1, 3, 32, 32))
    waiting = central[0] * RECIPE.batch_size * feature.numel() * 2 / 2**20
    notes = [f"What waits in the pass is at most {waiting:.3g} MiB of bf16 features for {central[0]} experts."]
    return Outcome(goals, {"All experts for one epoch": table(COLUMNS, rows)}, notes)


if __name__ == "__main__":
    command(__doc__, benchmark)
