"""Exits that really exit: the any-time curve over multiply-adds is also a curve over wall-clock.

The single-gate MoE of the store (tr10-tr10 at width 0.25 on CIFAR-100, 20 experts, seed 0), or an untrained one of
that shape where there is none. At every threshold τ of Equation 2 its inference (single_gate's `predict`) is timed on
batches of 256 images in memory, with one and with two threads. *Dense* evaluation runs every expert on every image, as
published code does that counts what it would have saved. *Promised* is the ratio of expected multiply-adds, *realised*
that of measured times. The dense backbones tr10 to tr50 of that width are timed in the same rounds; all networks have
BatchNorm folded in and run in bf16 where that is fast. Interleaved, five repetitions, medians.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.plain import random_images
from benchmarks.timing import CPU, Goal, Measured, Outcome, command, table, threads, timed
from repro.analysis.outputs import accuracy
from repro.data.augment import Augmentation
from repro.data.batches import DeviceBatches
from repro.families.single_gate.config import StudySpec
from repro.families.single_gate.model import Mixture, SingleGateMoE
from repro.families.single_gate.predict import predict
from repro.families.single_gate.scales import default_spec
from repro.families.single_gate.steps import steps
from repro.families.single_gate.study import Study
from repro.models.cost import ModelCost, model_cost
from repro.models.inference import for_inference
from repro.models.registry import build_backbone, build_head
from repro.study.graph import ordered
from repro.training.device import autocast, bf16_is_fast

TAUS = (0.0, 0.001, 0.003, 0.01, 0.02, 0.03, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0)
MIDDLE = 0.1
BATCH = 256
CURVE = [
    "threads", "τ", "top-1, %", "exits", "experts an image", "MMACs an image", "images/s", "spread",
    "promised speed-up", "realised speed-up", "realised / promised", "realised / promised, against the base",
]  # fmt: skip
BACKBONES = ["threads", "backbone", "MMACs an image", "images/s", "spread", "GMACs/s"]
PARTS = ["threads", "part", "images", "MMACs an image", "ms", "GMACs/s"]


def asked(quick: bool) -> StudySpec:
    """The model of the benchmark."""
    if quick:
        return default_spec("smoke", "modes").with_(width=0.0625, num_experts=3)
    return default_spec("laptop", "cifar100").with_(num_experts=20, seed=0)


def trained(spec: StudySpec, root: Path) -> tuple[SingleGateMoE, DeviceBatches] | None:
    """The model of the store and the test images; None unless all of it stands there: nothing is trained here."""
    study = Study([spec], root, CPU)
    if not all(study.store.has(step) for step in ordered([steps(spec).predictions])):
        return None
    return study.moe(spec), study.sources.batches(spec, "evaluation", Augmentation())  # type: ignore[return-value]


def untrained(spec: StudySpec, number: int = 2048) -> tuple[SingleGateMoE, DeviceBatches]:
    """A model of the spec's shape whose base and gate are drawn to be as unsure as trained ones are, on noise."""
    torch.manual_seed(0)
    images = DeviceBatches(random_images(number, spec.image_size, spec.num_classes), Augmentation(), CPU)
    base = build_backbone(spec.base, spec.num_classes, spec.width)
    heads = [build_head(spec.expert, spec.num_classes, spec.width) for _ in range(spec.num_experts)]
    moe = SingleGateMoE(base, nn.Linear(base.head.fc.in_features, spec.num_experts), heads)
    moe.eval()
    with torch.no_grad():
        seen = base.embed(next(images.clean(BATCH)).images)
        for layer, scale in ((base.head.fc, 4.0), (moe.gate, 1.5)):
            layer.weight.normal_().mul_(scale / seen.shape[1] ** 0.5 / (seen.std(0) + 1e-6))
            layer.bias.copy_(-(layer.weight @ seen.mean(0)))
    return moe, images


@torch.no_grad()
def threshold(moe: Mixture, images: Tensor, goes_on: float) -> float | None:
    """τ at which a share of the images goes on to an expert, those of which the base is least sure; None for all."""
    if goes_on == 1:
        return None
    with autocast(images.device):
        features = moe.trunk(images.contiguous(memory_format=torch.channels_last))
        confidence = moe.base_and_gate(features).base_logits.softmax(-1).amax(-1)
    return float(confidence.quantile(goes_on))


