"""Figure 1: is the selected expert more focused? Grad-CAM of the base, the selected expert and the others.

Numbers are means over the whole evaluation set. ``row`` says which class the maps explain: that of the image's label
(every network is asked the same question, and the box is about it), or each network's own prediction.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from matplotlib.figure import Figure, SubFigure
from pydantic import Field
from torch import Tensor

from repro.analysis.focus import box_share, empty, hits_box, in_box, selected_and_others, spread, stretched, wins
from repro.data.augment import Augmentation
from repro.data.dataset import ImageDataset
from repro.families.single_gate.class_pictures import short
from repro.families.single_gate.config import StudySpec
from repro.families.single_gate.gradcam import TARGETS, ClassMaps, compute_class_maps
from repro.families.single_gate.study import SingleGateParameters, measured, open_study, record
from repro.randomness import generator
from repro.report.claim import Cell, Claim
from repro.report.exhibit import Exhibit
from repro.report.numbers import NONE, where_run
from repro.report.pictures import (
    SIDE,
    blend,
    close_together,
    difference,
    draw_box,
    enlarged,
    from_hex,
    show_tile,
    strip,
)
from repro.report.plots import new_figure
from repro.report.tables import Captioned, about, frame, means, metric_columns
from repro.study.lists import Ascending
from repro.study.picture import Picture
from repro.study.results import Measurement, StudyResult, Table

NAME = "figure1_gradcam"
OTHERS_SHOWN = 3
"""Non-selected experts whose maps are kept beside each example."""


class Parameters(SingleGateParameters):
    """The common ones, how many experts, and how many pictures."""

    experts: Ascending = Field((1, 20), description="numbers of experts K, e.g. 1,20; 1 is trained on everything")
    examples: int = Field(6, ge=1, le=12, description="how many images are shown with their maps")

    def specs(self) -> list[StudySpec]:
        return [spec.with_(num_experts=k) for spec in super().specs() for k in self.experts]


def run(parameters: Parameters) -> StudyResult:
    """Map every image with every network and write the record.

    The pictures are of the first seed and the largest number of experts.
    """
    study = open_study(parameters)
    images = study.sources.images(study.specs[0], "evaluation")  # first of all: not every set fits in memory
    measurements: list[Measurement] = []
    tables: dict[str, Table] = {}
    pictures: dict[str, Picture] = {}
    for spec in study.specs:
        selected = study.run(spec).top_experts()[:, 0]
        source = study.sources.batches(spec, "evaluation", Augmentation())
        class_maps = compute_class_maps(study.moe(spec), source, study.device)
        measurements += measure(spec, class_maps, selected, images, with_base=spec.num_experts == parameters.experts[0])
        if spec.seed == parameters.seeds[0] and spec.num_experts == parameters.experts[-1]:
            chosen = sorted(choose_examples(class_maps, selected, parameters.examples, spec.seed))
            pictures["examples"] = Picture.of(images.images[chosen])
            tables |= example_tables(class_maps, selected, images, chosen, spec.seed)
    return record(NAME, parameters, study, measurements, tables=tables, pictures=pictures)


def measure(
    spec: StudySpec, class_maps: ClassMaps, selected: Tensor, images: ImageDataset, with_base: bool = True
) -> Iterator[Measurement]:
    """Means over the images: of the base (and of what knows nothing of the image), the selected expert, the others."""
    boxes = None if images.boxes is None else torch.from_numpy(np.array(images.boxes))
    yield from _split(spec, "top1", "", 100.0 * class_maps.correct, selected, with_base)
    for column, target in enumerate(TARGETS):
        maps = class_maps.maps[:, :, column]
        values = {"spread": spread(maps), "spread_shown": spread(stretched(maps)), "empty": 100.0 * empty(maps)}
        if boxes is not None:
            values |= {"in_box": in_box(maps, boxes, images.image_size)}
            values |= {"pointing": hits_box(maps, boxes, images.image_size)}
        for metric, each in values.items():
            yield from _split(spec, metric, target, each, selected, with_base)
            better = wins(-each[:, 1:] if metric == "spread" else each[:, 1:], selected)
            if better is not None and metric in ("spread", "in_box"):
                yield measured(spec, "wins", better, metric, target)
    if boxes is not None and with_base:
        uniform = float(box_share(boxes, images.image_size).mean())
        centre = torch.tensor([[0.0, 0, 0], [0, 1, 0], [0, 0, 0]]).expand(len(images), 3, 3)
        yield measured(spec, "uniform", uniform, "in_box", num_experts=0)
        yield measured(spec, "uniform", uniform, "pointing", num_experts=0)
        yield measured(spec, "centre", float(hits_box(centre, boxes, images.image_size).mean()), "pointing", "", 0)


def _split(
    spec: StudySpec, metric: str, row: str, values: Tensor, selected: Tensor, with_base: bool
) -> Iterator[Measurement]:
    """Means of values ``[N, 1 + K]``: base, selected expert, all other experts."""
    own, others = selected_and_others(values[:, 1:], selected)
    if with_base:
        yield measured(spec, "backbone", float(values[:, 0].mean()), metric, row, num_experts=0)
    yield measured(spec, "expert", float(own.mean()), metric, row)
    if len(others):
        yield measured(spec, "others", float(others.mean()), metric, row)


def choose_examples(class_maps: ClassMaps, selected: Tensor, number: int, seed: int) -> list[int]:
    """Random images that base and selected expert both get right (any, if those are too few)."""
    right = class_maps.correct[:, 0] & class_maps.correct.gather(1, 1 + selected[:, None])[:, 0]
    order = torch.randperm(len(right), generator=generator(seed, "Grad-CAM examples"))
    return torch.cat([order[right[order]], order[~right[order]]])[:number].tolist()


def example_tables(
    class_maps: ClassMaps, selected: Tensor, images: ImageDataset, chosen: Sequence[int], seed: int
) -> dict[str, Table]:
    """``images``: what is in each picture, boxes in percent of its side; ``maps``: of the label, 8 bits in hexadecimal.

    A map is stretched from its own minimum to its own maximum, as the package grad-cam does; row by row, two digits a
    position.
    """
    about, rows = [], []
    for tile, index in enumerate(chosen):
        box = None if images.boxes is None else torch.from_numpy(images.boxes[index : index + 1].copy())
        sides = [None] * 4 if box is None else (100 * box[0] / images.image_size).round(decimals=2).tolist()
        about.append([tile, index, images.class_names[int(images.labels[index])], *sides])
        own = int(selected[index])
        num_others = class_maps.maps.shape[1] - 1
        others = torch.randperm(num_others, generator=generator(seed, "Grad-CAM others", index)).tolist()
        networks = [("base", 0), ("selected", own + 1)]
        networks += [("other", k + 1) for k in others if k != own][:OTHERS_SHOWN]
        for role, network in networks:
            own_map = class_maps.maps[index : index + 1, network, 0]
            inside = None if box is None else round(float(in_box(own_map, box, images.image_size)), 1)
            shades = bytes((255 * stretched(own_map[0])).round().to(torch.uint8).flatten().tolist()).hex()
            rows.append([tile, role, network, round(float(spread(own_map)), 1), inside, shades])
    return {
        "images": Table(columns=["tile", "image", "class", "left", "top", "right", "bottom"], rows=about),
        "maps": Table(columns=["tile", "role", "expert", "spread", "in_box", "map"], rows=rows),
    }


TRUE, OWN = TARGETS
PAPER_EXPERTS = 20
BOXED = ("tiny-imagenet", "modes")
SECTION = "2.2, Figure 1"
VISIBLE = 63.8
"""Percent of pairs that a difference must win to be "visible to the naked eye of a careful observer": Cohen's medium
effect (d = 0.5; Psychological Bulletin 112, 1992), whose common-language size is Φ(d / √2)."""


def _cell(method: str, metric: str, row: str = TRUE) -> Cell:
    return Cell(0 if method in ("backbone", "uniform", "centre") else PAPER_EXPERTS, method, row, metric)


def _claim(
    key: str, text: str, metric: str, more: str, less: str, row: str = TRUE, datasets: tuple[str, ...] = ()
) -> Claim:
    return Claim(key, text, _cell(more, metric, row), _cell(less, metric, row), datasets=datasets, section=SECTION)


CLAIMS = (
    _claim("G1", "The selected expert attends to finer details than the base (spread of its map, % of the image)",
           "spread", "backbone", "expert"),
    Claim("G1/one-expert", "... and to finer details than one expert trained on everything (spread, %)",
          Cell(1, "expert", TRUE, "spread"), _cell("expert", "spread"), section=SECTION, settled_after=True),
    _claim("G2", "Non-selected experts' maps are less focused than the selected one's (spread, % of the image)",
           "spread", "others", "expert"),
    _claim("G2/own",
           "Non-selected experts' maps of their own predictions are less focused than the selected one's (spread, %)",
           "spread", "others", "expert", OWN),
    Claim("G2/often",
          f"That can be seen: in pairs on one image the selected expert's map is narrower (% of pairs above {VISIBLE})",
          _cell("wins", "spread"), bar=VISIBLE, section=SECTION, settled_after=True),
    _claim("G3", "The selected expert's map lies more on the object than non-selected ones' (% of it in the box)",
           "in_box", "expert", "others", datasets=BOXED),
    _claim("G3/own",
           "The selected expert's map of its own prediction lies more on the object than others' maps (% in the box)",
           "in_box", "expert", "others", OWN, BOXED),
    Claim("G3/often",
          f"That can be seen: in pairs on one image the selected expert's map lies more in the box (% above {VISIBLE})",
          _cell("wins", "in_box"), bar=VISIBLE, datasets=BOXED, section=SECTION, settled_after=True),
    _claim("G4", "The selected expert's map points at the object more often than non-selected ones' (% of images)",
           "pointing", "expert", "others", datasets=BOXED),
)  # fmt: skip
"""What Figure 1's caption says of its few pictures, as numbers over the whole evaluation set."""


