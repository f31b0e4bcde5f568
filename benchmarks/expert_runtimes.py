"""Another form of the same networks is a third faster than eager PyTorch, and realises what exits promise.

tr10-tr10 at width 0.25 on 32 pixels, 20 untrained experts, 256 images of noise, through `predict`: those of which the
base is least sure go on to one expert each. *Dense* runs all experts on all images. *Promised* is dense over exits in
multiply-adds, *realised* the fastest dense form's time over the form's (int8 is held against all of them, the others
against those in floating point). Eager: BatchNorm folded in, bf16 where that is fast. Compiled: torch.compile, for any
number of images. ONNX Runtime: what `repro export --onnx` writes, in float32 and in int8 (ranges from 256 images of
noise: its accuracy is on the model's card). *As exported*: an expert for every image, and beside it a plain tr10 of the
mixture's multiply-adds. Interleaved, seven repetitions, of 64 images where fewer come at once, medians.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from benchmarks.anytime_wallclock import asked, threshold, untrained
from benchmarks.timing import CPU, Goal, Measured, Outcome, command, table, threads, timed
from repro.families.single_gate.config import StudySpec
from repro.families.single_gate.controls import equal_inference
from repro.families.single_gate.export import Config
from repro.families.single_gate.model import Mixture, MoEOutput, SingleGateMoE, every_expert
from repro.families.single_gate.onnx_form import OnnxMoE, Session, graph, graphs, in_int8, written
from repro.families.single_gate.predict import predict
from repro.models.cost import ModelCost
from repro.models.inference import for_inference
from repro.models.registry import build_backbone
from repro.training.compiling import plain
from repro.training.device import autocast, bf16_is_fast

SHARES = (0.1, 0.25, 0.5, 1.0)
INT8 = "ONNX Runtime, int8"
Answer = Callable[[Tensor], Any]
BATCH = [
    "threads", "images that go on", "form", "ms a batch", "spread", "eager / form", "promised speed-up",
    "realised / promised",
]  # fmt: skip
EXPORTED = [
    "threads", "images", "form", "mixture, ms", "plain, ms", "mixture / plain", "mixture, eager / form",
    "plain, eager / form",
]  # fmt: skip


class Compiled:
    """A mixture by torch.compile, for any number of images; its experts share what is compiled."""

    def __init__(self, moe: SingleGateMoE) -> None:
        self._call = torch.compile(plain, dynamic=True)  # the network is an argument, so that its weights are inputs
        self._base_and_gate = torch.compile(moe.base_and_gate, dynamic=True)
        self._trunk, self.experts = moe.base.trunk, [partial(self._call, expert) for expert in moe.experts]

    def trunk(self, images: Tensor) -> Tensor:
        return self._call(self._trunk, images)

    def base_and_gate(self, trunk_features: Tensor) -> MoEOutput:
        return self._base_and_gate(trunk_features)


def mixtures(spec: StudySpec) -> tuple[dict[str, Mixture], Tensor]:
    """A mixture in each form, and 256 images."""
    moe, source = untrained(spec, 256)  # with a gate as even as a trained one
    images, size = next(source.clean(256)).images, spec.image_size
    config = Config(
        base=spec.base, expert=spec.expert, width=spec.width, num_experts=spec.num_experts, image_size=size,
        classes=tuple(map(str, range(spec.num_classes))), shorter_side=size, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0),
    )  # fmt: skip
    eager = for_inference(moe, CPU, bf16_is_fast(CPU))
    return {
        "eager": eager, "compiled": Compiled(eager), "ONNX Runtime": OnnxMoE(config, graphs(moe, images)),
        INT8: OnnxMoE(config, graphs(moe, images, "int8")),
    }, images  # fmt: skip


def plain_networks(spec: StudySpec, images: Tensor) -> dict[str, Answer]:
    """A plain network of the mixture's multiply-adds in each form that is exported, and in eager."""
    control = equal_inference(spec)
    assert control
    network = build_backbone(spec.base, spec.num_classes, control.width).eval()
    eager = for_inference(network, CPU, bf16_is_fast(CPU))
    exported = written(graph(for_inference(network, CPU, bf16=False), images[:2], "logits"))
    return {
        "eager": lambda x: eager(x.contiguous(memory_format=torch.channels_last)),
        "ONNX Runtime": Session(exported),
        INT8: Session(in_int8(exported, images.split(64))),
    }


