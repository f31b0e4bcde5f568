"""Table 5 (Section 4.3), is it better to route images or classes? Two ways to group classes, each also with the oracle
gate.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from math import nan

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pydantic import Field
from torch import Tensor

from repro.analysis.ensemblers import ENSEMBLERS
from repro.analysis.outputs import (
    Outputs,
    accuracy,
    base_with_oracle,
    percent,
    rightly_routed,
    routed_by_base,
    with_oracle_gate,
)
from repro.analysis.specialisation import agreement, agreement_within, chance
from repro.data.dataset import ImageDataset
from repro.families.single_gate.config import StudySpec
from repro.families.single_gate.study import SingleGateParameters, Study, measured, open_study, record, usual
from repro.report.claim import Cell, Claim
from repro.report.exhibit import Exhibit
from repro.report.numbers import where_run
from repro.report.plots import COLOURS, MARKERS, NAMES, common_legend, few_ticks, mark, mark_printed, panels
from repro.report.printed import PrintedValue, printed
from repro.report.tables import Captioned, about, comparison, frame, frame_of_rows, means
from repro.report.verdict import is_model, summary_of
from repro.study.record import cost_row
from repro.study.results import Measurement, StudyResult, evidence

NAME = "table5_per_class"
PAIR = ("tr18", "tr18")
PAPER_EXPERTS = 10
LABELS = {
    "per-sample": "per-sample",
    "per-class": "per-class, class means",
    "confusion": "per-class, confusion",
    "per-class-oracle": "class means + oracle",
    "confusion-oracle": "confusion + oracle",
}
GROUPINGS = {"per-class": "class means", "confusion": "confused classes"}
"""The two ways to group classes."""
WITHOUT, WITH = "expert", "bagging"
HOW = {WITHOUT: "without", WITH: "with"}
ENSEMBLING = {WITHOUT: "no-ensembling", WITH: "bagging"}


class Parameters(SingleGateParameters):
    """The common ones, and how many experts."""

    experts: int = Field(10, ge=2, description="number of experts K; the paper's Table 5 has 10")

    def specs(self) -> list[StudySpec]:
        return [routed(spec, level, self.experts) for spec in super().specs() for level in ("per-sample", *GROUPINGS)]


def routed(spec: StudySpec, level: str, num_experts: int) -> StudySpec:
    """The spec with K experts and images assigned to them by ``level``."""
    routing = {**spec.routing.model_dump(), "level": level}
    return spec.with_(num_experts=num_experts, routing=routing, stacking=False)


def run(parameters: Parameters) -> StudyResult:
    """Run Table 5 and write its record."""
    study = open_study(parameters)
    measurements: list[Measurement] = []
    for spec in study.specs:
        outputs = study.run(spec)
        measurements += _accuracies(spec, outputs, study)
        images = study.sources.about(spec)  # of a set that is streamed, its index
        if isinstance(images, ImageDataset) and images.modes is not None:
            measurements += _recovered(spec, outputs, torch.from_numpy(images.modes), study)
    costs = [cost_row(study.specs[0].cost)]
    return record(NAME, parameters, study, measurements, costs, varies=("routing",))


def _accuracies(spec: StudySpec, outputs: Outputs, study: Study) -> Iterator[Measurement]:
    level, labels = spec.routing.level, outputs.labels
    yield from usual(study, spec, outputs, level)
    if level == "per-sample":
        return
    expert_of = study.class_to_expert(spec)
    oracle, right = with_oracle_gate(outputs, expert_of), rightly_routed(outputs, expert_of)
    with_oracle = base_with_oracle(outputs, expert_of)
    by_base = routed_by_base(outputs, expert_of) == expert_of[labels]
    yield measured(spec, "gate", percent(right), "routing", row=level)
    yield measured(spec, "backbone", percent(by_base), "routing", row=level)
    yield measured(spec, "backbone", accuracy(with_oracle, labels), row=f"{level}-oracle")
    for name in HOW:
        yield measured(spec, name, accuracy(ENSEMBLERS[name](oracle), labels), row=f"{level}-oracle")
    for metric, images in (("top1-right", right), ("top1-wrong", ~right)):
        if not images.any():
            continue
        yield measured(spec, "backbone", accuracy(outputs.base_logits[images], labels[images]), metric, row=level)
        for name in HOW:
            for row, model in ((level, outputs), (f"{level}-oracle", oracle)):
                yield measured(spec, name, accuracy(ENSEMBLERS[name](model)[images], labels[images]), metric, row=row)


def _recovered(spec: StudySpec, outputs: Outputs, modes: Tensor, study: Study) -> Iterator[Measurement]:
    """How well the selected expert of each image tells its true mode, beside chance."""
    level, labels = spec.routing.level, outputs.labels
    selected: dict[str, Tensor] = {level: outputs.top_experts(1)[:, 0]}
    if level != "per-sample":
        selected[f"{level}-oracle"] = study.class_to_expert(spec)[labels]
    for row, experts in selected.items():
        yield measured(spec, "gate", agreement(experts, modes), "ami", row)
        yield measured(spec, "gate", agreement_within(experts, modes, labels), "ami-within", row)
        anything = chance(lambda e: agreement(e, modes), experts, spec.seed)
        within = chance(lambda e: agreement_within(e, modes, labels), experts, spec.seed, labels)
        yield measured(spec, "chance", anything, "ami", row)
        yield measured(spec, "chance", within, "ami-within", row)


def _cell(row: str, method: str, metric: str = "top1") -> Cell:
    return Cell(PAPER_EXPERTS, method, row, metric)


def _claims() -> Iterator[Claim]:
    better = partial(Claim, section="4.3")
    for method, how in HOW.items():
        for level, grouping in GROUPINGS.items():
            text = f"Per-sample routing beats routing by class ({grouping}), {how} ensembling"
            yield better(f"C5/{level}/{how}", text, _cell("per-sample", method), _cell(level, method))
    for method, how in HOW.items():
        text = f"An oracle gate makes per-class routing better, {how} ensembling"
        yield better(f"C5/oracle/{how}", text, _cell("per-class-oracle", method), _cell("per-class", method))
    text = "With the oracle gate the expert alone beats the ensemble"
    yield better("C5/oracle-alone", text, _cell("per-class-oracle", WITHOUT), _cell("per-class-oracle", WITH))
    base, expert, both = (_cell("per-class", method, "top1-wrong") for method in ("backbone", WITHOUT, WITH))
    text = "Being routed to an expert of other classes is detrimental (on those images even the base alone is better)"
    yield better("C5/wrong", text, base, expert, settled_after=True)
    text = "On wrongly routed images ensembling makes up for part of the loss"
    yield better("C5/wrong-ensembled", text, both, expert)


CLAIMS = tuple(_claims())


def printed_value(result: StudyResult, cell: Cell) -> PrintedValue | None:
    """The paper's number: tr18-tr18 on tiny-ImageNet with 10 experts.

    It prints one per-class row and does not say which grouping of classes it is; both of ours stand beside it.
    """
    method = f"{cell.row.replace('confusion', 'per-class')} {ENSEMBLING.get(cell.method)}"
    return printed(5, result.dataset, *PAIR, cell.num_experts, method, cell.metric)


def tables(result: StudyResult) -> dict[str, Captioned]:
    """``main``: Table 5; ``routing``: rightly and wrongly routed images; ``modes``: what each routing recovers."""
    k = result.most_experts(PAPER_EXPERTS)
    cells = {"base model": Cell(0)}
    for method, how in ((WITHOUT, "expert alone"), (WITH, "with bagging")):
        cells |= {f"{label}, {how}": Cell(k, method, name) for name, label in LABELS.items()}
    caption = (
        f"{about(result)}; {k} experts; top-1 accuracy on the {result.evaluate} set in percent, mean ± standard "
        "deviation. The paper prints one per-class row and does not say how its classes are grouped: it stands beside "
        "both of ours. The oracle gate is told which expert owns the image's class."
    )
    table = comparison(result, cells, printed_value, is_model(result, *PAIR), ["tiny-imagenet"])
    captioned = {"main": Captioned(table, caption), "routing": _routing(result, k)}
    if any(m.metric == "ami" for m in result.measurements):  # the image set has known modes
        captioned["modes"] = _modes(result, k)
    return captioned


def _routing(result: StudyResult, k: int) -> Captioned:
    rows = {}
    for level in GROUPINGS:
        share = summary_of(result, Cell(k, "gate", level, "routing"))
        right = share.mean if share else nan
        parts = {"rightly routed": right, "wrongly routed": 100 - right, "all": 100.0}
        for (images, of_all), metric in zip(parts.items(), ("top1-right", "top1-wrong", "top1"), strict=True):
            cells = {
                "base": Cell(0) if metric == "top1" else Cell(k, "backbone", level, metric),
                "expert": Cell(k, WITHOUT, level, metric),
                "bagging": Cell(k, WITH, level, metric),
                "right expert": Cell(k, WITHOUT, f"{level}-oracle", metric),
                "right expert, bagging": Cell(k, WITH, f"{level}-oracle", metric),
            }
            top1 = zip(cells, means(result, list(cells.values())), strict=True)
            rows[f"{LABELS[level]}: {images}"] = {"% of images": f"{of_all:.1f}", **dict(top1)}
    caption = (
        f"{about(result, models=False)}; {k} experts. 'Rightly routed': the gate selects the expert that owns the "
        "image's class. Top-1 accuracy in percent of the base, of the selected expert, and of the right one (oracle), "
        "on the same images."
    )
    return Captioned(frame_of_rows(rows), caption)


def _modes(result: StudyResult, k: int) -> Captioned:
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
    return Captioned(frame(columns, list(LABELS.values())), caption)


def figures(results: Sequence[StudyResult]) -> dict[str, Figure]:
    """Table 5, ours left, the paper's right."""
    results = evidence(results)

    def paper(axes: Axes, result: StudyResult) -> None:
        if result is results[0]:
            _paper_panel(axes)
        else:
            axes.set_axis_off()  # the paper has one image set here

    figure, grid = panels(results, _ours_panel, paper, height=3.6, width_ratios=(5, 3))
    common_legend(figure, grid[:, 0])
    return {"main": figure}


