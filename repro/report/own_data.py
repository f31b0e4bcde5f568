"""A mixture on anybody's images, shown: what it reaches at what cost, and what became of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from IPython.display import HTML, Markdown
from matplotlib.figure import Figure
from PIL import Image

from repro.data.folders import index_folder
from repro.method.export import load
from repro.method.predict import predict
from repro.report.claim import Cell
from repro.report.curves import Curve, draw, each_seed
from repro.report.exhibits.exhibit import Exhibit
from repro.report.export import export_asked
from repro.report.numbers import DATASETS, NONE, mean_std
from repro.report.plots import COLOURS, figure_style, new_figure
from repro.report.tables import Columns, Shown, frame, means
from repro.report.verdict import by_seed, summary_of
from repro.study.own_data import NAME, NEIGHBOURS, PIXELS, OwnDataParameters, own_data
from repro.study.results import StudyResult

RULES = {
    "anytime-no-loss": "any-time, the cheapest with little loss",
    "anytime-same-cost": "any-time, no dearer than one expert for every image",
    "anytime-best": "any-time, the best at any cost",
}
SIMPLE = {
    "chance": "chance",
    "majority": "always the most frequent class",
    "neighbours": f"{NEIGHBOURS} nearest neighbours on {PIXELS} × {PIXELS} pixels",
}
SHOWN_IMAGES = 4


def about(result: StudyResult) -> str:
    """``modes-10: tr10 at width 0.25, 5 experts, 1 seed, 500 test images``."""
    folder, seeds = result.spec["folder"], len(result.seeds)
    pair = result.base if result.base == result.expert else f"base {result.base}, experts {result.expert}"
    (k,) = result.numbers_of_experts()
    data = DATASETS.get(result.dataset, result.dataset)
    plural = "s" if seeds > 1 else ""
    return f"{data}: {pair}, {k} experts, {seeds} seed{plural}, {folder['num_test']} test images"


def tables(result: StudyResult) -> dict[str, Shown]:
    """``main``: what needs no network, base, one expert for every image, and the chosen thresholds, on test images."""
    (k,) = result.numbers_of_experts()
    macs = {cost.num_experts: f"{cost.macs / 1e6:.1f}" for cost in result.costs}
    cells = [*(Cell(0, name) for name in SIMPLE), Cell(0), Cell(k), *(Cell(k, rule) for rule in RULES)]

    def of_rules(metric: str, decimals: int) -> list[str]:
        return means(result, [Cell(k, rule, metric=metric) for rule in RULES], decimals)

    none = [NONE] * len(SIMPLE)
    columns = {
        "top-1, %": means(result, cells),
        "multiply-adds, millions": [*none, macs[0], macs[k], *of_rules("macs_millions", 1)],
        "exits early, %": [*none, "100.0", "0.0", *of_rules("exits", 1)],
        "experts an image": [*none, "0", "1", *of_rules("experts", 2)],
        "threshold τ": [*none, NONE, NONE, *(_taus(result, k, rule) for rule in RULES)],
    }
    number = result.spec["folder"]["num_validation"]
    caption = (
        f"{about(result)}; mean ± standard deviation over the seeds. Thresholds were chosen on {number} validation "
        "images; everything is shown on the test images, which had no part in training or choice. A dash for a "
        "threshold: one expert for every image was chosen."
    )
    labels = [*SIMPLE.values(), "base alone", "base and one expert for every image", *RULES.values()]
    return {"main": Shown(frame(columns, labels), caption)}


def _taus(result: StudyResult, k: int, rule: str) -> str:
    found = by_seed(result, Cell(k, rule, metric="tau"))
    return ", ".join(f"{found[seed]:g}" if seed in found else NONE for seed in result.seeds)


def read(result: StudyResult) -> str:
    """The numbers in sentences."""
    (k,) = result.numbers_of_experts()
    base, plain = (summary_of(result, cell) for cell in (Cell(0), Cell(k)))
    cheap = {metric: summary_of(result, Cell(k, "anytime-no-loss", metric=metric)) for metric in ("top1", "exits")}
    number = result.spec["folder"]["num_test"]
    ours = max(each.mean for each in (base, plain) if each)
    text = (
        f"The base alone reaches {mean_std(base)} %; with one of {k} experts for every image, {mean_std(plain)} %. "
        f"The cheapest threshold that lost little on the validation images reaches {mean_std(cheap['top1'])} % on the "
        f"test images, lets {mean_std(cheap['exits'], 1)} % of them exit early and {_saved(result, k)}. "
        f"With {number} test images, differences of up to {by_chance(ours, number):.1f} points are within chance."
    )
    simple = {label: found.mean for name, label in SIMPLE.items() if (found := summary_of(result, Cell(0, name)))}
    best = max(simple, key=simple.__getitem__, default=None)
    if best and ours - simple[best] <= by_chance(ours, number):
        text += (
            f" **None of this beats {best} ({simple[best]:.2f} %) by more than chance: train longer (`-p epochs`), "
            "begin at pretrained weights, or get more images, before anything is concluded.**"
        )
    return text


def by_chance(top1: float, num_images: int) -> float:
    """Points by which two equally good models near ``top1`` percent differ at most, in 19 of 20 sets of so many images.

    Two independent binomial samples, with one right and one wrong answer added, so that 100 % is no certainty.
    """
    p = (top1 / 100 * num_images + 1) / (num_images + 2)
    return 196 * math.sqrt(2 * p * (1 - p) / num_images)


def _saved(result: StudyResult, k: int) -> str:
    """What the cheapest threshold saves against one expert for every image, which may be less than nothing."""
    cost = summary_of(result, Cell(k, "anytime-no-loss", metric="macs_millions"))
    full = next(c.macs for c in result.costs if c.num_experts == k) / 1e6
    percent = round(100 * (1 - cost.mean / full)) if cost else 0
    return f"costs {-percent} % more multiply-adds" if percent < 0 else f"saves {percent} % of the multiply-adds"


def figures(results: Sequence[StudyResult]) -> dict[str, Figure]:
    """``main``: accuracy over multiply-adds, a panel a result."""
    with figure_style():
        figure = new_figure(5.2 * len(results), 3.6)
        for axes, result in zip(figure.subplots(1, len(results), squeeze=False)[0], results, strict=True):
            (k,) = result.numbers_of_experts()
            curves = each_seed(result.tables["sweep"], "macs", "top1")
            draw(axes, [Curve([x / 1e6 for x in c.xs], c.ys) for c in curves], COLOURS["bagging"], "any-time, over τ")
            costs = {cost.num_experts: cost.macs / 1e6 for cost in result.costs}
            for cell, marker, name in ((Cell(0), "D", "base alone"), (Cell(k), "o", "one expert for every image")):
                if found := summary_of(result, cell):
                    place = costs[cell.num_experts], found.mean
                    colour = COLOURS["expert" if cell.num_experts else "backbone"]
                    axes.plot(*place, marker, color=colour, label=name, zorder=3)
            axes.set_title(f"{DATASETS.get(result.dataset, result.dataset)}, {k} experts")
            axes.set_xlabel("multiply-adds an image, millions")
            axes.set_ylabel("top-1 on the test images, %")
            axes.legend(frameon=False, loc="lower right")
    return {"main": figure}


def export(parameters: OwnDataParameters) -> Path | None:
    """Export the model of the first seed below the root; None where only what is recorded is shown."""
    if parameters.recorded:
        return None
    return export_asked(NAME, {**parameters.model_dump(), "seeds": parameters.seeds[:1]})


def show_use(parameters: OwnDataParameters, folder: Path | None, tau: float = 0.1) -> HTML | Markdown:
    """What the exported model says of a few test images, each read as a user would read a picture."""
    if folder is None:
        return Markdown("Nothing is exported where only recorded results are shown.")
    images = parameters.images()
    index = index_folder(images, "test", parameters.root)
    rows = range(images.num_validation, len(index), max(images.num_test // SHOWN_IMAGES, 1))[:SHOWN_IMAGES]
    model = load(folder)
    columns: Columns = {"class": [], "it says": [], "experts that ran": []}
    for row in rows:
        said = predict(model, model.prepare(Image.open(index.paths[row])), tau)
        columns["class"].append(index.class_names[index.labels[row]])
        columns["it says"] += model.names(said.scores)
        columns["experts that ran"].append(str(int(said.experts_used)))
    table = frame(columns, [Path(index.paths[row]).name for row in rows])
    return HTML(Shown(table, f"Some test images, at threshold {tau:g}").in_page())


EXHIBIT = Exhibit(NAME, "Your own images", OwnDataParameters, own_data, tables, read, figures=figures)
