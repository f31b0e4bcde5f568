"""Table 6 (Section 4.3), which ensembler? None, two experts, stacking, bagging; and how well calibrated each of them
is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pydantic import Field
from torch import Tensor

from repro.analysis.ensemblers import ENSEMBLERS
from repro.analysis.outputs import Outputs, accuracy, fit_of, reliability
from repro.families.single_gate.config import StudySpec
from repro.families.single_gate.controls import EQUAL_INFERENCE, EQUAL_TRAINING, ControlledParameters, of_controls
from repro.families.single_gate.pairs import MEAN, PairParameters, means_over_pairs
from repro.families.single_gate.stacking import Stacking, stacking
from repro.families.single_gate.study import Study, open_study, record
from repro.report.claim import AS_GOOD, Cell, Claim, equal_training, with_controls
from repro.report.curves import pooled
from repro.report.exhibit import Exhibit
from repro.report.numbers import so_many, where_run
from repro.report.plots import COLOURS, MARKERS, MODELS, NAMES, common_legend, panels
from repro.report.printed import PrintedValue, mean_printed, printed
from repro.report.tables import Captioned, about, comparison, frame, metric_columns
from repro.report.verdict import by_seed, difference
from repro.study.lists import Pairs
from repro.study.record import cost_row
from repro.study.results import Measurement, StudyResult, Table, evidence

NAME = "table6_ensemblers"
START = "stacking-start"
"""The method's name in the record for stacking before its training."""


class Parameters(PairParameters, ControlledParameters):
    """Pairs and numbers of experts, with stacking; their controls; and whose fit of the training images is measured."""

    training: Pairs = Field(
        ("tr10-tr10",), description="those of the pairs whose losses on the training images are taken too"
    )

    def spec(self, seed: int, pair: str) -> StudySpec:
        return super().spec(seed, pair).with_(stacking=True)


def run(parameters: Parameters) -> StudyResult:
    """Run Table 6 and record it."""
    study = open_study(parameters)
    measurements: list[Measurement] = []
    diagram = Table(columns=["pair", "K", "method", "seed", "bin", "count", "confidence", "accuracy"], rows=[])
    for spec in parameters.specs():
        for method, scores, labels in _ways(study, spec, study.run(spec)):
            cell, curve = cell_of(spec.pair, method, spec.num_experts), reliability(scores, labels)
            values = {"top1": accuracy(scores, labels), "ece": curve.ece, "overconfidence": curve.overconfidence}
            measurements += [replace(cell, metric=name).measurement(spec.seed, x) for name, x in values.items()]
            bins = zip(curve.count.tolist(), curve.confidence.tolist(), curve.accuracy.tolist(), strict=True)
            diagram.rows.extend(
                [spec.pair, spec.num_experts, method, spec.seed, i, count, round(sure, 4), round(right, 4)]
                for i, (count, sure, right) in enumerate(bins)
                if count
            )
        if spec.pair in parameters.training:
            measurements += _fit(study, spec)
    measurements += of_controls(parameters, study)
    measurements += list(means_over_pairs(measurements, parameters.pairs))
    costs = [cost_row(spec.cost, spec.pair) for spec in parameters.specs()]
    return record(NAME, parameters, study, measurements, costs, {"reliability": diagram}, parameters.varies())


def _ways(study: Study, spec: StudySpec, outputs: Outputs) -> Iterator[tuple[str, Tensor, Tensor]]:
    """Probabilities ``[N, C]`` of the base and of every ensembler, one at a time, with the labels ``[N]``."""
    yield "backbone", outputs.base_logits.softmax(-1), outputs.labels
    for method, ensemble in ENSEMBLERS.items():
        if method != "top-2" or spec.num_experts > 1:
            yield method, ensemble(outputs), outputs.labels
    yield "stacking", stacking(outputs, study.stackers(spec)), outputs.labels
    # Its start, the sum of two log-probabilities, counts the evidence that both share twice: how much of stacking's
    # confidence is this, and how much its training's?
    untrained = [Stacking(outputs.base_logits.shape[1])] * spec.num_experts
    yield START, stacking(outputs, untrained), outputs.labels


def _fit(study: Study, spec: StudySpec) -> Iterator[Measurement]:
    """What base and selected expert say of the training images: the over-confidence that Section 2.2 speaks of."""
    losses = study.losses(spec)
    chosen = losses.gate_probs.argmax(1, keepdim=True)
    by_method = {"backbone": losses.base, "expert": losses.experts.gather(1, chosen)[:, 0]}
    for method, each in by_method.items():
        for metric, value in zip(("training-loss", "training-sure"), fit_of(each), strict=True):
            yield cell_of(spec.pair, method, spec.num_experts, metric).measurement(spec.seed, value)


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

