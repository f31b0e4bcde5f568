"""Table 2 (Section 4.1), "how many experts?": the base alone, one expert in both readings of the text, K experts, and
the controls that a gain has to beat.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import nan
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pydantic import Field

from repro.analysis.anytime import bagged
from repro.analysis.ensemblers import ENSEMBLERS
from repro.analysis.outputs import Outputs, accuracy
from repro.errors import SpecError
from repro.families.single_gate.config import StudySpec
from repro.families.single_gate.controls import EQUAL_INFERENCE, EQUAL_TRAINING, plain_cost, shares_of
from repro.families.single_gate.controls import equal_inference as of_equal_inference
from repro.families.single_gate.controls import equal_training as of_equal_training
from repro.families.single_gate.stacking import stacking
from repro.families.single_gate.study import SingleGateParameters, measured, open_study, record, usual
from repro.report.claim import CHANGES_LITTLE, Cell, Claim, equal_inference, equal_training, with_controls
from repro.report.exhibit import Exhibit
from repro.report.numbers import DATASETS, NONE, gain_of_longer, so_many, where_run
from repro.report.plots import COLOURS, MARKERS, NAMES, common_legend, few_ticks, mark_printed, panels
from repro.report.printed import PrintedValue, printed
from repro.report.tables import A_RING, Captioned, about, comparison, cost_columns, frame, frame_of_rows, means
from repro.report.verdict import by_seed, is_model, summary_of
from repro.study.lists import NamesOrNone, Numbers, in_a_ring
from repro.study.parameters import DEMONSTRATIONS
from repro.study.record import cost_row, seed_by_seed
from repro.study.results import Measurement, StudyResult, Table, evidence

NAME = "table2_num_experts"
LONGER = ["epochs", "top1"]
CONTROLS = ["control", "experts", "width", "epochs", "inference", "training"]


class Parameters(SingleGateParameters):
    """The common ones, how many experts, and which of these numbers get a control of equal training."""

    experts: Numbers = Field((1, 5, 10, 20), description="numbers of experts K, e.g. 1,5,10,20")
    controls: NamesOrNone = Field(
        (), description="numbers of experts that are held against the base trained as long; or none (and no control)"
    )
    longer: bool = Field(False, description="also train the base on validation images, once and for twice as long")

    def specs(self) -> list[StudySpec]:
        return [spec.with_(num_experts=k) for spec in super().specs() for k in self.experts]

    def bases(self) -> list[StudySpec]:
        """The controls of every seed, in the order of their worth; then what says if the base is trained enough."""
        controls = [control for spec in super().specs() for _, _, control in self.controls_of(spec)]
        return controls + self.longer_bases()

    def longer_bases(self) -> list[StudySpec]:
        """The base of the first seed, trained by its recipe and for twice as long, on validation images."""
        spec, recipe = super().specs()[0], super().specs()[0].base_recipe
        recipes = [recipe.model_copy(update={"epochs": times * recipe.epochs}) for times in (1, 2)]
        held_out = spec.with_(role="control", evaluate="validation", expert=spec.base, num_experts=1, stacking=False)
        return [held_out.with_(base_recipe=each) for each in recipes] if self.longer else []

    def controls_of(self, spec: StudySpec) -> list[tuple[str, int, StudySpec]]:
        """Method, number of experts and spec of each control of one seed: equal inference, then equal training."""
        if self.controls == ("none",):
            return []
        if strange := set(self.controls) - set(map(str, self.experts)):
            raise SpecError(f"controls: {', '.join(sorted(strange))} is no number of experts of this run")
        usual = [max(self.experts)] if self.scale in DEMONSTRATIONS else self.experts
        numbers = [int(k) for k in self.controls] or usual
        longer = [(EQUAL_TRAINING, k, of_equal_training(spec.with_(num_experts=k))) for k in numbers]
        plain = of_equal_inference(spec.with_(num_experts=max(self.experts)))
        return [*([(EQUAL_INFERENCE, 1, plain)] if plain else []), *longer]


def run(parameters: Parameters) -> StudyResult:
    """Run Table 2, seed by seed, and write its record to ``<root>/results``, of as many models as time allows."""
    study = open_study(parameters)
    outputs: dict[int, Outputs] = {}
    tables: dict[str, Table] = {}

    def of_mixture(spec: StudySpec) -> Iterator[Measurement]:
        outputs[spec.seed] = own = study.run(spec)
        yield from usual(study, spec, own, methods=[m for m in ENSEMBLERS if m != "top-2" or spec.num_experts > 1])
        if spec.stacking:
            yield measured(spec, "stacking", accuracy(stacking(own, study.stackers(spec)), own.labels))

    def of_control(method: str, k: int, control: StudySpec) -> Iterator[Measurement]:
        yield measured(control, method, accuracy(*study.base_outputs(control)), num_experts=k)

    parts: list[Iterator[Measurement]] = []
    for seed in parameters.seeds:
        specs = [spec for spec in parameters.specs() if spec.seed == seed]
        parts += [of_mixture(spec) for spec in specs]
        parts += [of_control(*each) for each in parameters.controls_of(specs[0])]

    def write(measurements: list[Measurement]) -> StudyResult:
        spec = parameters.specs()[0]
        costs = [cost_row(spec.cost.without_experts())]
        costs += [cost_row(spec.with_(num_experts=k).cost) for k in parameters.experts]
        costs += [cost_row(plain_cost(c), f"{method} of {k}") for method, k, c in parameters.controls_of(spec)]
        tables["controls"] = Table(columns=CONTROLS, rows=list(_what_controls_get(parameters, spec)))
        return record(NAME, parameters, study, [*measurements, *_two_networks(spec, outputs)], costs, tables)

    result = seed_by_seed(parts, write)
    if longer := parameters.longer_bases():  # last: should time not allow it, the rest is on record
        rows = [[base.base_recipe.epochs, round(accuracy(*study.base_outputs(base)), 4)] for base in longer]
        tables["longer"] = Table(columns=LONGER, rows=rows)
        result = write(result.measurements)
    return result


def _what_controls_get(parameters: Parameters, spec: StudySpec) -> Iterator[list[str | float | None]]:
    """What each control is, and its multiply-adds in percent of the mixture's that it is held against."""
    for method, k, control in parameters.controls_of(spec):
        for experts in parameters.experts if method == EQUAL_INFERENCE else (k,):
            shares = shares_of(control, spec.with_(num_experts=experts))
            rounded = (round(share, 1) for share in shares)
            yield [method, experts, round(control.width, 4), control.base_recipe.epochs, *rounded]


