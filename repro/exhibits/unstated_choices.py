"""What the paper leaves open: how far each choice moves the final accuracy, everything else held at its default."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib import ticker
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pydantic import Field, field_validator

from repro.analysis.ensemblers import bagging, bagging_logits, no_ensembling
from repro.analysis.outputs import accuracy
from repro.errors import SpecError
from repro.families.single_gate.config import StudySpec
from repro.families.single_gate.study import SingleGateParameters, Study, measured, open_study, record
from repro.report import left_out
from repro.report.claim import CHANGES_LITTLE, LITTLE, Cell, Claim
from repro.report.exhibit import Exhibit
from repro.report.numbers import interval, mean_std, signed, where_run
from repro.report.plots import COLOURS, common_legend, figure_style, new_figure
from repro.report.statistics import Summary
from repro.report.tables import Captioned, Columns, about, frame
from repro.report.verdict import difference, summary_of
from repro.study.lists import words
from repro.study.record import cost_row
from repro.study.results import Measurement, StudyResult, evidence

NAME = "unstated_choices"
DEFAULT = "default"


@dataclass(frozen=True)
class Alternative:
    """Another way to read the paper.

    name     the row's name, ``field = value``
    choice   which choice it belongs to, in words
    changes  the fields of the spec that differ from the default
    """

    name: str
    choice: str
    changes: Callable[[StudySpec], dict[str, Any]]


def _routing(**changes: Any) -> Callable[[StudySpec], dict[str, Any]]:
    return lambda spec: {"routing": spec.routing.model_copy(update=changes).model_dump()}


def _expert_rate(factor: float) -> Callable[[StudySpec], dict[str, Any]]:
    def changes(spec: StudySpec) -> dict[str, Any]:
        rate = spec.expert_recipe.learning_rate * factor
        return {"expert_recipe": spec.expert_recipe.model_copy(update={"learning_rate": rate}).model_dump()}

    return changes


ALTERNATIVES = (
    Alternative("γ = 0", "smoothing γ", lambda spec: {"gamma": 0.0}),
    Alternative("γ = 0.2", "smoothing γ", lambda spec: {"gamma": 0.2}),
    Alternative("soft m at 0.1", "similarity m and its temperature", _routing(similarity="soft", temperature=0.1)),
    Alternative("soft m at 1", "similarity m and its temperature", _routing(similarity="soft", temperature=1.0)),
    Alternative("embeddings of length 1", "scaling before K-means", _routing(normalize=True)),
    Alternative("one K-means start", "K-means restarts", _routing(restarts=1)),
    Alternative("re-weighted loss", "sampling or re-weighting", lambda spec: {"sharing": "reweighting"}),
    Alternative("expert rate / 3", "experts' learning rate", _expert_rate(1 / 3)),
    Alternative("expert rate / 10", "experts' learning rate", _expert_rate(1 / 10)),
    Alternative("as many steps as one expert", "length of experts' training", lambda spec: {"expert_length": "steps"}),
    Alternative("batch statistics", "BatchNorm of the frozen trunk", lambda spec: {"trunk_batchnorm": "training"}),
    Alternative("experts from scratch", "how experts start", lambda spec: {"expert_init": "scratch"}),
)
BY_NAME = {alternative.name: alternative for alternative in ALTERNATIVES}
SPACE = "logits averaged"
"""Bagging in the other space: it trains nothing, so every run has it."""


class Parameters(SingleGateParameters):
    """The common ones, how many experts, and which alternatives."""

    experts: int = Field(10, ge=2, description="number of experts K")
    alternatives: tuple[str, ...] = Field(
        tuple(BY_NAME), description="which alternatives, with commas between them; default: all"
    )

    @field_validator("alternatives", mode="before")
    @classmethod
    def _alternatives(cls, value: Any) -> tuple[str, ...]:
        if value in ("", "all"):
            return tuple(BY_NAME)
        names = words(value)
        if unknown := [name for name in names if name not in BY_NAME]:
            raise ValueError(f"there is no {unknown[0]!r}; choose of {', '.join(BY_NAME)}")
        return names

    def defaults(self) -> list[StudySpec]:
        """The spec of every seed with all choices at their default."""
        return [spec.with_(num_experts=self.experts, stacking=False) for spec in super().specs()]

    def specs(self) -> list[StudySpec]:
        """The defaults, and each alternative of each seed."""
        return [
            *self.defaults(),
            *(spec.with_(**BY_NAME[name].changes(spec)) for spec in self.defaults() for name in self.alternatives),
        ]


def run(parameters: Parameters) -> StudyResult:
    """Train the default and every alternative; one row each, all seeds, the same base of a seed throughout."""
    study = open_study(parameters)
    specs = study.specs
    measurements: list[Measurement] = []
    for default in parameters.defaults():
        measurements += _measure(default, study, DEFAULT)
        for name in parameters.alternatives:
            measurements += _measure(default.with_(**BY_NAME[name].changes(default)), study, name)
    return record(NAME, parameters, study, measurements, [cost_row(study.cost(specs[0]))])


def _measure(spec: StudySpec, study: Study, row: str) -> Iterator[Measurement]:
    outputs = study.run(spec)
    yield measured(spec, "backbone", accuracy(outputs.base_logits, outputs.labels), num_experts=0)
    yield measured(spec, "expert", accuracy(no_ensembling(outputs), outputs.labels), row=row)
    yield measured(spec, "bagging", accuracy(bagging(outputs), outputs.labels), row=row)
    if row == DEFAULT:
        yield measured(spec, "bagging", accuracy(bagging_logits(outputs), outputs.labels), row=SPACE)
    for metric, value in study.gate_metrics(spec).items():
        yield measured(spec, "gate", value, metric, row=row)


def alternative(name: str) -> Alternative:
    """The alternative of a row's name; :class:`SpecError` names those there are."""
    if name == SPACE:
        return Alternative(SPACE, "space of bagging", lambda spec: {})
    if name not in BY_NAME:
        raise SpecError(f"there is no alternative {name!r} (there are: {'; '.join(BY_NAME)})")
    return BY_NAME[name]


