"""DeepMoE's Table 2, on CIFAR: a wide gated network against the narrow one, with the controls that the paper lacks.

All networks of a seed are trained for the same number of epochs. Beside the paper's two rows stand a plain network
of DeepMoE's own multiply-adds, the wide network without gates, and DeepMoE's embedding network alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

from matplotlib.figure import Figure
from pydantic import Field, field_validator

from repro.analysis.outputs import accuracy
from repro.families.deepmoe.config import DeepMoEConfig
from repro.families.deepmoe.cost import active_shares, deepmoe_cost
from repro.families.deepmoe.steps import Asked, steps, two_stages
from repro.families.single_gate.config import StudySpec
from repro.families.single_gate.controls import EQUAL_INFERENCE
from repro.families.single_gate.scales import CROP_AND_FLIP, SCALES
from repro.families.single_gate.study import SingleGateParameters, Study, measured, open_study, record
from repro.models.cost import model_cost
from repro.report.claim import AS_GOOD, Cell, Claim, Control
from repro.report.exhibit import Exhibit
from repro.report.numbers import where_run
from repro.report.plots import PALETTE, common_legend, figure_style, new_figure
from repro.report.printed import PrintedValue, printed_deepmoe
from repro.report.tables import Columns, Row, Shown, about, comparison, frame, means
from repro.report.verdict import by_seed
from repro.study.results import Measurement, StudyResult
from repro.training.recipe import Recipe

NAME = "deepmoe_table2_cifar"
STEPS = 32  # widths that are tried between narrow and wide
EQUAL_COST = 100 / 1.05
"""The narrow network's cost, in percent of DeepMoE's honest mean, that DM1 takes for granted."""

METHODS = {
    "narrow": "narrow network",
    "deepmoe": "wide DeepMoE",
    "embedding": "its embedding network alone",
    "equal-cost": "plain network of DeepMoE's cost",
    "wide": "wide network, no gates",
}

DEEPMOE, PLAIN = Cell(0, "deepmoe"), Cell(0, "equal-cost")
NARROWS_COST = Cell(0, "deepmoe", metric="narrows_cost")
CLAIMS = (
    Claim("DM1", "Wide DeepMoE beats the narrow network of its cost", DEEPMOE, Cell(0, "narrow"), section="5.1.1",
          premise=(NARROWS_COST, EQUAL_COST), controls=(Control(EQUAL_INFERENCE, "a plain network", PLAIN),)),
    Claim("DM2", "It beats a plain network of its own multiply-adds", DEEPMOE, PLAIN),
    Claim("DM3", "It is as good as the wide network without gates", DEEPMOE, Cell(0, "wide"), AS_GOOD, section="5.3.2"),
    Claim("DM8", "It beats its own embedding network", DEEPMOE, Cell(0, "embedding")),
)  # fmt: skip
"""DM1 is the paper's, DM3 its Figure 5's. DM2 and DM8 are ours: what a gain has to beat to be DeepMoE's."""


PAPERS = Recipe(
    source="Wang et al. 2019, Section 5 (rate, its steps, epochs); He et al. 2016 for batch, decay and augmentation",
    epochs=350,
    batch_size=128,
    learning_rate=0.1,
    weight_decay=1e-4,
    schedule="multistep",
    milestones=(150 / 350, 250 / 350),
    drop=0.1,
    augmentation=CROP_AND_FLIP,
)
QUICK: Recipe = SCALES["quick"]["modes"]["base_recipe"].model_copy(update={"epochs": 5})
USUAL: dict[str, dict[str, Any]] = {
    "quick": {"base_recipe": QUICK},
    "gpu": {"base": "resnet56", "width": 1.0},
    "paper": {"base": "resnet56", "width": 1.0, "base_recipe": PAPERS},
}
"""What a scale trains here where it is not the scale's own recipe on a tr10 of half its width."""


