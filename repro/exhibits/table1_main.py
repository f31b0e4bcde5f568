"""Table 1 (Section 4.1): does a pair of base and experts beat a plain network of its cost, and is it better to deepen
the base or the experts?
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from operator import itemgetter

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pydantic import Field
from torch import Tensor

from repro.analysis.ensemblers import bagging
from repro.analysis.outputs import accuracy
from repro.errors import SpecError
from repro.families.single_gate.config import StudySpec
from repro.families.single_gate.controls import EQUAL_TRAINING
from repro.families.single_gate.controls import equal_training as of_equal_training
from repro.families.single_gate.scales import default_spec
from repro.families.single_gate.study import SingleGateParameters, measured, open_study, record
from repro.report.claim import AS_GOOD, MORE, Cell, Claim, equal_training, with_controls
from repro.report.exact_costs import BACKBONES, PAIRS, TABLE1_DATASETS, paper_cost, table1_tables
from repro.report.exact_costs import TABLE1_EXPERTS as K
from repro.report.exhibit import Exhibit
from repro.report.numbers import DATASETS, NONE, gain, interval, millions, where_run
from repro.report.plots import COLOURS, MARKERS, MODELS, PALETTE, common_legend, few_ticks, mark_printed, panels
from repro.report.printed import PrintedValue, drawn, printed
from repro.report.tables import Captioned, Columns, about, comparison, cost_columns, frame
from repro.report.verdict import difference, summary_of
from repro.study.lists import NamesOrNone
from repro.study.parameters import DEMONSTRATIONS
from repro.study.record import cost_row, seed_by_seed
from repro.study.results import Cost, Measurement, StudyResult, evidence

NAME = "table1_main"
IN_A_MINUTE = ("tr10-tr10", "tr18-tr10"), ("tr10", "tr18")
"""Pairs and backbones that demonstrations run, unless others are asked for."""


class Parameters(SingleGateParameters):
    """The common ones, which rows, how many experts, and which pairs have a control."""

    pairs: NamesOrNone = Field((), description="base-expert, e.g. tr10-tr10,tr18-tr10; or none")
    backbones: NamesOrNone = Field((), description="networks run alone, e.g. tr18,tr34; or none")
    experts: int = Field(20, ge=1, description="the number of experts K of every pair")
    fewer_seeds: NamesOrNone = Field(
        (), description="rows that get only the first of the seeds, e.g. tr34-tr10:1,tr50:1"
    )
    controls: NamesOrNone = Field(
        (), description="pairs that are held against their base trained as long, e.g. tr18-tr10; or none"
    )

    def rows(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Pairs and backbones that are asked for; where nothing is said, those of the scale."""
        usual = IN_A_MINUTE if self.scale in DEMONSTRATIONS else (PAIRS, BACKBONES)
        asked = zip((self.pairs, self.backbones), usual, strict=True)
        pairs, backbones = (() if names == ("none",) else names or of_scale for names, of_scale in asked)
        return pairs, backbones

    def seeds_of(self, row: str) -> tuple[int, ...]:
        """The seeds of a row: all, or its first few."""
        return self.seeds[: self._few().get(row)]

    def specs(self) -> list[StudySpec]:
        """The spec of every pair and seed, row by row."""
        if not any(rows := self.rows()):
            raise SpecError("pairs, backbones: nothing is left to run; name at least one row")
        if strange := sorted(set(self._few()) - {*rows[0], *rows[1]}):
            raise SpecError(f"fewer_seeds: {', '.join(strange)} is no row of this run")
        if strange := sorted({*self.controls} - {*rows[0], "none"}):
            raise SpecError(f"controls: {', '.join(strange)} is no pair of this run")
        return [self._pair(row).with_(seed=seed) for row in rows[0] for seed in self.seeds_of(row)]

    def bases(self) -> list[StudySpec]:
        """The spec of every backbone and seed, then of every control; only its base counts.

        Where nothing is said of controls every pair has one, but in demonstrations.
        """
        plain = {row: self._spec(row, row) for row in self.rows()[1]}
        backbones = [spec.with_(seed=seed) for row, spec in plain.items() for seed in self.seeds_of(row)]
        every = not self.controls and self.scale not in DEMONSTRATIONS
        return backbones + [of_equal_training(spec) for spec in self.specs() if every or spec.pair in self.controls]

    def _pair(self, row: str) -> StudySpec:
        base, dash, expert = row.partition("-")
        if not dash:
            raise SpecError(f"pairs: write base-expert, such as tr18-tr10, not {row!r}")
        return self._spec(base, expert)

    def _spec(self, base: str, expert: str) -> StudySpec:
        spec = default_spec(self.scale, self.dataset)
        return spec.with_(base=base, expert=expert, num_experts=self.experts, stacking=False)

    def _few(self) -> dict[str, int]:
        few = {}
        for entry in self.fewer_seeds:
            row, _, count = entry.partition(":")
            if not count.isdigit() or int(count) < 1:
                raise SpecError(f"fewer_seeds: write row:count, such as tr50:1, not {entry!r}")
            few[row] = int(count)
        return few


