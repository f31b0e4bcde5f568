"""Table 5, per-sample against per-class routing, shown: accuracy, where the gate errs, and which modes it finds."""

from __future__ import annotations

from repro.report.claim import Cell, Claim
from repro.report.exhibits.exhibit import Exhibit
from repro.report.exhibits.table5_figures import (
    ENSEMBLING,
    GROUPINGS,
    LABELS,
    PAIR,
    PAPER_EXPERTS,
    WITH,
    WITHOUT,
    experts_of,
    figures,
    recovers,
)  # fmt: skip
from repro.report.numbers import NONE, mean_std
from repro.report.printed import PrintedValue, printed
from repro.report.reading import verdicts
from repro.report.tables import PAPER_COLUMN, Row, Shown, about, comparison, frame, means, text
from repro.report.verdict import by_seed, is_model, summary_of
from repro.study.exhibits.table5_per_class import METHODS, NAME, Table5Parameters, table5
from repro.study.results import StudyResult

PRINTED_ROWS = {name: name.replace("confusion", "per-class") for name in LABELS}
"""The paper prints one per-class row and does not say which grouping of classes it is; both of ours stand beside it."""


def _cell(row: str, method: str, metric: str = "top1") -> Cell:
    return Cell(PAPER_EXPERTS, method, row, metric)


def _better(key: str, text: str, more: Cell, less: Cell, settled_after: bool = False) -> Claim:
    return Claim(f"C5/{key}", text, more, less, section="4.3", settled_after=settled_after)


CLAIMS = (
    *(
        _better(
            f"{level}/{'with' if method == WITH else 'without'}",
            f"Per-sample routing beats routing by class ({grouping}), {how} ensembling",
            _cell("per-sample", method),
            _cell(level, method),
        )
        for method, how in ((WITHOUT, "without"), (WITH, "with"))
        for level, grouping in GROUPINGS.items()
    ),
    _better(
        "oracle/without",
        "An oracle gate makes per-class routing better, without ensembling",
        _cell("per-class-oracle", WITHOUT),
        _cell("per-class", WITHOUT),
    ),
    _better(
        "oracle/with",
        "An oracle gate makes per-class routing better, with ensembling",
        _cell("per-class-oracle", WITH),
        _cell("per-class", WITH),
    ),
    _better(
        "oracle-alone",
        "With the oracle gate the expert alone beats the ensemble",
        _cell("per-class-oracle", WITHOUT),
        _cell("per-class-oracle", WITH),
    ),
    _better(
        "wrong",
        "Being routed to an expert of other classes is detrimental (on those images even the base alone is better)",
        _cell("per-class", "backbone", "top1-wrong"),
        _cell("per-class", WITHOUT, "top1-wrong"),
        settled_after=True,
    ),
    _better(
        "wrong-ensembled",
        "On wrongly routed images ensembling makes up for part of the loss",
        _cell("per-class", WITH, "top1-wrong"),
        _cell("per-class", WITHOUT, "top1-wrong"),
    ),
)


def _of_the_paper(dataset: str, cell: Cell) -> PrintedValue | None:
    if cell.row not in PRINTED_ROWS or cell.method not in ENSEMBLING:
        return None
    method = f"{PRINTED_ROWS[cell.row]} {ENSEMBLING[cell.method]}"
    return printed(5, dataset, *PAIR, PAPER_EXPERTS, method, "top1")


def printed_value(result: StudyResult, cell: Cell) -> PrintedValue | None:
    """The paper's number: tr18-tr18 on tiny-ImageNet with 10 experts."""
    table = cell.metric == "top1" and cell.num_experts == PAPER_EXPERTS
    return _of_the_paper(result.dataset, cell) if table else None


def tables(result: StudyResult) -> dict[str, Shown]:
    """``main``: Table 5; ``routing``: rightly and wrongly routed images; ``modes``: what each routing recovers."""
    k = experts_of(result)
    same = is_model(result, *PAIR)
    rows = [Row("base model", Cell(0))]
    for method in METHODS:
        for name, label in LABELS.items():
            cell = Cell(k, method, name)
            how = "expert alone" if method == WITHOUT else "with bagging"
            rows.append(Row(f"{label}, {how}", cell, printed_value(result, cell), same))
    caption = (
        f"{about(result)}; {k} experts; top-1 accuracy on the {result.evaluate} set in percent, mean ± standard "
        "deviation. The paper prints one per-class row and does not say how its classes are grouped: it stands beside "
        "both of ours. The oracle gate is told which expert owns the image's class."
    )
    elsewhere = {f"{PAPER_COLUMN}, tiny-ImageNet": [text(_of_the_paper("tiny-imagenet", row.cell)) for row in rows]}
    table = comparison(result, rows, None if result.dataset == "tiny-imagenet" else elsewhere)
    shown = {"main": Shown(table, caption), "routing": _routing(result, k)}
    if recovers(result):
        shown["modes"] = _modes(result, k)
    return shown


