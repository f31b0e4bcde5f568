"""Table 6, which ensembler, shown: accuracies beside the paper's, calibration, and the fit of the training images."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from repro.report.claim import AS_GOOD, Cell, Claim, equal_training, with_controls
from repro.report.exhibits.exhibit import Exhibit
from repro.report.numbers import interval, mean_std, signed, where_run
from repro.report.plots import COLOURS, MARKERS, MODELS, NAMES, common_legend, figure_style, new_figure
from repro.report.printed import PrintedValue, printed
from repro.report.reading import verdicts
from repro.report.tables import Columns, Row, Shown, about, comparison, frame, means
from repro.report.verdict import by_seed, difference, summary_of
from repro.study.exhibits.table6_ensemblers import NAME, START, Table6Parameters, table6
from repro.study.pairs import MEAN
from repro.study.results import StudyResult, Table

K = 20
METHODS = {
    "backbone": ("base model", "base"),
    "expert": ("no ensembling (expert alone)", "no-ensembling"),
    "top-2": ("top-2 experts", "top-2 experts"),
    "stacking": ("stacking", "stacking"),
    "bagging": ("bagging", "bagging"),
    "bagging-logits": ("bagging of logits", ""),
}
"""How a method is called here, and in the paper's table."""

CALIBRATED = {method: label for method, (label, _) in METHODS.items()} | {START: "stacking before its training"}
"""The rows of the calibration, which also tells where stacking starts."""


def _ensembled(method: str) -> Cell:
    return Cell(K, method, MEAN)


MANY = 50.0
"""Section 2.2 speaks of a base that is "overly confident on many training samples": we read, its own class above 0.9 on
at least this many of a hundred training images. Where it is not, there is no such base to judge.
It is measured for tr10, the base of the pair whose fit of the training images is taken."""

BASE, EXPERT = Cell(0, "backbone", MEAN), _ensembled("expert")
STACKING, BAGGING = _ensembled("stacking"), _ensembled("bagging")
CLAIMS = (
    Claim("E1", "Even without ensembling, the selected expert beats one expert trained on everything", EXPERT,
          Cell(1, "expert", MEAN), section="4.3", settled_after=True),
    *with_controls(
        (
            Claim("E1/base", "Even without ensembling, the selected expert beats the base", EXPERT, BASE, section="4.3",
                  controls=(equal_training(K, MEAN),)),
        )
    ),
    Claim("E2/top-2", "Two experts beat the selected one alone", _ensembled("top-2"), EXPERT, section="4.3"),
    Claim("E2/stacking", "Stacking beats the selected expert alone", STACKING, EXPERT, section="4.3"),
    Claim("E2/bagging", "Bagging beats the selected expert alone", BAGGING, EXPERT, section="4.3"),
    Claim("E3/stacking", "Stacking beats two experts", STACKING, _ensembled("top-2"), section="4.3"),
    Claim("E3/bagging", "Bagging beats two experts", BAGGING, _ensembled("top-2"), section="4.3"),
    Claim("E4", "Bagging is about as good as stacking", BAGGING, STACKING, AS_GOOD, section="4.3"),
    Claim(
        "E5",
        "The base is over-confident (mean confidence above accuracy on the evaluation set, in percentage points)",
        Cell(0, "backbone", MEAN, "overconfidence"),
        section="2.2",
        premise=(Cell(0, "backbone", "tr10", "training-sure"), MANY),
        settled_after=True,
    ),
)  # fmt: skip
"""What Sections 2.2 and 4.3 say of ensemblers, each averaged over the pairs that were run."""


def pairs(result: StudyResult) -> list[str]:
    """The pairs that were run."""
    return list(dict.fromkeys(m.row for m in result.measurements if m.num_experts and m.row != MEAN))


def cell_of(pair: str, method: str, k: int, metric: str = "top1") -> Cell:
    """The cell of a method for a pair; the base's row is its own."""
    return Cell(0, method, pair.split("-")[0], metric) if method == "backbone" else Cell(k, method, pair, metric)


def of_the_paper(dataset: str, pair: str, method: str) -> PrintedValue | None:
    """Table 6's number, for 20 experts."""
    base, _, expert = pair.partition("-")
    return printed(6, dataset, base, expert, K, METHODS.get(method, ("", ""))[1], "top1")


def printed_value(result: StudyResult, cell: Cell) -> PrintedValue | None:
    """The paper's number for a cell; for the mean over pairs, the mean of its numbers for the same pairs."""
    if cell.metric != "top1" or cell.num_experts not in (0, K):
        return None
    if cell.row != MEAN:
        pair = next((p for p in pairs(result) if cell.row in (p, p.split("-")[0])), cell.row)
        return of_the_paper(result.dataset, pair, cell.measured_as)
    values = [of_the_paper(result.dataset, pair, cell.measured_as) for pair in pairs(result)]
    found = [value.value for value in values if value]
    return PrintedValue(sum(found) / len(found), None) if found and len(found) == len(values) else None


