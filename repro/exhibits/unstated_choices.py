"""What the paper leaves open: how far each choice moves the final accuracy, everything else held at its default."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated, Any, NamedTuple

from matplotlib import ticker
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pydantic import AfterValidator, Field

from repro.analysis.ensemblers import bagging_logits
from repro.analysis.outputs import accuracy
from repro.families.single_gate.config import StudySpec
from repro.families.single_gate.study import SingleGateParameters, measured, open_study, record, usual
from repro.report import left_out
from repro.report.claim import CHANGES_LITTLE, LITTLE, Cell, Claim, Control, with_controls
from repro.report.exhibit import Exhibit
from repro.report.numbers import gain, interval, where_run
from repro.report.plots import COLOURS, common_legend, new_figure
from repro.report.statistics import Summary
from repro.report.tables import Captioned, Columns, about, frame, means
from repro.report.verdict import difference
from repro.study.lists import NamesOrNone, all_or_chosen
from repro.study.record import cost_row
from repro.study.results import Measurement, StudyResult, evidence

NAME = "unstated_choices"
DEFAULT = "default"


class Alternative(NamedTuple):
    """Another way to read the paper: the row's name, the choice in words, the fields of the spec that differ."""

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


def _unshared(spec: StudySpec) -> dict[str, Any]:
    """No image of others, in so many more epochs that an expert takes at least the steps that it takes with them."""
    alone = spec.with_(gamma=0.0)
    epochs = math.ceil(round(spec.expert_recipe.epochs * spec.mean_share / alone.mean_share, 6))
    return {"gamma": 0.0, "expert_recipe": spec.expert_recipe.model_copy(update={"epochs": epochs}).model_dump()}


EQUAL_STEPS = "γ = 0 in as many steps"
ALTERNATIVES = (
    Alternative("γ = 0", "smoothing γ", lambda spec: {"gamma": 0.0}),
    Alternative(EQUAL_STEPS, "smoothing γ", _unshared),
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
    alternatives: Annotated[NamesOrNone, AfterValidator(partial(all_or_chosen, BY_NAME))] = Field(
        tuple(BY_NAME), description="which alternatives, with commas between them; default: all"
    )

    def rows(self) -> list[tuple[str, StudySpec]]:
        """The spec of every seed with all choices at their default, then each alternative of it, by row."""
        defaults = [spec.with_(num_experts=self.experts, stacking=False) for spec in super().specs()]
        others = [(name, spec.with_(**BY_NAME[name].changes(spec))) for spec in defaults for name in self.alternatives]
        return [*((DEFAULT, spec) for spec in defaults), *others]

    def specs(self) -> list[StudySpec]:
        return [spec for _, spec in self.rows()]


def run(parameters: Parameters) -> StudyResult:
    """Train the default and every alternative; one row each, all seeds, the same base of a seed throughout."""
    study = open_study(parameters)
    measurements: list[Measurement] = []
    for row, spec in parameters.rows():
        outputs = study.run(spec)
        measurements += usual(study, spec, outputs, row)
        if row == DEFAULT:
            top1 = accuracy(bagging_logits(outputs), outputs.labels)
            measurements.append(measured(spec, "bagging", top1, row=SPACE))
    return record(NAME, parameters, study, measurements, [cost_row(study.specs[0].cost)])


CLAIMS = with_controls(
    (
        Claim(
            "U1", "Re-weighting the loss and sampling the batches 'yield similar results'",
            Cell(10, row="re-weighted loss"), Cell(10, row=DEFAULT), CHANGES_LITTLE, section="2.2",
        ),
        Claim(
            "U2", "Routing non-assigned samples to experts helps: γ above 0 beats γ = 0",
            Cell(10, row=DEFAULT), Cell(10, row="γ = 0"), section="2.2",
            controls=(Control("equal-steps", EQUAL_STEPS, Cell(10, row=EQUAL_STEPS), paired=True),),
        ),
    )
)  # fmt: skip
"""The two choices of which the paper says how much they matter. In an epoch an expert takes the more steps the larger γ
is (of 10 at γ = 0.05 1.45 times those at γ = 0), and with a re-weighted loss sees every image, so neither compares
equal training; U2 has a control that does."""

CHOICES = {each.name: each.choice for each in ALTERNATIVES} | {SPACE: "space of bagging"}
"""The rows, in the order of the paper, and the choice that each is about."""


def _rows(result: StudyResult) -> list[str]:
    """The alternatives that were measured."""
    return [row for row in CHOICES if row in result.rows()]


def swing(result: StudyResult, row: str, method: str = "bagging") -> Summary | None:
    """Top-1 of an alternative minus the default's, in points, seed by seed."""
    k = result.numbers_of_experts()[0]
    return difference(result, Cell(k, method, row), Cell(k, method, DEFAULT))


def tables(result: StudyResult) -> dict[str, Captioned]:
    """``main``: every alternative with its accuracy and its difference to the default."""
    k, rows = result.numbers_of_experts()[0], _rows(result)
    swings = [swing(result, row) for row in rows]
    columns: Columns = {
        "the choice": ["", *(CHOICES[row] for row in rows)],
        "ours": means(result, [Cell(k, row=row) for row in (DEFAULT, *rows)]),
        "against the default": ["", *map(gain, swings)],
        "95 % interval": ["", *(interval(each, sign=True) for each in swings)],
        "expert alone": ["", *(gain(swing(result, row, "expert")) for row in rows)],
    }
    caption = (
        f"{about(result)}; {k} experts, top-1 accuracy on the {result.evaluate} set in percent (bagging), and the "
        "difference that one choice makes, all others at their default, in points, seed by seed."
    )
    return {"main": Captioned(frame(columns, ["all choices at their default", *rows]), caption)}


def figures(results: Sequence[StudyResult]) -> dict[str, Figure]:
    """One panel a result: every alternative's difference to the default, with interval and seeds."""
    results = evidence(results)
    names = [row for row in CHOICES if any(row in _rows(result) for result in results)]
    figure = new_figure(8.0, 0.34 * len(names) + 1.5)
    panels = figure.subplots(1, len(results), squeeze=False, sharey=True)[0]
    for axes, result in zip(panels, results, strict=True):
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
    swings = {row: summary for row in names if (summary := swing(result, row))}
    for row in set(names) - set(swings):
        axes.annotate(
            "not run", (0, names.index(row)), (5, 0), textcoords="offset points", va="center", fontsize=8,
            color=COLOURS["backbone"],
        )  # fmt: skip
    for row, summary in swings.items():
        place = names.index(row)
        if ends := summary.interval:
            axes.plot(ends, [place] * 2, color=COLOURS["bagging"], linewidth=1.4, label="95 % interval")
        axes.plot(summary.values, [place] * summary.n, "|", color="#595959", markersize=8, label="each seed")
        axes.plot([summary.mean], [place], "o", color=COLOURS["bagging"], label="mean")
    axes.set_xscale("symlog", linthresh=1)  # what moves the accuracy far would squeeze all others to a line
    axes.xaxis.set_major_locator(ticker.MaxNLocator(3))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_xlabel("top-1 against\nthe default, points")
    axes.set_title(f"{where_run(result)}\n{result.numbers_of_experts()[0]} experts, bagging")


EXHIBIT = Exhibit(
    NAME, "What the text leaves open: the swing of each choice", Parameters, run, tables, CLAIMS, figures=figures,
    exact=left_out.tables, place=13,
)  # fmt: skip