LABELS = {method: label for method, (label, _) in METHODS.items()}
CONTROLS = {
    EQUAL_TRAINING: "control: the base, trained as long as base and experts",
    EQUAL_INFERENCE: "control: a plain network of the cost of base and one expert",
}
CALIBRATED = LABELS | {START: "stacking before its training"}
"""The rows of the calibration, which also tells where stacking starts."""


MANY = 50.0
"""Section 2.2 speaks of a base that is "overly confident on many training samples": we read, its own class above 0.9 on
at least this many of a hundred training images. Where it is not, there is no such base to judge.
It is measured for tr10, the base of the pair whose fit of the training images is taken."""

BASE = Cell(0, "backbone", MEAN)
EXPERT, TOP_2, STACKING, BAGGING = (Cell(K, method, MEAN) for method in ("expert", "top-2", "stacking", "bagging"))
CLAIMS = with_controls(
    (
        Claim("E1/base", "Even without ensembling, the selected expert beats the base", EXPERT, BASE, section="4.3",
              controls=(equal_training(K, MEAN),)),
        Claim("E1", "Even without ensembling, the selected expert beats one expert trained on everything", EXPERT,
              Cell(1, "expert", MEAN), section="4.3", settled_after=True, controls=(equal_training(K, MEAN),)),
        Claim("E2/top-2", "Two experts beat the selected one alone", TOP_2, EXPERT, section="4.3"),
        Claim("E2/stacking", "Stacking beats the selected expert alone", STACKING, EXPERT, section="4.3"),
        Claim("E2/bagging", "Bagging beats the selected expert alone", BAGGING, EXPERT, section="4.3"),
        Claim("E3/stacking", "Stacking beats two experts", STACKING, TOP_2, section="4.3"),
        Claim("E3/bagging", "Bagging beats two experts", BAGGING, TOP_2, section="4.3"),
        Claim("E4", "Bagging is about as good as stacking", BAGGING, STACKING, AS_GOOD, section="4.3"),
        Claim("E5", "The base is over-confident (mean confidence above accuracy on the evaluation set, in percentage "
              "points)", replace(BASE, metric="overconfidence"), section="2.2",
              premise=(Cell(0, "backbone", "tr10", "training-sure"), MANY), settled_after=True),
    )
)  # fmt: skip
"""What Sections 2.2 and 4.3 say of ensemblers, each averaged over the pairs that were run."""


def pairs(result: StudyResult) -> list[str]:
    """The pairs that were run."""
    return list(dict.fromkeys(m.row for m in result.measurements if m.num_experts and m.row != MEAN))


def cell_of(pair: str, method: str, k: int, metric: str = "top1") -> Cell:
    """The cell of a method for a pair; the base's row is its own."""
    return Cell(0, method, pair.split("-")[0], metric) if method == "backbone" else Cell(k, method, pair, metric)


def printed_value(result: StudyResult, cell: Cell) -> PrintedValue | None:
    """The paper's number for a cell; for the mean over pairs, the mean of its numbers for the same pairs."""
    if cell.metric != "top1" or cell.num_experts not in (0, K):
        return None
    if cell.row == MEAN:
        return mean_printed([printed_value(result, replace(cell, row=pair)) for pair in pairs(result)])
    pair = next((p for p in pairs(result) if cell.row in (p, p.split("-")[0])), cell.row)
    method = METHODS.get(cell.measured_as, ("", ""))[1]
    return printed(6, result.dataset, *pair.partition("-")[::2], K, method, "top1")


def tables(result: StudyResult) -> dict[str, Captioned]:
    """``main``: Table 6; ``calibration``: ECE and over-confidence of each method; ``training``: the fit of base and
    experts on training images.
    """
    cells = _cells(result, LABELS) | _cells(result, CONTROLS)
    caption = (
        f"{about(result)}; top-1 accuracy on the {result.evaluate} set in percent. The paper's Table 6 is of "
        "tiny-ImageNet with 20 experts and prints no ±. Every method but stacking is without parameters."
    )
    return {
        "main": Captioned(comparison(result, cells, printed_value, same_model=True), caption),
        "calibration": _calibration(result),
        "training": _training(result),
    }


def _experts(k: int) -> str:
    return "" if k in (0, K) else f", {so_many(k, 'expert')}"


