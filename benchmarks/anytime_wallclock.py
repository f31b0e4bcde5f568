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
from collections.abc import Callable
from functools import partial
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor, nn

from benchmarks.plain import random_images
from benchmarks.timing import CPU, Goal, Measured, Outcome, command, interleaved, seconds, table, threads, timed
from repro.analysis.outputs import accuracy
from repro.data.augment import Augmentation
from repro.data.batches import DeviceBatches
from repro.families.single_gate.config import StudySpec
from repro.families.single_gate.model import SingleGateMoE
from repro.families.single_gate.predict import predict
from repro.families.single_gate.scales import default_spec
from repro.families.single_gate.steps import steps
from repro.families.single_gate.study import Study
from repro.models.backbone import Backbone
from repro.models.cost import ModelCost, model_cost
from repro.models.inference import for_inference
from repro.models.registry import build_backbone, build_head
from repro.study.graph import ordered
from repro.study.results import Table
from repro.training.device import autocast, bf16_is_fast

TAUS = (0.0, 0.001, 0.003, 0.01, 0.02, 0.03, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0)
MIDDLE = 0.1
BATCH = 256


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


def curve(
    moe: SingleGateMoE, others: dict[str, Backbone], source: DeviceBatches, images: int, repetitions: int
) -> dict[int, dict[str, Measured]]:
    """By number of threads: seconds of each τ, of dense evaluation, of the base and of other backbones."""
    sample = batches(source, images)
    ways: dict[str, Callable[[], None]] = {f"τ {tau}": partial(skipping, moe, sample, tau) for tau in TAUS}
    ways |= {"dense": partial(dense, moe, sample), "base": partial(dense, moe.base, sample)}
    ways |= {name: partial(dense, network, sample) for name, network in others.items()}
    by_threads = {}
    for number in (1, 2):
        with threads(number):
            by_threads[number] = timed(ways, repetitions)
    return by_threads


def curve_table(
    by_threads: dict[int, dict[str, Measured]], predictions: dict[float, tuple[float, float, float]], cost: ModelCost,
    images: int, shows_accuracy: bool,
) -> Table:  # fmt: skip
    """A row a threshold and number of threads."""
    rows = []
    every = cost.base_macs + cost.gate_macs + cost.num_experts * cost.expert_macs
    for number, times in by_threads.items():
        for tau, (percent, exits, used) in predictions.items():
            took, macs = times[f"τ {tau}"], cost.base_macs + cost.gate_macs + used * cost.expert_macs
            realised, promised = times["dense"].over(took), every / macs
            over_base = times["base"].over(took) / (cost.base_macs / macs)
            rows.append([
                number, tau, percent if shows_accuracy else None, exits, used, macs / 1e6, images / took.median,
                took.spread, promised, realised, realised / promised, over_base,
            ])  # fmt: skip
    columns = [
        "threads", "τ", "top-1, %", "exits", "experts an image", "MMACs an image", "images/s", "spread",
        "promised speed-up", "realised speed-up", "realised / promised", "realised / promised, against the base",
    ]  # fmt: skip
    return table(columns, rows)


def backbones_table(by_threads: dict[int, dict[str, Measured]], spec: StudySpec, images: int) -> Table:
    rows = []
    for number, times in by_threads.items():
        for name in ("tr10", "tr18", "tr34", "tr50"):
            if name in times:
                cost = model_cost(name, None, spec.num_classes, spec.image_size, 0, spec.width)
                rate, macs = images / times[name].median, cost.base_macs
                rows.append([number, name, macs / 1e6, rate, times[name].spread, rate * macs / 1e9])
    return table(["threads", "backbone", "MMACs an image", "images/s", "spread", "GMACs/s"], rows)


def call_table(moe: SingleGateMoE, repetitions: int) -> Table:
    """Milliseconds of one expert's call by the number of its images: what few images pay for a call."""
    with torch.no_grad(), autocast(CPU):
        features = moe.base.trunk(torch.randn(BATCH, 3, 32, 32).contiguous(memory_format=torch.channels_last))

    @torch.no_grad()
    def call_all(images: int) -> float:
        with autocast(CPU):
            return seconds(lambda: [expert(features[:images]) for expert in moe.experts]) / moe.num_experts

    sizes = (1, 4, 16, 64, BATCH)
    times = interleaved({str(n): partial(call_all, n) for n in sizes}, repetitions)
    whole = times[str(BATCH)].median / BATCH
    rows = [[n, 1e3 * times[str(n)].median, times[str(n)].median / n / whole] for n in sizes]
    return table(["images", "ms a call", "time an image, over that at 256"], rows)


