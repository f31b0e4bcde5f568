"""A mixture answers within 1.25 times what a plain network of equal multiply-adds takes, for one image and for 256.

The three families as a service would run them, at the shapes of the laptop scale on CIFAR-100, untrained and on noise:
what they answer does not matter here. *Single gate*: tr10-tr10 at width 0.25 with 20 experts; every image goes to one
expert, or only the half does of which the base is least sure. *DeepMoE*: made-up gates of 20 kinds, with a share of
active channels at which the honest cost is the single gate's; one image by gathering its own network, many by 20
prototype masks, with the embedding network. *Sparse*: a ConvNeXt of that cost with Last 2 of 8 experts. The same 256
images come one at a time or all at once, on one and on two threads, and on a GPU where there is one. The plain network
is of the mixture's body and multiply-adds; where none is within 2 %, straight between the next narrower and wider over
the logarithms. All run as in the study of three families, under autocast and with BatchNorm folded in; interleaved,
seven repetitions, medians, ratios within a repetition.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.fx.experimental.optimization import fuse

from benchmarks.anytime_wallclock import threshold, untrained
from benchmarks.deepmoe_prototypes import KINDS, made_up_gates
from benchmarks.timing import Goal, Measured, Outcome, command, table, threads, timed
from repro.exhibits.deepmoe_costs.counted import share_for
from repro.exhibits.three_families.bodies import CONVNEXT, TR, Asked, Body, convnext_cost, convnext_spec
from repro.exhibits.three_families.families import MANY, asked_deepmoe
from repro.exhibits.three_families.rivals import between
from repro.families.deepmoe.cost import deepmoe_cost
from repro.families.deepmoe.model import build as build_deepmoe
from repro.families.deepmoe.speed import Folded, Prototypes
from repro.families.single_gate.predict import predict
from repro.families.single_gate.scales import default_spec
from repro.families.sparse.model import build as build_sparse
from repro.models.inference import for_inference
from repro.models.registry import build_backbone
from repro.randomness import seeded_init
from repro.training.device import autocast, bf16_is_fast

BOUND = 1.25
GOES_ON = 0.5
"""The share of images that go on to an expert where the others exit."""
Answer = Callable[[slice], Tensor]
"""Logits of some of the images, ``[n, C]``."""


class Served(NamedTuple):
    """A network in use; ``macs`` of an image that comes alone and of one among many, means over the images."""

    body: Body
    answer: Answer
    macs: tuple[float, float]


def single_gate(asked: Asked, images: Tensor, goes_on: float) -> Served:
    """One expert for each of the images of which the base is least sure, a share of all."""
    spec, device = asked.spec, images.device
    moe = for_inference(untrained(spec, len(images))[0], device, bf16_is_fast(device))
    tau = threshold(moe, images, goes_on)

    def answer(part: slice) -> Tensor:
        return predict(moe, images[part], tau, "top-1").scores

    macs = float(spec.cost.anytime_macs(predict(moe, images, tau, "top-1").experts_used).double().mean())
    return Served(TR, answer, (macs, macs))


def deepmoe(asked: Asked, images: Tensor) -> Served:
    """One image by its own network, more by the prototypes that they are nearest to."""
    config, device = asked_deepmoe(TR, asked, asked.spec.cost.macs, 0.0).model, images.device
    cost = deepmoe_cost(config)
    share = share_for(cost, asked.spec.cost.macs)
    assert share
    with seeded_init(0, "benchmark"):
        model = build_deepmoe(config).eval().to(device).to(memory_format=torch.channels_last)
    model.gating.features = nn.Sequential(fuse(model.gating.features))
    gates_NG = made_up_gates(cost.sizes, share, len(images)).to(device)
    folded = Folded(model.network)
    prototypes = Prototypes(folded, gates_NG, min(KINDS, len(images)))

    def answer(part: slice) -> Tensor:
        some, gates = images[part], gates_NG[part]
        model.gating(some)  # what it costs to make gates; those that count are made up
        return folded.gather(gates[0])(some) if len(some) == 1 else prototypes(some, gates)

    ran = prototypes.gates[prototypes.nearest(gates_NG)]
    return Served(TR, answer, (float(cost.macs(gates_NG.cpu()).mean()), float(cost.macs(ran.cpu()).mean())))


def sparse(asked: Asked, images: Tensor) -> Served:
    """A ConvNeXt with Last 2 at the width whose multiply-adds are nearest to the single gate's."""

    def macs(width: float) -> int:
        return convnext_cost(asked, width, "last-2")[0]

    width = CONVNEXT.budgeted(asked, asked.spec.cost.macs, macs)
    return Served(CONVNEXT, convnext(asked, width, "last-2", images), (macs(width), macs(width)))


