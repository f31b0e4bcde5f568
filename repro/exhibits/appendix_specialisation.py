"""Appendix 3, do experts specialise? Which expert has the least loss on each training image, by class, for several
numbers of experts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from pydantic import Field, field_validator
from torch import Tensor
from torch.nn.functional import one_hot

from repro.analysis.outputs import percent
from repro.analysis.specialisation import (
    chance,
    chance_of_agreement,
    class_counts,
    effective_number,
    expert_losses,
    in_order,
    likeness,
    together,
)
from repro.data.augment import Augmentation
from repro.families.single_gate.config import StudySpec
from repro.families.single_gate.study import SingleGateParameters, measured, measures, open_study, record
from repro.report.claim import Cell, Claim
from repro.report.exhibit import Exhibit
from repro.report.numbers import where_run
from repro.report.plots import new_figure
from repro.report.tables import Captioned, about, frame, means, metric_columns
from repro.report.verdict import by_seed
from repro.study.lists import Ascending, in_a_ring
from repro.study.record import cost_row
from repro.study.results import Measurement, StudyResult, Table

NAME = "appendix_specialisation"
WHO = "least-loss"


class Parameters(SingleGateParameters):
    """The common ones, and the numbers of experts."""

    experts: Ascending = Field((5, 10, 20), description="numbers of experts K, e.g. 5,10,20")

    @field_validator("experts", mode="after")
    @classmethod
    def _experts(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if value[0] < 2:
            raise ValueError("should be two or more: one expert has nothing to specialise in")
        return value

    def specs(self) -> list[StudySpec]:
        return [spec.with_(num_experts=k, stacking=False) for spec in super().specs() for k in self.experts]


def run(parameters: Parameters) -> StudyResult:
    """Run it and write its record."""
    study = open_study(parameters)
    counts: dict[tuple[int, int], Tensor] = {}
    measurements: list[Measurement] = []
    for spec in study.specs:
        outputs = study.run(spec)
        losses = study.losses(spec)
        labels = study.sources.batches(spec, "train", Augmentation()).labels.cpu()
        experts = losses.experts.argmin(1)
        of_class = class_counts(one_hot(experts, spec.num_experts), labels, spec.num_classes).long()
        counts[spec.seed, spec.num_experts] = of_class
        measurements += _split(spec, of_class)
        measurements += _as_the_gate(spec, experts, losses.gate_probs.argmax(1), "training")
        held_out = expert_losses(outputs).argmin(1)
        measurements += _as_the_gate(spec, held_out, outputs.top_experts(1)[:, 0], "evaluation")
    measurements += _likenesses(parameters, counts)
    tables = {f"classes-{k}": _table(counts[parameters.seeds[0], k]) for k in parameters.experts}
    costs = [cost_row(spec.cost) for spec in study.specs]
    return record(NAME, parameters, study, measurements, costs, tables)


def _split(spec: StudySpec, counts: Tensor) -> Iterator[Measurement]:
    """How the images are shared among experts, and how the classes are split."""
    shares, main = 100 * counts.sum(0).double() / counts.sum(), counts.argmax(1)
    values = {
        "smallest_share": float(shares.min()),
        "largest_share": float(shares.max()),
        "effective_experts": float(effective_number(counts.sum(0))),
        "experts_of_a_class": float(effective_number(counts).mean()),
        "main_experts": len(main.unique()),
        "most_classes": int(torch.bincount(main).max()),
    }
    yield from measures(spec, WHO, values)


def _as_the_gate(spec: StudySpec, experts: Tensor, gate: Tensor, part: str) -> Iterator[Measurement]:
    same = percent(experts == gate)
    yield measured(spec, "gate", same, "agreement", part)
    yield measured(spec, "chance", 100 * chance_of_agreement(experts, gate, spec.num_experts), "agreement", part)


def _likenesses(parameters: Parameters, counts: dict[tuple[int, int], Tensor]) -> Iterator[Measurement]:
    """How alike the patterns of classes are (see :func:`likeness`): across K, and from seed to seed."""
    seeds, experts = parameters.seeds, parameters.experts
    pairs = [(f"{fewer}-{more}", (seed, more), (seed, fewer)) for seed in seeds for fewer, more in pairwise(experts)]
    pairs += [("seeds", (seed, k), (other, k)) for seed, other in in_a_ring(seeds) for k in experts]
    for row, one, two in pairs:
        first, second = together(counts[one]), together(counts[two])
        level = chance(partial(_likeness_in_order, first, second), torch.arange(len(first)), one[0])
        yield Cell(one[1], WHO, row, "likeness").measurement(one[0], likeness(first, second))
        yield Cell(one[1], "chance", row, "likeness").measurement(one[0], level)


def _likeness_in_order(first: Tensor, second: Tensor, order: Tensor) -> float:
    return likeness(first[order][:, order], second)


def _table(counts: Tensor) -> Table:
    """Images of each class by the expert that has the least loss, of the first seed."""
    columns = ["class", *(f"expert {k + 1}" for k in range(counts.shape[1]))]
    return Table(columns=columns, rows=[[c, *row] for c, row in enumerate(counts.tolist())])


EXPERTS = (5, 10, 20)
COLUMNS = {
    "smallest share, %": ("smallest_share", 2),
    "largest share, %": ("largest_share", 1),
    "effective experts": ("effective_experts", 1),
    "main expert of some class": ("main_experts", 1),
    "most classes of one": ("most_classes", 1),
    "experts a class": ("experts_of_a_class", 1),
}

USED = 0.1
"""An expert that is best on less than this part of an even load counts as idle. No share is below 0, so any other bar
must be named; this one was named when the first runs stood recorded, all of them far above it."""

CLAIMS = (
    *(
        Claim(f"S/idle/{k}", f"No expert is idle: the smallest share of images that one of {k} experts is best on, in "
              f"percent, above {USED:.0%} of an even load", Cell(k, WHO, metric="smallest_share"), bar=100 * USED / k,
              section="4.3", settled_after=True)
        for k in EXPERTS
    ),
    *(
        Claim(f"S/subsets/{k}", f"Experts specialise: of {k}, the gate selects the best on more test images than "
              "chance would, in points", Cell(k, "gate", "evaluation", "agreement"),
              Cell(k, "chance", "evaluation", "agreement"), section="4.3")
        for k in EXPERTS
    ),
    *(
        Claim(f"S/split/{k}", f"Classes are split over several of {k} experts (we read: a class has the effective "
              "number of two or more, mean over classes)", Cell(k, WHO, metric="experts_of_a_class"), bar=2.0,
              section="4.3", settled_after=True)
        for k in EXPERTS
    ),
    *(
        Claim(f"S/consistent/{fewer}-{more}", f"The patterns of {fewer} and {more} experts are related: correlation "
              "over pairs of classes, over the best of 39 permutations",
              Cell(more, WHO, f"{fewer}-{more}", "likeness"), Cell(more, "chance", f"{fewer}-{more}", "likeness"),
              section="4.3", settled_after=True)
        for fewer, more in pairwise(EXPERTS)
    ),
)  # fmt: skip


def tables(result: StudyResult) -> dict[str, Captioned]:
    """``main``: shares, how classes are split; ``gate``: agreement with the gate; ``stability``: across K and seeds."""
    numbers = result.numbers_of_experts()
    labels = [f"{k} experts" for k in numbers]
    columns = metric_columns(result, [Cell(k, WHO) for k in numbers], COLUMNS)
    caption = (
        f"{about(result)}: the expert with the least cross-entropy on each training image (not augmented). Smallest "
        "and largest share of the images; effective experts: exp of the entropy of the shares; how many experts are "
        "the main one of some class, and of how many classes one at most; the effective number of experts of a class, "
        "mean over classes: 1 where one expert has all of its images."
    )
    return {"main": Captioned(frame(columns, labels), caption), "gate": _gate(result), "stability": _stability(result)}


def _gate(result: StudyResult) -> Captioned:
    numbers = result.numbers_of_experts()
    columns = {
        f"{part} images{', by chance' if who == 'chance' else ''}": means(
            result, [Cell(k, who, row, "agreement") for k in numbers], 1
        )
        for row, part in (("training", "training"), ("evaluation", result.evaluate))
        for who in ("gate", "chance")
    }
    caption = (
        f"{about(result, models=False)}: on how many images, in percent, the expert that the gate selects is the one "
        "with the least loss. On training images experts were fitted to their own; the other images are new to all. By "
        "chance: if the two choices were unrelated but as frequent."
    )
    return Captioned(frame(columns, [f"{k} experts" for k in numbers]), caption)


def _stability(result: StudyResult) -> Captioned:
    cells = dict.fromkeys(Cell.of(m) for m in result.measurements if (m.method, m.metric) == (WHO, "likeness"))
    labels = [
        f"{c.num_experts} experts, seed to seed" if c.row == "seeds" else f"{c.row.replace('-', ' and ')} experts"
        for c in cells
    ]
    columns = {
        "correlation": means(result, list(cells)),
        "chance": means(result, [replace(cell, method="chance") for cell in cells]),
        "each": [" · ".join(f"{value:.2f}" for value in by_seed(result, cell).values()) for cell in cells],
    }
    caption = (
        f"{about(result, models=False)}: is the pattern the same? For every pair of classes, how probably an image of "
        "one and an image of the other have the same expert; correlation of that over all pairs (1: the same pattern, "
        "0: unrelated). Between numbers of experts on the same base model, and between seeds, each with a base model "
        "of its own (each seed is in two of the pairs). Chance is the largest of 39 random permutations of the classes."
    )
    return Captioned(frame(columns, labels), caption)


def figures(results: Sequence[StudyResult]) -> dict[str, Figure]:
    """Heat maps, classes down and experts across: one row of panels a result, one panel a number of experts.

    A cell is the share of a class's training images on which the expert has the least loss. Each panel has its own
    order (see :func:`~repro.analysis.specialisation.in_order`); one seed, the first.
    """
    most = max((result.numbers_of_experts() for result in results), key=len)
    figure = new_figure(8.4, 4.2 * len(results) + 0.2)
    grid = figure.subplots(len(results), len(most), squeeze=False, width_ratios=[max(8, k) for k in most])
    for panels, result in zip(grid, results, strict=True):
        numbers = result.numbers_of_experts()
        images = [_heat_map(axes, result, k) for axes, k in zip(panels, numbers, strict=False)]
        for axes in panels[len(numbers) :]:
            axes.set_axis_off()
        panels[0].set_title(f"{where_run(result)}\n{numbers[0]} experts")
        panels[0].set_ylabel("classes, by their main expert")
        figure.colorbar(images[-1], ax=list(panels), label="share of the class's images, %", shrink=0.8, pad=0.01)
    return {"main": figure}


def _heat_map(axes: Axes, result: StudyResult, k: int) -> AxesImage:
    counts = torch.tensor([row[1:] for row in result.tables[f"classes-{k}"].rows])
    classes, experts = in_order(counts)
    shares = 100 * counts.double() / counts.sum(1, keepdim=True)
    image = axes.imshow(
        shares[classes][:, experts].numpy(), aspect="auto", interpolation="nearest", cmap="Blues", vmin=0, vmax=100
    )
    axes.set(title=f"{k} experts", xlabel="experts", xticks=[])
    axes.set_yticks([0, len(counts) - 1], ["1", str(len(counts))])
    axes.grid(False)
    return image


EXHIBIT = Exhibit(
    NAME, "Appendix 3: what experts specialise in", Parameters, run, tables, CLAIMS, figures=figures, place=10
)