def tables(result: StudyResult) -> dict[str, Shown]:
    """``main``: Table 6; ``calibration``: ECE and over-confidence of each method; ``training``: the fit of base and
    experts on training images.
    """
    rows, labels = [], []
    for pair in pairs(result):
        for k in result.numbers_of_experts():
            for method, (label, _) in METHODS.items():
                cell = cell_of(pair, method, k)
                paper = printed_value(result, cell)
                if paper or by_seed(result, cell):
                    rows.append(Row(f"{pair}{_experts(k)}: {label}", cell, paper, same_model=True))
                    labels.append((pair, method, k))
    caption = (
        f"{about(result)}; top-1 accuracy on the {result.evaluate} set in percent. The paper's Table 6 is of "
        "tiny-ImageNet with 20 experts and prints no ±. Every method but stacking is without parameters."
    )
    return {
        "main": Shown(comparison(result, rows), caption),
        "calibration": _calibration(result, labels),
        "training": _training(result),
    }


def _experts(k: int) -> str:
    return "" if k == K else f", {k} expert{'s' * (k != 1)}"


def _calibration(result: StudyResult, labels: Sequence[tuple[str, str, int]]) -> Shown:
    shown = []
    for pair, method, k in labels:
        shown.append((pair, method, k))
        if method == "stacking" and by_seed(result, Cell(k, START, pair)):
            shown.append((pair, START, k))
    names = [f"{pair}{_experts(k)}: {CALIBRATED[method]}" for pair, method, k in shown]

    def column(metric: str) -> list[str]:
        return means(result, [cell_of(pair, method, k, metric) for pair, method, k in shown])

    columns: Columns = {
        "top-1, %": column("top1"),
        "ECE, points": column("ece"),
        "confidence − accuracy, points": column("overconfidence"),
    }
    caption = (
        f"{about(result, models=False)}, {result.evaluate} set. ECE: 15 bins of equal width by the largest "
        "probability; the mean over images of |accuracy − mean confidence| of their bin. Confidence − accuracy: "
        "above 0 a method is over-confident, below 0 it knows more than it says."
    )
    return Shown(frame(columns, names), caption)


def _training(result: StudyResult) -> Shown:
    cells = [
        (f"{row}: {METHODS[method][0]}" + _experts(k) * (k > 0), Cell(k, method, row))
        for k, method, row in dict.fromkeys(
            (m.num_experts, m.method, m.row) for m in result.measurements if m.metric == "training-loss"
        )
        if row != MEAN
    ]
    columns: Columns = {}
    for metric, name in (
        ("training-loss", "mean loss, nats"),
        ("training-sure", "own class above 0.9, % of images"),
        ("top1", "top-1 on the evaluation set, %"),
    ):
        columns[name] = means(result, [Cell(c.num_experts, c.method, c.row, metric) for _, c in cells])
    caption = (
        f"{about(result, models=False)}, training images without augmentation: is the base 'already close to perfectly "
        "fitting the training set', as Section 2.2 says?"
    )
    return Shown(frame(columns, [label for label, _ in cells]), caption)


def read(result: StudyResult) -> str:
    """The numbers in sentences."""
    sentences = []
    for pair in pairs(result):
        for k in result.numbers_of_experts():
            alone = summary_of(result, cell_of(pair, "backbone", k))
            found = [
                (METHODS[m][0], s) for m in METHODS if m != "backbone" and (s := summary_of(result, Cell(k, m, pair)))
            ]
            if alone and found:
                best, value = max(found, key=lambda one: one[1].mean)
                sentences.append(
                    f"{pair}, {k} expert{'s' * (k != 1)}: the base reaches {mean_std(alone)} %; best is {best} with "
                    f"{mean_std(value)} %."
                )
            spaces = difference(result, Cell(k, "bagging", pair), Cell(k, "bagging-logits", pair))
            if spaces:
                sentences.append(
                    f"Averaging probabilities rather than logits makes {signed(spaces.mean)} points"
                    + (f" (95 % interval {interval(spaces, sign=True)})." if spaces.interval else ".")
                )
            over = summary_of(result, cell_of(pair, "backbone", k, "overconfidence"))
            bagged = summary_of(result, Cell(k, "bagging", pair, "overconfidence"))
            expert = summary_of(result, Cell(k, "expert", pair, "overconfidence"))
            if over and bagged and expert:
                sentences.append(
                    f"Confidence exceeds accuracy by {signed(over.mean, 1)} points for the base, "
                    f"{signed(expert.mean, 1)} for the selected expert and {signed(bagged.mean, 1)} for bagging."
                )
            start = summary_of(result, Cell(k, START, pair, "overconfidence"))
            stacked = summary_of(result, Cell(k, "stacking", pair, "overconfidence"))
            if start and stacked:
                sentences.append(
                    f"For stacking it is {signed(stacked.mean, 1)} points, and {signed(start.mean, 1)} before its "
                    "training, as the sum of both log-probabilities."
                )
    return " ".join([*sentences, verdicts(result, EXHIBIT.judge(result))])