METRICS = {
    "spread": "spread, % of the image",
    "spread_shown": "spread as drawn, %",
    "in_box": "in the box, %",
    "pointing": "points into the box, %",
    "empty": "empty maps, %",
}
BLIND = {"a uniform map": Cell(0, "uniform", "", "in_box"), "the centre of the image": Cell(0, "centre", "", "in_box")}
"""What knows nothing of the image."""


def _networks(result: StudyResult, row: str) -> dict[str, Cell]:
    """What is mapped, in the rows of the table; ``row`` says which class the maps explain."""
    cells = {"base": Cell(0, "backbone", row)}
    for k in result.numbers_of_experts():
        if k == 1:
            cells["one expert, trained on everything"] = Cell(1, "expert", row)
        else:
            cells[f"selected of {k} experts"] = Cell(k, "expert", row)
            cells[f"not selected, of {k}"] = Cell(k, "others", row)
    return cells


def tables(result: StudyResult) -> dict[str, Captioned]:
    """``main``: maps of the label's class; ``own``: of each network's own prediction."""
    own = "the class that the network itself predicts"
    return {"main": _table(result, TRUE, "the image's label"), "own": _table(result, OWN, own)}


def _table(result: StudyResult, row: str, target: str) -> Captioned:
    cells = _networks(result, row)
    if BLIND["a uniform map"] in map(Cell.of, result.measurements):
        cells |= BLIND
    columns = metric_columns(result, list(cells.values()), {title: (metric, 1) for metric, title in METRICS.items()})
    columns = {title: texts for title, texts in columns.items() if set(texts) != {NONE}}
    top1 = means(result, list(_networks(result, "").values()), 1)
    columns["top-1, %"] = top1 + [NONE] * (len(cells) - len(top1))
    caption = (
        f"{about(result)}; Grad-CAM of {target}, means over the {result.evaluate} set, mean ± standard deviation over "
        "the seeds. Spread: the share of the image that a map effectively covers (100: uniform), before and after it "
        "is stretched to 0–1 as in pictures. 'not selected' is the mean over all experts but the one the gate picks."
    )
    return Captioned(frame(columns, list(cells)), caption)


