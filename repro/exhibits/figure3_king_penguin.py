"""Figure 3, "per-sample routing uncovers meaningful intra-class modes": how a class splits, and who shares its experts.

Splits are those of the training images by the initial gate g0, which the experts are trained on.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from matplotlib.figure import Figure, SubFigure
from pydantic import Field

from repro.analysis.specialisation import (
    agreement_within_class,
    agreement_within_classes,
    confused_classes_share_the_expert,
    effective_number,
    pixels_explained,
    shares_of_classes,
)
from repro.data.dataset import ImageDataset
from repro.families.single_gate.class_pictures import (
    COMPANIONS,
    OWN_TILES,
    TILES_EACH,
    counts_of,
    counts_of_classes,
    experts_of_class,
    pictures_of,
    ranking,
    short,
)
from repro.families.single_gate.config import StudySpec
from repro.families.single_gate.study import SingleGateParameters, measured, open_study, record
from repro.report.claim import Cell, Claim
from repro.report.exhibit import Exhibit
from repro.report.interactive import class_of
from repro.report.numbers import where_run
from repro.report.pictures import close_together, show_tile
from repro.report.plots import PALETTE, new_figure
from repro.report.tables import Captioned, Columns, about, frame, means
from repro.report.verdict import by_seed
from repro.study.lists import Ascending, in_a_ring
from repro.study.results import Measurement, StudyResult

NAME = "figure3_king_penguin"
KING_PENGUIN = "n02056570"


class Parameters(SingleGateParameters):
    """The common ones, and how many experts."""

    experts: Ascending = Field((10, 20), description="numbers of experts K, e.g. 10,20; the largest is pictured")

    def specs(self) -> list[StudySpec]:
        return [spec.with_(num_experts=k) for spec in super().specs() for k in self.experts]


def run(parameters: Parameters) -> StudyResult:
    """See how classes split, and write the record.

    The pictures are of the first seed and the largest number of experts.
    """
    study = open_study(parameters)
    specs = study.specs
    images = study.sources.images(specs[0], "train")  # first of all: not every set fits in memory
    measurements: list[Measurement] = []
    gates: dict[tuple[int, int], torch.Tensor] = {}
    for spec in specs:
        outputs = study.run(spec)
        gates[spec.num_experts, spec.seed] = study.assignment(spec)
        shares = shares_of_classes(counts_of(images, gates[spec.num_experts, spec.seed]))
        if mistakes := confused_classes_share_the_expert(outputs, shares):
            own, chance = mistakes
            measurements += [measured(spec, "expert", own, "confused"), measured(spec, "chance", chance, "confused")]
    pictured = gates[parameters.experts[-1], parameters.seeds[0]]
    label = pictured_class(images, pictured)
    following = dict(in_a_ring(parameters.seeds))
    for spec in specs:
        g0 = gates[spec.num_experts, spec.seed]
        measurements += measure(spec, images, label, g0)
        if spec.seed in following:
            group = gates[spec.num_experts, following[spec.seed]].argmax(1).numpy()
            measurements += agreeing(spec, "agreement", g0.argmax(1).numpy(), group, images, label)
    tiles, picture = pictures_of(images, counts_of(images, pictured), pictured, label, parameters.seeds[0])
    tables = {
        "ranking": ranking(images, gates),
        "experts": experts_of_class(images, label, gates),
        "counts": counts_of_classes(images, pictured),
        "tiles": tiles,
    }
    return record(NAME, parameters, study, measurements, tables=tables, pictures={"tiles": picture})


def pictured_class(images: ImageDataset, g0: torch.Tensor) -> int:
    """The label of the king penguin, where the set has it; else of the class that is split most."""
    penguins = [label for label, name in enumerate(images.class_names) if name.startswith(KING_PENGUIN)]
    return penguins[0] if penguins else int(effective_number(counts_of(images, g0)).argmax())


def measure(spec: StudySpec, images: ImageDataset, label: int, g0: torch.Tensor) -> Iterator[Measurement]:
    """Of the pictured class (method ``class``) and of the mean class (``classes``): how split, and how real that is."""
    experts = effective_number(counts_of(images, g0))
    yield measured(spec, "class", float(experts[label]), "effective")
    yield measured(spec, "classes", float(experts.mean()), "effective")
    group = g0.argmax(1).numpy()
    between, chance = pixels_explained(images, group)
    if split := [c for c, value in between.items() if value is not None]:
        yield measured(spec, "classes", math.fsum(between[c] or 0.0 for c in split) / len(split), "pixels")
        yield measured(spec, "classes by chance", math.fsum(chance[c] for c in split) / len(split), "pixels")
    if (own := between[label]) is not None:
        yield measured(spec, "class", own, "pixels")
        yield measured(spec, "class by chance", chance[label], "pixels")
    if images.modes is not None:
        yield from agreeing(spec, "modes", group, images.modes, images, label)


def agreeing(
    spec: StudySpec, metric: str, one: np.ndarray, other: np.ndarray, images: ImageDataset, label: int
) -> Iterator[Measurement]:
    """Whether two groupings of the images, such as by experts and by modes, split the class, and classes, alike."""
    for method, value in (
        ("class", agreement_within_class(one, other, images.labels, label)),
        ("classes", agreement_within_classes(one, other, images.labels)),
    ):
        if value is not None:
            yield measured(spec, method, value, metric)


PAPER_EXPERTS = 20
SECTION = "4, Figure 3"
RANKS_SHOWN = 10


def _cell(metric: str, method: str, num_experts: int = PAPER_EXPERTS) -> Cell:
    return Cell(num_experts, method, metric=metric)


CLAIMS = (
    Claim(
        "K1",
        "Images of a class that share an expert look alike (% of pixel variance that the split explains, above chance)",
        _cell("pixels", "classes"), _cell("pixels", "classes by chance"), section=SECTION,
    ),
    Claim(
        "K2",
        "The split is in the images, not an accident of one network: another base splits classes alike (AMI, %)",
        _cell("agreement", "classes"), section=SECTION,
    ),
    Claim(
        "K3",
        "The groups found are the true modes (AMI of expert and mode within a class, %)",
        _cell("modes", "classes"), datasets=("modes",), section=SECTION,
    ),
    Claim(
        "K4",
        "An image shares its expert with the classes that it is confused with (% of such a class, above chance)",
        _cell("confused", "expert"), _cell("confused", "chance"), section=SECTION,
    ),
)  # fmt: skip
"""What Section 4 says of one class in pictures, as numbers over all classes (AMI: adjusted mutual information)."""

MEASURED = (
    ("effective", "class", "experts that {name} effectively splits over"),
    ("effective", "classes", "experts that the mean class effectively splits over"),
    ("pixels", "class", "{name}: pixel variance between its experts, %"),
    ("pixels", "class by chance", "{name}: the same, images dealt at random, %"),
    ("pixels", "classes", "mean class: pixel variance between its experts, %"),
    ("pixels", "classes by chance", "mean class: the same, images dealt at random, %"),
    ("agreement", "class", "{name}: agreement of two seeds' splits (AMI, %)"),
    ("agreement", "classes", "mean class: agreement of two seeds' splits (AMI, %)"),
    ("modes", "class", "{name}: agreement with the true modes (AMI, %)"),
    ("modes", "classes", "mean class: agreement with the true modes (AMI, %)"),
    ("confused", "expert", "classes taken for the image's: their share in its expert, %"),
    ("confused", "chance", "the same, for a random image of its class, %"),
)
"""Metric, method and label of the rows of the main table."""

HALVES = {
    "oranges or bell peppers": {"orange", "bell pepper"},
    "other animals": {"lion", "bison", "ox", "gazelle", "brown bear", "golden retriever", "African elephant"},
}
"""With whom Figure 3's king penguins share an expert: the close-ups, and the whole birds seen from afar."""


