"""Where the mixtures go (Tables 3 and 5 of the sweet-spot paper): costs counted, and ConvNeXts or ViTs trained."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pydantic import Field
from torch import Tensor

from repro.analysis.chosen_experts import experts_per_image, mutual_information, occurrence, tokens_per_image
from repro.analysis.outputs import accuracy
from repro.families.sparse.config import SHAPES
from repro.families.sparse.cost import SparseCost, sparse_cost
from repro.families.sparse.scales import SparseSpec, sparse_spec
from repro.families.sparse.steps import chosen_experts, goal, steps
from repro.progress import say
from repro.report.claim import Cell, Claim
from repro.report.exhibit import Exhibit
from repro.report.numbers import NONE, mean_std, millions, where_run
from repro.report.plots import PALETTE, figure_style, new_figure
from repro.report.printed import PrintedValue
from repro.report.sweetspot import SweetSpotRow, sweetspot_rows
from repro.report.tables import Row, Shown, about, comparison, frame
from repro.report.verdict import by_seed, summary_of
from repro.study import parameters as common
from repro.study.artifact import digest
from repro.study.graph import Context, Goal
from repro.study.lists import Words
from repro.study.provenance import made_here
from repro.study.results import Cost, Measurement, Provenance, StudyResult
from repro.study.runner import Runner
from repro.study.sources import Sources
from repro.study.store import Store
from repro.training import compiling
from repro.training.device import pick_device

NAME = "sparse_placement"
EXPERTS = 8
TABLE3 = {"convnext": "convnext-t", "vit": "vit-s"}
"""The network of Table 3 that stands beside ours."""
SAID = {"none": "dense", "last-2": "Last 2", "last-3": "Last 3", "stage": "Stage", "every-2": "Every 2"}


class Parameters(common.Parameters):
    """The common ones, which network, and which MLPs of it become mixtures."""

    network: str = Field("convnext-micro", description=f"one of {', '.join(SHAPES)}")
    placements: Words = Field(("none", "last-2", "every-2"), description=f"of {', '.join(SAID)}; none is the dense one")
    experts: int = Field(EXPERTS, ge=1, description="E of each mixture")
    top_k: int = Field(1, ge=1, description="k; experts get 4 / k hidden channels a channel: what the dense MLP costs")

    def networks(self) -> list[SparseSpec]:
        """Every network, seed by seed."""
        model = {"network": self.network, "num_experts": self.experts, "top_k": self.top_k}
        return [
            sparse_spec(self.scale, self.dataset, seed, **model, placement=placement, hidden_ratio=4 / self.top_k)
            for seed in self.seeds
            for placement in self.placements
        ]

    def goals(self) -> list[Goal]:
        """What is trained."""
        return [goal(spec) for spec in self.networks()]


def cell(body: str, placement: str, metric: str = "top1", experts: int = EXPERTS, mixture: int = 0) -> Cell:
    """Where the record holds a number of a network, or of one of its mixtures (1, 2, ...)."""
    dense = placement == "none"
    row = f"{body} {placement}" + (f", mixture {mixture}" if mixture else "")
    return Cell(0 if dense else experts, "dense" if dense else "sparse", row, metric)


CLAIMS = (
    *(
        Claim(f"V1/{body}", f"{name} with Last 2 beats the dense one", cell(body, "last-2"), cell(body, "none"))
        for body, name in (("convnext", "ConvNeXt"), ("vit", "ViT"))
    ),
    Claim("V3/convnext", "ConvNeXt: Last 2 beats Every 2", cell("convnext", "last-2"), cell("convnext", "every-2")),
    Claim("V3/vit", "ViT: Every 2 beats Last 2", cell("vit", "every-2"), cell("vit", "last-2")),
)
"""'Impact of the position of MoE layers'; dense and sparse networks have equal active MACs but for the gates' here."""


def run(parameters: Parameters) -> StudyResult:
    """Train each network, measure it, and write the record to ``<root>/results``."""
    compiling.choose(parameters.compile)
    device = pick_device(parameters.device)
    context = Context(Store(parameters.root), Sources(parameters.root, device), device)
    runner = Runner(parameters.goals(), context, parameters.executor)
    measurements: list[Measurement] = []
    for spec in parameters.networks():
        runner.run(goal(spec).steps)
        measurements += measure(spec, runner.load(steps(spec).predictions).tensors)
    specs = parameters.networks()[: len(parameters.placements)]
    about_it = specs[0].model_dump(mode="json", exclude={"seed": True, "model": {"placement"}})
    result = StudyResult(
        study=NAME, dataset=parameters.dataset, scale=parameters.scale, evaluate=specs[0].evaluate,
        base=f"{parameters.network} at width {specs[0].model.width:g}",
        expert=f"{parameters.experts} a mixture, top {parameters.top_k}", seeds=list(parameters.seeds), spec=about_it,
        spec_hash=digest(about_it), measurements=measurements, costs=[_cost(spec) for spec in specs],
        provenance=Provenance(command=parameters.command(NAME), **made_here(device, runner.seconds)),
    )  # fmt: skip
    say(f"{runner.summary()}; result in {result.save(parameters.root / 'results')}")
    return result