def parts_table(moe: SingleGateMoE, cost: ModelCost, size: int, repetitions: int) -> Table:
    """Multiply-adds a second of trunk, base head and expert on a batch of 256."""
    images = torch.randn(BATCH, 3, size, size).contiguous(memory_format=torch.channels_last)
    with torch.no_grad(), autocast(CPU):
        features = moe.base.trunk(images)
    parts = {
        "trunk": (moe.base.trunk, images, cost.trunk_macs),
        "base head": (moe.base.head, features, cost.head_macs),
        "expert": (moe.experts[0], features, cost.expert_macs),
    }
    times = timed({name: partial(dense, module, [x]) for name, (module, x, _) in parts.items()}, repetitions)
    rows = [
        [name, macs / 1e6, 1e3 * times[name].median, macs * BATCH / times[name].median / 1e9]
        for name, (_, _, macs) in parts.items()
    ]
    return table(["part", "MMACs an image", "ms", "GMACs/s"], rows)


def growth_row(spec: StudySpec, size: int, images: int, repetitions: int, *about: object) -> list:
    """Realised over promised speed-up against the base alone at a middle τ, untrained, in batches of ``size``."""
    model, source = untrained(spec, max(images, size))
    moe = for_inference(model, CPU, bf16_is_fast(CPU))
    sample = batches(source, images, size)
    ways = {"ours": partial(skipping, moe, sample, MIDDLE), "base": partial(dense, moe.base, sample)}
    times = timed(ways, repetitions)
    used = torch.cat([predict(moe, batch, MIDDLE).experts_used for batch in sample]).double().mean()
    cost = spec.cost
    promised = cost.base_macs / (cost.base_macs + cost.gate_macs + float(used) * cost.expert_macs)
    rate, realised = sum(map(len, sample)) / times["ours"].median, times["base"].over(times["ours"])
    return [*about, float(used), rate, realised / promised]


def benchmark(args: argparse.Namespace) -> Outcome:
    quick, spec = args.quick, asked(args.quick)
    images, repetitions = (64, 1) if quick else (2048, 5)
    from_store = trained(spec, args.root)
    model, source = from_store or untrained(spec, images)
    bf16 = bf16_is_fast(CPU)
    moe = for_inference(model, CPU, bf16)
    cost = spec.cost
    depths = ("tr10",) if quick else ("tr10", "tr18", "tr34", "tr50")
    others = {name: for_inference(build_backbone(name, spec.num_classes, spec.width), CPU, bf16) for name in depths}
    by_threads = curve(moe, others, source, images, repetitions)
    predictions = {tau: run_all(moe, source, tau) for tau in TAUS}
    speeds = curve_table(by_threads, predictions, cost, images, shows_accuracy=from_store is not None)
    growth = ["experts an image", "images/s", "realised / promised, against the base"]
    less = 2 if not quick else 1
    sizes, widths, counts = (
        ((16,), (0.0625,), (2,)) if quick else ((1, 16, 256, 1024), (0.25, 0.5, 1.0), (1, 5, 20, 64))
    )
    pixels = (16,) if quick else (16, 32, 64)
    start = spec if quick else default_spec("laptop", "cifar100").with_(num_experts=20)
    tables = {
        "The any-time curve": speeds,
        "Dense backbones of the same width": backbones_table(by_threads, spec, images),
        "How fast each part computes": parts_table(moe, cost, spec.image_size, repetitions),
        "One call of an expert": call_table(moe, repetitions),
        f"By batch size (untrained, τ = {MIDDLE})": table(
            ["batch size", *growth], (growth_row(start, n, min(images, 64 * n), less, n) for n in sizes)
        ),
    }
    for what, name, field, values, most in (
        ("number of experts", "experts", "num_experts", counts, 1024),
        ("width", "width", "width", widths, 512),
        ("image size", "pixels a side", "image_size", pixels, 512),
    ):
        rows = (growth_row(start.with_(**{field: v}), BATCH, min(images, most), less, v) for v in values)
        tables[f"By {what} (untrained, batches of {BATCH}, τ = {MIDDLE})"] = table([name, *growth], rows)
    goals = []
    for number in (1, 2):
        of = speeds.where(threads=number)
        for column, against in (("realised / promised", "dense evaluation"), (speeds.columns[-1], "the base alone")):
            text = f"realised / promised speed-up, the least over the curve, against {against}, {number} thread"
            goals.append(Goal(text=text + "s" * (number > 1), measured=min(of.column(column)), bound=0.9))
    notes = [] if from_store else ["The model is untrained, on noise: its speeds are shown, not its accuracy."]
    return Outcome(goals, tables, notes)


if __name__ == "__main__":
    command(__doc__, benchmark)
