"""Training runs at least 2.5 times as fast as the plain loop, and at least at 60 % of what the model alone allows.

One model, one thread setting, images of noise. *Plain* is torchvision's reference loop: a DataLoader of PIL
transforms, fp32; with and without worker processes, whichever is faster. *Ours* is the project's training loop,
*compiled* the same with its network compiled by torch, as whatever is trained for long enough is by default.
*Bare* is forward and backward on one fixed batch with our settings: no data, no optimiser. A loop around the network
as it is can hardly be faster, so bare over plain is about the most that ours can reach; *bare fp32* is the same without
autocast, so their ratio is what bf16 gives. Interleaved, five repetitions of about a second each, medians.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from functools import partial
from itertools import chain, repeat

import torch
import torch.nn.functional as F
from torch import nn

from benchmarks import plain
from benchmarks.timing import CPU, Goal, Measured, Outcome, command, images_per_second, interleaved, operators_of, table
from repro.data.batches import Batch, DeviceBatches
from repro.families.single_gate.scales import LAPTOP_BASE
from repro.models.registry import build_backbone
from repro.training.classifier import classification
from repro.training.compiling import Forward, choose, forward_on
from repro.training.device import autocast
from repro.training.fit import Step, Training

IN_USE = (0.125, 0.25, 0.5, 1.0)
OPERATORS = {
    "convolution": ("conv",), "BatchNorm": ("batch_norm",), "ReLU": ("threshold", "relu", "clamp"),
    "sums of branches and gradients": ("aten::add_", "aten::add"), "copies and casts": ("copy", "fill"),
}  # fmt: skip


def network(width: float) -> nn.Module:
    torch.manual_seed(0)
    return build_backbone("tr10", 100, width).to(memory_format=torch.channels_last)


def ours(
    net: nn.Module, source: DeviceBatches, batch_size: int, forward: Forward = nn.Module.__call__
) -> Callable[[], int]:
    """A step of the project's loop, for as many epochs as it takes."""

    def loss(batch: Batch, done: float) -> Step:
        return classification(forward(net, batch.images), batch.labels, recipe)

    def step() -> int:
        training.step(next(batches))
        return batch_size

    recipe = LAPTOP_BASE.model_copy(update={"epochs": 10**6, "batch_size": batch_size})
    training = Training(net, recipe, loss, CPU, "benchmark", seed=0)
    batches = (b for epoch in range(10**6) for b in source.train(0, epoch, batch_size))
    training.begin_epoch(10**6)
    return step


def bare_step(
    net: nn.Module, images: torch.Tensor, labels: torch.Tensor, forward: Forward = nn.Module.__call__,
    fp32: bool = False,
) -> int:  # fmt: skip
    with nullcontext() if fp32 else autocast(CPU):
        loss = F.cross_entropy(forward(net, images).float(), labels)
    net.zero_grad(set_to_none=True)
    loss.backward()
    return len(images)


def plain_step(net: nn.Module, sgd: torch.optim.SGD, batches: Iterator[tuple[torch.Tensor, torch.Tensor]]) -> int:
    return plain.step(net, sgd, *next(batches))


def rates(steps: Mapping[str, Callable[[], int]], repetitions: int, budget: float) -> dict[str, Measured]:
    """Images/s of each step, interleaved, each time for ``budget`` seconds."""
    return interleaved({name: partial(images_per_second, step, budget) for name, step in steps.items()}, repetitions)


def measure(
    width: float, batch_size: int, size: int, workers: tuple[int, ...], repetitions: int, budget: float,
    way: str = "off",
) -> dict[str, Measured]:  # fmt: skip
    """Images/s of ours, bare, the plain loop with each number of workers; with a ``way`` of compiling also of ours
    compiled in it, and of bare in fp32.
    """
    images = plain.random_images(max(2048, 4 * batch_size), size)
    source = DeviceBatches(images, LAPTOP_BASE.augmentation, CPU)
    batch = next(source.train(0, 0, batch_size))
    net = network(width).train()
    steps: dict[str, Callable[[], int]] = {
        "ours": ours(network(width), source, batch_size),
        "bare": partial(bare_step, net, batch.images, batch.labels),
    }
    if way != "off":
        steps["bare fp32"] = partial(bare_step, net, batch.images, batch.labels, fp32=True)
        choose(way)
        steps["compiled"] = ours(network(width), source, batch_size, forward_on(CPU, batch_size))
        steps["compiled"]()
    for number in workers:
        other = network(width).to(memory_format=torch.contiguous_format)  # which comes by itself
        sgd, batches = plain.optimizer(other), chain.from_iterable(repeat(plain.loader(images, batch_size, number)))
        steps[f"plain {number}"] = partial(plain_step, other, sgd, batches)
    return rates(steps, repetitions, budget)


def best_plain(by_way: dict[str, Measured]) -> Measured:
    """The plain loop with the number of workers that suits it best."""
    return max((each for name, each in by_way.items() if name.startswith("plain")), key=lambda each: each.median)


def ceiling(by_way: dict[str, Measured]) -> list[float]:
    """[images/s of bare, of bare in fp32, what bf16 gives, the most that ours can be over plain]."""
    bare, fp32 = by_way["bare"], by_way["bare fp32"]
    return [bare.median, fp32.median, bare.over(fp32), bare.over(best_plain(by_way))]


