"""On one data-centre GPU the paper's own training takes minutes: 3 for tr18 on CIFAR-100, 10 for Table 2's column.

Whole epochs by the functions that a study calls, at the paper's sizes, on images of noise: the base, and all experts
in one pass, with a made-up hard gate smoothed by 0.05. Each way of calling the networks (plain, compiled, replayed as
CUDA graphs) has one epoch that does not count, in which it compiles; then medians of three, ways taking turns. Work
is three forward passes of exact multiply-adds (the frozen trunk: one), two operations each; the peak is that of a
matrix product in bf16, measured here. Needs a GPU; `--quick` tries everything on little, wherever it is.
"""

from __future__ import annotations

import sys
import time
from functools import partial

import plain
import torch
import torch.nn.functional as F
from experts_one_pass import stacked
from timing import Goal, arguments, finish, interleaved, seconds

from repro.data.batches import DeviceBatches
from repro.method import compiling
from repro.method.device import pick_device
from repro.method.experts import train_base
from repro.method.one_pass import Pupil, train_experts
from repro.models.cost import model_cost
from repro.models.registry import build_backbone, build_head, init_expert
from repro.report.plan import AIRBENCH, FLOPS
from repro.study.plan import BACKWARD
from repro.study.results import Table
from repro.study.scales import default_spec
from repro.study.spec import StudySpec

GAMMA = 0.05
TINY_EPOCHS = 100


class Setting:
    """The paper's training of tr18 on one image set, an epoch at a time; ``small`` of everything for a trial."""

    def __init__(self, dataset: str, small: bool, device: torch.device) -> None:
        spec = default_spec("paper", dataset)
        self.dataset, self.device = dataset, device
        self.width = 0.0625 if small else spec.width
        self.spec: StudySpec = spec.with_(width=self.width)
        batch_size = 16 if small else spec.base_recipe.batch_size
        self.recipe = spec.base_recipe.model_copy(update={"epochs": 1, "batch_size": batch_size})
        self.number = 64 if small else {"cifar100": 50_000, "tiny-imagenet": 100_000}[dataset]
        images = plain.random_images(self.number, spec.image_size, spec.num_classes)
        self.source = DeviceBatches(images, self.recipe.augmentation, device)
        self.cost = model_cost("tr18", "tr18", spec.num_classes, spec.image_size, 20, self.width)
        self.base = build_backbone("tr18", spec.num_classes, self.width)

    def base_epoch(self, way: str) -> None:
        """One epoch of the base."""
        compiling.choose(way)
        train_base(self.base, self.source, self.recipe, 0, self.device)

    def experts_epoch(self, num_experts: int, way: str) -> None:
        """One epoch of all experts in one pass."""
        compiling.choose(way)
        g = torch.Generator().manual_seed(0)
        own = torch.randint(0, num_experts, (self.number,), generator=g)
        share = F.one_hot(own, num_experts).float().clamp(min=GAMMA)
        heads = [
            init_expert(self.base, build_head("tr18", self.spec.num_classes, self.width)) for _ in range(num_experts)
        ]
        pupils = [Pupil(k, head, share[:, k]) for k, head in enumerate(heads)]
        train_experts(pupils, self.base, self.source, "sampling", self.recipe, 0, self.device)

    def base_work(self) -> float:
        """Multiply-adds of an epoch of the base."""
        return BACKWARD * self.number * self.cost.base_macs

    def experts_work(self, num_experts: int) -> float:
        """Multiply-adds of an epoch of all experts."""
        visits = self.number * (1 + GAMMA * (num_experts - 1))
        return self.number * self.cost.trunk_macs + BACKWARD * visits * self.cost.expert_macs


def matrix_peak(device: torch.device, size: int, repetitions: int) -> float:
    """FLOP/s of a bf16 product of two random square matrices."""
    a, b = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    found = interleaved({"product": partial(seconds, lambda: [a @ b for _ in range(10)])}, repetitions)
    return 10 * 2 * size**3 / found["product"].median


