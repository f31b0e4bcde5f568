"""Table 2 (Section 4.1), "how many experts?": the base alone, one expert in both readings of the text, K experts, and
the controls that a gain has to beat.
"""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.ticker as ticker
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from repro.exhibits.table2_num_experts.run import CONTROLS, NAME, Parameters, run
from repro.families.single_gate.controls import EQUAL_INFERENCE, EQUAL_TRAINING
from repro.report.claim import CHANGES_LITTLE, Cell, Claim, equal_inference, equal_training, with_controls
from repro.report.exhibit import Exhibit
from repro.report.numbers import DATASETS, NONE, where_run
from repro.report.plots import COLOURS, MARKERS, NAMES, common_legend, figure_style, new_figure
from repro.report.printed import PrintedValue, printed
from repro.report.tables import (
    PAPER_COLUMN,
    Captioned,
    Columns,
    Row,
    about,
    comparison,
    cost_columns,
    frame,
    means,
    text,
)
from repro.report.verdict import by_seed, is_model, summary_of
from repro.study.results import StudyResult, Table, evidence

ENOUGH = 2.0
"""Points on validation images: a base is trained for long enough where twice its epochs gain less."""

PAIR = ("tr18", "tr18")
PAPER_DATASETS = ("cifar100", "tiny-imagenet")
PAPER_EXPERTS = (1, 5, 10, 20)
TWO_NETWORKS = Cell(1, "two networks")

CLAIMS = with_controls(
    (
        Claim("C1", "Base and one expert together beat that expert alone", Cell(1), Cell(1, "expert"), section="4.1",
              settled_after=True),
        Claim("C1/base", "Base and one expert together beat the base alone", Cell(1), Cell(0), section="4.1",
              controls=(equal_training(1), equal_inference())),
        *(
            Claim(f"C2/{k}", f"{k} experts beat the one-expert baseline", Cell(k), Cell(1), section="4.1",
                  controls=(equal_training(k), equal_inference()))
            for k in PAPER_EXPERTS[1:]
        ),
        Claim("C4/20", "Without ensembling, the selected of 20 experts beats one expert trained on everything",
              Cell(20, "expert"), Cell(1, "expert"), section="4.3", settled_after=True),
        Claim("C3", "Going from 10 to 20 experts changes little", Cell(20), Cell(10), CHANGES_LITTLE, section="4.1"),
    )
)  # fmt: skip
"""What Section 4.1 says of Table 2; the paper's own differences from 10 to 20 experts are +0.06 and +0.54.
The expert of C1 was trained after the base and on the same images: what it lacks is the ensemble, not training."""

OTHER_METHODS = {"expert": "expert alone", "top-2": "top-2 experts", "stacking": "stacking", "bagging-logits": "logits"}
"""Methods beside bagging of probabilities, which is 'ours', and the columns that show them."""


def of_the_paper(dataset: str, num_experts: int) -> PrintedValue | None:
    """Top-1 accuracy of Table 2 in percent (tr18-tr18); 0 experts is the base model alone."""
    return printed(2, dataset, *PAIR, num_experts, Cell(num_experts).measured_as, "top1")


def printed_value(result: StudyResult, cell: Cell) -> PrintedValue | None:
    """The paper's number for the paper's own rows: the base, and bagging."""
    return of_the_paper(result.dataset, cell.num_experts) if cell == Cell(cell.num_experts) else None


def tables(result: StudyResult) -> dict[str, Captioned]:
    """``main``: Table 2, the paper beside ours; ``details``: the other ways to use the expert, and the cost."""
    rows = [
        Row(_label(k), Cell(k), of_the_paper(result.dataset, k), is_model(result, *PAIR))
        for k in sorted({0, *PAPER_EXPERTS, *result.numbers_of_experts()})
    ]
    rows += _controls(result)
    if by_seed(result, TWO_NETWORKS):
        rows.insert(2, Row("two whole networks (the poster's 1 expert)", TWO_NETWORKS))
    caption = (
        f"{about(result)}; top-1 accuracy on the {result.evaluate} set in percent, mean ± standard deviation. "
        f"'paper' is {'-'.join(PAIR)} at its own scale; 'ours' bags the probabilities of base and expert. "
        "Controls are plain networks that get the inference or the training multiply-adds (MACs) of a mixture. "
        "Two whole networks are the bases of two seeds; each base is in two of the pairs."
    )
    main = comparison(result, rows, _both_image_sets(rows) if of_the_paper(result.dataset, 0) is None else None)
    found = {"main": Captioned(main, caption), "details": _details(result)}
    return found | ({"controls": _given(result.tables["controls"])} if "controls" in result.tables else {})