def run(parameters: Parameters) -> StudyResult:
    """Run the rows that are asked for, seed by seed, and write their record, of as many models as time allows.

    The record is what this one command makes, so it can be made again. To add rows to it, ask for the old ones
    and the new ones together: what was run before is found in the store.
    """
    study = open_study(parameters)
    costs: list[Cost] = []
    done: set[tuple[str, int]] = set()  # bases, by seed, that are measured

    def of_pair(spec: StudySpec) -> Iterator[Measurement]:
        outputs = study.run(spec)
        yield measured(spec, "bagging", accuracy(bagging(outputs), outputs.labels), row=spec.pair)
        costs.append(cost_row(spec.cost, spec.pair))
        yield from of_backbone(spec, (outputs.base_logits, outputs.labels))  # a pair's outputs hold its base's

    def of_backbone(spec: StudySpec, answers: tuple[Tensor, Tensor] | None = None) -> Iterator[Measurement]:
        if (spec.base, spec.seed) not in done:
            top1 = accuracy(*(answers or study.base_outputs(spec)))
            yield measured(spec, "backbone", top1, row=spec.base, num_experts=0)
            done.add((spec.base, spec.seed))
            costs.append(cost_row(spec.cost.without_experts(), spec.base))

    def of_control(spec: StudySpec) -> Iterator[Measurement]:
        top1 = accuracy(*study.base_outputs(spec))
        yield measured(spec, EQUAL_TRAINING, top1, row=spec.pair, num_experts=parameters.experts)

    parts = [(spec.seed, of_pair(spec)) for spec in parameters.specs()]
    parts += [(spec.seed, of_control(spec) if spec.role == "control" else of_backbone(spec))
              for spec in parameters.bases()]  # fmt: skip
    varies = [name for name in ("base", "expert") if len({getattr(spec, name) for spec in study.specs}) > 1]
    return seed_by_seed(
        (part for _, part in sorted(parts, key=itemgetter(0))),
        lambda measurements: record(NAME, parameters, study, measurements, costs, varies=varies),
    )


def longer(name: str, num_experts: int = K) -> Cell:
    """The base of a pair, trained as long as base and K experts together."""
    return Cell(num_experts, EQUAL_TRAINING, name)


def _beats(key: str, text: str, one: str, other: str, within: tuple[float, float] = MORE) -> Claim:
    """A pair against a plain network of its cost, and against its own base trained as long."""
    cells = Cell(K, row=one), Cell(0, row=other)
    return Claim(key, text, *cells, within, section="4.1", controls=(equal_training(K, one),), paired=False)