def row(by_way: dict[str, Measured], *about: object) -> list:
    """[*about, images/s of ours, spread, of plain, of bare, ours / plain, ours / bare], then compiled ones / plain."""
    ours, reference, bare = by_way["ours"], best_plain(by_way), by_way["bare"]
    numbers = [ours.median, ours.spread, reference.median, bare.median, ours.over(reference), ours.over(bare)]
    compiled = by_way.get("compiled")
    return [*about, *numbers, *([compiled.median, compiled.over(reference)] if compiled else [])]


COLUMNS = ["ours, images/s", "spread", "plain, images/s", "bare, images/s", "ours / plain", "ours / bare"]
COMPILED = ["compiled, images/s", "compiled / plain"]


def fixed(width: float) -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
    """A network, and the batch of 128 that its bare steps are on."""
    batch = next(DeviceBatches(plain.random_images(2048), LAPTOP_BASE.augmentation, CPU).train(0, 0, 128))
    return network(width).train(), batch.images, batch.labels


def operators(width: float, by_way: dict[str, Measured]) -> Iterator[list]:
    """Of a bare step in bf16 and in fp32: [width, precision, ms of kinds of operators, of the rest, of all]."""
    of = fixed(width)
    for precision, name in (("bf16", "bare"), ("fp32", "bare fp32")):
        step = partial(bare_step, *of, fp32=precision == "fp32")
        step()
        ms = 1e3 * 128 / by_way[name].median
        yield [width, precision, *(share / 100 * ms for share in operators_of(step, OPERATORS)), ms]


def compiled(width: float, way: str, repetitions: int, budget: float, whole: dict[str, Measured]) -> list:
    """[width, seconds until the first compiled step is done, images/s of the plain network, compiled, their ratio, in
    how many steps of the ``whole`` loop the seconds are won back].
    """
    net, images, labels = fixed(width)
    forward = forward_on(CPU, 128)
    steps = {
        "plain": partial(bare_step, net, images, labels),
        "compiled": partial(bare_step, net, images, labels, forward),
    }
    choose(way)
    torch.compiler.reset()  # nothing that stands compiled, in this process or on disk, is used
    torch.compiler.config.force_disable_caches = True
    began = time.perf_counter()
    steps["compiled"]()
    seconds = time.perf_counter() - began
    by_way = rates(steps, repetitions, budget)
    as_it_is, faster = by_way["plain"], by_way["compiled"]
    saved = 128 / whole["ours"].median - 128 / whole["compiled"].median
    won_back = round(seconds / saved) if saved > 0 else None
    return [width, seconds, as_it_is.median, faster.median, faster.over(as_it_is), won_back]


def benchmark(args: argparse.Namespace) -> Outcome:
    quick = args.quick
    repetitions, budget = (1, 0.0) if quick else (5, 1.0)
    workers = (0,) if quick else (0, 2)
    widths = (0.0625,) if quick else IN_USE
    usual = widths[0] if quick else 0.25
    way = "aot_eager" if quick else "on"
    measured = {width: measure(width, 128, 32, workers, repetitions, budget, way) for width in widths}
    by_width = [row(by_way, width) for width, by_way in measured.items()]
    less = (repetitions, budget / 2)
    batch_sizes = (16, 32) if quick else (16, 64, 256, 1024)
    sizes = (16, 32) if quick else (16, 32, 48, 64)
    tables = {
        "Training, by width (tr10, batches of 128, 32 pixels)": table(["width", *COLUMNS, *COMPILED], by_width),
        "What bf16 gives, and the most that a loop can reach": table(
            ["width", "bare, images/s", "bare fp32, images/s", "bare / bare fp32", "bare / plain"],
            ([width, *ceiling(by_way)] for width, by_way in measured.items()),
        ),
        "By batch size (32 pixels)": table(
            ["batch size", *COLUMNS], (row(measure(usual, b, 32, (0,), *less), b) for b in batch_sizes)
        ),
        "By image size (batches of 64)": table(
            ["pixels a side", *COLUMNS], (row(measure(usual, 64, s, (0,), *less), s) for s in sizes)
        ),
        "Operators of a bare step, ms": table(
            ["width", "precision", *OPERATORS, "the rest", "all"],
            (line for width, by_way in measured.items() for line in operators(width, by_way)),
        ),
        "Compiled by torch, forward and backward alone (batches of 128, 32 pixels)": table(
            ["width", "seconds to compile", "plain, images/s", *COMPILED, "steps that win the time back"],
            (compiled(width, way, repetitions, budget, by_way) for width, by_way in measured.items()),
        ),
    }
    goals = [Goal(text=f"images/s, ours / plain, width {r[0]}", measured=r[5], bound=2.5) for r in by_width]
    goals += [Goal(text=f"images/s, ours compiled / plain, width {r[0]}", measured=r[8], bound=2.5) for r in by_width]
    goals += [Goal(text=f"images/s, ours / bare, width {r[0]}", measured=r[6], bound=0.6) for r in by_width]
    return Outcome(goals, tables)


if __name__ == "__main__":
    command(__doc__, benchmark)