def _routing(result: StudyResult, k: int) -> Shown:
    columns, labels = [], []
    for level in GROUPINGS:
        for metric, images in (("top1-right", "rightly routed"), ("top1-wrong", "wrongly routed"), ("top1", "all")):
            labels.append(f"{LABELS[level]}: {images}")
            share = summary_of(result, Cell(k, "gate", level, "routing"))
            base = Cell(0) if metric == "top1" else Cell(k, "backbone", level, metric)
            cells = [
                base,
                *(Cell(k, method, level, metric) for method in METHODS),
                *(Cell(k, method, f"{level}-oracle", metric) for method in METHODS),
            ]
            of_all = {"top1": 100.0, "top1-right": share.mean if share else None}.get(
                metric, 100 - share.mean if share else None
            )
            shares = NONE if of_all is None else f"{of_all:.1f}"
            columns.append([shares, *means(result, cells)])
    names = ["% of images", "base", "expert", "bagging", "right expert", "right expert, bagging"]
    by_name = {name: [row[i] for row in columns] for i, name in enumerate(names)}
    caption = (
        f"{about(result, models=False)}; {k} experts. 'Rightly routed': the gate selects the expert that owns the "
        "image's class. Top-1 accuracy in percent of the base, of the selected expert, and of the right one (oracle), "
        "on the same images."
    )
    return Shown(frame(by_name, labels), caption)


def _modes(result: StudyResult, k: int) -> Shown:
    columns = {
        name: means(result, [Cell(k, method, row, metric) for row in LABELS])
        for name, method, metric in (
            ("modes", "gate", "ami"),
            ("chance", "chance", "ami"),
            ("modes within a class", "gate", "ami-within"),
            ("chance, within a class", "chance", "ami-within"),
        )
    }
    caption = (
        f"{about(result, models=False)}; {k} experts: adjusted mutual information between the selected expert and the "
        "true mode of each test image (1: the expert tells the mode; 0: no better than unrelated), over all images and "
        "within each class. Chance is the largest of 39 random permutations. Routing by class cannot tell modes of a "
        "class apart: with the oracle it scores 0 by construction, and what its gate finds are its routing errors."
    )
    return Shown(frame(columns, list(LABELS.values())), caption)


def read(result: StudyResult) -> str:
    """The numbers in sentences."""
    k = experts_of(result)

    def top1(row: str, method: str, metric: str = "top1") -> str:
        return f"{mean_std(summary_of(result, Cell(k, method, row, metric)))} %"

    sentences = [
        f"With {k} experts, per-sample routing reaches {top1('per-sample', WITHOUT)} with the expert alone and "
        f"{top1('per-sample', WITH)} with bagging."
    ]
    for level in GROUPINGS:
        if not by_seed(result, Cell(k, WITHOUT, level)):
            continue
        gate, base = (mean_std(summary_of(result, Cell(k, who, level, "routing")), 1) for who in ("gate", "backbone"))
        oracle = f"{level}-oracle"
        sentences.append(
            f"Routing by class ({GROUPINGS[level]}) reaches {top1(level, WITHOUT)} and {top1(level, WITH)}; its "
            f"gate sends {gate} % of the images to their class's expert (the base's own word, summed by group, "
            f"{base} %). With the oracle gate it reaches {top1(oracle, WITHOUT)} and {top1(oracle, WITH)}; but the "
            f"base alone, told the same group of classes, reaches {top1(oracle, 'backbone')}."
        )
        if by_seed(result, Cell(k, WITHOUT, level, "top1-wrong")):
            sentences.append(
                f"On the wrongly routed images the selected expert is right in {top1(level, WITHOUT, 'top1-wrong')}, "
                f"the base in {top1(level, 'backbone', 'top1-wrong')}, the right expert in "
                f"{top1(oracle, WITHOUT, 'top1-wrong')}."
            )
    if recovers(result):
        within, by_class, by_chance = (
            mean_std(summary_of(result, Cell(k, who, row, "ami-within")))
            for who, row in (("gate", "per-sample"), ("gate", "per-class"), ("chance", "per-sample"))
        )
        sentences.append(
            f"Within a class, the expert that per-sample routing selects tells the true mode with an adjusted mutual "
            f"information of {within} (chance: {by_chance}; the per-class gate, through its errors alone: {by_class})."
        )
    return " ".join([*sentences, verdicts(result, EXHIBIT.judge(result))])


EXHIBIT = Exhibit(NAME, "Table 5: per-sample or per-class routing?", Table5Parameters, table5, tables, read, CLAIMS,
                  printed_value, figures)  # fmt: skip