class Parameters(SingleGateParameters):
    """The common ones, the network, and how sparse it is made."""

    backbone: str = Field("", description="empty: resnet56 at the scales gpu and paper, else tr10")
    narrow: float = Field(0.0, ge=0, le=2, description="width of the narrow network; 0: the usual one")
    epochs: int = Field(0, ge=0, description="of each network, both stages of DeepMoE together; 0: the scale's")
    wide: float = Field(2.0, gt=1, le=4, description="how many times as wide DeepMoE is")
    lam: float = Field(2.0, ge=0, description="λ: larger is sparser; to be chosen with evaluate validation")
    lambda_reaches: Literal["all", "heads"] = Field("heads", description="what λ trains; all: the embedding as well")
    evaluate: Literal["test", "validation"] = Field("test", description="validation: to choose λ by")

    @field_validator("epochs")
    @classmethod
    def _two_stages(cls, value: int) -> int:
        if value == 1:
            raise ValueError("both stages of DeepMoE take at least one epoch each: 2 or more")
        return value

    def specs(self) -> list[StudySpec]:
        """There is no single-gate mixture in this."""
        self.narrow_networks()
        return []

    def bases(self) -> list[StudySpec]:
        """The narrow and the wide network of each seed; that of equal cost is known once DeepMoE is trained."""
        return [spec.with_(width=w * spec.width) for spec in self.narrow_networks() for w in (1, self.wide)]

    def narrow_networks(self) -> list[StudySpec]:
        """The plain narrow network of each seed, on whose images all is trained."""
        found = []
        for spec in super().specs():
            usual = {"base": "tr10", "width": spec.width / 2, **USUAL.get(self.scale, {})}
            asked = {"base": self.backbone, "width": self.narrow}
            network: dict[str, Any] = usual | {name: value for name, value in asked.items() if value}
            recipe: Recipe = usual.get("base_recipe", spec.base_recipe)
            network["base_recipe"] = recipe.model_copy(update={"epochs": self.epochs or recipe.epochs})
            network |= {"expert": network["base"], "role": "control", "evaluate": self.evaluate, "stacking": False}
            found.append(spec.with_(**network))
        return found

    def deepmoe(self, spec: StudySpec) -> Asked:
        """The DeepMoE beside a narrow network: the same recipe in both stages, of as many epochs together."""
        model = DeepMoEConfig(
            backbone=spec.base, width=self.wide * spec.width, num_classes=spec.num_classes, image_size=spec.image_size,
            lam=self.lam, lambda_reaches=self.lambda_reaches,
        )  # fmt: skip
        one, two = two_stages(spec.base_recipe)
        return Asked(spec=spec, model=model, recipe=one, recipe_two=two)


def run(parameters: Parameters) -> StudyResult:
    """Run DeepMoE's Table 2 and write its record to ``<root>/results``."""
    study = open_study(parameters)
    found = [m for spec in parameters.narrow_networks() for m in _measure(spec, parameters, study)]
    return record(NAME, parameters, study, found)


def _measure(spec: StudySpec, parameters: Parameters, study: Study) -> Iterator[Measurement]:
    asked = parameters.deepmoe(spec)
    predictions = steps(asked)
    study.runner.run([predictions])
    tensors, cost = study.runner.load(predictions).tensors, deepmoe_cost(asked.model)
    labels, macs = tensors["labels"], float(tensors["macs"].mean())
    for method, value, mean_macs in (
        ("deepmoe", accuracy(tensors["logits"], labels), macs),
        ("embedding", accuracy(tensors["embedding_logits"], labels), float(cost.gating_macs)),
    ):
        yield measured(spec, method, value, num_experts=0)
        yield measured(spec, method, mean_macs / 1e6, "macs_millions", num_experts=0)
    narrows = 100 * _plain_macs(spec, spec.width) / macs
    yield measured(spec, "deepmoe", narrows, NARROWS_COST.metric, num_experts=0)
    naive = float(cost.macs(tensors["gates"], "naive").mean())
    yield measured(spec, "deepmoe", naive / 1e6, "naive_macs_millions", num_experts=0)
    shares = active_shares(tensors["gates"], cost.sizes)
    yield measured(spec, "deepmoe", 100 * float(shares.mean()), "active", num_experts=0)
    wide = parameters.wide * spec.width
    for method, width in (("narrow", spec.width), ("equal-cost", _width_of(spec, wide, macs)), ("wide", wide)):
        logits, labels = study.base_outputs(spec.with_(width=width))
        yield measured(spec, method, accuracy(logits, labels), num_experts=0)
        yield measured(spec, method, _plain_macs(spec, width) / 1e6, "macs_millions", num_experts=0)