CLAIMS = (
    Claim(
        "U1", "Re-weighting the loss and sampling the batches 'yield similar results'",
        Cell(10, row="re-weighted loss"), Cell(10, row=DEFAULT), CHANGES_LITTLE, section="2.2",
    ),
    Claim(
        "U2", "Routing non-assigned samples to experts helps: γ above 0 beats γ = 0",
        Cell(10, row=DEFAULT), Cell(10, row="γ = 0"), section="2.2",
    ),
)  # fmt: skip
"""The two choices of which the paper says how much they matter."""

FAR = 5.0
"""Points. A choice that moves the accuracy by more would squeeze all others to a line; an arrow says how far it is."""

ORDER = [*(choice.name for choice in ALTERNATIVES), SPACE]
"""The rows, in the order of the paper."""


def _rows(result: StudyResult) -> list[str]:
    """The alternatives that were measured."""
    return sorted((row for row in result.rows() if row not in ("", DEFAULT)), key=ORDER.index)


def _experts(result: StudyResult) -> int:
    return result.numbers_of_experts()[0]


def swing(result: StudyResult, row: str, method: str = "bagging") -> Summary | None:
    """Top-1 of an alternative minus the default's, in points, seed by seed."""
    k = _experts(result)
    return difference(result, Cell(k, method, row), Cell(k, method, DEFAULT))


