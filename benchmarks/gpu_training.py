"""On one data-centre GPU the training takes minutes: 45 s for tr18 on CIFAR-100 in 30 epochs, 3 minutes in 200.

Whole epochs by the functions that a study calls, at scale gpu and at the paper's batch size, on images of noise: the
base, and 20 experts in one pass, with a made-up hard gate smoothed by 0.05; heads are built outside the clock. Each way
of calling the networks (plain, compiled, replayed as CUDA graphs) has one epoch that does not count, in which it
compiles; then medians, ways taking turns. Work is three forward passes of exact multiply-adds (the frozen trunk: one),
two operations each; the peak is that of a matrix product in bf16, measured here. What does not begin within two
minutes is left out, and said. Needs a GPU; `--quick` tries everything on little, wherever it is.
"""

from __future__ import annotations

import argparse
import sys
import time
from functools import partial

import torch

from benchmarks import plain
from benchmarks.timing import Goal, Outcome, command, interleaved, seconds, table, timed
from repro.book.plan import AIRBENCH, FLOPS
from repro.data.batches import DeviceBatches
from repro.families.single_gate.config import StudySpec
from repro.families.single_gate.one_pass import NewExpert, train_experts
from repro.families.single_gate.scales import default_spec
from repro.models.cost import model_cost
from repro.models.registry import build_backbone, build_head, init_expert
from repro.study.graph import BACKWARD
from repro.training import compiling
from repro.training.classifier import train_base
from repro.training.device import pick_device

GAMMA = 0.05
BEGINS_WITHIN = 120.0  # seconds


class Setting:
    """Training of tr18 on CIFAR-100 at one scale, an epoch at a time; ``small`` of everything for a trial."""

    def __init__(self, scale: str, num_experts: int, small: bool, device: torch.device) -> None:
        spec = default_spec(scale, "cifar100")
        self.scale, self.device = scale, device
        self.width = 0.0625 if small else spec.width
        self.spec: StudySpec = spec.with_(width=self.width)
        batch_size = 16 if small else spec.base_recipe.batch_size
        self.recipe = spec.base_recipe.model_copy(update={"epochs": 1, "batch_size": batch_size})
        self.number = 64 if small else 50_000
        images = plain.random_images(self.number, spec.image_size, spec.num_classes)
        self.source = DeviceBatches(images, self.recipe.augmentation, device)
        self.cost = model_cost("tr18", "tr18", spec.num_classes, spec.image_size, 20, self.width)
        self.base = build_backbone("tr18", spec.num_classes, self.width)
        fresh = [build_head("tr18", spec.num_classes, self.width) for _ in range(num_experts)]
        heads = [init_expert(self.base, head) for head in fresh]
        share = plain.made_up_shares(self.number, max(num_experts, 1), GAMMA)
        self.new = [NewExpert(k, head, share[:, k]) for k, head in enumerate(heads)]

    def epoch(self, what: str, way: str) -> None:
        """One epoch of the base, or of all experts in one pass."""
        compiling.choose(way)
        if what == "base":
            train_base(self.base, self.source, self.recipe, 0, self.device)
        else:
            train_experts(self.new, self.base, self.source, "sampling", self.recipe, 0, self.device)

    def work(self, what: str) -> float:
        """Multiply-adds of such an epoch."""
        if what == "base":
            return BACKWARD * self.number * self.cost.base_macs
        visits = self.number * (1 + GAMMA * (len(self.new) - 1))
        return self.number * self.cost.trunk_macs + BACKWARD * visits * self.cost.expert_macs


def matrix_peak(device: torch.device, size: int, repetitions: int) -> float:
    """FLOP/s of a bf16 product of two random square matrices."""
    a, b = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    products = timed({"ten": lambda: [a @ b for _ in range(10)]}, repetitions)["ten"]
    return 10 * 2 * size**3 / products.median


def epochs(
    setting: Setting, what: str, ways: tuple[str, ...], peak: float, repetitions: int, notes: list[str], end: float
) -> list[list]:
    """A row for each way in which an epoch of the base, or of the experts, works here and begins before ``end``."""
    first = {}
    for way in ways:
        if time.perf_counter() > end:
            notes.append(f"{setting.scale}, {what}, {way}: left out, for time.")
            continue
        took = seconds(partial(setting.epoch, what, way))
        if compiling.in_use(setting.device) == way:
            first[way] = took
        else:
            notes.append(f"{setting.scale}, {what}: {way} does not work here.")
    again = {way: partial(seconds, partial(setting.epoch, what, way)) for way in first}
    measured = interleaved(again, repetitions, warm=False)
    return [
        [setting.scale, setting.recipe.batch_size, what, way, began, one.median, one.spread,
         setting.number / one.median, 100 * setting.work(what) * FLOPS / one.median / peak]
        for (way, began), one in zip(first.items(), measured.values(), strict=True)
    ]  # fmt: skip


COLUMNS = [
    "scale", "batch", "what", "networks", "first epoch, s", "an epoch, s", "spread", "images/s", "% of matrix peak",
]  # fmt: skip


def goal_of(setting: Setting, rows: list[list], bound: float, is_evidence: bool) -> Goal:
    """The whole training of the base, in the way that is fastest here."""
    number = setting.spec.base_recipe.epochs
    took = min((row[5] for row in rows if (row[0], row[2]) == (setting.scale, "base")), default=None)
    text = f"seconds of tr18 on CIFAR-100, {number} epochs at scale {setting.scale}"
    measured = number * took if took and is_evidence else None
    return Goal(text=text, bound=bound, at_most=True, unit="seconds", measured=measured)


def benchmark(args: argparse.Namespace) -> Outcome:
    device = pick_device()
    gpu = device.type == "cuda"
    if not gpu and not args.quick:
        sys.exit("gpu_training needs a GPU; --quick tries it on little, without")
    ways = ("off", "on" if gpu else "aot_eager")
    repetitions = 1 if args.quick else 2
    experts = 2 if args.quick else 20
    end = time.perf_counter() + BEGINS_WITHIN
    peak = matrix_peak(device, 256 if args.quick else 8192, repetitions)
    notes: list[str] = []
    at_gpu = Setting("gpu", experts, args.quick, device)
    rows = epochs(at_gpu, "base", ways, peak, repetitions, notes, end)
    rows += epochs(at_gpu, f"{experts} experts", ways, peak, repetitions, notes, end)
    at_paper = Setting("paper", 0, args.quick, device)
    rows += epochs(at_paper, "base", ways[1:], peak, repetitions, notes, end)
    goals = [goal_of(at, rows, bound, gpu and not args.quick) for at, bound in ((at_gpu, 45), (at_paper, 180))]
    flop, took, theirs = AIRBENCH
    notes += [
        f"The matrix peak measured here is {peak / 1e12:.3g} TFLOP/s.",
        f"airbench's table has a standard ResNet-18 training at {flop / 1e15:g} PFLOP in {took / 60:g} minutes on an "
        f"A100: {flop / took / 1e12:.0f} TFLOP/s, {100 * flop / took / theirs:.0f} % of that card's printed peak.",
    ]
    title = "An epoch of tr18, and of its experts (tr18-tr18, CIFAR-100)"
    return Outcome(goals, {title: table(COLUMNS, rows)}, notes, device)


if __name__ == "__main__":
    command(__doc__, benchmark)