SEVERAL_RESULTS_ROWS, MAPS_SHOWN = 4, 4
NOTHING_TO_SEE = 4
"""Positions a side up to which a map tells which quarter of an image counts, and no more."""


def figures(results: Sequence[StudyResult]) -> dict[str, Figure]:
    """A band a result, a row an image: itself, then under the maps of base, selected expert and other experts."""
    most = SEVERAL_RESULTS_ROWS if len(results) > 1 else 12
    rows = [min(r.pictures["examples"].count, most) for r in results]
    figure = close_together(new_figure(8.0, 1.52 * sum(rows) + 0.55 * len(rows) + 0.1))
    bands = figure.subfigures(len(rows), 1, height_ratios=[1.52 * n + 0.55 for n in rows], squeeze=False)
    for band, result, number in zip(bands[:, 0], results, rows, strict=True):
        _picture_band(band, result, number)
    return {"main": figure}


def _picture_band(band: SubFigure, result: StudyResult, number: int) -> None:
    maps, images = result.tables["maps"], result.tables["images"]
    width = 2 + min(MAPS_SHOWN, max(maps.column("tile").count(tile) for tile in range(number)))
    for tile, axes in enumerate(band.subplots(number, width, squeeze=False)):
        pictures = _under_maps(result, tile, MAPS_SHOWN)
        sides = [float(side) for side in images.where(tile=tile).rows[0][3:] if side is not None]
        for place in axes[len(pictures) - 1 : -1]:
            place.set_axis_off()
        for place, (picture, title, below) in zip([*axes[: len(pictures) - 1], axes[-1]], pictures, strict=True):
            show_tile(place, picture, title if tile == 0 else "", below)
            if sides:
                draw_box(place, sides, SIDE)
    size, side = result.pictures["examples"].size, len(from_hex(str(maps.rows[0][-1])))
    coarse = f"at {size} pixels a map has {side} × {side} positions: there is nothing to see. "
    band.suptitle(
        f"{where_run(result)}: {coarse if side <= NOTHING_TO_SEE else ''}"
        f"One of {result.most_experts()} experts is selected;\nbelow each map its spread (and share in the box); "
        "last, the difference: red +1, white 0, blue −1",
        fontsize=9, x=0.01, ha="left",
    )  # fmt: skip


