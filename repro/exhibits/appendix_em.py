"""The EM variant (Section 2.2): rounds of E- and M-steps after Algorithm 1, beside Algorithm 1 trained as long."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from pydantic import Field, field_validator

from repro.analysis.ensemblers import ENSEMBLERS
from repro.analysis.outputs import accuracy
from repro.families.single_gate.config import StudySpec
from repro.families.single_gate.routing import mean_entropy, moved, smooth, training_macs
from repro.families.single_gate.steps import steps as steps_of
from repro.families.single_gate.study import SingleGateParameters, Study, measured, measures, open_study, record, usual
from repro.report.claim import Cell, Claim, Control, with_controls
from repro.report.exhibit import Exhibit
from repro.report.numbers import NONE, so_many, where_run
from repro.report.plots import COLOURS, MARKERS, NAMES, common_legend, few_ticks, panels
from repro.report.printed import PrintedValue, printed
from repro.report.tables import Captioned, Columns, about, comparison, frame, metric_columns
from repro.report.verdict import by_seed, is_model, summary_of
from repro.study.graph import ordered
from repro.study.lists import Ascending
from repro.study.record import cost_row
from repro.study.results import Measurement, StudyResult

NAME = "appendix_em"


class Parameters(SingleGateParameters):
    """The common ones, how many E-steps, and how many experts."""

    em_steps: Ascending = Field((0, 1, 2), description="numbers of E-steps N_E; 0 is Algorithm 1")
    experts: int = Field(10, ge=2, description="number of experts K; the paper does not say how many it had")

    @field_validator("em_steps", mode="after")
    @classmethod
    def _em_steps(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if value[0] != 0:
            raise ValueError("should begin with 0, Algorithm 1 itself, with which the others are compared")
        return value

    def rows(self) -> Iterator[dict[str, StudySpec]]:
        """The specs of each seed by row: ``em-N`` with N E-steps, ``long-N`` Algorithm 1 with N+1 times the epochs."""
        for usual_spec in super().specs():
            spec = usual_spec.with_(num_experts=self.experts, stacking=False)
            rows = {f"em-{steps}": spec.with_(em_steps=steps) for steps in self.em_steps}
            for steps in self.em_steps[1:]:
                epochs = spec.expert_recipe.epochs * (steps + 1)
                recipe = spec.expert_recipe.model_copy(update={"epochs": epochs})
                rows[f"long-{steps}"] = spec.with_(expert_recipe=recipe)
            yield rows

    def specs(self) -> list[StudySpec]:
        return [spec for rows in self.rows() for spec in rows.values()]


def run(parameters: Parameters) -> StudyResult:
    """Run the EM variant and write its record."""
    study = open_study(parameters)
    measurements: list[Measurement] = []
    for rows in parameters.rows():
        measurements += _seed(rows, study)
    cost = cost_row(study.specs[0].cost)
    return record(NAME, parameters, study, measurements, [cost], varies=("em_steps",))


def _seed(rows: dict[str, StudySpec], study: Study) -> Iterator[Measurement]:
    before: dict[str, float] = {}
    for row, spec in rows.items():
        outputs = study.run(spec)
        yield from usual(study, spec, outputs, row)
        for name in HOW:
            value = accuracy(ENSEMBLERS[name](outputs), outputs.labels)
            yield measured(spec, name, value - before.setdefault(name, value), "top1_gain", row)
        yield from _training(row, spec, study)
        if spec.em_steps:
            g0 = study.assignment(spec)
            share = 100 * moved(study.assignment(spec.before_em_step()), g0)
            yield from measures(spec, "E-step", {"moved": share, "entropy": mean_entropy(g0)}, row)


def _training(row: str, spec: StudySpec, study: Study) -> Iterator[Measurement]:
    """What the training of gate and experts took, all rounds together: multiply-adds and seconds."""
    rounds = [spec.model_copy(update={"em_steps": steps}) for steps in range(spec.em_steps + 1)]
    visits = [float(smooth(study.assignment(each), spec.gamma).double().sum(1).mean()) for each in rounds]
    macs = training_macs(spec.cost, spec.num_images[0], spec.expert_recipe.epochs, visits)
    seconds = sum(
        study.runner.about(step)["made"]["seconds"]
        for step in ordered([steps_of(spec).predictions])
        if step.kind in ("gate", "expert", "losses")
    )
    values = {"visits": visits[-1], "tera-macs": macs / 1e12, "seconds": seconds}
    yield from measures(spec, "training", values, row)


PAIR = ("tr18", "tr18")
EXPERTS = 10
STEPS = (0, 1, 2)
HOW = {"expert": "without ensembling", "bagging": "with ensembling"}
PRINTED = {"expert": "em vs asynchronous without ensemblers", "bagging": "em vs asynchronous with ensemblers"}


def _claims() -> Iterator[Claim]:
    for steps in STEPS[1:]:
        for method, how in HOW.items():
            longer = Cell(EXPERTS, method, f"long-{steps}", "top1_gain")
            yield Claim(
                f"EM/{steps}/{how.partition(' ')[0]}",
                f"{so_many(steps, 'E-step')} raise{'' if steps > 1 else 's'} accuracy {how}",
                replace(longer, row=f"em-{steps}"),
                section="2.2",
                controls=(Control("as-long", "Algorithm 1 trained as long", longer, paired=True),),
            )
    for method, how in HOW.items():
        yield Claim(
            f"EM/cost/{how.partition(' ')[0]}",
            f"EM is not worth its cost: Algorithm 1 trained for as many epochs as {STEPS[-1]} E-steps is better, {how}",
            Cell(EXPERTS, method, f"long-{STEPS[-1]}"),
            Cell(EXPERTS, method, f"em-{STEPS[-1]}"),
            section="2.2",
        )


CLAIMS = with_controls(_claims())
"""'Often not worth the higher training costs' is the paper's; that training Algorithm 1 as long tests it is ours."""


