"""Appendix 3 shown: which expert has the least loss on the images of each class, how classes split, what is stable."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from repro.method.specialisation import SPLIT, in_order
from repro.report.claim import Cell, Claim
from repro.report.exhibits.exhibit import Exhibit
from repro.report.numbers import mean_std, where_run
from repro.report.plots import figure_style, new_figure
from repro.report.reading import verdicts
from repro.report.tables import Shown, about, frame, means
from repro.report.verdict import by_seed, summary_of
from repro.study.exhibits.appendix_specialisation import NAME, SpecialisationParameters, specialisation
from repro.study.results import StudyResult

EXPERTS = (5, 10, 20)
WHO = "least-loss"
COLUMNS = {
    "smallest share, %": ("smallest_share", 2),
    "largest share, %": ("largest_share", 1),
    "effective experts": ("effective_experts", 1),
    "main expert of some class": ("main_experts", 1),
    "most classes of one": ("most_classes", 1),
    "experts a class": ("experts_of_a_class", 1),
    "split classes, %": ("split_classes", 1),
}

USED = 0.1
"""An expert that is best on less than this part of an even load counts as idle. No share is below 0, so any other bar
must be named; this one was named when the first runs stood recorded, all of them far above it."""

CLAIMS = (
    *(
        Claim(
            f"S/idle/{k}",
            f"No expert is idle: the smallest share of images that one of {k} experts is best on, in percent, above "
            f"{USED:.0%} of an even load",
            Cell(k, WHO, metric="smallest_share"),
            bar=100 * USED / k,
            section="4.3",
            settled_after=True,
        )
        for k in EXPERTS
    ),
    *(
        Claim(
            f"S/subsets/{k}",
            f"Experts specialise: of {k}, the gate selects the best on more test images than chance would, in points",
            Cell(k, "gate", "evaluation", "agreement"),
            Cell(k, "chance", "evaluation", "agreement"),
            section="4.3",
        )
        for k in EXPERTS
    ),
    *(
        Claim(
            f"S/split/{k}",
            f"Many classes are split over several of {k} experts (we read: more than half of them), in points",
            Cell(k, WHO, metric="split_classes"),
            bar=50.0,
            section="4.3",
        )
        for k in EXPERTS
    ),
    *(
        Claim(
            f"S/consistent/{fewer}-{more}",
            f"The pattern of {fewer} experts is that of {more}: correlation over pairs of classes, over the best of 39 "
            "permutations",
            Cell(more, WHO, f"{fewer}-{more}", "likeness"),
            Cell(more, "chance", f"{fewer}-{more}", "likeness"),
            section="4.3",
            settled_after=True,
        )
        for fewer, more in pairwise(EXPERTS)
    ),
)


def tables(result: StudyResult) -> dict[str, Shown]:
    """``main``: shares and split classes; ``gate``: agreement with the gate; ``stability``: across K and seeds."""
    numbers = result.numbers_of_experts()
    labels = [f"{k} experts" for k in numbers]
    columns = {
        name: means(result, [Cell(k, WHO, metric=metric) for k in numbers], decimals)
        for name, (metric, decimals) in COLUMNS.items()
    }
    caption = (
        f"{about(result)}: the expert with the least cross-entropy on each training image (not augmented). Smallest "
        "and largest share of the images; effective experts: exp of the entropy of the shares; how many experts are "
        "the main one of some class, and of how many classes one at most; the effective number of experts of a class, "
        f"mean over classes; a class is split if two experts or more have {SPLIT:.0%} of its images each."
    )
    return {"main": Shown(frame(columns, labels), caption), "gate": _gate(result), "stability": _stability(result)}


def _gate(result: StudyResult) -> Shown:
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
    return Shown(frame(columns, [f"{k} experts" for k in numbers]), caption)


def _stability(result: StudyResult) -> Shown:
    found, labels = zip(*compared, strict=True) if (compared := _compared(result)) else ((), ())
    columns = {
        "correlation": means(result, found),
        "chance": means(result, [Cell(c.num_experts, "chance", c.row, "likeness") for c in found]),
        "each": [" · ".join(f"{value:.2f}" for value in by_seed(result, cell).values()) for cell in found],
    }
    caption = (
        f"{about(result, models=False)}: is the pattern the same? For every pair of classes, how probably an image of "
        "one and an image of the other have the same expert; correlation of that over all pairs (1: the same pattern, "
        "0: unrelated). Between numbers of experts on the same base model, and between seeds, each with a base model "
        "of its own (each seed is in two of the pairs). Chance is the largest of 39 random permutations of the classes."
    )
    return Shown(frame(columns, labels), caption)


def _compared(result: StudyResult) -> list[tuple[Cell, str]]:
    """What was compared with what, and in words."""
    measured = [(m.num_experts, m.row) for m in result.measurements if (m.method, m.metric) == (WHO, "likeness")]
    return [
        (
            Cell(k, WHO, row, "likeness"),
            f"{k} experts, seed to seed" if row == "seeds" else f"{row.replace('-', ' and ')} experts",
        )
        for k, row in dict.fromkeys(measured)
    ]


def read(result: StudyResult) -> str:
    """The numbers in sentences."""
    sentences = []
    for k in result.numbers_of_experts():

        def number(metric: str, decimals: int = 1, who: str = WHO, row: str = "", k: int = k) -> str:
            return mean_std(summary_of(result, Cell(k, who, row, metric)), decimals)

        sentences.append(
            f"Of {k} experts the one that is best on fewest training images has {number('smallest_share', 2)} % of "
            f"them, the one that is best on most {number('largest_share')} %. {number('split_classes')} % of the "
            f"classes are split, and a class has {number('experts_of_a_class')} experts, as if evenly shared. The gate "
            f"selects the best expert of {number('agreement', who='gate', row='training')} % of the training images "
            f"and of {number('agreement', who='gate', row='evaluation')} % of the {result.evaluate} images (by chance "
            f"{number('agreement', who='chance', row='evaluation')} %)."
        )
    for cell, label in _compared(result):
        by_chance = Cell(cell.num_experts, "chance", cell.row, cell.metric)
        sentences.append(
            f"The pattern of {label}: correlation {mean_std(summary_of(result, cell))} (chance: "
            f"{mean_std(summary_of(result, by_chance))})."
        )
    return " ".join([*sentences, verdicts(result, EXHIBIT.judge(result))])


def figures(results: Sequence[StudyResult]) -> dict[str, Figure]:
    """Heat maps, classes down and experts across: one row of panels a result, one panel a number of experts.

    A cell is the share of a class's training images on which the expert has the least loss. Each panel has its own
    order (see :func:`~repro.method.specialisation.in_order`); one seed, the first.
    """
    most = max((len(_panels(result)) for result in results), default=1) or 1
    with figure_style():
        figure = new_figure(8.4, 4.2 * len(results) + 0.2)
        grid = figure.subplots(len(results), most, squeeze=False, width_ratios=_widths(results, most))
        for panels, result in zip(grid, results, strict=True):
            image = None
            for axes, k in zip(panels, _panels(result), strict=False):
                image = _heat_map(axes, result, k)
            for axes in panels[len(_panels(result)) :]:
                axes.set_axis_off()
            where = where_run(result)
            panels[0].set_title(f"{where}\n{panels[0].get_title(loc='left')}")
            panels[0].set_ylabel("classes, by their main expert")
            if image is not None:
                figure.colorbar(image, ax=list(panels), label="share of the class's images, %", shrink=0.8, pad=0.01)
    return {"main": figure}


def _panels(result: StudyResult) -> list[int]:
    return sorted(int(name.removeprefix("classes-")) for name in result.tables if name.startswith("classes-"))


def _widths(results: Sequence[StudyResult], most: int) -> list[float]:
    numbers = [_panels(result) for result in results]
    return [max([8.0, *(float(of[i]) for of in numbers if len(of) > i)]) for i in range(most)]


def _heat_map(axes: Axes, result: StudyResult, k: int) -> AxesImage:
    counts = torch.tensor([row[1:] for row in result.tables[f"classes-{k}"].rows])
    classes, experts = in_order(counts)
    shares = 100 * counts.double() / counts.sum(1, keepdim=True)
    image = axes.imshow(
        shares[classes][:, experts].numpy(), aspect="auto", interpolation="nearest", cmap="Blues", vmin=0, vmax=100
    )
    axes.set_title(f"{k} experts")
    axes.set_xlabel("experts")
    axes.set_xticks([])
    axes.set_yticks([0, len(counts) - 1], ["1", str(len(counts))])
    axes.grid(False)
    return image


EXHIBIT = Exhibit(
    NAME, "Appendix 3: what experts specialise in", SpecialisationParameters, specialisation, tables, read, CLAIMS,
    figures=figures,
)  # fmt: skip