def advice(result: StudyResult) -> str:
    """How much of the paper's example comes out, in words; empty for any other class."""
    if class_of(result) != "king penguin":
        return ""
    table = result.tables["experts"].where(experts=result.most_experts())
    seeds_with = {}
    for half, names in HALVES.items():
        shared = zip(table.column("seed"), table.column("shared with"), strict=True)
        seeds_with[half] = {
            seed for seed, text in shared if names & {one.partition(" (")[0] for one in text.split(", ")}
        }
    whole = [half for half, seeds in seeds_with.items() if len(seeds) == len(result.seeds)]
    seen = ("neither half", "one half", "both halves")[len(whole)]
    counts = ", with ".join(
        f"{half} in {len(seeds)} of {len(result.seeds)} seeds" for half, seeds in seeds_with.items()
    )
    return (
        f"King penguins share an expert with {counts}; seen here: **{seen}** (by the classes with most images in each "
        "of the class's experts; a half counts if every seed has it; a rule settled with the pictures in sight)."
    )


def tables(result: StudyResult) -> dict[str, Captioned]:
    """``main``: how split, and how real; ``experts``: the class's experts; ``ranking``: all classes by how split."""
    return {"main": _main(result), "experts": _experts(result), "ranking": _ranking(result)}


def _main(result: StudyResult) -> Captioned:
    numbers = result.numbers_of_experts()
    rows = [row for row in MEASURED if any(by_seed(result, _cell(row[0], row[1], k)) for k in numbers)]
    columns: Columns = {
        f"K = {k}": means(result, [_cell(metric, method, k) for metric, method, _ in rows]) for k in numbers
    }
    caption = (
        f"{about(result)}, mean ± standard deviation. Splits of the training images by the initial gate; the paper "
        "shows pictures and prints no number. 'effectively': the exponential of the entropy of a class's shares. AMI: "
        "adjusted mutual information, 0 by chance, 100 for the same split."
    )
    return Captioned(frame(columns, [label.format(name=class_of(result)) for *_, label in rows]), caption)


