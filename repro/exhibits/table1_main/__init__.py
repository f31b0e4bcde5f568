"""Table 1 (Section 4.1): does a pair of base and experts beat a plain network of its cost, and is it better to deepen
the base or the experts?
"""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.ticker as ticker
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from repro.exhibits.table1_main.run import NAME, Parameters, run
from repro.families.single_gate.controls import EQUAL_TRAINING
from repro.report.claim import AS_GOOD, MORE, Cell, Claim, equal_training, with_controls
from repro.report.exact_costs import BACKBONES, PAIRS, TABLE1_DATASETS, paper_cost, table1_tables
from repro.report.exhibit import Exhibit
from repro.report.numbers import DATASETS, NONE, gain, interval, millions, where_run
from repro.report.plots import COLOURS, MARKERS, MODELS, PALETTE, common_legend, panels
from repro.report.printed import PrintedValue, drawn, printed
from repro.report.tables import Captioned, Columns, about, comparison, cost_columns, frame
from repro.report.verdict import by_seed, difference, summary_of
from repro.study.results import Cost, StudyResult, evidence

PAPER_EXPERTS = 20


def alone(backbone: str) -> Cell:
    """A backbone without experts."""
    return Cell(0, row=backbone)


def pair(name: str, num_experts: int = PAPER_EXPERTS) -> Cell:
    """A pair with K experts, bagged."""
    return Cell(num_experts, row=name)


def longer(name: str, num_experts: int = PAPER_EXPERTS) -> Cell:
    """The base of a pair, trained as long as base and K experts together."""
    return Cell(num_experts, EQUAL_TRAINING, name)


def _beats(key: str, text: str, one: str, other: str, within: tuple[float, float] = MORE) -> Claim:
    """A pair against a plain network of its cost, and against its own base trained as long."""
    controls = (equal_training(PAPER_EXPERTS, one),)
    return Claim(key, text, pair(one), alone(other), within, section="4.1", controls=controls, paired=False)


CLAIMS = (
    *with_controls(
        (
            _beats("P1", "tr10-tr18 beats tr18, at about its MACs", "tr10-tr18", "tr18"),
            _beats("P2", "tr18-tr10 beats tr34, at fewer MACs", "tr18-tr10", "tr34"),
            _beats("P3", "tr34-tr10 beats tr50, at about its MACs", "tr34-tr10", "tr50"),
            _beats("P4", "tr10-tr10 is as good as tr18, at fewer MACs", "tr10-tr10", "tr18", AS_GOOD),
        )
    ),
    Claim("D1", "From tr10-tr10, a deeper base gives more than deeper experts: tr18-tr10 beats tr10-tr18",
          pair("tr18-tr10"), pair("tr10-tr18"), section="4.1", paired=False),
    Claim("D2", "From tr18-tr10, a deeper base gives more than deeper experts: tr34-tr10 beats tr18-tr18",
          pair("tr34-tr10"), pair("tr18-tr18"), section="4.1", paired=False),
)  # fmt: skip
"""Section 4.1 says of Table 1 that MoEs "consistently outperform the backbone network for an equivalent MAC count" and
that a deeper base is "often more beneficial" than deeper experts. P1 to P4 are the comparisons with a backbone of
similar or greater cost that the table offers, D1 and D2 the steps in either direction; which is 'equivalent' we say."""


def printed_value(result: StudyResult, cell: Cell) -> PrintedValue | None:
    """The paper's number for a cell: top-1 accuracy in percent."""
    base, _, expert = cell.row.partition("-")
    return printed(1, result.dataset, base, expert, cell.num_experts, cell.measured_as, cell.metric)


def rows_of(result: StudyResult) -> list[Cell]:
    """Table 1's rows and whatever else was measured, each backbone before the pairs that have it as their base."""
    experts = max(result.numbers_of_experts(), default=PAPER_EXPERTS)
    names = list(dict.fromkeys([*BACKBONES, *PAIRS, *result.rows()]))
    backbones = [name for name in names if "-" not in name]
    cells = []
    for backbone in backbones:
        cells.append(alone(backbone))
        for name in names:
            if name.startswith(f"{backbone}-"):
                cells.append(pair(name, experts))
                if summary_of(result, longer(name, experts)):
                    cells.append(longer(name, experts))
    return cells


