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
from benchmarks.timing import CPU, Goal, Measured, Outcome, command, interleaved, operators_of, seconds, table
from repro.data.batches import Batch, DeviceBatches
from repro.families.single_gate.scales import LAPTOP_BASE
from repro.models.registry import build_backbone
from repro.training.classifier import classification
from repro.training.compiling import Forward, choose, forward_on
from repro.training.device import autocast
from repro.training.fit import Step, Training

IN_USE = (0.125, 0.25, 0.5, 1.0)
BATCH = 128
COMPILED = ["compiled, images/s", "compiled / plain"]
OPERATORS = {
    "convolution": ("conv",), "BatchNorm": ("batch_norm",), "ReLU": ("threshold", "relu", "clamp"),
    "sums of branches and gradients": ("aten::add_", "aten::add"), "copies and casts": ("copy", "fill"),
}  # fmt: skip


def network(width: float) -> nn.Module:
    torch.manual_seed(0)
    return build_backbone("tr10", 100, width).to(memory_format=torch.channels_last)


def ours(net: nn.Module, source: DeviceBatches, forward: Forward = nn.Module.__call__) -> Callable[[], int]:
    """A step of the project's loop, for as many epochs as it takes."""

    def loss(batch: Batch, done: float) -> Step:
        return classification(forward(net, batch.images), batch.labels, recipe)

    def step() -> int:
        training.step(next(batches))
        return BATCH

    recipe = LAPTOP_BASE.model_copy(update={"epochs": 10**6, "batch_size": BATCH})
    training = Training(net, recipe, loss, CPU, "benchmark", seed=0)
    batches = (b for epoch in range(10**6) for b in source.train(0, epoch, BATCH))
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


def images_per_second(step: Callable[[], int], budget: float) -> float:
    """Calls ``step``, which returns how many images it did, for ``budget`` seconds and at least once."""
    done, began = 0, time.perf_counter()
    while True:
        done += step()
        elapsed = time.perf_counter() - began
        if elapsed >= budget:
            return done / elapsed


def rates(steps: Mapping[str, Callable[[], int]], repetitions: int, budget: float) -> dict[str, Measured]:
    """Images/s of each step, interleaved, each time for ``budget`` seconds."""
    return interleaved({name: partial(images_per_second, step, budget) for name, step in steps.items()}, repetitions)


def fixed(width: float) -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
    """A network, and the batch that its bare steps are on."""
    batch = next(DeviceBatches(plain.random_images(2048), LAPTOP_BASE.augmentation, CPU).train(0, 0, BATCH))
    return network(width).train(), batch.images, batch.labels


def measure(width: float, workers: tuple[int, ...], way: str, repetitions: int, budget: float) -> dict[str, Measured]:
    """Images/s of ours, as it is and compiled in a ``way``, of bare in bf16 and in fp32, and of the plain loop with the
    number of workers that suits it best.
    """
    images = plain.random_images(2048)
    source, of = DeviceBatches(images, LAPTOP_BASE.augmentation, CPU), fixed(width)
    choose(way)
    steps: dict[str, Callable[[], int]] = {
        "ours": ours(network(width), source), "bare": partial(bare_step, *of),
        "bare fp32": partial(bare_step, *of, fp32=True),
        "compiled": ours(network(width), source, forward_on(CPU, BATCH)),
    }  # fmt: skip
    steps["compiled"]()
    for number in workers:
        other = network(width).to(memory_format=torch.contiguous_format)  # which comes by itself
        sgd, batches = plain.optimizer(other), chain.from_iterable(repeat(plain.loader(images, BATCH, number)))
        steps[f"plain {number}"] = partial(plain_step, other, sgd, batches)
    by_way = rates(steps, repetitions, budget)
    plain_loops = [by_way.pop(f"plain {number}") for number in workers]
    return {**by_way, "plain": max(plain_loops, key=lambda each: each.median)}