def _experts(result: StudyResult) -> Captioned:
    k = result.most_experts()
    table = result.tables["experts"].where(experts=k)
    columns: Columns = {
        "% of the class": [f"{share:.1f}" for share in table.column("share")],
        "images": [str(number) for number in table.column("images")],
        "shared with (images)": [str(text) or "nobody" for text in table.column("shared with")],
    }
    if any(table.column("modes")):
        columns["its true modes (images)"] = [str(text) for text in table.column("modes")]
    labels = [f"seed {row[1]}: expert {row[2]}" for row in table.rows]
    caption = (
        f"{about(result, models=False)}; the experts of {k} that have at least 5 % of {class_of(result)}, and the "
        "classes with most training images in each. Experts of different seeds have nothing in common but their number."
    )
    return Captioned(frame(columns, labels), caption)


def _ranking(result: StudyResult) -> Captioned:
    k = result.most_experts()
    table = result.tables["ranking"].where(experts=k)
    names = [short(str(name)) for name in table.column("class")]
    number = len(names)
    first, last = range(min(RANKS_SHOWN, number)), range(max(RANKS_SHOWN, number - RANKS_SHOWN // 2), number)
    ranks = sorted({*first, names.index(class_of(result)), *last})
    columns: Columns = {
        "class": [names[rank] for rank in ranks],
        "effective experts": [f"{table.column('effective')[rank]:.2f}" for rank in ranks],
        "largest share, %": [f"{table.column('largest')[rank]:.1f}" for rank in ranks],
    }
    caption = (
        f"{about(result, models=False)}: all {number} classes by how split they are over {k} experts (means over "
        f"the seeds): the first {RANKS_SHOWN}, {class_of(result)}, and the last."
    )
    return Captioned(frame(columns, [str(rank + 1) for rank in ranks]), caption)


def figures(results: Sequence[StudyResult]) -> dict[str, Figure]:
    """A band a result: the experts that have most of the class, its images left, those of the other classes right."""
    heights = [1.75 * len(set(r.tables["tiles"].column("expert"))) + 0.35 for r in results]
    figure = close_together(new_figure(8.0, sum(heights) + 0.1))
    bands = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)
    for band, result in zip(bands[:, 0], results, strict=True):
        _result_band(band, result)
    return {"main": figure}


def _result_band(band: SubFigure, result: StudyResult) -> None:
    tiles, rows = result.pictures["tiles"].tiles(), result.tables["tiles"].rows
    experts = list(dict.fromkeys(row[0] for row in rows))
    modes = sorted({row[3] for row in rows if row[2] == "own" and row[3] is not None})
    frames = {mode: PALETTE[place % len(PALETTE)] for place, mode in enumerate(modes)}
    legend = f"; frames: the {len(modes)} true modes of {class_of(result)}" if modes else ""
    band.suptitle(f"{where_run(result)}, K = {result.most_experts()}{legend}", fontsize=10, x=0.01, ha="left")
    for part, expert in zip(band.subfigures(len(experts), 1, squeeze=False)[:, 0], experts, strict=True):
        here = [(row, tiles[index]) for index, row in enumerate(rows) if row[0] == expert]
        _expert_band(part, result, here, frames)


def _expert_band(part: SubFigure, result: StudyResult, here: list, frames: dict) -> None:
    """Two rows of the class's own images on the left, and a column for each companion on the right."""
    half = OWN_TILES // 2
    own = [(row, tile) for row, tile in here if row[2] == "own"]
    names = list(dict.fromkeys(row[1] for row, _ in here if row[2] == "companion"))
    grid = part.subplots(2, half + 1 + COMPANIONS, squeeze=False, width_ratios=[1] * half + [0.25] + [1] * COMPANIONS)
    for axes in grid.flat:
        axes.set_axis_off()
    for index, (row, tile) in enumerate(own):
        axes = grid[index // half, index % half]
        axes.set_axis_on()
        show_tile(axes, tile, frame=frames.get(row[3]))
    for place, name in enumerate(names):
        theirs = [tile for row, tile in here if row[1] == name and row[2] == "companion"][:TILES_EACH]
        for line, tile in enumerate(theirs):
            axes = grid[line, half + 1 + place]
            axes.set_axis_on()
            show_tile(axes, tile, _shortened(short(str(name))) if line == 0 else "")
    expert = here[0][0][0]
    table = result.tables["experts"].where(seed=result.seeds[0], experts=result.most_experts(), expert=expert)
    share = f": {table.column('share')[0]:.0f} % of its images" if table.rows else ""
    title = f"{class_of(result)} in expert {expert}{share}"
    label = grid[0, 0].text(0, 1.1, title, fontsize=9, transform=grid[0, 0].transAxes)
    label.set_in_layout(False)  # it is as wide as several pictures, and stands at the height of the names beside it


def _shortened(name: str) -> str:
    """A name short enough to stand over a picture."""
    return name if len(name) <= 12 else name[:11] + "…"


EXHIBIT = Exhibit(
    NAME, "Figure 3: a class over its experts", Parameters, run, tables, CLAIMS, figures=figures, advice=advice, place=9
)
