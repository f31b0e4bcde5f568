"""Where the mixtures go, and when they pay (the sweet-spot paper's Tables 3 to 5 and 10, its claims V1 to V5).

ConvNeXts or ViTs, dense and sparse, of equal active multiply-adds but for the gates, trained for equally many epochs;
beside them a dense network of as many parameters as Last 2 has in all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from matplotlib.figure import Figure
from pydantic import Field, field_validator
from torch import Tensor

from repro.analysis.chosen_experts import experts_per_image, mutual_information, occurrence, tokens_per_image
from repro.analysis.outputs import accuracy
from repro.families.sparse.config import SHAPES, SparseConfig
from repro.families.sparse.cost import sparse_cost
from repro.families.sparse.scales import SparseSpec, sparse_spec
from repro.families.sparse.steps import chosen_experts, goal, steps
from repro.models.cost import width_for
from repro.report.claim import CHANGES_LITTLE, Cell, Claim, Control, with_controls
from repro.report.exhibit import Exhibit
from repro.report.numbers import NONE, mean_std, millions, where_run
from repro.report.plots import PALETTE, figure_style, new_figure
from repro.report.printed import PrintedValue, rows_of
from repro.report.sweetspot import sweetspot_rows
from repro.report.tables import Captioned, Row, about, comparison, frame
from repro.report.verdict import by_seed, summary_of
from repro.study import parameters as common
from repro.study.graph import Goal
from repro.study.lists import Words, WordsOrNone
from repro.study.record import open_runner, record, seed_by_seed
from repro.study.results import Cost, Measurement, StudyResult

NAME = "sparse_placement"
EXPERTS = 8
TABLE3 = {"convnext": "convnext-t", "vit": "vit-s"}
"""The network of Tables 3 and 4 that stands beside ours."""
TABLE10 = {"convnext": "convnext-s", "vit": "vit-s"}
"""That of Table 10, whose "ConvNeXt-S" has ConvNeXt-T's numbers of Table 3."""
PLACEMENTS = {"none": "dense", "last-2": "Last 2", "last-3": "Last 3", "stage": "Stage", "every-2": "Every 2"}
EQUAL_PARAMETERS, HALF, TWICE = "none, as many parameters", ", half the width", ", twice the width"
UNBALANCED = {"importance_weight": 0.0, "load_weight": 0.0}
OTHERS: dict[str, tuple[str, ...]] = {
    "equal-parameters": (EQUAL_PARAMETERS,),
    "experts-4": ("last-2, 4 experts",),
    "experts-16": ("last-2, 16 experts",),
    "cos": ("last-2, cos gate",),
    "l2": ("last-2, l2 gate",),
    "no-balance": ("last-2, no balance losses",),
    "half": ("none" + HALF, "last-2" + HALF),
    "twice": ("none" + TWICE, "last-2" + TWICE),
}
"""What else may be asked for, and the rows that each adds: a dense control, and Last 2 as it is not by default."""