def _ours_panel(axes: Axes, result: StudyResult) -> None:
    k = result.most_experts(PAPER_EXPERTS)
    if base := summary_of(result, Cell(0)):
        axes.axhline(base.mean, color=COLOURS["backbone"], linestyle="--", linewidth=1, label=NAMES["backbone"])
    for method, shift in ((WITHOUT, -0.12), (WITH, 0.12)):
        _dots(axes, result, [Cell(k, method, row) for row in LABELS], method, shift)
    cells = [Cell(k, "backbone", row) for row in LABELS]
    _dots(axes, result, cells, "backbone", 0.34, "base told the group of classes")
    _names(axes, list(LABELS.values()))
    title = f"{where_run(result)}\n{result.base}, {k} experts"
    axes.set(title=title, ylabel=f"top-1 accuracy, % ({result.evaluate} set)")


def _dots(
    axes: Axes, result: StudyResult, cells: Sequence[Cell], method: str, shift: float, label: str | None = None
) -> None:
    for x, cell in enumerate(cells):
        if summary := summary_of(result, cell):
            face = COLOURS[method] if method == WITH else "white"
            mark(axes, x + shift, summary, MARKERS[method], COLOURS[method], seeds_at=x + shift + 0.07,
                 markerfacecolor=face, label=label or NAMES[method])  # fmt: skip