def epochs(
    setting: Setting, ways: tuple[str, ...], counts: tuple[int, ...], peak: float, repetitions: int, notes: list[str]
) -> list[list]:
    """A row for the base and for each number of experts, in each way that works here."""
    rows = []
    works = {"base": setting.base_work(), **{f"{k} experts": setting.experts_work(k) for k in counts}}
    for what, work in works.items():
        number = int(what.partition(" ")[0]) if what != "base" else 0
        epoch = partial(setting.experts_epoch, number) if number else setting.base_epoch
        first = {}
        for way in ways:
            try:
                first[way] = seconds(partial(epoch, way))
            except RuntimeError as error:
                notes.append(
                    f"{setting.dataset}, {what}: {way} does not work here ({str(error).partition(chr(10))[0]})."
                )
        found = interleaved({way: partial(seconds, partial(epoch, way)) for way in first}, repetitions)
        for way in first:
            took = found[way].median
            rate, share = setting.number / took, work * FLOPS / took / peak
            numbers = [first[way], took, found[way].spread, rate, 100 * share]
            rows.append([setting.dataset, what, way, *(round(n, 4) for n in numbers)])
    return rows


COLUMNS = ["image set", "what", "networks", "first epoch, s", "an epoch, s", "spread", "images/s", "% of matrix peak"]


def minutes(rows: list[list], dataset: str, what: str, number: int) -> float | None:
    """Minutes of so many epochs in the usual way of a GPU."""
    took = [row[4] for row in rows if row[:3] == [dataset, what, "on"]]
    return took[0] * number / 60 if took else None


def main() -> None:
    args, began = arguments(__doc__), time.perf_counter()
    device = pick_device()
    if device.type != "cuda" and not args.quick:
        sys.exit("gpu_training needs a GPU; --quick tries it on little, without")
    gpu = device.type == "cuda"
    ways = ("off", "on", "reduce-overhead") if gpu else ("off", "aot_eager")
    repetitions = 1 if args.quick else 3
    counts = (1, 5, 10, 20) if not args.quick else (2,)
    peak = matrix_peak(device, 256 if args.quick else 8192, repetitions)
    cifar = Setting("cifar100", args.quick, device)
    notes: list[str] = []
    rows = epochs(cifar, ways, counts, peak, repetitions, notes)
    rows += epochs(Setting("tiny-imagenet", args.quick, device), ways, counts[-1:], peak, repetitions, notes)
    shape = (2, 4) if args.quick else (20, 128)
    tables = {
        "An epoch at the paper's settings (tr18-tr18)": Table(columns=COLUMNS, rows=rows),
        "Stacked weights (vmap) against one expert after the other, seconds a step of all": Table(
            columns=["experts", "images each", "loop, s", "vmap, s", "loop / vmap"],
            rows=[stacked(*shape, cifar.width, repetitions, device, "tr18")],
        ),
    }
    measured = gpu and not args.quick
    total = cifar.spec.base_recipe.epochs
    column = [minutes(rows, "cifar100", what, total) for what in ("base", *(f"{k} experts" for k in counts))]
    goals = [
        Goal(text="minutes of tr18 on CIFAR-100, 200 epochs", bound=3, at_most=True, unit="minutes",
             measured=column[0] if measured else None),
        Goal(text="minutes of Table 2's CIFAR-100 column, one seed, training alone", bound=10, at_most=True,
             unit="minutes", measured=sum(m or 0 for m in column) if measured else None),
        Goal(text=f"minutes of tr18 on tiny-ImageNet, {TINY_EPOCHS} epochs", bound=20, at_most=True, unit="minutes",
             measured=minutes(rows, "tiny-imagenet", "base", TINY_EPOCHS) if measured else None),
    ]  # fmt: skip
    flop, took, theirs = AIRBENCH
    notes += [
        f"The matrix peak measured here is {peak / 1e12:.3g} TFLOP/s.",
        f"airbench's table has a standard ResNet-18 training at {flop / 1e15:g} PFLOP in {took / 60:g} minutes on an "
        f"A100: {flop / took / 1e12:.0f} TFLOP/s, {100 * flop / took / theirs:.0f} % of that card's printed peak.",
    ]
    finish(args, __doc__, goals, tables, began, notes, device)


if __name__ == "__main__":
    main()