class Parameters(common.Parameters):
    """The common ones, which network, which MLPs of it become mixtures, and what else is trained."""

    network: str = Field("convnext-micro", description=f"one of {', '.join(SHAPES)}")
    placements: Words = Field(
        ("none", "last-2", "every-2"), description=f"of {', '.join(PLACEMENTS)}; none is the dense one"
    )
    others: WordsOrNone = Field(("equal-parameters",), description=f"of {', '.join(OTHERS)}")
    experts: int = Field(EXPERTS, ge=1, description="E of each mixture")
    top_k: int = Field(1, ge=1, description="k; experts get 4 / k hidden channels a channel: what the dense MLP costs")

    @field_validator("others")
    @classmethod
    def _others(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if unknown := [name for name in value if name not in OTHERS]:
            raise ValueError(f"there is no {unknown[0]!r}; choose of {', '.join(OTHERS)}, or none with ''")
        return value

    @property
    def rows(self) -> tuple[str, ...]:
        """What is trained of each seed."""
        return (*self.placements, *(row for name in self.others for row in OTHERS[name]))

    def spec(self, row: str, seed: int) -> SparseSpec:
        """The network of a row."""
        placement, _, change = row.partition(", ")
        changes: dict[str, Any] = {"num_experts": experts_of(row, self.experts), "placement": placement}
        if change.endswith(" gate"):
            changes["gate"] = change.removesuffix(" gate")
        if change == "no balance losses":
            changes |= UNBALANCED
        model = {"network": self.network, "top_k": self.top_k, "hidden_ratio": 4 / self.top_k, **changes}
        found = sparse_spec(self.scale, self.dataset, seed, **model)
        width = found.model.width * {HALF: 0.5, TWICE: 2.0}.get(f", {change}", 1.0)
        if row == EQUAL_PARAMETERS:
            width = equal_parameters(self.spec("last-2", seed).model)
        return sparse_spec(self.scale, self.dataset, seed, **model, width=width)

    def networks(self) -> list[tuple[str, SparseSpec]]:
        """Every network with its row, seed by seed."""
        return [(row, self.spec(row, seed)) for seed in self.seeds for row in self.rows]

    def goals(self) -> list[Goal]:
        """What is trained."""
        return [goal(spec) for _, spec in self.networks()]


def experts_of(row: str, usual: int = EXPERTS) -> int:
    """E of a row: what its name says, or the usual number."""
    count = row.rpartition(", ")[2].removesuffix(" experts")
    return int(count) if count.isdigit() else usual


def equal_parameters(sparse: SparseConfig) -> float:
    """The width at which the dense network has about as many parameters as a sparse one has in all (4 at most)."""
    widths = [min(sparse.width * (1 + step / 16), 4.0) for step in range(49)]

    def params(width: float) -> int:
        return sparse_cost(sparse.model_copy(update={"placement": "none", "width": width})).params

    return width_for(widths, sparse_cost(sparse).params, params)


def cell(body: str, row: str, metric: str = "top1", experts: int = EXPERTS, mixture: int = 0) -> Cell:
    """Where the record holds a number of a network, or of one of its mixtures (1, 2, ...)."""
    dense, name = row.startswith("none"), f"{body} {row}" + (f", mixture {mixture}" if mixture else "")
    return Cell(0 if dense else experts_of(row, experts), "dense" if dense else "sparse", name, metric)


def sweet_spot(body: str) -> Cell:
    """Where it holds the gain at half the width less the gain at twice the width, in points."""
    return Cell(EXPERTS, "sparse", f"{body} sweet spot", "top1_gain")


def _claims(body: str, name: str) -> Iterator[Claim]:
    last_2, every_2 = cell(body, "last-2"), cell(body, "every-2")
    control = Control("equal-parameters", "a dense network of as many parameters", cell(body, EQUAL_PARAMETERS))
    yield Claim(
        f"V1/{body}",
        f"{name} with Last 2 beats the dense one",
        last_2,
        cell(body, "none"),
        controls=(control,),
        paired=False,
    )
    yield Claim(f"V2/{body}", f"{name}: Last 2 gains more at half the width than at twice the width", sweet_spot(body))
    if body == "convnext":
        yield Claim(f"V3/{body}", f"{name}: Last 2 beats Every 2", last_2, every_2, paired=False)
    else:
        yield Claim(f"V3/{body}", f"{name}: Every 2 beats Last 2", every_2, last_2, paired=False)
    yield Claim(f"V4/{body}", f"{name}: 8 experts beat 16", last_2, cell(body, "last-2, 16 experts"), paired=False)
    for gate in ("cos", "l2"):
        other = cell(body, f"last-2, {gate} gate")
        yield Claim(
            f"V5/{body}/{gate}",
            f"{name}: the gate changes little ({gate})",
            last_2,
            other,
            CHANGES_LITTLE,
            paired=False,
        )


CLAIMS = with_controls(
    claim for body, name in (("convnext", "ConvNeXt"), ("vit", "ViT")) for claim in _claims(body, name)
)
"""Of Last 2 with 8 experts; dense and sparse networks have equal active MACs but for the gates' here."""


def run(parameters: Parameters) -> StudyResult:
    """Train each network, measure it, and write the record to ``<root>/results``, of as many seeds as time allows."""
    runner = open_runner(parameters)

    def of_seed(seed: int) -> Iterator[Measurement]:
        for row in parameters.rows:
            spec = parameters.spec(row, seed)
            runner.run(goal(spec).steps)
            yield from measure(row, spec, runner.load(steps(spec).predictions).tensors)

    def write(found: list[Measurement]) -> StudyResult:
        specs = {row: parameters.spec(row, parameters.seeds[0]) for row in parameters.rows}
        first = next(iter(specs.values()))
        return record(
            NAME, parameters, runner, first, {"seed": True, "model": {"placement"}},
            f"{parameters.network} at width {first.model.width:g}",
            f"{parameters.experts} a mixture, top {parameters.top_k}",
            [*found, *sweet_spots(found, first.model.shape.body)], [_cost(row, spec) for row, spec in specs.items()],
        )  # fmt: skip

    return seed_by_seed(parameters.seeds, of_seed, write)


def measure(row: str, spec: SparseSpec, tensors: dict[str, Tensor]) -> Iterator[Measurement]:
    """Top-1, the share of compute that is routed, and of each mixture: how even, how many experts an image, how classes
    explain the choice.
    """
    model, labels = spec.model, tensors["labels"]

    def one(metric: str, value: float, mixture: int = 0) -> Measurement:
        return cell(model.shape.body, row, metric, model.num_experts, mixture).measurement(spec.seed, value)

    yield one("top1", accuracy(tensors["logits"], labels))
    yield one("routed", 100 * sparse_cost(model).routed_share)
    for number, experts_MTK in enumerate(chosen_experts(spec, tensors), 1):
        counts_ME = tokens_per_image(experts_MTK, model.num_experts)
        shares_E = counts_ME.sum(0) * (model.num_experts / counts_ME.sum())
        first_ME = tokens_per_image(experts_MTK[..., :1], model.num_experts)
        yield one("largest", float(shares_E.max()), number)
        yield one("smallest", float(shares_E.min()), number)
        yield one("experts", experts_per_image(counts_ME), number)
        yield one("information", mutual_information(occurrence(first_ME, labels, model.num_classes)), number)


def sweet_spots(measurements: Sequence[Measurement], body: str) -> Iterator[Measurement]:
    """Of each seed with both widths: the gain of Last 2 at half the width less that at twice the width."""
    top1 = {(m.row, m.seed): m.value for m in measurements if m.metric == "top1"}
    for seed in dict.fromkeys(seed for _, seed in top1):
        each = [top1.get((f"{body} {row}{width}", seed)) for width in (HALF, TWICE) for row in ("last-2", "none")]
        if None not in each:
            half, half_dense, twice, twice_dense = (value or 0.0 for value in each)
            yield sweet_spot(body).measurement(seed, half - half_dense - (twice - twice_dense))


def _cost(row: str, spec: SparseSpec) -> Cost:
    cost, found = sparse_cost(spec.model), cell(spec.model.shape.body, row, experts=spec.model.num_experts)
    return Cost(
        num_experts=found.num_experts, row=found.row, macs=cost.macs, params_inference=cost.active_params,
        params_trainable=cost.params,
    )  # fmt: skip


def body_of(result: StudyResult) -> str:
    """``convnext`` or ``vit``; ConvNeXt of a record of which nothing is known."""
    return next((row.partition(" ")[0] for row in result.rows()), "convnext")


def networks_of(result: StudyResult) -> dict[str, Cell]:
    """The rows of a result with the cells of their top-1: placements as Table 3 has them, then all else."""
    body = body_of(result)
    found = {m.row: Cell(m.num_experts, m.method, m.row) for m in result.measurements if m.metric == "top1"}
    rows = [*PLACEMENTS, *(row for more in OTHERS.values() for row in more)]
    return {row: found[f"{body} {row}"] for row in rows if f"{body} {row}" in found}


def label_of(row: str) -> str:
    """How readers call a row: ``Last 2, cos gate``."""
    placement, comma, change = row.partition(", ")
    return PLACEMENTS[placement] + comma + change


def of_the_paper(body: str, row: str) -> PrintedValue | None:
    """Top-1 of Table 3, of Table 4 for other numbers of experts, of Table 10 for other gates (ImageNet-1k, percent)."""
    placement, _, change = row.partition(", ")
    known: list[float] = []
    if change.endswith(" gate"):
        rows, gate = rows_of("sweetspot2024_table10"), change.removesuffix(" gate")
        known = [float(r["in1k"]) for r in rows if (r["model"], r["gate"]) == (TABLE10[body], gate)]
    elif not change or change.endswith(" experts"):
        asked = ("4" if change else "3", TABLE3[body], placement, experts_of(row))
        known = [
            r.top1
            for r in sweetspot_rows()
            if (r.table, r.config.network, r.config.placement, r.config.num_experts) == asked
        ]
    return PrintedValue(known[0], None, 1, f"{known[0]:.1f}") if known else None


def printed_value(result: StudyResult, asked: Cell) -> PrintedValue | None:
    """The printed number of a row, of mixtures with 8 experts unless it says otherwise."""
    body, _, row = asked.row.partition(" ")
    return of_the_paper(body, row) if body in TABLE3 and asked == cell(body, row) else None


def tables(result: StudyResult) -> dict[str, Captioned]:
    """``main``: top-1 of each network beside the paper's; ``costs``; ``routing``: what the mixtures do."""
    body, known = body_of(result), networks_of(result)
    rows = [Row(label_of(row), found, of_the_paper(body, row)) for row, found in known.items()]
    caption = (
        f"{about(result)}; top-1 accuracy on the {result.evaluate} set in percent. The paper's column is "
        f"{TABLE3[body]} of Tables 3 and 4 (gates: Table 10) on ImageNet-1k, whose costs differ from row to row. Ours "
        "are trained for equally many epochs; with mixtures or without, those of one width have equal active "
        "multiply-adds but for the gates."
    )
    return {
        "main": Captioned(comparison(result, rows), caption),
        "costs": _costs(result, known),
        "routing": _routing(result),
    }


def _costs(result: StudyResult, known: Mapping[str, Cell]) -> Captioned:
    costs = {cost.row: cost for cost in result.costs}
    found = [costs.get(one.row) for one in known.values()]
    routed = [summary_of(result, replace(one, metric="routed")) for one in known.values()]
    columns = {
        "MACs": [millions(cost.macs, 2) if cost else NONE for cost in found],
        "routed, %": [f"{share.mean:.0f}" if share else NONE for share in routed],
        "active parameters": [millions(cost.params_inference, 3) if cost else NONE for cost in found],
        "parameters": [millions(cost.params_trainable, 3) if cost else NONE for cost in found],
    }
    caption = f"{about(result, models=False)}; the cost of an image, counted: the same wherever its tokens go."
    return Captioned(frame(columns, list(map(label_of, known))), caption)


def _routing(result: StudyResult) -> Captioned:
    mixtures = {m.row: m for m in result.measurements if ", mixture " in m.row}.values()
    metrics = {
        "experts": "experts an image", "largest": "largest expert", "smallest": "smallest expert",
        "information": "choice explained by class",
    }  # fmt: skip
    columns = {
        heading: [mean_std(summary_of(result, Cell(m.num_experts, m.method, m.row, metric))) for m in mixtures]
        for metric, heading in metrics.items()
    }
    caption = (
        f"{about(result, models=False)}; each mixture, first layer first, on the {result.evaluate} set: experts with a "
        "token of an image; tokens of the largest and smallest expert in equal shares (1 is even); mutual information "
        "of class and expert over the entropy of the experts (0 to 1)."
    )
    return Captioned(frame(columns, [label_of(m.row.partition(" ")[2]) for m in mixtures]), caption)


def figures(results: Sequence[StudyResult]) -> dict[str, Figure]:
    """Top-1 of each network: a row of panels a result, ours left, the paper's right, each with an axis of its own."""
    with figure_style():
        figure = new_figure(8.0, 3.4 * len(results))
        for (ours, paper), result in zip(figure.subplots(len(results), 2, squeeze=False), results, strict=True):
            body, known = body_of(result), networks_of(result)
            for place, (row, found) in enumerate(known.items()):
                each = list(by_seed(result, found).values())
                ours.plot([place] * len(each), each, ".", color=PALETTE[0], alpha=0.5)
                ours.plot([place], [sum(each) / len(each)], "o", color=PALETTE[0])
                if value := of_the_paper(body, row):
                    paper.plot([place], [value.value], "D", color=PALETTE[6], markerfacecolor="white")
            for axes, title in (
                (ours, f"{where_run(result)}\n{result.base}"), (paper, f"the paper: ImageNet-1k\n{TABLE3[body]}"),
            ):  # fmt: skip
                axes.set_title(title)
                axes.set_xticks(range(len(known)), list(map(label_of, known)), rotation=30, ha="right")
                axes.set_xlim(-0.5, max(len(known), 1) - 0.5)
            ours.set_ylabel(f"top-1 accuracy, % ({result.evaluate} set)")
    return {"main": figure}


EXHIBIT = Exhibit(
    NAME, "Where the mixtures go (sweet spot, Tables 3 to 5)", Parameters, run, tables, CLAIMS, printed_value, figures,
    place=16,
)  # fmt: skip
