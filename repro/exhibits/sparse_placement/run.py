"""What may be asked for, what is trained of it, and what is measured."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Annotated, Any

from pydantic import AfterValidator, Field
from torch import Tensor

from repro.analysis.chosen_experts import experts_per_image, mutual_information, occurrence, tokens_per_image
from repro.analysis.outputs import accuracy
from repro.families.sparse.config import SHAPES, SparseConfig
from repro.families.sparse.cost import sparse_cost
from repro.families.sparse.scales import SparseSpec, sparse_spec
from repro.families.sparse.steps import chosen_experts, goal, steps
from repro.models.cost import width_for
from repro.report.claim import Cell
from repro.study import parameters as common
from repro.study.graph import Goal
from repro.study.lists import Names, NamesOrNone, chosen_of
from repro.study.record import TRAINED, open_runner, record, seed_by_seed, while_training
from repro.study.results import Measurement, StudyResult

NAME = "sparse_placement"
EXPERTS = 8
PLACEMENTS = {"none": "dense", "last-2": "Last 2", "last-3": "Last 3", "stage": "Stage", "every-2": "Every 2"}
EQUAL_PARAMETERS, HALF, TWICE = "none, as many parameters", ", half the width", ", twice the width"
QUARTER = " on a quarter of the images"
"""For four times the epochs: as many steps as on all of them, so that images alone are fewer."""
CHANGES: dict[str, dict[str, Any]] = {
    "4 experts": {"num_experts": 4}, "16 experts": {"num_experts": 16}, "cos gate": {"gate": "cos"},
    "l2 gate": {"gate": "l2"}, "no added skip": {"added_skip": False}, "mixup, CutMix, drop path": {"drop_path": 0.1},
    "4 experts" + QUARTER: {"num_experts": 4}, "16 experts" + QUARTER: {"num_experts": 16},
    "no balance losses, no capacity": {"importance_weight": 0.0, "load_weight": 0.0, "capacity": None},
}  # fmt: skip
"""What a row changes of the network, by its name. A capacity caps what an expert gets in training, so that what tokens
choose by themselves shows only without one. Without the added skip a mixture differs from the dense MLP in its experts
alone."""
MIXED = {"mixup, CutMix, drop path": {"mixup": 0.2, "cutmix": 1.0}}
"""What a row changes of the recipe: those of the paper's regularisers that there are here, at the scale ``gpu``'s
values; drop path, for which the paper's values were not read, at ConvNeXt-T's 0.1."""
OTHERS: dict[str, tuple[str, ...]] = {
    "equal-parameters": (EQUAL_PARAMETERS,),
    "experts-4": ("last-2, 4 experts",),
    "experts-16": ("last-2, 16 experts",),
    "cos": ("last-2, cos gate",),
    "l2": ("last-2, l2 gate",),
    "no-balance": ("last-2, no balance losses, no capacity",),
    "no-skip": ("last-2, no added skip",),
    "regularised": ("none, mixup, CutMix, drop path", "last-2, mixup, CutMix, drop path"),
    "quarter": tuple(f"last-2, {number} experts{images}" for images in ("", QUARTER) for number in (4, 16)),
    "half": ("none" + HALF, "last-2" + HALF),
    "twice": ("none" + TWICE, "last-2" + TWICE),
}
"""What else may be asked for, and the rows that each adds: a dense control, and Last 2 as it is not by default."""


GAINS: dict[str, tuple[str, str, str, str]] = {
    "sweet spot": ("last-2" + HALF, "none" + HALF, "last-2" + TWICE, "none" + TWICE),
    "more images": (
        "last-2, 16 experts", "last-2, 4 experts", "last-2, 16 experts" + QUARTER, "last-2, 4 experts" + QUARTER,
    ),
    "less regularised": ("last-2", "none", OTHERS["regularised"][1], OTHERS["regularised"][0]),
}  # fmt: skip
"""Differences of gains, by name: the gain of the first row over the second less that of the third over the fourth."""


class Parameters(common.Parameters):
    """The common ones, which network, which MLPs of it become mixtures, and what else is trained."""

    network: str = Field("convnext-micro", description=f"one of {', '.join(SHAPES)}")
    placements: Names = Field(("none", "last-2", "every-2"), description=f"of {', '.join(PLACEMENTS)}; none: dense")
    others: Annotated[NamesOrNone, AfterValidator(partial(chosen_of, OTHERS))] = Field(
        ("equal-parameters",), description=f"of {', '.join(OTHERS)}"
    )
    others_seeds: int = Field(
        0, ge=0, description="first seeds, which have all rows, where the others have dense and Last 2; 0: all"
    )
    experts: int = Field(EXPERTS, ge=1, description="E of each mixture")
    top_k: int = Field(1, ge=1, description="k; experts get 4 / k hidden channels a channel: what the dense MLP costs")

    @property
    def rows(self) -> tuple[str, ...]:
        """What is trained, of the first seed at least."""
        return tuple(dict.fromkeys((*self.placements, *(row for name in self.others for row in OTHERS[name]))))

    def rows_of(self, seed: int) -> tuple[str, ...]:
        """What is trained of a seed: dense and Last 2 of each, the others of the first seeds alone if it is asked."""
        if not self.others_seeds or seed in self.seeds[: self.others_seeds]:
            return self.rows
        return tuple(row for row in self.rows if row in ("none", "last-2"))

    def part(self) -> str:
        """Another network, k or number of experts is recorded apart."""
        return self.apart(network=self.network, top_k=f"top-{self.top_k}", experts=f"{self.experts}-experts")

    def spec(self, row: str, seed: int) -> SparseSpec:
        placement, _, change = row.partition(", ")
        model: dict[str, Any] = {"network": self.network, "top_k": self.top_k, "hidden_ratio": 4 / self.top_k}
        model |= {"num_experts": self.experts, "placement": placement, **CHANGES.get(change, {})}
        if row == EQUAL_PARAMETERS:
            model["width"] = equal_parameters(self.spec("last-2", seed).model)
        spec = sparse_spec(self.scale, self.dataset, seed, **model)
        if times := {HALF: 0.5, TWICE: 2.0}.get(f", {change}"):
            spec = sparse_spec(self.scale, self.dataset, seed, **model, width=times * spec.model.width)
        recipe = MIXED.get(change, {})
        if row.endswith(QUARTER):
            recipe = {**recipe, "epochs": 4 * spec.recipe.epochs}
            spec = spec.model_copy(update={"num_train": spec.num_images[0] // 4})
        return spec.model_copy(update={"recipe": spec.recipe.model_copy(update=recipe)})

    def goals(self) -> list[Goal]:
        return [goal(self.spec(row, seed)) for seed in self.seeds for row in self.rows_of(seed)]


def equal_parameters(sparse: SparseConfig) -> float:
    """The width at which the dense network has about as many parameters as a sparse one has in all (4 at most)."""
    widths = [min(sparse.width * (1 + step / 16), 4.0) for step in range(49)]
    dense = {width: sparse.model_copy(update={"placement": "none", "width": width}) for width in widths}
    return width_for(widths, sparse_cost(sparse).params, lambda width: sparse_cost(dense[width]).params)


def cell(body: str, row: str, metric: str = "top1", experts: int = EXPERTS, mixture: int = 0) -> Cell:
    """Where the record holds a number of a network, or of one of its mixtures (1, 2, ...)."""
    name, change = f"{body} {row}" + (f", mixture {mixture}" if mixture else ""), row.partition(", ")[2]
    if row.startswith("none"):
        return Cell(0, "dense", name, metric)
    return Cell(CHANGES.get(change, {}).get("num_experts", experts), "sparse", name, metric)


def gain_cell(body: str, name: str, experts: int = EXPERTS) -> Cell:
    """Where it holds a difference of gains, in points."""
    return Cell(experts, "sparse", f"{body} {name}", "top1_gain")


def run(parameters: Parameters) -> StudyResult:
    """Train each network, measure it, and write the record to ``<root>/results``, of as many seeds as time allows."""
    runner = open_runner(parameters)

    def of_seed(seed: int) -> Iterator[Measurement]:
        for row in parameters.rows_of(seed):
            spec = parameters.spec(row, seed)
            network, predictions = steps(spec)
            runner.run(goal(spec).steps)
            yield from measure(row, spec, runner.load(predictions).tensors)
            if (trained := while_training(runner, network)) is not None:
                yield cell(spec.model.shape.body, row, TRAINED, spec.model.num_experts).measurement(seed, trained)

    def write(measurements: list[Measurement]) -> StudyResult:
        specs = {row: parameters.spec(row, parameters.seeds[0]) for row in parameters.rows}
        first = next(iter(specs.values()))
        cells = {row: cell(first.model.shape.body, row, experts=parameters.experts) for row in specs}
        costs = [sparse_cost(spec.model).row(cells[row].num_experts, cells[row].row) for row, spec in specs.items()]
        return record(
            NAME, parameters, runner, first, {"seed": True, "model": {"placement"}},
            f"{parameters.network} at width {first.model.width:g}",
            f"{parameters.experts} a mixture, top {parameters.top_k}",
            [*measurements, *gains(measurements, first.model.shape.body, parameters.experts)], costs,
            part=parameters.part(),
        )  # fmt: skip

    return seed_by_seed(map(of_seed, parameters.seeds), write)


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


def gains(measurements: Sequence[Measurement], body: str, experts: int = EXPERTS) -> Iterator[Measurement]:
    """Each of :data:`GAINS`, of each seed that has its four rows."""
    top1 = {(m.row, m.seed): m.value for m in measurements if m.metric == "top1"}
    for seed in dict.fromkeys(seed for _, seed in top1):
        for name, rows in GAINS.items():
            each = [top1[key] for row in rows if (key := (f"{body} {row}", seed)) in top1]
            if len(each) == len(rows):
                more, less, other_more, other_less = each
                yield gain_cell(body, name, experts).measurement(seed, more - less - (other_more - other_less))