def _two_networks(spec: StudySpec, outputs: dict[int, Outputs]) -> Iterator[Measurement]:
    """The poster's reading of "one expert": two whole networks, here the bases of a seed and of the next one.

    With three seeds each base takes part in two of the three pairs. Two seeds are one pair, one seed is none.
    """
    for seed, other in in_a_ring(sorted(outputs)):
        both = bagged(outputs[seed].base_logits, outputs[other].base_logits)
        value = accuracy(both, outputs[seed].labels)
        yield measured(spec.with_(seed=seed, num_experts=1), "two networks", value)


ENOUGH = 2.0
"""Points on validation images: a base is trained for long enough where twice its epochs gain less."""

PAIR = ("tr18", "tr18")
PAPER_DATASETS = ("cifar100", "tiny-imagenet")
PAPER_EXPERTS = (1, 5, 10, 20)
TWO_NETWORKS = Cell(1, "two networks")

CLAIMS = with_controls(
    (
        Claim("C1", "Base and one expert together beat that expert alone", Cell(1), Cell(1, "expert"), section="4.1",
              settled_after=True),
        Claim("C1/base", "Base and one expert together beat the base alone", Cell(1), Cell(0), section="4.1",
              controls=(equal_training(1), equal_inference())),
        *(
            Claim(f"C2/{k}", f"{k} experts beat the one-expert baseline", Cell(k), Cell(1), section="4.1",
                  controls=(equal_training(k), equal_inference()))
            for k in PAPER_EXPERTS[1:]
        ),
        Claim("C4/20", "Without ensembling, the selected of 20 experts beats one expert trained on everything",
              Cell(20, "expert"), Cell(1, "expert"), section="4.3", settled_after=True, controls=(equal_training(20),)),
        Claim("C3", "Going from 10 to 20 experts changes little", Cell(20), Cell(10), CHANGES_LITTLE, section="4.1"),
    )
)  # fmt: skip
"""What Section 4.1 says of Table 2; the paper's own differences from 10 to 20 experts are +0.06 and +0.54.
The expert of C1 was trained after the base and on the same images: what it lacks is the ensemble, not training."""

