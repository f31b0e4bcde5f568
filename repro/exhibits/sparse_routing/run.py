"""What is inspected, on which images, and what is measured."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from repro.analysis.chosen_experts import (
    experts_per_image,
    mutual_information,
    occurrence,
    patch_distribution,
    similarity,
    tokens_per_image,
)
from repro.analysis.outputs import accuracy, accuracy_among
from repro.data.augment import Augmentation
from repro.data.imagenet import OTHER_SETS, ImageFolderIndex, center_crop, index_other, read_image
from repro.data.stream import StreamBatches
from repro.exhibits.sparse_routing.shifts import KINDS, STRENGTHS, shifted_batches
from repro.families.sparse.config import SHAPES
from repro.families.sparse.cost import sparse_cost
from repro.families.sparse.scales import SparseSpec, sparse_spec
from repro.families.sparse.steps import chosen_experts, load_network, predict, steps
from repro.report.claim import Cell
from repro.report.pictures import expert_tiles
from repro.study import parameters as common
from repro.study.artifact import Artifact
from repro.study.contents import digest
from repro.study.graph import FORWARD, Context, Goal, Inputs, Step
from repro.study.lists import Ascending
from repro.study.picture import Picture
from repro.study.record import open_runner, record, seed_by_seed
from repro.study.results import Measurement, StudyResult, Table
from repro.study.runner import Runner
from repro.study.sources import Sources, shorter_side

NAME = "sparse_routing"
PICTURES, SIDE = 6, 64
SHIFT = "all shifts"


class Parameters(common.Parameters):
    """The common ones, which network, where its mixtures are, and how many experts they have."""

    network: str = Field("convnext-micro", description=f"one of {', '.join(SHAPES)}")
    placement: Literal["last-2", "last-3", "stage", "every-2"] = Field("last-2", description="where mixtures are")
    experts: Ascending = Field((8,), description="numbers of experts E, e.g. 8,16,32")
    top_k: int = Field(1, ge=1, description="k; experts get 4 / k hidden channels a channel")

    def networks(self) -> list[SparseSpec]:
        """The dense network of each seed and the sparse ones; as ``sparse_placement`` has them."""
        model = {"network": self.network, "top_k": self.top_k, "hidden_ratio": 4 / self.top_k}
        asked = [{"placement": "none", "num_experts": 8}]
        asked += [{"placement": self.placement, "num_experts": experts} for experts in self.experts]
        return [sparse_spec(self.scale, self.dataset, seed, **model, **more) for seed in self.seeds for more in asked]

    def part(self) -> str:
        """Another network, k or placement is recorded apart."""
        return self.apart(network=self.network, top_k=f"top-{self.top_k}", placement=self.placement)

    def goals(self) -> list[Goal]:
        """What is trained, and shown shifted images."""
        return [goal(spec) for spec in self.networks()]


def goal(spec: SparseSpec | str) -> Goal:
    """The predictions of a spec (or of its JSON), and its accuracy under every shift."""
    asked = spec if isinstance(spec, SparseSpec) else SparseSpec.model_validate_json(spec)
    label = f"{asked.label}, shifts"
    return Goal(label, (steps(asked).predictions, shifts(asked)), f"{__name__}:goal", asked.model_dump_json())


def shifts(spec: SparseSpec) -> Step:
    """Top-1 of a trained network under every shift, in percent: ``top1`` float64 ``[kinds, strengths]``."""
    macs = sparse_cost(spec.model).macs * spec.num_images[1] * len(KINDS) * len(STRENGTHS)
    return Step(
        "shifts", {**spec.evaluated_on(), "kinds": list(KINDS), "strengths": list(STRENGTHS), "revision": 1},
        partial(_make_shifts, spec), (steps(spec).network,), f"shifts of {spec.label}", FORWARD * macs,
    )  # fmt: skip


def _make_shifts(spec: SparseSpec, context: Context, inputs: Inputs) -> Artifact:
    network = load_network(spec, inputs["network"])

    def top1(kind: str, strength: int) -> float:
        predictions = predict(network, shifted_batches(context.sources, spec, kind, strength), context.device)
        return accuracy(predictions["logits"], predictions["labels"])

    each = [[top1(kind, strength) for strength in STRENGTHS] for kind in KINDS]
    return Artifact({"top1": torch.tensor(each, dtype=torch.float64)})


def elsewhere(spec: SparseSpec, root: Path) -> dict[str, Step]:
    """Top-1 in percent, ``[1]``, of a network of ImageNet on each other set of its classes that is below ``root``."""
    by_set, (network, _) = {}, steps(spec)
    for name in OTHER_SETS if spec.dataset == "imagenet" else ():
        if index := index_other(name, root):
            files = digest([[os.path.relpath(path, root), os.path.getsize(path)] for path in index.paths])
            by_set[name] = Step(
                "other-set", {"set": name, "files": files, "revision": 1}, partial(_make_elsewhere, spec, index),
                (network,), f"{name} of {spec.label}", FORWARD * sparse_cost(spec.model).macs * len(index),
            )  # fmt: skip
    return by_set


def _make_elsewhere(spec: SparseSpec, index: ImageFolderIndex, context: Context, inputs: Inputs) -> Artifact:
    source = StreamBatches(index, Augmentation(), context.device, spec.image_size, shorter_side(spec))
    predictions = predict(load_network(spec, inputs["network"]), source, context.device)
    top1 = accuracy_among(predictions["logits"], predictions["labels"])
    return Artifact({"top1": torch.tensor([top1], dtype=torch.float64)})


def cell(body: str, placement: str, what: str = "", metric: str = "top1", experts: int = 8) -> Cell:
    """Where the record holds a number: of a network, of its ``first`` ... ``last`` mixture, or under a shift."""
    dense = placement == "none"
    row = f"{body} {placement}" + (f", {what}" if what else "")
    return Cell(0 if dense else experts, "dense" if dense else "sparse", row, metric)


def mixture_names(count: int) -> list[str]:
    """``first``, ``mixture 2`` ..., ``last``."""
    return ["first", *(f"mixture {number}" for number in range(2, count)), "last"][:count]


def run(parameters: Parameters) -> StudyResult:
    """Train what is missing, inspect it, show it shifted images, and write the record to ``<root>/results``.

    The record is of as many seeds as time allows; its tables and pictures of single mixtures are of the first
    seed and the first number of experts.
    """
    runner = open_runner(parameters)

    def of_seed(seed: int) -> Iterator[Measurement]:
        for spec in (spec for spec in parameters.networks() if spec.seed == seed):
            runner.run(goal(spec).steps)
            shifted_KS = runner.load(shifts(spec)).tensors["top1"]
            others = {
                name: runner.load(step).tensors["top1"] for name, step in elsewhere(spec, parameters.root).items()
            }
            yield from measure(spec, runner.load(steps(spec).predictions).tensors, shifted_KS, others)

    return seed_by_seed(map(of_seed, parameters.seeds), partial(_write, parameters, runner))


def _write(parameters: Parameters, runner: Runner, measurements: list[Measurement]) -> StudyResult:
    first = next(spec for spec in parameters.networks() if spec.model.placement != "none")
    tensors = runner.load(steps(first).predictions).tensors
    chosen = chosen_experts(first, tensors)
    images = _first_images(runner.context.sources, first)
    maps = np.concatenate(expert_tiles(images, chosen, SIDE)).transpose(0, 3, 1, 2)
    return record(
        NAME, parameters, runner, first, {"seed": True, "model": {"num_experts"}},
        f"{parameters.network} at width {first.model.width:g}", f"{parameters.placement}, top {parameters.top_k}",
        measurements,
        tables=inspected(chosen, tensors["labels"], first.model.num_experts, first.model.num_classes),
        pictures={"maps": Picture.of(maps, columns=len(images))}, part=parameters.part(),
    )  # fmt: skip


def _first_images(sources: Sources, spec: SparseSpec) -> np.ndarray:
    """The first of the evaluation set, uint8 ``[PICTURES, 3, S, S]``."""
    about = sources.about(spec)
    if not isinstance(about, ImageFolderIndex):
        return about.images[:PICTURES]
    paths = about.paths[:PICTURES]
    return np.stack([center_crop(read_image(path), shorter_side(spec), spec.image_size) for path in paths])


def measure(
    spec: SparseSpec, tensors: dict[str, Tensor], shifted_KS: Tensor, others: Mapping[str, Tensor]
) -> Iterator[Measurement]:
    """Top-1: clean, shifted, of other sets; of each mixture: experts an image, their likeness, what classes explain."""
    model, labels = spec.model, tensors["labels"]
    named = partial(cell, model.shape.body, model.placement, experts=model.num_experts)
    yield named().measurement(spec.seed, accuracy(tensors["logits"], labels))
    for kind, row_S in zip(KINDS, shifted_KS.tolist(), strict=True):
        for strength, value in zip(STRENGTHS, row_S, strict=True):
            yield named(f"{kind} {strength}").measurement(spec.seed, value)
    yield named(SHIFT).measurement(spec.seed, float(shifted_KS.mean()))
    for name, top1_1 in others.items():
        yield named(name).measurement(spec.seed, float(top1_1))
    chosen = chosen_experts(spec, tensors)
    for name, experts_MTK in zip(mixture_names(len(chosen)), chosen, strict=True):
        involved = experts_per_image(tokens_per_image(experts_MTK, model.num_experts))
        first_ME = tokens_per_image(experts_MTK[..., :1], model.num_experts)
        pairs_EE = similarity(first_ME)[~torch.eye(model.num_experts, dtype=torch.bool)]
        yield named(name, "experts").measurement(spec.seed, involved)
        yield named(name, "share").measurement(spec.seed, 100 * involved / model.num_experts)
        yield named(name, "similarity").measurement(spec.seed, float(pairs_EE.nanmean()))
        explained = mutual_information(occurrence(first_ME, labels, model.num_classes))
        yield named(name, "information").measurement(spec.seed, explained)


def inspected(chosen: Sequence[Tensor], labels: Tensor, num_experts: int, num_classes: int) -> dict[str, Table]:
    """``occurrence`` of experts by class, ``similarity`` of pairs, ``patches``: CDF of an expert's tokens an image."""
    names, each = mixture_names(len(chosen)), [f"expert {e}" for e in range(num_experts)]
    counts = [tokens_per_image(experts_MTK[..., :1], num_experts) for experts_MTK in chosen]
    by_class = [occurrence(counts_ME, labels, num_classes).tolist() for counts_ME in counts]
    alike = [similarity(counts_ME).tolist() for counts_ME in counts]
    upto = [
        patch_distribution(counts_ME, experts_MTK.shape[1]).T.tolist()
        for counts_ME, experts_MTK in zip(counts, chosen, strict=True)
    ]

    def table(column: str, parts: Sequence[Sequence[Sequence[float]]], start: int = 0) -> Table:
        rows = [
            [name, index, *(None if value != value else round(value, 4) for value in row)]
            for name, part in zip(names, parts, strict=True) for index, row in enumerate(part, start)
        ]  # fmt: skip
        return Table(columns=["mixture", column, *each], rows=rows)

    return {
        "occurrence": table("class", by_class),
        "similarity": table("expert", alike),
        "patches": table("tokens", upto, start=1),
    }