def _paper_panel(axes: Axes) -> None:
    rows = [row for row in LABELS if "confusion" not in row]
    for method, shift in ((WITHOUT, -0.12), (WITH, 0.12)):
        how = [f"{row} {ENSEMBLING[method]}" for row in rows]
        values = [printed(5, "tiny-imagenet", *PAIR, PAPER_EXPERTS, name, "top1") for name in how]
        face = COLOURS[method] if method == WITH else "white"
        places = [x + shift for x, _ in enumerate(rows)]
        mark_printed(axes, places, values, MARKERS[method], COLOURS[method], linestyle="none", markerfacecolor=face)
    _names(axes, ["per-sample", "per-class", "per-class + oracle"])
    axes.set_title(f"the paper: tiny-ImageNet\n{'-'.join(PAIR)}, {PAPER_EXPERTS} experts (bars: ±)")


def _names(axes: Axes, names: Sequence[str]) -> None:
    axes.set_xticks(range(len(names)), [name.replace(", ", ",\n").replace(" + ", "\n+ ") for name in names])
    axes.tick_params(axis="x", labelsize=8)
    axes.set_xlim(-0.5, len(names) - 0.4)
    few_ticks(axes, 6)


EXHIBIT = Exhibit(
    NAME, "Table 5: per-sample or per-class routing?", Parameters, run, tables, CLAIMS, printed_value, figures, place=6
)