def row(by_way: dict[str, Measured]) -> list[float]:
    """[ours, spread, plain, bare, ours / plain, ours / bare, compiled, compiled / plain]; without ratios images/s."""
    ours, reference, bare, compiled = (by_way[name] for name in ("ours", "plain", "bare", "compiled"))
    numbers = [ours.median, ours.spread, reference.median, bare.median, ours.over(reference), ours.over(bare)]
    return [*numbers, compiled.median, compiled.over(reference)]


def ceiling(by_way: dict[str, Measured]) -> list[float]:
    """[images/s of bare, of bare in fp32, what bf16 gives, the most that ours can be over plain]."""
    bare, fp32 = by_way["bare"], by_way["bare fp32"]
    return [bare.median, fp32.median, bare.over(fp32), bare.over(by_way["plain"])]


def operators(width: float, by_way: dict[str, Measured]) -> Iterator[list]:
    """Of a bare step in bf16 and in fp32: [width, precision, ms of kinds of operators, of the rest, of all]."""
    of = fixed(width)
    for precision, name in (("bf16", "bare"), ("fp32", "bare fp32")):
        step = partial(bare_step, *of, fp32=precision == "fp32")
        step()
        ms = 1e3 * BATCH / by_way[name].median
        yield [width, precision, *(share / 100 * ms for share in operators_of(step, OPERATORS)), ms]


def compiled(width: float, way: str, repetitions: int, budget: float, whole: dict[str, Measured]) -> list:
    """[seconds until the first compiled step is done, images/s of the plain network, compiled, their ratio, in how many
    steps of the ``whole`` loop the seconds are won back].
    """
    of, forward = fixed(width), forward_on(CPU, BATCH)
    steps = {"plain": partial(bare_step, *of), "compiled": partial(bare_step, *of, forward)}
    choose(way)
    torch.compiler.reset()  # nothing that stands compiled, in this process or on disk, is used
    torch.compiler.config.force_disable_caches = True
    to_compile = seconds(steps["compiled"])
    by_way = rates(steps, repetitions, budget)
    as_it_is, faster = by_way["plain"], by_way["compiled"]
    saved = BATCH / whole["ours"].median - BATCH / whole["compiled"].median
    won_back = round(to_compile / saved) if saved > 0 else None
    return [to_compile, as_it_is.median, faster.median, faster.over(as_it_is), won_back]


def benchmark(args: argparse.Namespace) -> Outcome:
    quick = args.quick
    repetitions, budget = (1, 0.0) if quick else (5, 1.0)
    workers, widths, way = ((0,), (0.0625,), "aot_eager") if quick else ((0, 2), IN_USE, "on")
    measured = {width: measure(width, workers, way, repetitions, budget) for width in widths}
    by_width = {width: row(by_way) for width, by_way in measured.items()}
    tables = {
        f"Training, by width (tr10, batches of {BATCH}, 32 pixels)": table(
            ["width", "ours, images/s", "spread", "plain, images/s", "bare, images/s", "ours / plain", "ours / bare",
             *COMPILED],
            ([width, *numbers] for width, numbers in by_width.items()),
        ),
        "What bf16 gives, and the most that a loop can reach": table(
            ["width", "bare, images/s", "bare fp32, images/s", "bare / bare fp32", "bare / plain"],
            ([width, *ceiling(by_way)] for width, by_way in measured.items()),
        ),
        "Operators of a bare step, ms": table(
            ["width", "precision", *OPERATORS, "the rest", "all"],
            (line for width, by_way in measured.items() for line in operators(width, by_way)),
        ),
        f"Compiled by torch, forward and backward alone (batches of {BATCH}, 32 pixels)": table(
            ["width", "seconds to compile", "plain, images/s", *COMPILED, "steps that win the time back"],
            ([width, *compiled(width, way, repetitions, budget, by_way)] for width, by_way in measured.items()),
        ),
    }  # fmt: skip
    goals = [
        Goal(text=f"images/s, {what}, width {width}", measured=numbers[at], bound=bound)
        for what, at, bound in (("ours / plain", 4, 2.5), ("ours compiled / plain", 7, 2.5), ("ours / bare", 5, 0.6))
        for width, numbers in by_width.items()
    ]
    return Outcome(goals, tables)


if __name__ == "__main__":
    command(__doc__, benchmark)