def printed_value(result: StudyResult, cell: Cell) -> PrintedValue | None:
    """The gains that Section 2.2 names for tiny-ImageNet; the number of E-steps behind them is not said."""
    if cell.metric != "top1_gain" or not cell.row.startswith("em-") or cell.row == "em-0":
        return None
    return printed("text", result.dataset, *PAIR, None, PRINTED[cell.method], "top1_gain")


def rows_of(result: StudyResult, kind: str) -> list[str]:
    """The rows ``em-0, em-1 ...``, or ``long-1 ...``, that were measured."""
    return [row for row in result.rows() if row.startswith(f"{kind}-")]


def label_of(row: str) -> str:
    """A row as readers see it."""
    kind, _, steps = row.partition("-")
    if kind == "long":
        return f"Algorithm 1, {int(steps) + 1} x the epochs"
    return "Algorithm 1 (no E-step)" if steps == "0" else so_many(int(steps), "E-step")


def tables(result: StudyResult) -> dict[str, Captioned]:
    """``main``: accuracy and gain of every row; ``cost``: what its training takes, and what the E-steps change."""
    k = result.most_experts(EXPERTS)
    names = [*rows_of(result, "em"), *rows_of(result, "long")]
    cells = {"base model": Cell(0)}
    cells |= {f"{label_of(row)}, {how}": Cell(k, method, row) for method, how in HOW.items() for row in names}
    cells |= {
        f"gain of {label_of(row)}, {how}": Cell(k, method, row, "top1_gain")
        for method, how in HOW.items()
        for row in names[1:]
    }
    caption = (
        f"{about(result)}; {k} experts; top-1 accuracy on the {result.evaluate} set in percent, and its gain over "
        "Algorithm 1 seed by seed, in points. After each E-step gate and experts are trained again, as long as in "
        "Algorithm 1; the rows below it train Algorithm 1's experts as long in all. The paper names two gains and does "
        "not say of which models (they stand here as tr18-tr18's) or after how many E-steps."
    )
    table = comparison(result, cells, printed_value, is_model(result, *PAIR), ["tiny-imagenet"])
    return {"main": Captioned(table, caption), "cost": _cost(result, k, names)}