def label(cell: Cell) -> str:
    """``tr18-tr10, 20 experts``, ``tr18 alone``, or ``tr18 trained as long as tr18-tr10``."""
    if cell.method == EQUAL_TRAINING:
        return f"{_base(cell)} trained as long as {cell.row}"
    return f"{cell.row}, {cell.num_experts} experts" if cell.num_experts else f"{cell.row} alone"


def tables(result: StudyResult) -> dict[str, Captioned]:
    """``main``: Table 1 with the costs beside the accuracy; ``cost``: what the models of this run cost."""
    cells = rows_of(result)
    full_width = result.spec.get("width", 1.0) == 1.0
    known = result.dataset in TABLE1_DATASETS
    main = comparison(result, {label(cell): cell for cell in cells}, printed_value, full_width, TABLE1_DATASETS)
    by_row = {(cost.row, cost.num_experts): cost for cost in result.costs}
    costs = [by_row.get(_runs(cell)) for cell in cells]
    main.insert(len(main.columns) - 1, "MACs here", [millions(cost.macs, 1) if cost else NONE for cost in costs])
    if known:
        pairs = [_runs(cell)[0].partition("-")[::2] for cell in cells]
        exact = [millions(paper_cost(result.dataset, base, expert or None, 20).macs, 0) for base, expert in pairs]
        main.insert(len(main.columns) - 1, "at the paper's width", exact)
    caption = (
        f"{about(result)}{_fewest(result, cells)}; top-1 accuracy on the {result.evaluate} set "
        "in percent, mean ± standard deviation. 'ours' bags the probabilities of base and selected expert. MACs are "
        "exact, for one image: base, gate and one expert"
        + ("; 'at the paper's width' at its image size too." if known else ".")
    )
    return {"main": Captioned(main, caption), "cost": _costs(result, cells, costs)}


def _runs(cell: Cell) -> tuple[str, int]:
    """Name and number of experts of what runs for an image: of a control its base alone."""
    return (_base(cell), 0) if cell.method == EQUAL_TRAINING else (cell.row, cell.num_experts)


def _base(cell: Cell) -> str:
    return cell.row.partition("-")[0]


def _fewest(result: StudyResult, cells: Sequence[Cell]) -> str:
    """Said where rows have fewer seeds than the result."""
    fewest = min((summary.n for cell in cells if (summary := summary_of(result, cell))), default=len(result.seeds))
    return "" if fewest == len(result.seeds) else f" (some rows: {fewest})"


def _costs(result: StudyResult, cells: Sequence[Cell], costs: Sequence[Cost | None]) -> Captioned:
    columns: Columns = {
        "gain over its own base": [_gain(result, cell, alone(_base(cell))) for cell in cells],
        "over that base, trained as long": [
            _gain(result, cell, longer(cell.row, cell.num_experts), paired=False) for cell in cells
        ],
        **cost_columns(costs),
    }
    caption = (
        f"{about(result, models=False)}; what each pair adds to its own base, in points of top-1 with its 95 % "
        "interval (seed by seed, as they share that base; a base that was trained as long as base and experts together "
        "shares nothing with them), and what one image costs at the width of this run. 'trained' counts the parameters "
        "of all experts, or of the whole backbone."
    )
    return Captioned(frame(columns, [label(cell) for cell in cells]), caption)


def _gain(result: StudyResult, cell: Cell, base: Cell, paired: bool = True) -> str:
    is_pair = cell.num_experts and cell.method != EQUAL_TRAINING
    found = difference(result, cell, base, paired) if is_pair else None
    return gain(found) + (f" ({interval(found, sign=True)})" if found and found.interval else "")