def convnext(asked: Asked, width: float, placement: str, images: Tensor) -> Answer:
    with seeded_init(0, "benchmark"):
        network = build_sparse(convnext_spec(asked, asked.trained(), placement=placement, width=width).model)
    network = for_inference(network, images.device, bf16_is_fast(images.device))
    return lambda part: network(images[part]).logits


def plain(asked: Asked, body: Body, width: float, images: Tensor) -> Answer:
    """The plain network of a body."""
    if body is CONVNEXT:
        return convnext(asked, width, "none", images)
    backbone = build_backbone(asked.spec.base, asked.spec.num_classes, width)
    backbone = for_inference(backbone, images.device, bf16_is_fast(images.device))
    return lambda part: backbone(images[part])


def every(asked: Asked, images: Tensor) -> dict[str, Served]:
    """All that is timed, by name."""
    return {
        "single gate, one expert an image": single_gate(asked, images, 1.0),
        f"single gate, {100 * GOES_ON:.0f} % go on": single_gate(asked, images, GOES_ON),
        "DeepMoE": deepmoe(asked, images),
        "sparse, Last 2 of 8": sparse(asked, images),
    }


@torch.inference_mode()
def in_parts(answer: Answer, images: int, together: int, device: torch.device) -> None:
    with autocast(device):
        for first in range(0, images, together):
            answer(slice(first, first + together))


def measure(asked: Asked, images: Tensor, where: str, repetitions: int) -> list[list]:
    """Rows: where, images at once, network, its multiply-adds, ms an image, spread, ms of the plain network, times."""
    rows, number, device = [], len(images), images.device
    served = every(asked, images)
    for case, together in enumerate((1, number)):
        near = {name: [(one.body, width) for width in one.body.around(asked, one.macs[case])]
                for name, one in served.items()}  # fmt: skip
        answers = {name: one.answer for name, one in served.items()}
        bodies = {f"{body.name} {width}": (body, width) for each in near.values() for body, width in each}
        answers |= {name: plain(asked, *of, images) for name, of in bodies.items()}
        ways = {name: partial(in_parts, answer, number, together, device) for name, answer in answers.items()}
        measured, ms = timed(ways, repetitions), 1e3 / number
        for name, one in served.items():
            took, macs = measured[name], [body.cost(asked, width)[0] for body, width in near[name]]
            times = zip(*(measured[f"{body.name} {width}"].values for body, width in near[name]), strict=True)
            held = Measured(tuple(between(one.macs[case], macs, each) or each[0] for each in times))
            numbers = [one.macs[case] / 1e6, ms * took.median, took.spread, ms * held.median, took.over(held)]
            rows.append([where, together, name, *numbers])
    return rows


def benchmark(args: argparse.Namespace) -> Outcome:
    spec = default_spec("smoke", "modes") if args.quick else default_spec("laptop", "cifar100")
    asked = Asked("smoke" if args.quick else "laptop", spec.with_(num_experts=3 if args.quick else 20))
    number, repetitions = (8, 1) if args.quick else (MANY, 7)
    images = next(untrained(asked.spec, number)[1].clean(number)).images.to(memory_format=torch.channels_last)
    rows = []
    for cores in (1, 2):
        with threads(cores):
            rows += measure(asked, images, f"{cores} thread{'s' * (cores > 1)}", repetitions)
    notes = []
    if torch.cuda.is_available():
        rows += measure(asked, images.to("cuda", memory_format=torch.channels_last), "GPU", repetitions)
        notes.append(f"The GPU is one {torch.cuda.get_device_name()}.")
    columns = ["where", "images at once", "network", "MMACs an image", "ms an image", "spread"]
    columns += ["ms, plain network", "times the plain network's"]
    cases = dict.fromkeys((row[2], row[1]) for row in rows)
    goals = [
        Goal(text=f"time over the plain network's, the most over where it ran, {name}, {together} at once",
             measured=max(row[-1] for row in rows if (row[2], row[1]) == (name, together)), bound=BOUND, at_most=True)
        for name, together in cases
    ]  # fmt: skip
    return Outcome(goals, {"Mixtures as a service, beside plain networks of equal MACs": table(columns, rows)}, notes)


if __name__ == "__main__":
    command(__doc__, benchmark)