CLAIMS = with_controls(
    (
        _beats("P1", "tr10-tr18 beats tr18, at about its MACs", "tr10-tr18", "tr18"),
        _beats("P2", "tr18-tr10 beats tr34, at fewer MACs", "tr18-tr10", "tr34"),
        _beats("P3", "tr34-tr10 beats tr50, at about its MACs", "tr34-tr10", "tr50"),
        _beats("P4", "tr10-tr10 is as good as tr18, at fewer MACs", "tr10-tr10", "tr18", AS_GOOD),
        Claim("D1", "From tr10-tr10, a deeper base gives more than deeper experts: tr18-tr10 beats tr10-tr18",
              Cell(K, row="tr18-tr10"), Cell(K, row="tr10-tr18"), section="4.1", paired=False),
        Claim("D2", "From tr18-tr10, a deeper base gives more than deeper experts: tr34-tr10 beats tr18-tr18",
              Cell(K, row="tr34-tr10"), Cell(K, row="tr18-tr18"), section="4.1", paired=False),
    )
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
    experts = result.most_experts(K)
    names = list(dict.fromkeys([*BACKBONES, *PAIRS, *result.rows()]))
    cells = []
    for backbone in (name for name in names if "-" not in name):
        cells.append(Cell(0, row=backbone))
        for name in names:
            if name.startswith(f"{backbone}-"):
                cells.append(Cell(experts, row=name))
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
        exact = [millions(paper_cost(result.dataset, base, expert or None, K).macs, 0) for base, expert in pairs]
        main.insert(len(main.columns) - 1, "at the paper's width", exact)
    caption = (
        f"{about(result)}; top-1 accuracy on the {result.evaluate} set "
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


def _costs(result: StudyResult, cells: Sequence[Cell], costs: Sequence[Cost | None]) -> Captioned:
    columns: Columns = {
        "gain over its own base": [_gain(result, cell, Cell(0, row=_base(cell))) for cell in cells],
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
    gained = difference(result, cell, base, paired) if is_pair else None
    return gain(gained) + (f" ({interval(gained, sign=True)})" if gained and gained.interval else "")


def figures(results: Sequence[StudyResult]) -> dict[str, Figure]:
    """One row of panels a result, ours left, the paper's right, each with axes of its own.

    The grey line joins the backbones, a circle is a pair, an open triangle its base trained as long. Big marks are
    means; dashes our seeds, the paper's bars its printed ±. A row whose image set is not in the paper has the paper's
    CIFAR-100 beside it.
    """
    figure, grid = panels(evidence(results), _ours, _paper, height=3.3)
    common_legend(figure, grid[:, ::-1].flat, columns=3)
    return {"main": figure}


def _ours(axes: Axes, result: StudyResult) -> None:
    line, macs_of = [], {cost.row: cost.macs / 1e6 for cost in result.costs}
    for place, cost in enumerate(result.costs):
        name, macs = cost.row, macs_of[cost.row]
        if not (summary := summary_of(result, Cell(cost.num_experts, row=name))):
            continue
        colour = MODELS.get(name, PALETTE[place % len(PALETTE)]) if cost.num_experts else "#000000"
        if cost.num_experts:
            axes.plot([macs], [summary.mean], MARKERS["bagging"], color=colour, markersize=8, label=name, zorder=4)
        else:
            line.append((name, macs, summary.mean, min(summary.values)))
        if len(result.seeds) > 1:
            axes.plot([macs] * summary.n, summary.values, "_", color=colour, markersize=16, zorder=2)
    _backbones(axes, line)
    for cell in (longer(name, result.most_experts()) for name in macs_of):
        if control := summary_of(result, cell):
            axes.plot(
                [macs_of[_base(cell)]], [control.mean], MARKERS[EQUAL_TRAINING], color=MODELS.get(cell.row, "#000000"),
                markerfacecolor="none", markersize=8, label=label(cell), zorder=4,
            )  # fmt: skip
    seeds = "dashes: its seeds" if len(result.seeds) > 1 else "one seed"
    title = f"{where_run(result)}\nwidth {result.spec.get('width', 1):g}, {seeds}"
    axes.set(title=title, ylabel=f"top-1 accuracy, % ({result.evaluate} set)")
    _finish(axes, "millions")


def _paper(axes: Axes, result: StudyResult) -> None:
    dataset = result.dataset if result.dataset in TABLE1_DATASETS else "cifar100"
    points = drawn(dataset, "backbone")  # of Figure 2, which draws tr10 as well
    _backbones(axes, [(name, macs / 1e9, y, y) for name, (macs, y) in zip(BACKBONES, points, strict=True)])
    for name in PAIRS:
        base, _, expert = name.partition("-")
        top1, macs = (printed(1, dataset, base, expert, K, "bagging", metric) for metric in ("top1", "macs"))
        if macs:
            place, look = macs.value / 1e9, {"markersize": 8, "label": name, "zorder": 4, "linestyle": "none"}
            mark_printed(axes, [place], [top1], MARKERS["bagging"], MODELS[name], **look)
    axes.set_title(f"the paper: {DATASETS[dataset]}\nfull width (bars: its printed ±)")
    _finish(axes, "billions")


def _backbones(axes: Axes, points: Sequence[tuple[str, float, float, float]]) -> None:
    """A line through name, multiply-adds, accuracy; the name stands below the lowest mark, the last of the four."""
    points = sorted(points, key=lambda point: point[1])
    axes.plot(
        [macs for _, macs, *_ in points], [top1 for _, _, top1, _ in points], "-", marker=MARKERS["backbone"],
        color=COLOURS["backbone"], markerfacecolor="white", label="backbone alone", zorder=3,
    )  # fmt: skip
    for name, macs, _, lowest in points:
        axes.annotate(name, (macs, lowest), (0, -8), textcoords="offset points", ha="center", va="top", fontsize=8)


def _finish(axes: Axes, unit: str) -> None:
    axes.set_xlabel(f"multiply-adds of one image, {unit}")
    axes.margins(x=0.1, y=0.18)
    few_ticks(axes)


EXHIBIT = Exhibit(
    NAME, "Table 1: the main results", Parameters, run, tables, CLAIMS, printed_value, figures, table1_tables, place=1
)