def _cost(result: StudyResult, k: int, names: Sequence[str]) -> Captioned:
    def column(method: str, metrics: dict[str, tuple[str, int]]) -> Columns:
        return metric_columns(result, [Cell(k, method, row) for row in names], metrics)

    macs = [summary_of(result, Cell(k, "training", row, "tera-macs")) for row in names]
    columns = column("training", {"training, 10¹² MACs": ("tera-macs", 2)})
    columns["x Algorithm 1"] = [f"{m.mean / macs[0].mean:.2f}" if m and macs[0] else NONE for m in macs]
    columns |= column("training", {"seconds": ("seconds", 0), "visits an epoch": ("visits", 2)})
    columns |= column("E-step", {"images that moved, %": ("moved", 1), "entropy, nats": ("entropy", 2)})
    columns |= column("gate", {"gate agrees, %": ("agreement", 1), "smallest share, %": ("smallest_share", 2)})
    caption = (
        f"{about(result, models=False)}; {k} experts: training of gate and experts, all rounds together, without the "
        "base. A visit is an image shown to one expert once: trunk forward, expert forward and backward; an E-step "
        "runs the base and all experts on every training image. Seconds are as measured, on a machine that may have "
        "been shared. Images that moved: their most probable expert is another than before the E-step; entropy of the "
        "posterior, per image; agreement of the gate with it."
    )
    return Captioned(frame(columns, [label_of(row) for row in names]), caption)


def figures(results: Sequence[StudyResult]) -> dict[str, Figure]:
    """Accuracy over what the training takes: EM's rounds, and Algorithm 1 trained as long; a row of panels a result.

    Thick lines are means, thin ones the seeds.
    """
    figure, grid = panels(results, *(partial(_panel, method) for method in HOW), height=3.2)
    common_legend(figure, grid.T.flat, columns=2)
    return {"main": figure}


def _panel(method: str, axes: Axes, result: StudyResult) -> None:
    k, colour = result.most_experts(EXPERTS), COLOURS[method]
    for kind, line, fill in (("long", "--", "white"), ("em", "-", colour)):
        known = ["em-0", *(row for row in rows_of(result, kind) if row != "em-0")]
        macs = [by_seed(result, Cell(k, "training", row, "tera-macs")).values() for row in known]
        places = [sum(values) / len(values) for values in macs]
        each = [list(by_seed(result, Cell(k, method, row)).values()) for row in known]
        for values in zip(*each, strict=True) if len(result.seeds) > 1 else []:
            axes.plot(places, values, line, color=colour, linewidth=0.8, alpha=0.4)
        mean = [sum(values) / len(values) for values in each]
        what = "rounds of EM" if kind == "em" else "Algorithm 1 trained longer"
        axes.plot(
            places, mean, line, color=colour, linewidth=2, marker=MARKERS[method], markerfacecolor=fill,
            label=f"{NAMES[method]}: {what}",
        )  # fmt: skip
        for row, x, y in zip(known, places, mean, strict=True):
            if kind == "em":
                steps = row.partition("-")[2]
                axes.annotate(f"$N_E$ = {steps}", (x, y), (4, -13), textcoords="offset points", fontsize=8)
    axes.margins(x=0.2, y=0.2)
    axes.set(xlabel="training of gate and experts, 10¹² MACs", ylabel=f"top-1 accuracy, % ({result.evaluate} set)")
    axes.set_title(f"{where_run(result)}, {k} experts\n{HOW[method]}")
    axes.xaxis.set_major_locator(MaxNLocator(5))
    few_ticks(axes)


EXHIBIT = Exhibit(
    NAME, "EM variant: are E-steps worth it?", Parameters, run, tables, CLAIMS, printed_value, figures, place=11
)
