"""DeepMoE's sparsity becomes speed when images share a few prototype masks, whose networks are compacted beforehand.

tr10 on 32 pixels, one thread, BatchNorm folded, fp32, interleaved repetitions, medians. The wide network has twice the
channels of the narrow one; gates are made up: 20 kinds of images with random masks of a share of active channels at
which the honest cost is the narrow network's, each image with 2 % of its mask turned over. *Masked* computes all
channels and scales them; *gathered* builds each image's own small network (batch 1); *prototypes* groups a batch by K
masks (K-means on gates). All three run the embedding network and the heads. Promised is the wide network's honest cost
over the gated one's. What grouping costs in accuracy is measured on a DeepMoE trained on modes (found in the store, or
trained in a minute).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.timing import CPU, Goal, Outcome, command, table, threads, timed
from repro.analysis.outputs import accuracy
from repro.exhibits.deepmoe_costs.counted import share_for
from repro.exhibits.deepmoe_table2_cifar import Parameters
from repro.families.deepmoe.config import DeepMoEConfig
from repro.families.deepmoe.cost import deepmoe_cost
from repro.families.deepmoe.model import build
from repro.families.deepmoe.speed import Folded, Prototypes
from repro.families.deepmoe.steps import goal, load, steps
from repro.families.deepmoe.training import predict
from repro.models.inference import for_inference
from repro.models.registry import build_backbone
from repro.randomness import generator, seeded_init
from repro.study.record import open_runner

KINDS, FLIPPED = 20, 0.02
ASPIRED = "realised / promised, {way}, batch 64, narrow width {width:g}"


def made_up_gates(sizes: tuple[int, ...], share: float, images: int) -> Tensor:
    """Gates ``[images, G]`` of :data:`KINDS` kinds of images."""
    draw = generator(0, "made-up gates")
    masks = torch.rand(KINDS, sum(sizes), generator=draw) < share
    own = masks[torch.randint(KINDS, (images,), generator=draw)]
    flipped = torch.rand(own.shape, generator=draw) < FLIPPED
    return (own ^ flipped) * (0.5 + torch.rand(own.shape, generator=draw))


def measure(width: float, batch: int, counts: tuple[int, ...], repetitions: int) -> list[list[Any]]:
    """A row a way: milliseconds of a batch, and the speed-up over the wide network, realised and promised."""
    config = DeepMoEConfig(backbone="tr10", width=2 * width, num_classes=100)
    cost = deepmoe_cost(config)
    narrow_macs = deepmoe_cost(config.model_copy(update={"width": width})).dense_macs
    share = share_for(cost, narrow_macs)
    assert share
    with seeded_init(0, "benchmark"):
        model = build(config).to(memory_format=torch.channels_last).eval()
        plain = [for_inference(build_backbone("tr10", 100, times * width), CPU, bf16=False) for times in (1, 2)]
    folded, gates = Folded(model.network), made_up_gates(cost.sizes, share, 1000)
    images = torch.randn(batch, 3, 32, 32).to(memory_format=torch.channels_last)
    now = gates[:batch]

    def gated(run: Callable[[], object]) -> None:
        with torch.no_grad():
            model.gating(images)
            run()

    ways: dict[str, Callable[[], object]] = {
        "narrow": partial(plain[0], images), "wide": partial(plain[1], images),
        "masked": partial(gated, lambda: folded.masked(images, now)),
    }  # fmt: skip
    if batch == 1:
        ways["gathered"] = partial(gated, lambda: folded.gather(now[0])(images))
    for k in counts if batch > 1 else ():
        ways[f"{k} prototypes"] = partial(gated, partial(Prototypes(folded, gates, k), images, now))
    measured = timed(ways, repetitions)
    promised = {"narrow": cost.dense_macs / narrow_macs, "wide": 1.0}
    gated_promise = cost.dense_macs / float(cost.macs(now).mean())
    return [
        [width, batch, name, 1000 * one.median, one.spread, faster, saved, faster / saved]
        for name, one in measured.items()
        for faster, saved in [(measured["wide"].over(one), promised.get(name, gated_promise))]
    ]  # fmt: skip


def grouping(root: Path, scale: str, counts: tuple[int, ...]) -> list[list[Any]]:
    """Top-1 of a DeepMoE trained on modes with its own gates, and with those of K prototypes of the training images."""
    parameters = Parameters.check(scale=scale, root=root, device="cpu")
    asked = parameters.deepmoe(parameters.narrow_networks()[0], parameters.lam[0])
    runner = open_runner(parameters, [goal(asked)])
    model, batches = load(asked, runner.load(steps(asked).needs[0])), runner.context.sources.batches
    train, test = (batches(asked.spec, part, asked.recipe.augmentation) for part in ("train", "evaluation"))
    gates, own = predict(model, train, CPU)["gates"].float(), predict(model, test, CPU)
    rows: list[list[Any]] = [["its own", accuracy(own["logits"], own["labels"])]]
    for k in counts:
        prototypes = Prototypes(Folded(model.network), gates, k)
        logits, at = [], 0
        for batch in test.clean(500):
            logits.append(prototypes(batch.images, own["gates"][at : at + len(batch.images)].float()))
            at += len(batch.images)
        rows.append([f"{k} prototypes", accuracy(torch.cat(logits), own["labels"])])
    return rows


def benchmark(args: argparse.Namespace) -> Outcome:
    counts, repetitions = ((2, 4), 1) if args.quick else ((4, 8, 20), 9)
    shapes = [(0.0625, 1), (0.0625, 8)] if args.quick else [(w, b) for w in (0.25, 0.5, 1.0) for b in (1, 64)]
    with threads(1):
        rows = [row for width, batch in shapes for row in measure(width, batch, counts, repetitions)]
    accuracies = grouping(args.root, "smoke" if args.quick else "quick", counts)
    columns = ["narrow width", "batch", "way", "ms", "spread", "realised", "promised", "realised / promised"]
    tables = {
        "Milliseconds of a batch, and the speed-up over the wide network": table(columns, rows),
        "Accuracy with the gates of prototypes, modes": table(["gates", "top-1, %"], accuracies),
    }
    goals = [
        Goal(text=ASPIRED.format(way=row[2], width=row[0]), measured=row[-1], bound=0.8)
        for row in rows
        if row[2].endswith("prototypes") and (args.quick or row[0] >= 0.5)
    ]
    masked, text = max(row[5] for row in rows if row[2] == "masked"), "wide / masked: masking alone saves nothing"
    return Outcome([*goals, Goal(text=text, measured=masked, bound=1.05, at_most=True)], tables)


if __name__ == "__main__":
    command(__doc__, benchmark)
