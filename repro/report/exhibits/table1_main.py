"""Table 1, the main results, shown: backbones and pairs, accuracy beside the exact cost."""

from __future__ import annotations

from collections.abc import Sequence

from repro.report.claim import AS_GOOD, MORE, Cell, Claim, equal_training, with_controls
from repro.report.exact_costs import in_unit_of, paper_cost, table1_figures
from repro.report.exhibits.exhibit import Exhibit
from repro.report.exhibits.table1_figure import figures
from repro.report.numbers import DATASETS, NONE, interval, mean_std, millions, signed
from repro.report.printed import PrintedValue, printed
from repro.report.reading import verdicts
from repro.report.tables import Columns, Row, Shown, about, comparison, cost_columns, frame, text
from repro.report.verdict import difference, summary_of
from repro.study.exhibits.table1_main import BACKBONES, NAME, PAIRS, Table1Parameters, table1
from repro.study.results import Cost, StudyResult

PAPER_DATASETS = ("cifar100", "tiny-imagenet")
PAPER_EXPERTS = 20


def alone(backbone: str) -> Cell:
    """A backbone without experts."""
    return Cell(0, row=backbone)


def pair(name: str, num_experts: int = PAPER_EXPERTS) -> Cell:
    """A pair with K experts, bagged."""
    return Cell(num_experts, row=name)


def _beats(key: str, text: str, one: str, other: str, within: tuple[float, float] = MORE) -> Claim:
    """A pair against a plain network of its cost, and against its own base trained as long."""
    controls = (equal_training(PAPER_EXPERTS, one),)
    return Claim(key, text, pair(one), alone(other), within, section="4.1", controls=controls)


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
          pair("tr18-tr10"), pair("tr10-tr18"), section="4.1"),
    Claim("D2", "From tr18-tr10, a deeper base gives more than deeper experts: tr34-tr10 beats tr18-tr18",
          pair("tr34-tr10"), pair("tr18-tr18"), section="4.1"),
)  # fmt: skip
"""Section 4.1 says of Table 1 that MoEs "consistently outperform the backbone network for an equivalent MAC count" and
that a deeper base is "often more beneficial" than deeper experts. P1 to P4 are the comparisons with a backbone of
similar or greater cost that the table offers, D1 and D2 the steps in either direction; which is 'equivalent' we say."""


def of_the_paper(dataset: str, cell: Cell) -> PrintedValue | None:
    """Top-1 accuracy of a row of Table 1 in percent."""
    base, _, expert = cell.row.partition("-")
    return printed(1, dataset, base, expert, cell.num_experts, cell.measured_as, "top1")


def printed_value(result: StudyResult, cell: Cell) -> PrintedValue | None:
    """The paper's number for a cell."""
    return of_the_paper(result.dataset, cell) if cell.metric == "top1" else None


def rows_of(result: StudyResult) -> list[Cell]:
    """Table 1's rows and whatever else was measured, each backbone before the pairs that have it as their base."""
    experts = max(result.numbers_of_experts(), default=PAPER_EXPERTS)
    names = list(dict.fromkeys([*BACKBONES, *PAIRS, *result.rows()]))
    backbones = [name for name in names if "-" not in name]
    cells = []
    for backbone in backbones:
        cells.append(alone(backbone))
        cells += [pair(name, experts) for name in names if name.startswith(f"{backbone}-")]
    return cells


def label(cell: Cell) -> str:
    """``tr18-tr10, 20 experts`` or ``tr18 alone``."""
    return f"{cell.row}, {cell.num_experts} experts" if cell.num_experts else f"{cell.row} alone"


def tables(result: StudyResult) -> dict[str, Shown]:
    """``main``: Table 1 with the costs beside the accuracy; ``cost``: what the models of this run cost."""
    cells = rows_of(result)
    full_width = result.spec.get("width", 1.0) == 1.0
    rows = [Row(label(cell), cell, of_the_paper(result.dataset, cell), full_width) for cell in cells]
    known = result.dataset in PAPER_DATASETS
    both = {f"paper, {DATASETS[name]}": [text(of_the_paper(name, c)) for c in cells] for name in PAPER_DATASETS}
    main = comparison(result, rows, None if known else both)
    costs = [_cost(result, cell) for cell in cells]
    main.insert(len(main.columns) - 1, "MACs here", [millions(cost.macs, 1) if cost else NONE for cost in costs])
    if known:
        exact = [millions(_full_cost(result.dataset, cell), 0) for cell in cells]
        main.insert(len(main.columns) - 1, "at the paper's width", exact)
    caption = (
        f"{about(result)}{_fewest(result, cells)}; top-1 accuracy on the {result.evaluate} set "
        "in percent, mean ± standard deviation. 'ours' bags the probabilities of base and selected expert. MACs are "
        "exact, for one image: base, gate and one expert"
        + ("; 'at the paper's width' at its image size too." if known else ".")
    )
    return {"main": Shown(main, caption), "cost": _costs(result, cells, costs)}