def several(n: int) -> int:
    """How often what takes n images is called in a repetition: one image alone would find cold caches."""
    return max(1, 64 // n)


def call(answer: Answer, images: Tensor) -> None:
    with autocast(CPU):
        for _ in range(several(len(images))):
            answer(images)


def exiting(moe: Mixture, images: Tensor, goes_on: float) -> Answer:
    """Answers to images of which a share goes on to an expert."""
    tau = threshold(moe, images, goes_on)
    return lambda x: predict(moe, x, tau, "top-1").scores


def of_a_batch(forms: dict[str, Mixture], images: Tensor, cost: ModelCost, repetitions: int) -> list[list[Any]]:
    """Rows of :data:`BATCH`, without the threads; first of dense evaluation."""
    rows: list[list[Any]] = []
    dense: dict[str, Measured] = {}
    base, all_macs = cost.base_macs + cost.gate_macs, cost.num_experts * cost.expert_macs
    for share in (None, *SHARES):
        answers: dict[str, Answer] = {
            name: exiting(moe, images, share) if share else partial(every_expert, moe) for name, moe in forms.items()
        }
        took = timed({name: partial(call, answer, images) for name, answer in answers.items()}, repetitions)
        dense = dense or took
        promised = (base + all_macs) / (base + (share * cost.expert_macs if share else all_macs))
        for name, each in took.items():
            others = [other for form, other in dense.items() if name == INT8 or form != INT8]
            realised = min(others, key=lambda one: one.median).over(each)
            what = f"{share:.0%}" if share else "dense"
            about = [what, name, 1e3 * each.median, each.spread, took["eager"].over(each)]
            rows.append([*about, promised, realised / promised])
    return rows


def as_exported(
    forms: dict[str, Mixture], plain_forms: dict[str, Answer], images: Tensor, repetitions: int
) -> list[list[Any]]:
    """Rows of :data:`EXPORTED`, without the threads."""
    rows: list[list[Any]] = []
    for n in (1, 16, len(images)):
        some = images[:n].contiguous()
        ways = {f"mixture, {form}": partial(call, exiting(forms[form], some, 1.0), some) for form in plain_forms}
        ways |= {f"plain, {form}": partial(call, answer, some) for form, answer in plain_forms.items()}
        took = timed(ways, repetitions)
        for form in plain_forms:
            mixture, alone = took[f"mixture, {form}"], took[f"plain, {form}"]
            ms = [1e3 * each.median / several(n) for each in (mixture, alone)]
            over = [took[f"{of}, eager"].over(took[f"{of}, {form}"]) for of in ("mixture", "plain")]
            rows.append([n, form, *ms, mixture.over(alone), *over])
    return rows


@torch.no_grad()
def benchmark(args: argparse.Namespace) -> Outcome:
    spec, repetitions = asked(args.quick), 1 if args.quick else 7
    rows: list[list[Any]] = []
    exported: list[list[Any]] = []
    goals: list[Goal] = []
    for number in (1,) if args.quick else (1, 2):
        with threads(number):
            forms, images = mixtures(spec)
            batch = of_a_batch(forms, images, spec.cost, repetitions)
            beside = as_exported(forms, plain_networks(spec, images), images, repetitions)
        rows += [[number, *row] for row in batch]
        exported += [[number, *row] for row in beside]
        exits = [row for row in batch if row[0] != "dense"]
        over, name = max((row[4], row[1]) for row in exits if row[1] != "eager")
        text = f"eager / the fastest other form (here {name}), images: {len(images)}, the most over the shares"
        goals.append(Goal(text=f"{text}, threads: {number}", measured=over, bound=4 / 3))
        text = "realised / promised against the fastest dense form, the least over the shares"
        for name in ("eager", "compiled", INT8):
            least = min(row[-1] for row in exits if row[1] == name)
            goals.append(Goal(text=f"{text}, {name}, threads: {number}", measured=least, bound=0.9))
        goals += [
            Goal(text=f"mixture as exported, eager / {form}, images: {n}, threads: {number}", measured=faster,
                 bound=4 / 3)
            for n, form, *_, faster, _ in beside
            if form == INT8 or (n == 1 and form != "eager")
        ]  # fmt: skip
    tables = {
        f"One batch of {len(images)} images": table(BATCH, rows),
        "As exported, beside a plain network": table(EXPORTED, exported),
    }
    return Outcome(goals, tables)


if __name__ == "__main__":
    command(__doc__, benchmark)
