"""Twenty experts cost little more to train than one, because one pass over the frozen trunk feeds them all.

tr10-tr10 at width 0.25, 32 pixels, batches of 64, one epoch over images of noise, a made-up hard gate smoothed by
0.05 (an image is visited by its own expert and by each other one with probability 0.05). *One pass* is the
project's way; *apart* trains one expert after the other, each with its own trunk passes; *one expert* trains a
single expert on as many samples as all K together; *plain* is a DataLoader loop an expert (no workers): PIL
transforms, fp32, trunk recomputed. Interleaved, three repetitions of an epoch each, medians; ratios are taken within
a repetition.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import plain
import torch
import torch.nn.functional as F
from timing import CPU, Goal, Measured, arguments, finish, interleaved, seconds
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state
from torch.utils.data import SubsetRandomSampler

from repro.data.batches import DeviceBatches
from repro.families.single_gate.experts import chosen_images
from repro.families.single_gate.one_pass import NewExpert, train_experts
from repro.families.single_gate.scales import LAPTOP_EXPERT
from repro.models.backbone import Backbone, Head
from repro.models.registry import build_backbone, build_head, freeze, init_expert
from repro.study.results import Table
from repro.training.device import autocast

RECIPE = LAPTOP_EXPERT.model_copy(update={"epochs": 1, "batch_size": 64})


class Task:
    """K experts to be trained on N images of noise."""

    def __init__(self, num_experts: int, num_images: int, gamma: float, width: float) -> None:
        self.images = plain.random_images(num_images)
        self.source = DeviceBatches(self.images, RECIPE.augmentation, CPU)
        g = torch.Generator().manual_seed(0)
        own = torch.randint(0, num_experts, (num_images,), generator=g)
        self.shares = F.one_hot(own, num_experts).float().clamp(min=gamma)
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

    def one_pass(self) -> None:
        base, experts = self.networks(self.shares.shape[1])
        new = [NewExpert(k, expert, self.shares[:, k]) for k, expert in enumerate(experts)]
        train_experts(new, base, self.source, "sampling", RECIPE, 0, CPU)

    def apart(self) -> None:
        base, experts = self.networks(self.shares.shape[1])
        for k, expert in enumerate(experts):
            train_experts([NewExpert(k, expert, self.shares[:, k])], base, self.source, "sampling", RECIPE, 0, CPU)

    def plain(self, workers: int) -> None:
        base, experts = self.networks(self.shares.shape[1])
        for k, expert in enumerate(experts):
            sgd = plain.optimizer(expert)
            mine = SubsetRandomSampler(self.chosen(k).nonzero()[:, 0].tolist())
            for images, labels in plain.loader(self.images, RECIPE.batch_size, workers, mine):
                with torch.no_grad():
                    features = base.trunk(images)
                plain.step(expert, sgd, features, labels)


def measure(task: Task, with_plain: bool, repetitions: int) -> dict[str, Measured]:
    """Seconds of an epoch by each way."""
    alone = Task(1, task.samples, 1.0, task.width)
    ways: dict[str, Callable[[], None]] = {"one pass": task.one_pass, "one expert": alone.one_pass, "apart": task.apart}
    if with_plain:
        ways["plain"] = partial(task.plain, 0)
    return interleaved({name: partial(seconds, way) for name, way in ways.items()}, repetitions)


COLUMNS = [
    "images", "expert-samples", "one pass, s", "spread", "one expert, s", "apart, s", "plain, s",
    "one pass / one expert", "apart / one pass", "plain / one pass",
]  # fmt: skip


def row(task: Task, found: dict[str, Measured], *about: object) -> list:
    ours, reference = found["one pass"], found.get("plain")
    numbers = [
        ours.median, ours.spread, found["one expert"].median, found["apart"].median,
        reference.median if reference else None, ours.over(found["one expert"]), found["apart"].over(ours),
        reference.over(ours) if reference else None,
    ]  # fmt: skip
    return [*about, len(task.images), task.samples, *(None if n is None else round(n, 4) for n in numbers)]


def stacked(
    num_experts: int, batch: int, width: float, repetitions: int, device: torch.device = CPU, name: str = "tr10"
) -> list:
    """Forward and backward of K experts on fixed features: one after the other, and stacked under ``vmap``."""
    torch.manual_seed(0)
    experts = [build_head(name, 100, width).to(device) for _ in range(num_experts)]
    channels = experts[0].in_channels
    features = torch.randn(num_experts, batch, channels, 16, 16, device=device)
    labels = torch.randint(0, 100, (num_experts, batch), device=device)
    parameters, buffers = stack_module_state(experts)  # type: ignore[arg-type]
    skeleton = build_head(name, 100, width).to(device)

    def loss_of(weights: dict[str, Tensor], state: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(functional_call(skeleton, (weights, state), (x,)).float(), y)

    def loop() -> None:
        with autocast(device):
            loss = sum(F.cross_entropy(e(x).float(), y) for e, x, y in zip(experts, features, labels, strict=True))
        loss.backward()  # type: ignore[union-attr]

    def at_once() -> None:
        with autocast(device):
            loss = torch.vmap(loss_of)(parameters, buffers, features, labels).sum()
        loss.backward()

    _without_counters([*experts, skeleton], buffers)
    found = interleaved({"loop": partial(seconds, loop), "vmap": partial(seconds, at_once)}, repetitions)
    times = [found["loop"].median, found["vmap"].median, found["loop"].over(found["vmap"])]
    return [num_experts, batch, *(round(t, 4) for t in times)]


def _without_counters(modules: list[nn.Module], buffers: dict[str, Tensor]) -> None:
    """BatchNorm by the batch alone: updating running statistics in place is not what is compared."""
    for module in modules:
        for layer in module.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.track_running_stats, layer.running_mean, layer.running_var = False, None, None
                layer.num_batches_tracked = None
    buffers.clear()


def main() -> None:
    args, began = arguments(__doc__), time.perf_counter()
    quick = args.quick
    width, images, repetitions = (0.0625, 128, 1) if quick else (0.25, 5120, 3)
    rows = {}
    for num_experts, gamma in [(1, 0.05), (2, 0.05)] if quick else [(1, 0.05), (5, 0.05), (20, 0.05), (64, 0.05)]:
        task = Task(num_experts, images, gamma, width)
        with_plain = num_experts in (2, 20)
        rows[num_experts] = row(task, measure(task, with_plain, repetitions), num_experts, gamma)
    central = rows[2 if quick else 20]
    task = Task(central[0], images, 0.0, width)
    disjoint = row(task, measure(task, False, repetitions), central[0], 0.0)
    tables = {
        "All experts for one epoch": Table(columns=["experts", "γ", *COLUMNS], rows=[*rows.values(), disjoint]),
        "Stacked weights (vmap) against one expert after the other, seconds a step of all": Table(
            columns=["experts", "images each", "loop, s", "vmap, s", "loop / vmap"],
            rows=[stacked(*shape, width, repetitions) for shape in ([(2, 4)] if quick else [(20, 4), (20, 32)])],
        ),
    }
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
    finish(args, __doc__, goals, tables, began, notes)


if __name__ == "__main__":
    main()