def _fewest(result: StudyResult, cells: Sequence[Cell]) -> str:
    """Said where rows have fewer seeds than the result."""
    fewest = min((summary.n for cell in cells if (summary := summary_of(result, cell))), default=len(result.seeds))
    return "" if fewest == len(result.seeds) else f" (some rows: {fewest})"


def _cost(result: StudyResult, cell: Cell) -> Cost | None:
    return next((c for c in result.costs if (c.row, c.num_experts) == (cell.row, cell.num_experts)), None)


def _full_cost(dataset: str, cell: Cell) -> int:
    base, _, expert = cell.row.partition("-")
    return paper_cost(dataset, base, expert or None, cell.num_experts).macs


def _costs(result: StudyResult, cells: Sequence[Cell], costs: Sequence[Cost | None]) -> Shown:
    columns: Columns = {
        "gain over its own base": [_gain(result, cell, alone(cell.row.partition("-")[0])) for cell in cells],
        **cost_columns(costs),
    }
    caption = (
        f"{about(result, models=False)}; what each pair adds to its own base, in points of top-1 seed by seed with its "
        "95 % interval, and what one image costs at the width of this run. 'trained' counts the parameters of all "
        "experts, or of the whole backbone."
    )
    return Shown(frame(columns, [label(cell) for cell in cells]), caption)


def _gain(result: StudyResult, cell: Cell, base: Cell) -> str:
    gain = difference(result, cell, base) if cell.num_experts else None
    if gain is None:
        return NONE
    return signed(gain.mean) + (f" ({interval(gain, sign=True)})" if gain.interval else "")


def exact() -> dict[str, Shown]:
    """All 48 printed costs of Table 1, one table an image set, against exact counts at the paper's own widths."""
    return {dataset: _exact(dataset) for dataset in PAPER_DATASETS}


def _exact(dataset: str) -> Shown:
    columns: Columns = {}
    labels, agree, total = [], 0, 0
    for name in (*BACKBONES[1:], *PAIRS):
        base, _, expert = name.partition("-")
        cost = paper_cost(dataset, base, expert or None, PAPER_EXPERTS)
        macs, inference, trainable = row = table1_figures(dataset, base, expert or None)
        matching = sum(figure.matches for figure in row)
        agree, total = agree + matching, total + len(row)
        labels.append(name if expert else f"{name} alone")
        shown = {
            "MACs: paper": macs.texts()[0],
            "exact, 1e9": macs.texts()[1],
            "inference: paper": inference.texts()[0],
            "plain sum, 1e7": in_unit_of(inference.paper, cost.params_inference),
            "less one fc, 1e7": inference.texts()[1],
            "trainable: paper": trainable.texts()[0],
            "exact, 1e7": trainable.texts()[1],
            "match": f"{matching} of {len(row)}",
            "with the plain sum": _agreement(inference.paper.matches(cost.params_inference)),
        }
        for column, cell in shown.items():
            columns.setdefault(column, []).append(cell)
    caption = (
        f"{DATASETS[dataset]}: the printed costs of Table 1 against exact counts at the paper's widths and image size, "
        f"with {PAPER_EXPERTS} experts: {agree} of {total} match after rounding. MACs are those of the whole base, the "
        "gate and one expert; 'trainable' counts all experts. The parameters for inference match only less one fc, a "
        "rule that we fitted to the printed numbers; the plain sum is what a model holds."
    )
    return Shown(frame(columns, labels), caption)


def _agreement(matches: bool) -> str:
    return "match" if matches else "mismatch"


def read(result: StudyResult) -> str:
    """The numbers in sentences."""
    sentences = []
    for cell in rows_of(result):
        summary, cost = summary_of(result, cell), _cost(result, cell)
        if summary and cost:
            base = alone(cell.row.partition("-")[0])
            gain = difference(result, cell, base) if cell.num_experts else None
            more = f", {signed(gain.mean)} points against its base" if gain else ""
            sentences.append(f"{label(cell)}: {mean_std(summary)} % with {millions(cost.macs, 1)} MACs{more}.")
    if missing := [label(cell) for cell in rows_of(result) if summary_of(result, cell) is None]:
        sentences.append(f"Not run: {'; '.join(missing)}.")
    return " ".join([*sentences, verdicts(result, EXHIBIT.judge(result))])


EXHIBIT = Exhibit(
    NAME, "Table 1: the main results", Table1Parameters, table1, tables, read, CLAIMS, printed_value, figures, exact
)
