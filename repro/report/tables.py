"""Tables as readers see them: the paper's numbers beside ours, with spread, interval, cost and verdict.

The frames hold finished text, one cell a quantity; whoever wants the numbers takes them from the result.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from typing import TYPE_CHECKING

from repro.data.catalogue import DATASETS as DATASET_CARDS
from repro.report.claim import Cell
from repro.report.numbers import (
    DATASETS,
    NONE,
    claim_interval,
    claim_paper,
    claim_value,
    interval,
    mean_std,
    millions,
    part_text,
    so_many,
    where_run,
)
from repro.report.printed import PrintedValue
from repro.report.statistics import Summary, binomial_error
from repro.report.verdict import ClaimVerdict, Printed, Verdict, collapsed, summary_of, value_verdict
from repro.study.results import EXACT, Cost, StudyResult

if TYPE_CHECKING:
    import pandas as pd

PAPER_COLUMN = "paper"
A_RING = "in a ring over the seeds of a run: (0, 1), (1, 2), (2, 0); two seeds are one pair"

VERDICT_HUES = {
    **dict.fromkeys((Verdict.REPRODUCED, Verdict.HOLDS), "0, 158, 115"),
    **dict.fromkeys((Verdict.DIFFERS, Verdict.OPPOSITE), "213, 94, 0"),
    **dict.fromkeys((Verdict.UNDECIDED, Verdict.ANECDOTE, Verdict.TWO_SEEDS), "230, 159, 0"),
}
GREY = "128, 128, 128"
"""Red, green and blue of a verdict's mark, from Okabe and Ito's palette; the others are grey."""

Columns = dict[str, list[str]]

WIDEST_NUMBER = 24
"""Characters; a column with a longer cell holds text: it breaks its lines, so that numbers beside it stay in sight."""
TEXT = "text-align: left; vertical-align: baseline; white-space: normal; min-width: 7em; "
DIGITS = "text-align: right; vertical-align: baseline; white-space: nowrap; font-variant-numeric: tabular-nums"
"""Inline style of cells, which a notebook shows outside the book, too."""


@dataclass(frozen=True)
class Captioned:
    """A finished table, all of it text, with the caption that says what it is."""

    frame: pd.DataFrame
    caption: str

    def in_page(self, folded: bool = False) -> str:
        """For a page: the caption, which wraps at the page, above the table, which scrolls in a box.

        ``folded``: the caption's first sentence alone, which opens the rest and the table.
        """
        if not folded:
            return f'<p class="repro-caption">{escape(self.caption)}</p>{self._table()}'
        first, *more = re.split(r"(?<=[a-zτ%)'\d]\.) (?=[A-Zτ'])", self.caption, maxsplit=1)
        rest = "".join(f'<p class="repro-caption">{escape(text)}</p>' for text in more)
        return f'<details class="repro-folded"><summary>{escape(first)}</summary>{rest}{self._table()}</details>'

    def _table(self) -> str:
        """Digits align, texts break their lines, and a verdict is coloured; readable in dark mode."""
        cells = self.frame.astype(str)
        texts = [name == "verdict" or max(map(len, cells[name]), default=0) > WIDEST_NUMBER for name in cells]
        head = "<td></td>"
        for name, is_text in zip(cells, texts, strict=True):
            head += f'<th scope="col" style="text-align: {"left" if is_text else "right"}">{escape(str(name))}</th>'
        body = ""
        for label, *row in cells.itertuples():
            body += f'<tr><th scope="row" style="{TEXT}">{escape(str(label))}</th>'
            for name, is_text, cell in zip(cells, texts, row, strict=True):
                css = (TEXT if is_text else DIGITS) + (verdict_css(cell) if name == "verdict" else "")
                body += f'<td style="{css}">{escape(cell)}</td>'
            body += "</tr>"
        return _scroll_box(head, body, self.caption.partition(";")[0])


def html_table(head: Sequence[str], rows: Iterable[Sequence[str]], label: str) -> str:
    """A table of finished HTML cells in a box of its own; ``label`` says what it is to a screen reader."""
    top = "".join(f'<th scope="col">{cell}</th>' for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return _scroll_box(top, body, label)


def _scroll_box(head: str, body: str, label: str) -> str:
    """A table in a box that scrolls by itself, which the keyboard reaches and a screen reader names."""
    about = f'role="group" tabindex="0" aria-label="{escape(label)}"'
    table = f'<table class="repro-table"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
    return f'<div class="repro-scroll" style="overflow-x: auto" {about}>{table}</div>'


def about(result: StudyResult, models: bool = True) -> str:
    """``CIFAR-100, laptop scale: tr10 at width 0.25, 3 seeds (some rows: 1)``, with which captions begin."""
    pair = result.base if result.base == result.expert else f"base {result.base}, experts {result.expert}"
    rows = Counter((m.method, m.num_experts, m.row) for m in result.measurements if m.metric == "top1")
    all_seeds, fewest = len(result.seeds), min(rows.values(), default=len(result.seeds))
    seeds = so_many(all_seeds) + (f" (some rows: {fewest})" if fewest < all_seeds else "")
    named = [part_text(result), pair if models and pair != "several" else "", seeds]
    return f"{where_run(result)}: {', '.join(filter(None, named))}"


def text(paper: PrintedValue | None) -> str:
    """A printed number as the paper prints it, or a dash."""
    return paper.text() if paper else NONE


def comparison(
    result: StudyResult, cells: Mapping[str, Cell], printed: Printed, same_model: bool = False,
    elsewhere: Sequence[str] = (), other_models: Collection[Cell] = (),
) -> pd.DataFrame:  # fmt: skip
    """The paper's number beside ours: mean ± sample standard deviation, 95 % interval, and every seed; a row a cell.

    At the paper's own scale a verdict stands beside them; no other scale is compared with a printed value.

    The interval is over seeds, which share one test set; how far another test set of its size may lie stands beside it.

    Args:
        result: The record.
        cells: What was measured, by what it is called.
        printed: The paper's number for a cell of a result.
        same_model: Whether the paper's numbers are of the model that was run here.
        elsewhere: The paper's image sets, whose numbers are shown where the result is of none of them.
        other_models: Cells of which they are not, even so.
    """
    papers = {PAPER_COLUMN: result}
    if elsewhere and result.dataset not in elsewhere:
        papers = {f"{PAPER_COLUMN}, {DATASETS[d]}": result.model_copy(update={"dataset": d}) for d in elsewhere}
    columns: Columns = {name: [text(printed(of, cell)) for cell in cells.values()] for name, of in papers.items()}
    ours = [(cell, summary_of(result, cell)) for cell in cells.values()]  # a cell may have several names
    columns |= {
        "ours": [mean_std(s) if s else "collapsed" if collapsed(result, cell) else "not run" for cell, s in ours],
        "95 % interval": [interval(summary) for _, summary in ours],
        "test set's error": [_error_of_test_set(result, cell, summary) for cell, summary in ours],
    }
    if result.scale == "paper":
        columns["verdict"] = [
            value_verdict(result, cell, printed(result, cell), same_model and cell not in other_models)
            for cell in cells.values()
        ]
    columns["each seed"] = [" · ".join(f"{value:.2f}" for value in s.values) if s else NONE for _, s in ours]
    return frame(columns, list(cells))


def _error_of_test_set(result: StudyResult, cell: Cell, ours: Summary | None) -> str:
    """Standard error of an accuracy in points, binomial, by the number of test images."""
    card = DATASET_CARDS.get(result.dataset)
    images = result.spec.get("num_test") or (card.num_test if card else 0)
    known = ours and images and cell.metric == "top1" and result.evaluate == "test"
    return f"{binomial_error(ours.mean, images):.2f}" if ours and known else NONE


def frame(columns: Columns, labels: Iterable[str]) -> pd.DataFrame:
    """A frame of finished text."""
    import pandas as pd  # where it is used: an exhibit is also run where there is none

    return pd.DataFrame(columns, index=pd.Index(list(labels)))


def frame_of_rows(rows: Mapping[str, Mapping[str, str]]) -> pd.DataFrame:
    """A frame of finished text, written row by row: ``{label: {heading: cell}}``."""
    import pandas as pd

    return pd.DataFrame(list(rows.values()), index=pd.Index(list(rows)))


def means(result: StudyResult, cells: Sequence[Cell], decimals: int = 2) -> list[str]:
    """``mean ± std`` of each cell, a dash where it was not measured."""
    return [mean_std(summary_of(result, cell), decimals) for cell in cells]


def metric_columns(result: StudyResult, cells: Sequence[Cell], metrics: Mapping[str, tuple[str, int]]) -> Columns:
    """Means of the cells in several metrics, a column each: ``{heading: (metric, decimals)}``."""
    return {
        heading: means(result, [replace(cell, metric=metric) for cell in cells], decimals)
        for heading, (metric, decimals) in metrics.items()
    }


def cost_columns(costs: Sequence[Cost | None]) -> Columns:
    """MACs and both parameter counts of each row, for one image: base, gate, one expert; 'trained': of all experts."""
    return {
        "MACs": [millions(cost.macs, 1) if cost else NONE for cost in costs],
        "parameters": [millions(cost.params_inference, 2) if cost else NONE for cost in costs],
        "trained": [millions(cost.params_trainable, 2) if cost else NONE for cost in costs],
    }


def claims_table(judged: Sequence[ClaimVerdict]) -> pd.DataFrame:
    """The claims, each a difference (of top-1 in points, where nothing else is said) or a number and its bar, judged.

    Ours are differences seed by seed at the result's scale; the paper's are differences of its printed means, and have
    a column where it prints any.
    """
    columns: Columns = {
        "claim": [j.claim.text for j in judged],
        PAPER_COLUMN: list(map(claim_paper, judged)),
        "ours": list(map(claim_value, judged)),
        "95 % interval": list(map(claim_interval, judged)),
        "seeds": [str(j.ours.n) if j.ours else NONE for j in judged],
        "verdict": [j.text for j in judged],
    }
    if all(j.paper is None for j in judged):
        del columns[PAPER_COLUMN]
    return frame(columns, [j.claim.key for j in judged])


def claims_caption(result: StudyResult) -> str:
    """What a claims table shows."""
    if result.scale == EXACT:
        return "The claims, counted or computed exactly: differences, or a number and the bar that it is held against."
    return (
        f"{about(result, models=False)}: the claims as differences, seed by seed (of top-1 accuracy in points, "
        "where nothing else is said), or as a number and its bar. A column 'paper' is of the paper's own scale."
    )


def verdict_css(verdict: object) -> str:
    """Inline style of a verdict's cell, marks or none: a coloured edge and a tint that leaves the text readable."""
    hue = {str(known): hue for known, hue in VERDICT_HUES.items()}.get(str(verdict).partition(" (")[0], GREY)
    return f"border-left: 4px solid rgb({hue}); background-color: rgba({hue}, 0.15)"