def tables(result: StudyResult) -> dict[str, Captioned]:
    """``main``: every alternative with its accuracy and its difference to the default."""
    k, rows = _experts(result), _rows(result)
    columns: Columns = {
        "the choice": ["", *(alternative(row).choice for row in rows)],
        "ours": [mean_std(summary_of(result, Cell(k, row=row))) for row in (DEFAULT, *rows)],
        "against the default": ["", *(signed(s.mean) if (s := swing(result, row)) else "not run" for row in rows)],
        "95 % interval": ["", *(interval(swing(result, row), sign=True) for row in rows)],
        "expert alone": ["", *(signed(s.mean) if (s := swing(result, row, "expert")) else "–" for row in rows)],
    }
    caption = (
        f"{about(result)}; {k} experts, top-1 accuracy on the {result.evaluate} set in percent (bagging), and the "
        "difference that one choice makes, all others at their default, in points, seed by seed."
    )
    return {"main": Captioned(frame(columns, ["all choices at their default", *rows]), caption)}


def figures(results: Sequence[StudyResult]) -> dict[str, Figure]:
    """One panel a result: every alternative's difference to the default, with interval and seeds."""
    shown = [result for result in evidence(results) if _rows(result)]
    names = sorted({row for result in shown for row in _rows(result)}, key=ORDER.index)
    if not names:
        return {}
    with figure_style():
        figure = new_figure(8.0, 0.34 * len(names) + 1.5)
        panels = figure.subplots(1, len(shown), squeeze=False, sharey=True)[0]
        for axes, result in zip(panels, shown, strict=True):
            _panel(axes, result, names)
        panels[0].set_yticks(range(len(names)), names)
        panels[0].invert_yaxis()
        common_legend(figure, panels)
    return {"main": figure}


def _panel(axes: Axes, result: StudyResult, names: Sequence[str]) -> None:
    axes.axvspan(-LITTLE, LITTLE, color="#F0F0F0", zorder=0, label=f"±{LITTLE:g} points")
    axes.axvline(0, color=COLOURS["backbone"], linewidth=1)
    axes.grid(visible=False, axis="y")
    axes.grid(visible=True, axis="x")
    k = _experts(result)
    swings = {row: found for row in names if (found := swing(result, row))}
    for row in set(names) - set(swings):
        axes.annotate(
            "not run", (0, names.index(row)), (5, 0), textcoords="offset points", va="center", fontsize=8,
            color=COLOURS["backbone"],
        )  # fmt: skip
    far = {row for row, found in swings.items() if abs(found.mean) > FAR}
    if len(far) == len(swings):
        far = set()
    for row, found in swings.items():
        place = names.index(row)
        if row in far:
            _arrow(axes, place, found.mean)
            continue
        if ends := found.interval:
            axes.plot(ends, [place] * 2, color=COLOURS["bagging"], linewidth=1.4, label="95 % interval")
        default = result.values("top1", "bagging", k, DEFAULT)
        seeds = [a - b for a, b in zip(result.values("top1", "bagging", k, row), default, strict=False)]
        axes.plot(seeds, [place] * len(seeds), "|", color="#595959", markersize=8, label="each seed")
        axes.plot([found.mean], [place], "o", color=COLOURS["bagging"], label="mean")
    axes.margins(x=0.12)  # room for the arrows
    axes.xaxis.set_major_locator(ticker.MaxNLocator(3))
    axes.set_xlabel("top-1 against\nthe default, points")
    axes.set_title(f"{where_run(result)}\n{k} experts, bagging")


def _arrow(axes: Axes, place: int, mean: float) -> None:
    """An arrow at the panel's edge, and the mean that lies beyond it."""
    edge, side, towards = (0.0, "left", "<") if mean < 0 else (1.0, "right", ">")
    across = axes.get_yaxis_transform()
    axes.plot([edge], [place], towards, color=COLOURS["bagging"], transform=across, clip_on=False, label="beyond")
    inwards = 10 if mean < 0 else -10
    axes.annotate(
        signed(mean), (edge, place), (inwards, 0), xycoords=across, textcoords="offset points", ha=side, va="center",
        fontsize=9,
    )  # fmt: skip


EXHIBIT = Exhibit(
    NAME,
    "What the text leaves open: the swing of each choice",
    Parameters,
    run,
    tables,
    CLAIMS,
    figures=figures,
    exact=left_out.tables,
    place=13,
)