def measure(spec: SparseSpec, tensors: dict[str, Tensor]) -> Iterator[Measurement]:
    """Top-1, the share of compute that is routed, and of each mixture: how even, how many experts an image, how classes
    explain the choice.
    """
    model, labels = spec.model, tensors["labels"]

    def one(metric: str, value: float, mixture: int = 0) -> Measurement:
        found = cell(model.shape.body, model.placement, metric, model.num_experts, mixture)
        return Measurement(
            seed=spec.seed, num_experts=found.num_experts, method=found.measured_as, metric=metric,
            value=round(value, 4), row=found.row,
        )  # fmt: skip

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


def _cost(spec: SparseSpec) -> Cost:
    cost, found = sparse_cost(spec.model), cell(spec.model.shape.body, spec.model.placement)
    return Cost(
        num_experts=0 if spec.model.placement == "none" else spec.model.num_experts, row=found.row, macs=cost.macs,
        params_inference=cost.active_params, params_trainable=cost.params,
    )  # fmt: skip


def body_of(result: StudyResult) -> str:
    """``convnext`` or ``vit``; ConvNeXt of a record of which nothing is known."""
    return next((row.partition(" ")[0] for row in result.rows()), "convnext")


def experts_of(result: StudyResult) -> int:
    """E of a result."""
    return max(result.numbers_of_experts(), default=EXPERTS)


def of_the_paper(body: str, placement: str) -> PrintedValue | None:
    """Top-1 of Table 3 (ImageNet-1k, in percent)."""
    found = next((row.top1 for row in _rows("3", TABLE3[body]) if row.config.placement == placement), None)
    return None if found is None else PrintedValue(found, None, 1, f"{found:.1f}")


def _rows(table: str, network: str) -> list[SweetSpotRow]:
    return [row for row in sweetspot_rows() if (row.table, row.config.network) == (table, network)]


def printed_value(result: StudyResult, asked: Cell) -> PrintedValue | None:
    """Table 3's number for a placement with 8 experts."""
    body, _, placement = asked.row.partition(" ")
    known = asked.metric == "top1" and asked == cell(body, placement) and body in TABLE3
    return of_the_paper(body, placement) if known else None


def tables(result: StudyResult) -> dict[str, Shown]:
    """``main``: top-1 of each placement beside Table 3; ``costs``; ``routing``: what the mixtures do."""
    body, experts = body_of(result), experts_of(result)
    known = [name for name in SAID if name in {row.split(" ")[1].rstrip(",") for row in result.rows()}]
    rows = [Row(SAID[name], cell(body, name, experts=experts), of_the_paper(body, name)) for name in known]
    caption = (
        f"{about(result)}; top-1 accuracy on the {result.evaluate} set in percent. The paper's column is Table 3's "
        f"{TABLE3[body]} on ImageNet-1k with 8 experts, whose costs differ from row to row; ours have equal active "
        "multiply-adds but for the gates."
    )
    return {
        "main": Shown(comparison(result, rows), caption),
        "costs": _costs(result, body, known, experts),
        "routing": _routing(result),
    }


def _costs(result: StudyResult, body: str, known: Sequence[str], experts: int) -> Shown:
    costs = {cost.row: cost for cost in result.costs}
    found = [costs.get(cell(body, name).row) for name in known]
    routed = [summary_of(result, cell(body, name, "routed", experts)) for name in known]
    columns = {
        "MACs": [millions(cost.macs, 2) if cost else NONE for cost in found],
        "routed, %": [f"{share.mean:.0f}" if share else NONE for share in routed],
        "active parameters": [millions(cost.params_inference, 3) if cost else NONE for cost in found],
        "parameters": [millions(cost.params_trainable, 3) if cost else NONE for cost in found],
    }
    caption = f"{about(result, models=False)}; the cost of an image, counted: the same wherever its tokens go."
    return Shown(frame(columns, [SAID[name] for name in known]), caption)