def batches(source: DeviceBatches, images: int, size: int = BATCH) -> list[Tensor]:
    """The first ``images`` images in batches of ``size``."""
    return [batch.images for batch in islice(source.clean(size), -(-images // size))]


@torch.no_grad()
def dense(network: nn.Module, images: list[Tensor]) -> None:
    for batch in images:
        with autocast(CPU):
            network(batch)


def skipping(moe: SingleGateMoE, images: list[Tensor], tau: float) -> None:
    for batch in images:
        predict(moe, batch, tau)


def run_all(moe: SingleGateMoE, source: DeviceBatches, tau: float) -> tuple[float, float, float]:
    """Accuracy in percent, share of exits and experts an image at ``tau``, over all images."""
    predictions = [predict(moe, batch.images, tau) for batch in source.clean(BATCH)]
    used = torch.cat([p.experts_used for p in predictions]).double()
    scores = torch.cat([p.scores for p in predictions])
    return accuracy(scores, source.labels), float((used == 0).double().mean()), float(used.mean())


def curve_rows(
    times: dict[str, Measured], predictions: dict[float, tuple[float, float, float]], cost: ModelCost, images: int,
    shows_accuracy: bool,
) -> Iterator[list[Any]]:  # fmt: skip
    """Rows of :data:`CURVE`, without the threads."""
    every = cost.base_macs + cost.gate_macs + cost.num_experts * cost.expert_macs
    for tau, (percent, exits, used) in predictions.items():
        took, macs = times[f"τ {tau}"], cost.base_macs + cost.gate_macs + used * cost.expert_macs
        realised, promised = times["dense"].over(took), every / macs
        over_base = times["base"].over(took) / (cost.base_macs / macs)
        yield [
            tau, percent if shows_accuracy else None, exits, used, macs / 1e6, images / took.median, took.spread,
            promised, realised, realised / promised, over_base,
        ]  # fmt: skip


def part_rows(moe: SingleGateMoE, cost: ModelCost, size: int, repetitions: int) -> Iterator[list[Any]]:
    """Rows of :data:`PARTS`, without the threads: trunk and base head of a batch, an expert also of fewer images."""
    images = torch.randn(BATCH, 3, size, size).contiguous(memory_format=torch.channels_last)
    with torch.no_grad(), autocast(CPU):
        features = moe.base.trunk(images)
    parts: dict[str, tuple[list[nn.Module], Tensor, float]] = {
        "trunk": ([moe.base.trunk], images, cost.trunk_macs),
        "base head": ([moe.base.head], features, cost.head_macs),
    }
    parts |= {f"expert {n}": (list(moe.experts), features[:n], cost.expert_macs) for n in (BATCH, 64, 16, 4, 1)}

    def call(modules: list[nn.Module], x: Tensor) -> None:
        for module in modules:
            dense(module, [x])

    times = timed({name: partial(call, modules, x) for name, (modules, x, _) in parts.items()}, repetitions)
    for name, (modules, x, macs) in parts.items():
        took = times[name].median / len(modules)
        yield [name.removesuffix(f" {len(x)}"), len(x), macs / 1e6, 1e3 * took, macs * len(x) / took / 1e9]


def by_batch_size(
    sizes: tuple[int, ...], moe: SingleGateMoE, source: DeviceBatches, cost: ModelCost, most: int
) -> Iterator[list[Any]]:
    """[batch size, experts an image, images/s, realised / promised against the base] at :data:`MIDDLE`."""
    for size in sizes:
        sample = batches(source, min(most, 64 * size), size)
        times = timed({"ours": partial(skipping, moe, sample, MIDDLE), "base": partial(dense, moe.base, sample)}, 2)
        used = float(torch.cat([predict(moe, batch, MIDDLE).experts_used for batch in sample]).double().mean())
        promised = cost.base_macs / (cost.base_macs + cost.gate_macs + used * cost.expert_macs)
        rate, realised = sum(map(len, sample)) / times["ours"].median, times["base"].over(times["ours"])
        yield [size, used, rate, realised / promised]


def benchmark(args: argparse.Namespace) -> Outcome:
    quick, spec = args.quick, asked(args.quick)
    images, repetitions = (64, 1) if quick else (2048, 5)
    from_store = trained(spec, args.root)
    model, source = from_store or untrained(spec, images)
    bf16, cost = bf16_is_fast(CPU), spec.cost
    moe = for_inference(model, CPU, bf16)
    depths = ("tr10",) if quick else ("tr10", "tr18", "tr34", "tr50")
    others = {name: for_inference(build_backbone(name, spec.num_classes, spec.width), CPU, bf16) for name in depths}
    macs = {name: model_cost(name, None, spec.num_classes, spec.image_size, 0, spec.width).base_macs for name in depths}
    sample = batches(source, images)
    ways: dict[str, Callable[[], None]] = {f"τ {tau}": partial(skipping, moe, sample, tau) for tau in TAUS}
    ways |= {"dense": partial(dense, moe, sample), "base": partial(dense, moe.base, sample)}
    ways |= {name: partial(dense, network, sample) for name, network in others.items()}
    predictions = {tau: run_all(moe, source, tau) for tau in TAUS}
    curve: list[list[Any]] = []
    parts: list[list[Any]] = []
    backbones = []
    for number in (1, 2):
        with threads(number):
            times = timed(ways, repetitions)
            parts += [[number, *row] for row in part_rows(moe, cost, spec.image_size, repetitions)]
        curve += [[number, *row] for row in curve_rows(times, predictions, cost, images, from_store is not None)]
        for name in depths:
            rate = images / times[name].median
            backbones.append([number, name, macs[name] / 1e6, rate, times[name].spread, rate * macs[name] / 1e9])
    speeds, by_part = table(CURVE, curve), table(PARTS, parts)
    sizes = (16,) if quick else (1, 16, 256, 1024)
    tables = {
        "The any-time curve": speeds,
        "Dense backbones of the same width": table(BACKBONES, backbones),
        "How fast each part computes": by_part.where(images=BATCH),
        "One call of an expert": by_part.where(part="expert"),
        f"By batch size (τ = {MIDDLE})": table(
            ["batch size", "experts an image", "images/s", "realised / promised, against the base"],
            by_batch_size(sizes, moe, source, cost, images),
        ),
    }
    goals = []
    for number in (1, 2):
        of = speeds.where(threads=number)
        for column, against in (("realised / promised", "dense evaluation"), (CURVE[-1], "the base alone")):
            text = f"realised / promised speed-up, the least over the curve, against {against}, {number} thread"
            goals.append(Goal(text=text + "s" * (number > 1), measured=min(of.column(column)), bound=0.9))
    notes = [] if from_store else ["The model is untrained, on noise: its speeds are shown, not its accuracy."]
    return Outcome(goals, tables, notes)


if __name__ == "__main__":
    command(__doc__, benchmark)