OTHER_METHODS = {"expert": "expert alone", "top-2": "top-2 experts", "stacking": "stacking", "bagging-logits": "logits"}
"""Methods beside bagging of probabilities, which is 'ours', and the columns that show them."""


def printed_value(result: StudyResult, cell: Cell) -> PrintedValue | None:
    """Top-1 accuracy of Table 2 in percent (tr18-tr18), for the paper's own rows: the base, and bagging."""
    own = cell == Cell(cell.num_experts)
    return printed(2, result.dataset, *PAIR, cell.num_experts, cell.measured_as, "top1") if own else None


def tables(result: StudyResult) -> dict[str, Captioned]:
    """``main``: Table 2, the paper beside ours; ``details``: the other ways to use the expert, and the cost."""
    cells = {_label(k): Cell(k) for k in (0, 1)}
    if by_seed(result, TWO_NETWORKS):
        cells["two whole networks (the poster's 1 expert)"] = TWO_NETWORKS
    cells |= {_label(k): Cell(k) for k in _experts(result)} | _controls(result)
    caption = (
        f"{about(result)}; top-1 accuracy on the {result.evaluate} set in percent, mean ± standard deviation. "
        f"'paper' is {'-'.join(PAIR)} at its own scale; 'ours' bags the probabilities of base and expert. "
        "Controls are plain networks that get the inference or the training multiply-adds (MACs) of a mixture. "
        f"Two whole networks are the bases of two seeds, {A_RING}."
    )
    main = comparison(result, cells, printed_value, is_model(result, *PAIR), PAPER_DATASETS)
    controls = {"controls": _given(result.tables["controls"])} if "controls" in result.tables else {}
    return {"main": Captioned(main, caption), "details": _details(result), **controls}


def _given(controls: Table) -> Captioned:
    """What the controls get."""
    names = {EQUAL_INFERENCE: "plain network, for base + ", EQUAL_TRAINING: "base trained longer, for base + "}
    headings = ("width", "epochs", "inference MACs, % of the mixture's", "training MACs, % of the mixture's")
    rows: Any = controls.rows
    given = {
        names[method] + so_many(k, "expert"): {name: f"{x:g}" for name, x in zip(headings, values, strict=True)}
        for method, k, *values in rows
    }
    return Captioned(
        frame_of_rows(given), "What each control is and what it gets, beside the mixture that it is held against."
    )


def advice(result: StudyResult) -> str:
    """Whether the base is trained until twice as long gains less than :data:`ENOUGH`, where that was asked."""
    if "longer" not in result.tables:
        return ""
    epochs, gain = result.tables["longer"].column("epochs")[0], gain_of_longer(result)
    sentence = f"Twice the base's {epochs} epochs gain {gain:+.1f} points on validation images (one seed)."
    if gain < ENOUGH:
        return f"{sentence} It is trained for long enough: until twice as long gains less than {ENOUGH:g} points."
    return (
        f"{sentence} **The base could learn more by itself**: it should be trained until twice as long gains less than "
        f"{ENOUGH:g} points. What mixtures gain here is gained over such a base, and may be less over a better one."
    )


def _controls(result: StudyResult) -> dict[str, Cell]:
    """Plain networks that get as much inference, or as much training, as the mixtures above them."""
    cells = {"control: plain network, inference MACs of base + 1 expert": Cell(1, EQUAL_INFERENCE)}
    cells |= {
        f"control: base, training MACs of base + {so_many(k, 'expert')}": Cell(k, EQUAL_TRAINING)
        for k in result.numbers_of_experts()
    }
    return {label: cell for label, cell in cells.items() if by_seed(result, cell)}


def _label(num_experts: int) -> str:
    if num_experts == 0:
        return "base model"
    return "1 expert (ensembling baseline)" if num_experts == 1 else so_many(num_experts, "expert")