def _under_maps(result: StudyResult, tile: int, most: int | None = None) -> list[tuple[np.ndarray, str, str]]:
    """A recorded image, it under its maps, and how two of them differ; each with what stands above and below it."""
    image = result.pictures["examples"].tiles()[tile]
    maps = result.tables["maps"].where(tile=tile).rows[:most]
    titles = {"base": "base", "selected": "selected\nexpert", "other": "not\nselected"}
    class_name = short(str(result.tables["images"].where(tile=tile).column("class")[0]))
    pictures = [(enlarged(image, SIDE), "image", class_name)]
    for _, role, expert, covered, inside, text in maps:
        below = ("" if role == "base" else f"e{expert}: ") + f"{covered:.0f} %"
        below += "" if inside is None else f", box {inside:.0f} %"
        pictures.append((blend(image, from_hex(str(text))), titles[str(role)], below))
    by_role = {str(row[1]): from_hex(str(row[-1])) for row in maps}
    return [*pictures, (difference(by_role["selected"], by_role["base"]), "selected\nminus base", "")]


def one_image(result: StudyResult | None, image: int) -> str:
    """HTML: a recorded image, its maps, and how those of the selected expert and of the base differ."""
    if result is None or "examples" not in result.pictures:
        return "<p>Nothing is recorded.</p>"
    pictures, titles, texts = zip(*_under_maps(result, image), strict=True)
    labels = [f"{title}: {text}".strip(": ") for title, text in zip(titles, texts, strict=True)]
    return f"<p>{where_run(result)}</p>" + strip(np.stack(pictures), labels)


EXHIBIT = Exhibit(
    NAME, "Figure 1: what base and experts look at", Parameters, run, tables, CLAIMS, figures=figures, place=8
)