def _routing(result: StudyResult) -> Shown:
    mixtures = [row for row in result.rows() if ", mixture " in row]
    metrics = {
        "experts": "experts an image", "largest": "largest expert", "smallest": "smallest expert",
        "information": "choice explained by class",
    }  # fmt: skip
    columns = {
        heading: [mean_std(summary_of(result, Cell(experts_of(result), "sparse", row, metric))) for row in mixtures]
        for metric, heading in metrics.items()
    }
    caption = (
        f"{about(result, models=False)}; each mixture, first layer first, on the {result.evaluate} set: experts with a "
        "token of an image; tokens of the largest and smallest expert in equal shares (1 is even); mutual information "
        "of class and expert over the entropy of the experts (0 to 1)."
    )
    labels = [row.replace(body_of(result), "").strip() for row in mixtures]
    return Shown(frame(columns, labels), caption)


def exact() -> dict[str, Shown]:
    """``printed``: the costs that Tables 3 and 5 print, and those of the networks that they name."""
    rows = [row for row in sweetspot_rows() if row.table in ("3", "5")]
    counted = [sparse_cost(row.config) for row in rows]
    columns = {
        "printed": [f"{row.params:.1f} M" for row in rows],
        "counted": [millions(cost.params, 1) for cost in counted],
        "match": [_match(row, cost) for row, cost in zip(rows, counted, strict=True)],
        "active, printed": [f"{row.params_active:.1f} M" for row in rows],
        "active, counted": [millions(cost.active_params, 1) for cost in counted],
        "GMACs, printed": [f"{row.macs:.1f}" if row.macs else NONE for row in rows],
        "GMACs, counted": [f"{cost.macs / 1e9:.2f}" for cost in counted],
        "routed, %": [f"{100 * cost.routed_share:.0f}" for cost in counted],
    }
    caption = (
        "The costs that Tables 3 and 5 print, beside exact counts of the networks that they name. ViT's Every 2 is "
        "not at equal multiply-adds: two experts of full width a token. Table 5's rows Stage and Last 3 hold the "
        "counts of the rows below them; the isotropic network's 8.7 is ConvNeXt-S's."
    )
    return {"printed": Shown(frame(columns, [f"Table {row.table}: {row.label}" for row in rows]), caption)}


def _match(row: SweetSpotRow, cost: SparseCost) -> str:
    within = 0.1 + 1e-9  # million parameters: the paper rounds some numbers and cuts others
    return "match" if abs(round(cost.params / 1e6, 1) - row.params) <= within else "mismatch"


def advice(result: StudyResult) -> str:
    """What Table 3's gains with Every 2 have besides."""
    plain, vit = (sparse_cost(row.config).macs for row in _rows("3", "vit-s") if row.config.placement != "last-2")
    return (
        "ViT's gains with Every 2 are not at equal multiply-adds: by our count the paper's network costs "
        f"{round(100 * (vit / plain - 1))} % more than the dense one. Here all cost the same but for the gates."
    )


def figures(results: Sequence[StudyResult]) -> dict[str, Figure]:
    """Top-1 of each placement: a row of panels a result, ours left, Table 3 right, each with an axis of its own."""
    with figure_style():
        figure = new_figure(7.6, 2.9 * len(results))
        for (ours, paper), result in zip(figure.subplots(len(results), 2, squeeze=False), results, strict=True):
            body, experts = body_of(result), experts_of(result)
            for place, name in enumerate(SAID):
                each = list(by_seed(result, cell(body, name, experts=experts)).values())
                ours.plot([place] * len(each), each, ".", color=PALETTE[0], alpha=0.5)
                if each:
                    ours.plot([place], [sum(each) / len(each)], "o", color=PALETTE[0])
                if value := of_the_paper(body, name):
                    paper.plot([place], [value.value], "D", color=PALETTE[6], markerfacecolor="white")
            _finish(ours, f"{where_run(result)}\n{result.base}")
            ours.set_ylabel(f"top-1 accuracy, % ({result.evaluate} set)")
            _finish(paper, f"the paper: ImageNet-1k\n{TABLE3[body]} (Table 3)")
    return {"main": figure}


def _finish(axes: Axes, title: str) -> None:
    axes.set_title(title)
    axes.set_xticks(range(len(SAID)), list(SAID.values()))
    axes.set_xlim(-0.5, len(SAID) - 0.5)


EXHIBIT = Exhibit(
    NAME, "Where the mixtures go (sweet spot, Tables 3 and 5)", Parameters, run, tables, CLAIMS, printed_value, figures,
    exact, advice,
)  # fmt: skip
