"""Another form of the same networks is a third faster than eager PyTorch, and realises what exits promise.

tr10-tr10 at width 0.25 on 32 pixels, 20 untrained experts, 256 images of noise of which a share goes on to one expert
each, with loads as uneven as a draw from Dirichlet(2). Each form runs trunk and base head on all images, gathers those
that go on, calls every expert once, on its own images, and puts the answers back. *Dense* runs all experts on all
images. *Promised* is dense over exits in multiply-adds, *realised* the fastest dense form's time over the form's (int8
is held against all of them, the others against those in floating point).
Eager is what `predict` runs: BatchNorm folded in, bf16 where that is fast. Compiled: torch.compile, for any number of
images. Stacked: experts as one call under `torch.vmap`, each filled up to the largest load. ONNX Runtime: what `repro
export --onnx` writes, in float32 and in int8 (ranges from 256 images of noise: its accuracy is on the model's card).
OpenVINO: where it is installed (`uv run --with openvino`). *Few images* are all the images that there are, and all go
on. *As exported*: the mixture through `predict`, an expert for every image, and beside it a plain tr10 of its
multiply-adds. Interleaved, seven repetitions, of 64 images where fewer come at once, medians.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from benchmarks.anytime_wallclock import asked, untrained
from benchmarks.expert_forms import INT8, RUNTIMES, Call, Form, forms
from benchmarks.timing import CPU, Goal, Measured, Outcome, command, table, threads, timed
from repro.families.single_gate.config import StudySpec
from repro.families.single_gate.controls import equal_inference
from repro.families.single_gate.export import Config
from repro.families.single_gate.model import Mixture
from repro.families.single_gate.onnx_form import OnnxMoE, Session, graph, graphs, in_int8, written
from repro.families.single_gate.predict import predict
from repro.models.cost import model_cost
from repro.models.inference import for_inference
from repro.models.registry import build_backbone
from repro.training.device import autocast, bf16_is_fast

SHARES = (0.1, 0.25, 0.5, 1.0)
FEW = (1, 16)


def as_exported(spec: StudySpec) -> tuple[dict[str, dict[str, Call]], Tensor]:
    """A mixture through `predict`, an expert for every image, and a plain network of its cost, each in each form; and
    256 images.
    """
    moe, source = untrained(spec, 256)  # with a gate as even as a trained one
    images, size, classes, bf16 = next(source.clean(256)).images, spec.image_size, spec.num_classes, bf16_is_fast(CPU)
    control = equal_inference(spec)
    assert control
    plain = build_backbone(spec.base, classes, control.width).eval()
    config = Config(
        base=spec.base, expert=spec.expert, width=spec.width, num_experts=spec.num_experts, image_size=size,
        classes=tuple(map(str, range(classes))), shorter_side=size, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0),
    )  # fmt: skip
    plainly = for_inference(plain, CPU, bf16)
    plain_graph = written(graph(for_inference(plain, CPU, bf16=False), images[:2], "logits"))
    mixtures: dict[str, Mixture] = {
        "eager": for_inference(moe, CPU, bf16),
        "ONNX Runtime": OnnxMoE(config, graphs(moe, images)),
        INT8: OnnxMoE(config, graphs(moe, images, "int8")),
    }
    one_expert: dict[str, Call] = {name: partial(_one_expert, mixture) for name, mixture in mixtures.items()}
    plain_forms: dict[str, Call] = {
        "eager": lambda x: plainly(x.contiguous(memory_format=torch.channels_last)),
        "ONNX Runtime": Session(plain_graph),
        INT8: Session(in_int8(plain_graph, images.split(64))),
    }
    return {"mixture": one_expert, "plain": plain_forms}, images


SERVED = [
    "threads", "images", "form", "mixture, ms", "plain, ms", "mixture / plain", "mixture, eager / form",
    "plain, eager / form",
]  # fmt: skip


def as_exported_rows(spec: StudySpec, repetitions: int, number_threads: int) -> list[list[Any]]:
    """A row of :data:`SERVED` for each size of a batch and form."""
    (networks, every_image), rows = as_exported(spec), []
    for n in (*FEW, 256):
        images = every_image[:n].contiguous()
        ways = {
            f"{of}, {form}": partial(_call, call, images)
            for of, every in networks.items()
            for form, call in every.items()
        }
        took = timed(ways, repetitions)
        for form in networks["plain"]:
            each, plain = took[f"mixture, {form}"], took[f"plain, {form}"]
            over = [took[f"{of}, eager"].over(took[f"{of}, {form}"]) for of in ("mixture", "plain")]
            ms = [1e3 * way.median / several(n) for way in (each, plain)]
            rows.append([number_threads, n, form, *ms, each.over(plain), *over])
    return rows


def several(n: int) -> int:
    """How often what takes n images is called in a repetition: one image alone would find cold caches."""
    return max(1, 64 // n)


def _call(call: Call, images: Tensor) -> None:
    with autocast(CPU):
        for _ in range(several(len(images))):
            call(images)


def _one_expert(moe: Mixture, images: Tensor) -> Tensor:
    return predict(moe, images, None, "top-1").scores


def loads_of(share: float, images: int, number: int) -> list[int]:
    """How many images each of the experts has when a share of all goes on, uneven, the same each time."""
    random = torch.Generator().manual_seed(0)
    shares_E = torch._sample_dirichlet(torch.full((number,), 2.0), random)
    chosen_n = torch.multinomial(shares_E, max(1, round(share * images)), replacement=True, generator=random)
    return torch.bincount(chosen_n, minlength=number).tolist()


@torch.no_grad()
def measure(
    by_name: dict[str, Form], images: Tensor, number: int, repetitions: int, shares: Sequence[float] = SHARES
) -> dict[float, dict[str, Measured]]:
    """Seconds of each form by the share that goes on, all at once; under ``number`` those of dense evaluation."""
    order_N = torch.randperm(len(images), generator=torch.Generator().manual_seed(1))
    with autocast(CPU):
        every = {name: partial(form.dense, images, number) for name, form in by_name.items()}
        took = {float(number): timed(every, repetitions)}
        for share in shares:
            loads = loads_of(share, len(images), number)
            exits = [partial(form.exits, order_n=order_N[: sum(loads)], loads_E=loads) for form in by_name.values()]
            ways = {name: partial(_call, call, images) for name, call in zip(by_name, exits, strict=True)}
            took[share] = timed(ways, repetitions)
    return took


@torch.no_grad()
def second_thread(form: Form, size: int, pixels: int, number: int, repetitions: int) -> list[list[Any]]:
    """What a second thread gives to each part of a batch: trunk and base head of all, all experts of a quarter."""
    images, loads = torch.randn(size, 3, pixels, pixels), loads_of(0.25, size, number)
    with autocast(CPU):
        features = form.trunk(images)
    parts: dict[str, tuple[Call, Tensor]] = {
        f"trunk, {size} images": (form.trunk, images),
        f"base head, {size} images": (form.head, features),
        f"{number} experts, {sum(loads)} images together": (lambda x: form.experts(x, loads), features[: sum(loads)]),
    }

    def with_threads(number_threads: int, part: Call, x: Tensor) -> None:
        with threads(number_threads), autocast(CPU):
            part(x)

    rows = []
    for name, (part, x) in parts.items():
        took = timed({str(n): partial(with_threads, n, part, x) for n in (1, 2)}, repetitions)
        rows.append([name, 1e3 * took["1"].median, 1e3 * took["2"].median, took["1"].over(took["2"])])
    return rows


FORM = ["form", "ms a batch", "spread", "eager / form"]


def fastest_other(ways: dict[str, Measured]) -> tuple[float, str]:
    """How much faster than eager, and which."""
    return max((ways["eager"].over(each), name) for name, each in ways.items() if name != "eager")


def benchmark(args: argparse.Namespace) -> Outcome:
    width, pixels, number, size, repetitions = (0.0625, 16, 3, 16, 1) if args.quick else (0.25, 32, 20, 256, 7)
    cost = model_cost("tr10", "tr10", 100, pixels, number, width)
    base = cost.base_macs + cost.gate_macs
    rows: list[list[Any]] = []
    small: list[list[Any]] = []
    served: list[list[Any]] = []
    goals: list[Goal] = []
    by_name: dict[str, Form] = {}

    def is_a_third_faster(ways: dict[str, Measured], what: str) -> None:
        over, name = fastest_other(ways)
        goals.append(Goal(text=f"eager / the fastest other form (here {name}), {what}", measured=over, bound=4 / 3))

    for number_threads in (1,) if args.quick else (1, 2):
        with threads(number_threads):
            by_name = dict(forms(width, pixels, number, number_threads))
            took = measure(by_name, torch.randn(size, 3, pixels, pixels), number, repetitions)
            few = {n: measure(by_name, torch.randn(n, 3, pixels, pixels), number, repetitions, [1.0])[1.0] for n in FEW}
        fastest = {
            int8: min((took[number][n] for n in by_name if int8 or n != INT8), key=lambda each: each.median)
            for int8 in (False, True)
        }
        realised = dict.fromkeys(by_name, 1.0)
        for share, ways in took.items():
            what = "dense" if share == number else f"{share:.0%}"
            promised = (base + number * cost.expert_macs) / (base + share * cost.expert_macs)
            for name, each in ways.items():
                kept = fastest[name == INT8].over(each) / promised
                realised[name] = min(realised[name], kept) if share <= 1 else realised[name]
                about = [name, 1e3 * each.median, each.spread, ways["eager"].over(each)]
                rows.append([number_threads, what, *about, promised, kept])
        for n, ways in few.items():
            is_a_third_faster(ways, f"images: {n}, threads: {number_threads}")
            small += [
                [number_threads, n, name, 1e3 * each.median / several(n), each.spread, ways["eager"].over(each)]
                for name, each in ways.items()
            ]
        most = max((took[share] for share in SHARES), key=fastest_other)
        is_a_third_faster(most, f"images: {size}, the most over the shares, threads: {number_threads}")
        text = "realised / promised against the fastest dense form, the least over the shares"
        goals += [
            Goal(text=f"{text}, {name}, threads: {number_threads}", measured=realised[name], bound=0.9)
            for name in ("eager", "compiled", INT8)
        ]
        with threads(number_threads), torch.no_grad():
            served += as_exported_rows(asked(args.quick), repetitions, number_threads)
    goals += [
        Goal(text=f"mixture as exported, eager / {form}, images: {n}, threads: {t}", measured=over, bound=4 / 3)
        for t, n, form, *_, over, _ in served
        if form == INT8 or (n == 1 and form != "eager")
    ]
    tables = {
        f"One batch of {size} images": table(
            ["threads", "images that go on", *FORM, "promised speed-up", "realised / promised"], rows
        ),
        "Few images": table(["threads", "images", *FORM], small),
        "As exported, beside a plain network": table(SERVED, served),
    }
    if not args.quick:
        halves = second_thread(by_name["eager"], size, pixels, number, repetitions)
        tables["What a second thread gives, eager"] = table(["part", "ms, 1 thread", "ms, 2 threads", "1 / 2"], halves)
    return Outcome(
        goals, tables, [f"{name} is not installed here: not measured." for name in RUNTIMES if name not in by_name]
    )


if __name__ == "__main__":
    command(__doc__, benchmark)
