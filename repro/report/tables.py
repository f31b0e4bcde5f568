"""Tables as readers see them: the paper's numbers beside ours, with spread, interval, cost and verdict.

The frames hold finished text, one cell a quantity; whoever wants the numbers takes them from the result.
"""

from __future__ import annotations

import hashlib

import pandas as pd
from pandas.io.formats.style import Styler
from pandas.io.formats.style_render import CSSDict

from repro.report.numbers import DATASETS, NONE, interval, mean_std, millions, signed, summary_of
from repro.report.printed import PAPER_PAIR, printed_table2
from repro.report.verdict import Row, Verdict, by_seed, table2_claims, value_verdict
from repro.study.results import Cost, StudyResult

PAPER_DATASETS = ("cifar100", "tiny-imagenet")
PAPER_EXPERTS = (1, 5, 10, 20)
"""The numbers of experts in Table 2."""

PAPER_COLUMN = "paper"

OTHER_METHODS = {"expert": "expert alone", "top-2": "top-2 experts", "stacking": "stacking", "bagging-logits": "logits"}
"""Methods beside bagging of probabilities, which is 'ours', and the columns that show them."""

VERDICT_HUES = {
    Verdict.REPRODUCED: "0, 158, 115",
    Verdict.HOLDS: "0, 158, 115",
    Verdict.BETTER: "0, 114, 178",
    Verdict.DIFFERS: "213, 94, 0",
    Verdict.OPPOSITE: "213, 94, 0",
    Verdict.UNDECIDED: "230, 159, 0",
    Verdict.ANECDOTE: "230, 159, 0",
}
GREY = "128, 128, 128"
"""Red, green and blue of a verdict's mark, from Okabe and Ito's palette; the others are grey."""

Table = dict[str, list[str]]


def _label(num_experts: int) -> str:
    if num_experts == 0:
        return "base model"
    return "1 expert (ensembling baseline)" if num_experts == 1 else f"{num_experts} experts"


def rows_of(result: StudyResult) -> list[Row]:
    """The rows of Table 2: the base, the paper's 1, 5, 10, 20 experts, and any other number that was run."""
    return [Row(k) for k in sorted({0, *PAPER_EXPERTS, *result.numbers_of_experts()})]


def table2(result: StudyResult) -> pd.DataFrame:
    """Table 2 (how many experts?): the paper's top-1 beside ours, in percent, with interval, verdict and every seed.

    One row for the base model and each number of experts. 'ours' bags probabilities of base and expert, as mean ±
    sample standard deviation.
    """
    rows = rows_of(result)
    columns = _paper_columns(result, rows)
    columns |= {"ours": [], "95 % interval": [], "verdict": [], "each seed": []}
    for row in rows:
        paper = printed_table2(result.dataset, row.num_experts)
        ours = summary_of(result, "top1", row.method, row.num_experts)
        each = by_seed(result, "top1", row.method, row.num_experts).values()
        columns["ours"].append(mean_std(ours) if ours else "not run")
        columns["95 % interval"].append(interval(ours))
        columns["verdict"].append(value_verdict(result, row, paper))
        columns["each seed"].append(" · ".join(f"{value:.2f}" for value in each) or NONE)
    return _frame(columns, rows)


def _paper_columns(result: StudyResult, rows: list[Row]) -> Table:
    """The paper's column of this image set; of both its image sets where this one is not in the paper."""
    known = printed_table2(result.dataset, 0) is not None
    names = {PAPER_COLUMN: result.dataset} if known else {f"{PAPER_COLUMN}, {DATASETS[d]}": d for d in PAPER_DATASETS}
    columns: Table = {}
    for name, dataset in names.items():
        printed = [printed_table2(dataset, row.num_experts) for row in rows]
        columns[name] = [value.text() if value else NONE for value in printed]
    return columns


def table2_details(result: StudyResult) -> pd.DataFrame:
    """The other ways to use the selected expert, those that were measured (top-1 in percent), and what it costs.

    MACs and parameters are those of one image: the base, its gate and one expert; 'trained' counts all experts.
    """
    rows = rows_of(result)
    columns: Table = {}
    for method, column in OTHER_METHODS.items():
        cells = [mean_std(summary_of(result, "top1", method, row.num_experts)) for row in rows]
        if any(cell != NONE for cell in cells):
            columns[column] = cells
    return _frame(columns | _cost_columns(result, rows), rows)