def figures(results: Sequence[StudyResult]) -> dict[str, Figure]:
    """One row of panels a result, ours left, the paper's right, each with axes of its own.

    The grey line joins the backbones, a circle is a pair, an open triangle its base trained as long. Big marks are
    means; dashes our seeds, the paper's bars its printed ±. A row whose image set is not in the paper has the paper's
    CIFAR-100 beside it.
    """
    figure, grid = panels(evidence(results), _ours, _paper, height=3.3)
    common_legend(figure, [axes for row in grid for axes in row[::-1]], columns=3)
    return {"main": figure}


def _ours(axes: Axes, result: StudyResult) -> None:
    line = []
    for place, cost in enumerate(result.costs):
        name, macs = cost.row, cost.macs / 1e6
        each = list(by_seed(result, Cell(cost.num_experts, row=name)).values())
        mean = sum(each) / len(each)
        colour = MODELS.get(name, PALETTE[place % len(PALETTE)]) if cost.num_experts else "#000000"
        if cost.num_experts:
            axes.plot([macs], [mean], MARKERS["bagging"], color=colour, markersize=8, label=name, zorder=4)
        else:
            line.append((name, macs, mean, min(each)))
        if len(result.seeds) > 1:
            axes.plot([macs] * len(each), each, "_", color=colour, markersize=16, zorder=2)
    _backbones(axes, line)
    macs_of = {cost.row: cost.macs / 1e6 for cost in result.costs}
    for cell in (longer(name, max(result.numbers_of_experts(), default=0)) for name in macs_of):
        if control := summary_of(result, cell):
            axes.plot(
                [macs_of[_base(cell)]], [control.mean], MARKERS[EQUAL_TRAINING], color=MODELS.get(cell.row, "#000000"),
                markerfacecolor="none", markersize=8, label=label(cell), zorder=4,
            )  # fmt: skip
    axes.set_xlabel("multiply-adds of one image, millions")
    axes.set_ylabel(f"top-1 accuracy, % ({result.evaluate} set)")
    seeds = "dashes: its seeds" if len(result.seeds) > 1 else "one seed"
    axes.set_title(f"{where_run(result)}\nwidth {result.spec.get('width', 1):g}, {seeds}")
    _finish(axes)


def _paper(axes: Axes, result: StudyResult) -> None:
    dataset = result.dataset if result.dataset in TABLE1_DATASETS else "cifar100"
    points = drawn(dataset, "backbone")  # of Figure 2, which draws tr10 as well
    _backbones(axes, [(name, macs / 1e9, y, y) for name, (macs, y) in zip(BACKBONES, points, strict=True)])
    for name in PAIRS:
        base, _, expert = name.partition("-")
        top1, macs = (printed(1, dataset, base, expert, 20, "bagging", metric) for metric in ("top1", "macs"))
        if top1 and macs:
            axes.errorbar(
                [macs.value / 1e9], [top1.value], yerr=[top1.std or 0.0], fmt=MARKERS["bagging"], color=MODELS[name],
                markersize=8, elinewidth=1, capsize=3, label=name, zorder=4,
            )  # fmt: skip
    axes.set_xlabel("multiply-adds of one image, billions")
    axes.set_title(f"the paper: {DATASETS[dataset]}\nfull width (bars: its printed ±)")
    _finish(axes)


def _backbones(axes: Axes, points: Sequence[tuple[str, float, float, float]]) -> None:
    """A line through name, multiply-adds, accuracy; the name stands below the lowest mark, the last of the four."""
    points = sorted(points, key=lambda point: point[1])
    axes.plot(
        [macs for _, macs, *_ in points], [top1 for _, _, top1, _ in points], "-", marker=MARKERS["backbone"],
        color=COLOURS["backbone"], markerfacecolor="white", label="backbone alone", zorder=3,
    )  # fmt: skip
    for name, macs, _, lowest in points:
        axes.annotate(name, (macs, lowest), (0, -8), textcoords="offset points", ha="center", va="top", fontsize=8)


def _finish(axes: Axes) -> None:
    axes.margins(x=0.1, y=0.18)
    axes.yaxis.set_major_locator(ticker.MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))


EXHIBIT = Exhibit(
    NAME, "Table 1: the main results", Parameters, run, tables, CLAIMS, printed_value, figures, table1_tables, place=1
)