def _cells(result: StudyResult, methods: Mapping[str, str]) -> dict[str, Cell]:
    """What was measured, or is printed, of each pair and number of experts, by what it is called."""
    plain = ("backbone", EQUAL_INFERENCE)  # the same for every number of experts
    return {
        f"{pair}{'' if method in plain else _experts(k)}: {label}": cell
        for pair in pairs(result)
        for k in result.numbers_of_experts()
        for method, label in methods.items()
        if by_seed(result, cell := cell_of(pair, method, k)) or printed_value(result, cell)
    }


def _calibration(result: StudyResult) -> Captioned:
    cells = _cells(result, CALIBRATED)
    metrics = {
        "top-1, %": ("top1", 2), "ECE, points": ("ece", 2), "confidence − accuracy, points": ("overconfidence", 2),
    }  # fmt: skip
    caption = (
        f"{about(result, models=False)}, {result.evaluate} set. ECE: 15 bins of equal width by the largest "
        "probability; the mean over images of |accuracy − mean confidence| of their bin. Confidence − accuracy: "
        "above 0 a method is over-confident, below 0 it knows more than it says."
    )
    return Captioned(frame(metric_columns(result, list(cells.values()), metrics), list(cells)), caption)


def _training(result: StudyResult) -> Captioned:
    cells = {
        f"{m.row}: {METHODS[m.method][0]}{_experts(m.num_experts)}": Cell.of(m)
        for m in result.measurements
        if m.metric == "training-loss" and m.row != MEAN
    }
    metrics = {
        "mean loss, nats": ("training-loss", 2), "own class above 0.9, % of images": ("training-sure", 2),
        "top-1 on the evaluation set, %": ("top1", 2),
    }  # fmt: skip
    caption = (
        f"{about(result, models=False)}, training images without augmentation: is the base 'already close to perfectly "
        "fitting the training set', as Section 2.2 says?"
    )
    return Captioned(frame(metric_columns(result, list(cells.values()), metrics), list(cells)), caption)


def figures(results: Sequence[StudyResult]) -> dict[str, Figure]:
    """A row a result: the gain over the base of every method (paper hollow), and the reliability diagram."""
    figure, grid = panels(evidence(results), _gains, _diagram, height=3.4)
    # A legend over each column: pairs and methods have the same few colours.
    common_legend(figure, grid[:, 0], columns=2)
    common_legend(figure, grid[:, 1], columns=2, loc="outside upper right")
    return {"main": figure}


def _gains(axes: Axes, result: StudyResult) -> None:
    methods, k = [method for method in METHODS if method != "backbone"], result.most_experts()
    for i, pair in enumerate(pairs(result)):
        shade, base = MODELS.get(pair, "#000000"), cell_of(pair, "backbone", k)
        shift = 0.18 * (i - (len(pairs(result)) - 1) / 2)
        for row, method in enumerate(methods):
            place, cell = row + shift, Cell(k, method, pair)
            paper, of_base = printed_value(result, cell), printed_value(result, base)
            if paper and of_base:
                gain = paper.value - of_base.value
                axes.plot(gain, place, "o", color=shade, markerfacecolor="white", label=f"{pair}, the paper")
            if ours := difference(result, cell, base):
                axes.plot(ours.values, [place] * ours.n, ".", color=shade, alpha=0.6, markersize=5, zorder=4)
                axes.plot(
                    ours.mean, place, "o", color=shade, markersize=8, markeredgecolor="white", zorder=5,
                    label=f"{pair}, ours",
                )  # fmt: skip
    axes.axvline(0, color=COLOURS["backbone"], linestyle="--", linewidth=1)
    axes.set_yticks(range(len(methods)), [METHODS[method][0].replace(" (", "\n(") for method in methods])
    axes.set_ylim(len(methods) - 0.5, -0.5)
    axes.grid(axis="x", visible=True)
    axes.grid(axis="y", visible=False)
    axes.set(title=where_run(result), xlabel="top-1 against the base alone, points")


def _diagram(axes: Axes, result: StudyResult) -> None:
    axes.plot([0, 1], [0, 1], color="#BBBBBB", linewidth=1, zorder=1)
    table = result.tables["reliability"]
    for method in CALIBRATED:
        xs, ys = pooled(table.where(method=method))
        if xs and method == START:
            axes.plot(xs, ys, ":", color=COLOURS["stacking"], label="stacking, untrained")
        elif xs:
            axes.plot(xs, ys, color=COLOURS[method], marker=MARKERS[method], markersize=4, label=NAMES[method])
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal", xlabel="confidence", ylabel="accuracy")
    axes.set_title("reliability (below the line: over-confident)")


EXHIBIT = Exhibit(NAME, "Table 6: which ensembler?", Parameters, run, tables, CLAIMS, printed_value, figures, place=7)