def figures(results: Sequence[StudyResult]) -> dict[str, Figure]:
    """A row a result: the gain over the base of every method (paper hollow), and the reliability diagram."""
    with figure_style():
        figure = new_figure(8.0, 3.4 * len(results) + 0.7)
        grid = figure.subplots(len(results), 2, squeeze=False)
        for (gains, diagram), result in zip(grid, results, strict=True):
            _gains(gains, result)
            _diagram(diagram, result)
        # A legend over each column: pairs and methods have the same few colours.
        common_legend(figure, grid[:, 0], columns=2)
        common_legend(figure, grid[:, 1], columns=2, loc="outside upper right")
    return {"main": figure}


def _gains(axes: Axes, result: StudyResult) -> None:
    methods = [method for method in METHODS if method != "backbone"]
    for i, pair in enumerate(pairs(result)):
        shade, k = MODELS.get(pair, "#000000"), max(result.numbers_of_experts())
        shift = 0.18 * (i - (len(pairs(result)) - 1) / 2)
        for place, method in enumerate(methods):
            gain = difference(result, Cell(k, method, pair), cell_of(pair, "backbone", k))
            paper, base = of_the_paper("tiny-imagenet", pair, method), of_the_paper("tiny-imagenet", pair, "backbone")
            if paper and base and result.dataset == "tiny-imagenet":
                axes.plot(
                    paper.value - base.value, place + shift, "o", markerfacecolor="white", color=shade, zorder=3,
                    label=f"{pair}, the paper" if place == 0 else None,
                )  # fmt: skip
            if gain:
                each = by_seed(result, Cell(k, method, pair))
                bases = by_seed(result, cell_of(pair, "backbone", k))
                dots = [each[seed] - bases[seed] for seed in each if seed in bases]
                axes.plot(dots, [place + shift] * len(dots), ".", color=shade, alpha=0.6, markersize=5, zorder=4)
                axes.plot(
                    gain.mean, place + shift, "o", color=shade, markersize=8, markeredgecolor="white", zorder=5,
                    label=f"{pair}, ours" if place == 0 else None,
                )  # fmt: skip
    axes.axvline(0, color=COLOURS["backbone"], linestyle="--", linewidth=1)
    axes.set_yticks(range(len(methods)), [METHODS[method][0].replace(" (", "\n(") for method in methods])
    axes.set_ylim(len(methods) - 0.5, -0.5)
    axes.grid(axis="x", visible=True)
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("top-1 against the base alone, points")
    axes.set_title(where_run(result))


def _diagram(axes: Axes, result: StudyResult) -> None:
    axes.plot([0, 1], [0, 1], color="#BBBBBB", linewidth=1, zorder=1)
    table = result.tables.get("reliability")
    shown = list(dict.fromkeys(table.column("method"))) if table else []
    for method in (m for m in CALIBRATED if m in shown):
        assert table is not None
        xs, ys = pooled(table.where(method=method))
        if method == START:
            axes.plot(xs, ys, ":", color=COLOURS["stacking"], label="stacking, untrained")
            continue
        axes.plot(xs, ys, color=COLOURS[method], marker=MARKERS[method], markersize=4, label=NAMES[method])
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.set_aspect("equal")
    axes.set_xlabel("confidence")
    axes.set_ylabel("accuracy")
    axes.set_title("reliability (below the line: over-confident)")


def pooled(table: Table) -> tuple[list[float], list[float]]:
    """Mean confidence and accuracy of each bin over all seeds and pairs of a table, bins with few images left out."""
    total = sum(table.column("count"))
    xs, ys = [], []
    for index in sorted(set(table.column("bin"))):
        part = table.where(bin=index)
        counts = part.column("count")
        size = sum(counts)
        if size >= 0.005 * total:
            xs.append(math.fsum(n * c for n, c in zip(counts, part.column("confidence"), strict=True)) / size)
            ys.append(math.fsum(n * a for n, a in zip(counts, part.column("accuracy"), strict=True)) / size)
    return xs, ys


EXHIBIT = Exhibit(
    NAME, "Table 6: which ensembler?", Table6Parameters, table6, tables, read, CLAIMS, printed_value, figures
)