def _plain_macs(spec: StudySpec, width: float) -> int:
    return model_cost(spec.base, None, spec.num_classes, spec.image_size, 0, width).base_macs


def _width_of(spec: StudySpec, wide: float, macs: float) -> float:
    """The width between narrow and wide whose plain network costs nearest to ``macs``; these two where they do."""
    between = [spec.width + step / STEPS * (wide - spec.width) for step in range(1, STEPS)]
    widths = [spec.width, wide, *between]
    return min(widths, key=lambda width: abs(_plain_macs(spec, width) - macs))


def printed_value(result: StudyResult, cell: Cell) -> PrintedValue | None:
    """Top-1 accuracy in percent of the paper's rows (it prints errors), on its own image sets and networks."""
    network, variants = result.base.partition(" at ")[0], {"narrow": "baseline", "deepmoe": "wide-deepmoe"}
    if cell.metric != "top1" or cell.method not in variants:
        return None
    error = printed_deepmoe(2, result.dataset, network, variants[cell.method], "err")
    if error is None:
        return None
    return PrintedValue(round(100 - error.value, 2), None, error.seeds, f"{100 - error.value:.2f}")


def tables(result: StudyResult) -> dict[str, Shown]:
    """``main``: accuracies; ``cost``: what they cost."""
    same = result.base.endswith(("resnet56", "resnet110"))
    rows = [Row(name, Cell(0, m), printed_value(result, Cell(0, m)), same) for m, name in METHODS.items()]
    caption = (
        f"{about(result, models=False)}, narrow network {result.base}; top-1 accuracy on the {result.evaluate} set in "
        "percent, mean ± standard deviation. All networks of a seed are trained for equally many epochs. The paper "
        "prints errors; these are 100 less them."
    )
    cells = {name: [Cell(0, m, metric=name) for m in METHODS] for name in ("macs_millions", "naive_macs_millions")}
    columns: Columns = {
        "MACs, millions": means(result, cells["macs_millions"], 3),
        "naively counted": means(result, cells["naive_macs_millions"], 3),
        "active channels, %": means(result, [Cell(0, m, metric="active") for m in METHODS], 1),
    }
    cost = (
        f"{about(result, models=False)}; multiply-adds of one image, the mean over images, embedding network and heads "
        "included. The residual stream is dense; 'naively' each convolution costs the product of the active shares of "
        "what it reads and writes, as the paper counts. Active channels are the mean over images and layers."
    )
    return {
        "main": Shown(comparison(result, rows), caption), "cost": Shown(frame(columns, list(METHODS.values())), cost),
    }  # fmt: skip


def figures(results: Sequence[StudyResult]) -> dict[str, Figure]:
    """Top-1 accuracy over mean multiply-adds, a panel a result; small points are seeds."""
    with figure_style():
        figure = new_figure(max(6.4, 4.6 * len(results)), 4.0)
        grid = figure.subplots(1, len(results), squeeze=False)[0]
        for axes, result in zip(grid, results, strict=True):
            for colour, marker, (method, name) in zip(PALETTE, "Do^sP", METHODS.items(), strict=False):
                top1, macs = by_seed(result, Cell(0, method)), by_seed(result, Cell(0, method, metric="macs_millions"))
                if top1:
                    x, y = [macs[seed] for seed in top1], list(top1.values())
                    axes.plot(x, y, ".", color=colour, markersize=4, alpha=0.6)
                    axes.plot(sum(x) / len(x), sum(y) / len(y), marker, color=colour, label=name, fillstyle="none")
            axes.set_xscale("log")
            axes.set_xlabel("multiply-adds of an image, millions (honest mean)")
            axes.set_ylabel(f"top-1 accuracy, % ({result.evaluate} set)")
            axes.set_title(where_run(result))
        common_legend(figure, grid, columns=2)
    return {"main": figure}


EXHIBIT = Exhibit(
    NAME, "DeepMoE, Table 2: wide networks on CIFAR", Parameters, run, tables, CLAIMS, printed_value, figures, place=14
)