def _given(controls: Table) -> Captioned:
    """What the controls get."""
    names = {EQUAL_INFERENCE: "plain network, for base + ", EQUAL_TRAINING: "base trained longer, for base + "}
    rows = [names[str(row[0])] + experts_named(int(str(row[1]))) for row in controls.rows]
    headings = ("width", "epochs", "inference MACs, % of the mixture's", "training MACs, % of the mixture's")
    columns: Columns = {
        heading: [f"{value:g}" for value in controls.column(name)]
        for heading, name in zip(headings, CONTROLS[2:], strict=True)
    }
    return Captioned(
        frame(columns, rows), "What each control is and what it gets, beside the mixture that it is held against."
    )


def advice(result: StudyResult) -> str:
    """Whether the base is trained until twice as long gains less than :data:`ENOUGH`, where that was asked."""
    table = result.tables.get("longer")
    if table is None:
        return ""
    once, twice = map(float, table.column("top1"))
    epochs, gain = table.column("epochs")[0], twice - once
    found = f"Twice the base's {epochs} epochs gain {gain:+.1f} points on validation images (one seed)."
    if gain < ENOUGH:
        return f"{found} It is trained for long enough: until twice as long gains less than {ENOUGH:g} points."
    largest = max(result.numbers_of_experts())
    one, most = (summary_of(result, Cell(k, "bagging")) for k in (1, largest))
    if one and most and largest > 1:
        found += f" {experts_named(largest)} gain {most.mean - one.mean:+.1f} over one."
    return (
        f"{found} **The base could learn more by itself**: it should be trained until twice as long gains less than "
        f"{ENOUGH:g} points. What mixtures gain here is gained over such a base, and may be less over a better one."
    )


def _controls(result: StudyResult) -> list[Row]:
    """Plain networks that get as much inference, or as much training, as the mixtures above them."""
    plain = Cell(1, EQUAL_INFERENCE)
    rows = [Row("control: plain network, inference MACs of base + 1 expert", plain)] if by_seed(result, plain) else []
    longer = [Cell(k, EQUAL_TRAINING) for k in result.numbers_of_experts()]
    return rows + [
        Row(f"control: base, training MACs of base + {experts_named(cell.num_experts)}", cell)
        for cell in longer
        if by_seed(result, cell)
    ]


def experts_named(number: int) -> str:
    """``1 expert``, ``20 experts``."""
    return "1 expert" if number == 1 else f"{number} experts"


def _label(num_experts: int) -> str:
    if num_experts == 0:
        return "base model"
    return "1 expert (ensembling baseline)" if num_experts == 1 else experts_named(num_experts)


def _both_image_sets(rows: Sequence[Row]) -> Columns:
    """The paper's columns for an image set that it does not use."""
    return {
        f"{PAPER_COLUMN}, {DATASETS[name]}": [
            text(of_the_paper(name, row.cell.num_experts)) if row.cell != TWO_NETWORKS else NONE for row in rows
        ]
        for name in PAPER_DATASETS
    }


def _details(result: StudyResult) -> Captioned:
    numbers = sorted({0, *PAPER_EXPERTS, *result.numbers_of_experts()})
    columns: Columns = {}
    for method, column in OTHER_METHODS.items():
        cells = means(result, [Cell(k, method) for k in numbers])
        if any(cell != NONE for cell in cells):
            columns[column] = cells
    costs = {cost.num_experts: cost for cost in result.costs if not cost.row}  # the others are controls'
    columns |= cost_columns([costs.get(k) for k in numbers])
    caption = (
        f"{about(result, models=False)}; the other ways to use the selected expert (top-1 in percent), and the cost of "
        "one image: base, gate and one expert. 'trained' counts the parameters of all experts."
    )
    return Captioned(frame(columns, [_label(k) for k in numbers]), caption)