def _details(result: StudyResult) -> Captioned:
    numbers = [0, *_experts(result)]
    columns = {column: means(result, [Cell(k, method) for k in numbers]) for method, column in OTHER_METHODS.items()}
    columns = {column: cells for column, cells in columns.items() if set(cells) != {NONE}}
    costs = {cost.num_experts: cost for cost in result.costs if not cost.row}  # the others are controls'
    columns |= cost_columns([costs.get(k) for k in numbers])
    caption = (
        f"{about(result, models=False)}; the other ways to use the selected expert (top-1 in percent), and the cost of "
        "one image: base, gate and one expert. 'trained' counts the parameters of all experts."
    )
    return Captioned(frame(columns, [_label(k) for k in numbers]), caption)


def figures(results: Sequence[StudyResult]) -> dict[str, Figure]:
    """Top-1 accuracy over the number of experts: one row of panels a result, ours left, the paper's right.

    Thick lines are means, thin ones the seeds; the dashed line is the mean of the base model alone. The paper's bars
    are its printed ± (no interval). Each panel has an axis of its own.
    """
    figure, grid = panels(evidence(results), _ours_panel, _paper_panel, height=3.1)
    common_legend(figure, grid[:, 0], columns=3)
    return {"main": figure}


def _experts(result: StudyResult) -> list[int]:
    return sorted({*PAPER_EXPERTS, *result.numbers_of_experts()})


def _ours_panel(axes: Axes, result: StudyResult) -> None:
    if base := summary_of(result, Cell(0)):
        axes.axhline(base.mean, color=COLOURS["backbone"], linestyle="--", linewidth=1)
    _series(axes, result, "backbone", [0], [0.0])
    experts = _experts(result)
    for method, shift in (("expert", -0.14), ("bagging", 0.0), ("stacking", 0.14), (EQUAL_TRAINING, 0.07)):
        _series(axes, result, method, experts, [i + 1 + shift for i in range(len(experts))])
    _series(axes, result, EQUAL_INFERENCE, [1], [0.28])
    axes.set(title=f"{where_run(result)}\n{result.base}", ylabel=f"top-1 accuracy, % ({result.evaluate} set)")
    _finish(axes, experts)


def _series(axes: Axes, result: StudyResult, method: str, experts: list[int], places: list[float]) -> None:
    known = {x: by_seed(result, Cell(k, method)) for x, k in zip(places, experts, strict=True)}
    known = {x: values for x, values in known.items() if values}
    if not known:
        return
    colour = COLOURS[method]
    # A line a seed: seeds differ by their base, so a rise shows along a line, not in the spread at one number.
    for seed in result.seeds if len(result.seeds) > 1 else []:
        ys = [values.get(seed, nan) for values in known.values()]
        axes.plot(list(known), ys, "-", marker=".", color=colour, linewidth=0.8, markersize=4, alpha=0.45)
    axes.plot(
        list(known), [sum(values.values()) / len(values) for values in known.values()], color=colour,
        marker=MARKERS[method], markerfacecolor="white" if method != "bagging" else colour,
        linestyle="-" if len(known) > 1 else "none", linewidth=2, zorder=4, label=NAMES[method],
    )  # fmt: skip


def _paper_panel(axes: Axes, result: StudyResult) -> None:
    base, *values = (printed_value(result, Cell(k)) for k in (0, *PAPER_EXPERTS))
    if not base:
        axes.set_axis_off()
        return
    axes.axhline(base.value, color=COLOURS["backbone"], linestyle="--", linewidth=1)
    axes.plot([0], [base.value], color=COLOURS["backbone"], marker=MARKERS["backbone"], markerfacecolor="white")
    mark_printed(axes, range(1, len(values) + 1), values, MARKERS["bagging"], COLOURS["bagging"])
    axes.set_title(f"the paper: {DATASETS[result.dataset]}\n{'-'.join(PAIR)} (bars: its printed ±)")
    _finish(axes, PAPER_EXPERTS)


def _finish(axes: Axes, experts: Sequence[int]) -> None:
    ticks = ["base", *map(str, experts)]
    axes.set_xticks(range(len(ticks)), ticks)
    axes.set(xlabel="number of experts", xlim=(-0.4, len(ticks) - 0.6))
    few_ticks(axes)


EXHIBIT = Exhibit(
    NAME, "Table 2: how many experts?", Parameters, run, tables, CLAIMS, printed_value, figures, advice=advice, place=2
)