def _frame(columns: Table, rows: list[Row]) -> pd.DataFrame:
    return pd.DataFrame(columns, index=pd.Index([_label(row.num_experts) for row in rows]))


def _cost_columns(result: StudyResult, rows: list[Row]) -> Table:
    costs: dict[int, Cost] = {cost.num_experts: cost for cost in result.costs}
    known = [costs.get(row.num_experts) for row in rows]
    return {
        "MACs": [millions(cost.macs, 1) if cost else NONE for cost in known],
        "parameters": [millions(cost.params_inference, 2) if cost else NONE for cost in known],
        "trained": [millions(cost.params_trainable, 2) if cost else NONE for cost in known],
    }


def claims_table(result: StudyResult) -> pd.DataFrame:
    """What Section 4.1 claims of Table 2: each difference in points of top-1, paper and ours, and the verdict.

    Ours are differences seed by seed at this result's scale; the paper's are differences of its printed means.
    """
    judged = table2_claims(result)
    columns: Table = {
        "the paper's claim": [j.claim.text for j in judged],
        PAPER_COLUMN: [NONE if j.paper is None else signed(j.paper) for j in judged],
        "ours": [NONE if j.ours is None else signed(j.ours.mean) for j in judged],
        "95 % interval": [interval(j.ours, sign=True) for j in judged],
        "seeds": [str(j.ours.n) if j.ours else NONE for j in judged],
        "verdict": [str(j.verdict) for j in judged],
    }
    return pd.DataFrame(columns, index=pd.Index([j.claim.key for j in judged]))


def table2_caption(result: StudyResult) -> str:
    """What a Table 2 shows, for :func:`style`."""
    data = DATASETS.get(result.dataset, result.dataset)
    return (
        f"{data}, {result.scale} scale: {result.base}, top-1 accuracy on the {result.evaluate} set in percent, "
        f"mean ± standard deviation over {len(result.seeds)} seed{'s' if len(result.seeds) > 1 else ''}. "
        f"'paper' is {'-'.join(PAPER_PAIR)} at its own scale; 'ours' bags the probabilities of base and expert."
    )


def details_caption(result: StudyResult) -> str:
    """What the details show, for :func:`style`."""
    data = DATASETS.get(result.dataset, result.dataset)
    return (
        f"{data}, {result.scale} scale: the other ways to use the selected expert (top-1 in percent), and the cost of "
        "one image: base, gate and one expert. 'trained' counts the parameters of all experts."
    )


def claims_caption(result: StudyResult) -> str:
    """What a claims table shows, for :func:`style`."""
    data = DATASETS.get(result.dataset, result.dataset)
    return (
        f"{data}, {result.scale} scale: the claims about Table 2 as differences of top-1 accuracy in points, "
        "seed by seed. The paper's column is at the paper's own scale."
    )


def verdict_css(verdict: object) -> str:
    """Inline style of a verdict's cell: a coloured edge and a tint that leaves the text readable on any ground."""
    hue = {str(known): hue for known, hue in VERDICT_HUES.items()}.get(str(verdict), GREY)
    return f"border-left: 4px solid rgb({hue}); background-color: rgba({hue}, 0.15)"


def style(frame: pd.DataFrame, caption: str) -> Styler:
    """``frame`` with a caption, digits that align, and the verdict worded and coloured; readable in dark mode."""
    cell = "text-align: right; vertical-align: baseline; white-space: nowrap"
    text = [column for column in frame.columns if column in ("the paper's claim", "verdict")]
    styler = Styler(frame, uuid=_uuid(frame, caption), caption=caption, cell_ids=False)
    styler.set_table_attributes('class="repro-table"')
    left: list[CSSDict] = [
        {"selector": f"{tag}.col{frame.columns.get_loc(column)}", "props": "text-align: left"}
        for column in text
        for tag in ("th", "td")
    ]
    styler.set_table_styles(
        [
            {"selector": "caption", "props": "caption-side: top; text-align: left; padding: 0.3em 0"},
            {"selector": "th", "props": cell},
            {"selector": "td", "props": f"{cell}; font-variant-numeric: tabular-nums"},
            {"selector": "th.row_heading", "props": "text-align: left"},
            *left,
        ]
    )
    if "verdict" in frame.columns:
        styler.map(verdict_css, subset=["verdict"])
    return styler


def _uuid(frame: pd.DataFrame, caption: str) -> str:
    return hashlib.sha256((caption + frame.to_csv()).encode()).hexdigest()[:8]