def figures(results: Sequence[StudyResult]) -> dict[str, Figure]:
    """Top-1 accuracy over the number of experts: one row of panels a result, ours left, the paper's right.

    Thick lines are means, thin ones the seeds; the dashed line is the mean of the base model alone. The paper's bars
    are its printed ± (no interval). Each panel has an axis of its own; the paper's stands once for each image set.
    """
    results = evidence(results)
    with figure_style():
        figure, seen = new_figure(8.0, 3.1 * len(results) + 0.6), set[str]()
        grid = figure.subplots(len(results), 2, squeeze=False)
        for (ours, paper), result in zip(grid, results, strict=True):
            ticks = ["base", *(str(k) for k in _experts(result))]
            _ours_panel(ours, result)
            _finish(ours, ticks)
            if of_the_paper(result.dataset, 0) and result.dataset not in seen:
                seen.add(result.dataset)
                _paper_panel(paper, result.dataset)
                _finish(paper, ["base", *(str(k) for k in PAPER_EXPERTS)])
            else:
                paper.set_axis_off()
        common_legend(figure, grid[:, 0], columns=3)
    return {"main": figure}


def _experts(result: StudyResult) -> list[int]:
    return sorted({*PAPER_EXPERTS, *result.numbers_of_experts()})


def _ours_panel(axes: Axes, result: StudyResult) -> None:
    base = summary_of(result, Cell(0))
    if base:
        axes.axhline(base.mean, color=COLOURS["backbone"], linestyle="--", linewidth=1)
        _series(axes, result, "backbone", [0], [0.0])
    experts = _experts(result)
    for method, shift in (("expert", -0.14), ("bagging", 0.0), ("stacking", 0.14), (EQUAL_TRAINING, 0.07)):
        _series(axes, result, method, experts, [i + 1 + shift for i in range(len(experts))])
    _series(axes, result, EQUAL_INFERENCE, [1], [0.28])
    axes.set_ylabel(f"top-1 accuracy, % ({result.evaluate} set)")
    axes.set_title(f"{where_run(result)}\n{result.base}")


def _series(axes: Axes, result: StudyResult, method: str, experts: list[int], places: list[float]) -> None:
    points = [(x, k, summary_of(result, Cell(k, method))) for x, k in zip(places, experts, strict=True)]
    measured = [(x, k, summary) for x, k, summary in points if summary]
    if not measured:
        return
    colour = COLOURS[method]
    # A line a seed: seeds differ by their base, so a rise shows along a line, not in the spread at one number.
    for seed in result.seeds if len(result.seeds) > 1 else []:
        of_seed = {x: y for x, k, _ in measured if (y := by_seed(result, Cell(k, method)).get(seed)) is not None}
        xs, ys = list(of_seed), list(of_seed.values())
        axes.plot(xs, ys, "-", marker=".", color=colour, linewidth=0.8, markersize=4, alpha=0.45)
    axes.plot(
        [x for x, _, _ in measured], [s.mean for _, _, s in measured], color=colour, marker=MARKERS[method],
        markerfacecolor="white" if method != "bagging" else colour, linestyle="-" if len(measured) > 1 else "none",
        linewidth=2, zorder=4, label=NAMES[method],
    )  # fmt: skip


def _paper_panel(axes: Axes, dataset: str) -> None:
    numbers = [of_the_paper(dataset, k) for k in (0, *PAPER_EXPERTS)]
    known: list[tuple[int, PrintedValue]] = [(x, value) for x, value in enumerate(numbers) if value]
    (_, base), *rest = known
    axes.axhline(base.value, color=COLOURS["backbone"], linestyle="--", linewidth=1)
    axes.plot([0], [base.value], color=COLOURS["backbone"], marker=MARKERS["backbone"], markerfacecolor="white")
    axes.errorbar(
        [x for x, _ in rest], [value.value for _, value in rest], yerr=[value.std or 0.0 for _, value in rest],
        color=COLOURS["bagging"], marker=MARKERS["bagging"], elinewidth=1, capsize=3,
    )  # fmt: skip
    axes.set_title(f"the paper: {DATASETS[dataset]}\n{'-'.join(PAIR)} (bars: its printed ±)")


def _finish(axes: Axes, ticks: list[str]) -> None:
    axes.set_xticks(range(len(ticks)), ticks)
    axes.set_xlim(-0.4, len(ticks) - 0.6)
    axes.set_xlabel("number of experts")
    axes.yaxis.set_major_locator(ticker.MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))


EXHIBIT = Exhibit(
    NAME, "Table 2: how many experts?", Parameters, run, tables, CLAIMS, printed_value, figures, advice=advice, place=2
)
