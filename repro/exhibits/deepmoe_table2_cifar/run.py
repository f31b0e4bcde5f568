"""Narrow, wide and gated networks, and the controls that a gain has to beat: what is trained and measured."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from repro.analysis.outputs import accuracy
from repro.errors import TrainingError
from repro.exhibits.deepmoe_table2_cifar.beside import (
    BESIDE,
    LIKE_EVERYWHERE,
    check_networks,
    like_everywhere,
    width_of,
)
from repro.exhibits.deepmoe_table2_cifar.channels import CHANNELS, CLASSES, of_classes, of_layers
from repro.exhibits.deepmoe_table2_cifar.scan import numbers, scanned
from repro.exhibits.deepmoe_table2_cifar.shuffles import SHUFFLES, shuffles
from repro.exhibits.deepmoe_table2_cifar.shuffles import goal as goal_shuffled
from repro.families.deepmoe.config import DeepMoEConfig
from repro.families.deepmoe.steps import Asked, goal, steps, two_stages
from repro.families.single_gate.config import StudySpec
from repro.families.single_gate.controls import plain_cost
from repro.families.single_gate.scales import CROP_AND_FLIP, SCALES, TORCHVISION
from repro.families.single_gate.study import SingleGateParameters, Study, open_study
from repro.models.gated import GateAt, Gated
from repro.progress import say
from repro.report.claim import Cell
from repro.study.graph import Goal, Step
from repro.study.lists import NamesOrNone, Weights, chosen_of
from repro.study.plain import plain_goal
from repro.study.record import record, seed_by_seed
from repro.study.results import Measurement, StudyResult, Table
from repro.training.recipe import Recipe

NAME = "deepmoe_table2_cifar"
METHODS = {
    "narrow": "narrow network",
    "deepmoe": "wide DeepMoE",
    "embedding": "its embedding network alone",
    "equal-cost": "plain network of DeepMoE's cost",
    "wide": "wide network, no gates",
    "one-stage": "wide DeepMoE, never frozen",
    "mu-0": "wide DeepMoE, μ = 0",
}
WAYS: dict[str, dict[str, Any]] = {"one-stage": {"stages": 1}, "mu-0": {"mu": 0.0}}
"""DeepMoE trained in another way, as the parameters say it; on the first seed alone."""
SHUFFLED = ["seed", "group", "shuffle", "top1"]
COLLAPSED = ["seed", "network", "what"]

DEEPMOE, PLAIN = Cell(0, "deepmoe"), Cell(0, "equal-cost")
NARROWS_COST, PLAINS_COST = Cell(0, "deepmoe", metric="narrows_cost"), Cell(0, "equal-cost", metric="like_deepmoe")

PAPERS = Recipe(
    source="Wang et al. 2019, Section 5 (rate, its steps, epochs); He et al. 2016 for batch, decay and augmentation",
    epochs=350, batch_size=128, learning_rate=0.1, weight_decay=1e-4, schedule="multistep", drop=0.1,
    milestones=(150 / 350, 250 / 350), augmentation=CROP_AND_FLIP,
)  # fmt: skip
VGGS_RATE = 1 / 10
"""VGG16's learning rate beside the other networks': 0.01 of 0.1 (Section 5), and as much less at every scale."""
IMAGENETS = TORCHVISION.model_copy(update={
    "source": "Wang et al. 2019, Section 5 (rate, its steps, epochs); torchvision's reference for all else",
    "epochs": 100, "milestones": (0.3, 0.6, 0.9),
})  # fmt: skip
USUAL: dict[str, dict[str, Any]] = {
    "quick": {"base_recipe": SCALES["quick"]["modes"]["base_recipe"].model_copy(update={"epochs": 5})},
    "gpu": {"base": "resnet56", "width": 1.0},
    "paper": {"base": "resnet56", "width": 1.0, "base_recipe": PAPERS},
    "paper/imagenet": {"base": "resnet18", "width": 1.0, "base_recipe": IMAGENETS, "pretrained": False},
}
"""What a scale trains here where it is not the scale's own recipe on a tr10 of half its width."""


class Parameters(SingleGateParameters):
    """The common ones, the network, and how sparse it is made."""

    backbone: str = Field("", description="empty: resnet56 at the scales gpu and paper, else tr10")
    narrow: float = Field(0.0, ge=0, le=2, description="width of the narrow network; 0: the usual one")
    epochs: int = Field(0, ge=0, description="of each network, both stages of DeepMoE together; 0: the scale's")
    wide: float = Field(2.0, ge=1, le=8, description="how many times as wide DeepMoE is")
    lam: Weights = Field((2.0,), description="λ, larger is sparser; of several one is taken on validation images")
    lambda_reaches: Literal["all", "heads"] = Field("heads", description="what λ trains; all: the embedding as well")
    mu: float = Field(1.0, ge=0, description="μ, the weight of the embedding's own loss")
    gated: Gated = Field("all", description="which channels have gates: all, inner, or widened (VGG16's of Table 4)")
    gate_at: GateAt = Field("output", description="what a gate scales: output of a convolution, or input (Eq. 5)")
    stages: int = Field(2, ge=1, le=2, description="1: joint training for all epochs, gates are never frozen")
    ways: bool = Field(False, description="on the first seed also DeepMoE jointly throughout, and with μ = 0")
    beside: Annotated[NamesOrNone, AfterValidator(partial(chosen_of, BESIDE))] = Field(
        (), description="on the first seed also others, gated and plain, commas between them: of " + "; ".join(BESIDE)
    )

    @field_validator("epochs")
    @classmethod
    def _two_stages(cls, value: int) -> int:
        if value == 1:
            raise ValueError("both stages of DeepMoE take at least one epoch each: 2 or more")
        return value

    @model_validator(mode="after")
    def _can_be_made(self) -> Self:
        check_networks(self.narrow, self.wide, self.gate_at, self.beside)
        return self

    def specs(self) -> list[StudySpec]:
        """There is no single-gate mixture in this."""
        return []

    def part(self) -> str:
        """Other networks than the usual ones are recorded apart, and so is the other reading of what a gate scales."""
        by_default = self.model_copy(update={"backbone": "", "narrow": 0.0})
        own, usual = (one.narrow_networks()[0] for one in (self, by_default))
        differing = {
            own.base: own.base != usual.base, f"narrow-{own.width:g}": own.width != usual.width,
            f"wide-{self.wide:g}": self.wide != 2, f"{self.gated}-gated": self.gated != "all",
            "gates-on-inputs": self.gate_at == "input",
        }  # fmt: skip
        return "-".join(name for name, differs in differing.items() if differs)

    def bases(self) -> list[StudySpec]:
        """The narrow and the wide network of each seed; that of equal cost is known once DeepMoE is trained."""
        specs = []
        for spec in self.narrow_networks():
            specs += [spec.with_(width=width * spec.width) for width in (1, self.wide)]
            specs += [plain for plain, _ in self.others_beside(spec, self.lam[0]).values()]
        return specs

    def others(self) -> list[Goal]:
        """Every DeepMoE; while λ is still to be chosen those of the scan, as the choice is known only then."""
        if len(self.lam) > 1:
            return [goal(asked) for asked in self.scan()]
        goals: list[Goal] = []
        for spec in self.narrow_networks():
            own, *ways = self.every_way(spec, self.lam[0]).values()
            beside = (asked for _, asked in self.others_beside(spec, self.lam[0]).values())
            goals += [goal_shuffled(own), *map(goal, (*ways, *beside))]
        return goals

    def narrow_networks(self) -> list[StudySpec]:
        """The plain narrow network of each seed, on whose images all is trained."""
        specs = []
        for spec in super().specs():
            by_scale = USUAL.get(f"{self.scale}/{self.dataset}", USUAL.get(self.scale, {}))
            usual = {"base": "tr10", "width": spec.width / 2, **by_scale}
            asked = {"base": self.backbone, "width": self.narrow}
            network: dict[str, Any] = usual | {name: value for name, value in asked.items() if value}
            recipe: Recipe = usual.get("base_recipe", spec.base_recipe)
            if network["base"].startswith("vgg"):
                recipe = recipe.model_copy(update={"learning_rate": round(VGGS_RATE * recipe.learning_rate, 9)})
            network["base_recipe"] = recipe.model_copy(update={"epochs": self.epochs or recipe.epochs})
            network |= {"expert": network["base"], "role": "control", "stacking": False}
            specs.append(spec.with_(**network))
        return specs

    def deepmoe(self, spec: StudySpec, lam: float) -> Asked:
        """The DeepMoE beside a narrow network: the same recipe in both stages, of as many epochs together."""
        model = DeepMoEConfig(
            backbone=spec.base, width=self.wide * spec.width, num_classes=spec.num_classes, image_size=spec.image_size,
            lam=lam, mu=self.mu, lambda_reaches=self.lambda_reaches, gated=self.gated,
            gate_at=self.gate_at,
        )  # fmt: skip
        one, two = two_stages(spec.base_recipe) if self.stages == 2 else (spec.base_recipe, None)
        return Asked(spec=spec, model=model, recipe=one, recipe_two=two)

    def every_way(self, spec: StudySpec, lam: float) -> dict[str, Asked]:
        """DeepMoE, and on the first seed the other ways of training it."""
        ways = {"deepmoe": {}, **(WAYS if self.ways and spec.seed == self.seeds[0] else {})}
        return {name: self.model_copy(update=changes).deepmoe(spec, lam) for name, changes in ways.items()}

    def others_beside(self, spec: StudySpec, lam: float) -> dict[str, tuple[StudySpec, Asked]]:
        """On the first seed, the plain network and the DeepMoE of each row of :data:`BESIDE` that is asked for."""
        networks = {}
        for row in self.beside if spec.seed == self.seeds[0] else ():
            other = self.model_copy(update={"beside": (), "seeds": (spec.seed,), **BESIDE[row]})
            (narrow,) = other.narrow_networks()
            networks[row] = narrow.with_(width=other.wide * narrow.width), other.deepmoe(narrow, lam)
        return networks

    def scan(self) -> list[Asked]:
        """The first seed's DeepMoE with each λ, on validation images."""
        spec = self.narrow_networks()[0].with_(evaluate="validation")
        return [self.deepmoe(spec, lam) for lam in self.lam]


def run(parameters: Parameters) -> StudyResult:
    """Run DeepMoE's Table 2 and write its record to ``<root>/results``, of as many seeds as time allows."""
    study = open_study(parameters)
    columns = {"shuffled": SHUFFLED, "channels": CHANNELS, "classes": CLASSES}
    tables = {name: Table(columns=each, rows=[]) for name, each in columns.items()}
    lam = parameters.lam[0]
    if len(parameters.lam) > 1:
        narrow = plain_cost(parameters.narrow_networks()[0])
        lam, tables["scan"] = scanned(parameters.scan(), narrow.macs, study.runner, "other values of lam")
        # the networks of the chosen λ are known only now
        study.runner.add(parameters.model_copy(update={"lam": (lam,)}).others(), "what is known so far")
    for spec in parameters.narrow_networks():
        predictions = steps(parameters.deepmoe(spec, lam))
        study.runner.follow(predictions, partial(_of_equal_cost, spec, parameters.wide, study, predictions))

    def write(measurements: list[Measurement]) -> StudyResult:
        spec, varies = study.specs[0], {"seed": True, "num_experts": True}
        network = spec.base + ("" if spec.width == 1 else f" at width {spec.width:g}")
        return record(
            NAME, parameters, study.runner, spec, varies, network, network, measurements, tables=tables,
            part=parameters.part(),
        )  # fmt: skip

    parts = (_measure(spec, lam, parameters, study, tables) for spec in parameters.narrow_networks())
    return seed_by_seed(parts, write)


def _measure(
    spec: StudySpec, lam: float, parameters: Parameters, study: Study, tables: dict[str, Table]
) -> Iterator[Measurement]:
    """The rows of a seed; added to ``tables`` are Figure 4's shuffles by superclass, what is open, what collapsed."""
    seed, own, beside = spec.seed, parameters.deepmoe(spec, lam), parameters.others_beside(spec, lam)
    at = numbers(own, study.runner)  # of a DeepMoE that collapsed there is no seed
    macs = 1e6 * at["macs_millions"]
    gated = {Cell(0, method): asked for method, asked in parameters.every_way(spec, lam).items()}
    gated |= {Cell(0, "deepmoe", row): asked for row, (_, asked) in beside.items()}
    yield from _of_gated(spec, gated, study, tables)
    yield Cell(0, "embedding").measurement(seed, at["embedding"])
    yield Cell(0, "embedding", metric="macs_millions").measurement(seed, at["gating"])
    yield NARROWS_COST.measurement(seed, 100 * plain_cost(spec).macs / macs)
    for row, like in like_everywhere({r: plain_cost(other).base_params for r, (other, _) in beside.items()}).items():
        yield Cell(0, "deepmoe", row, LIKE_EVERYWHERE).measurement(seed, like)
    wide = parameters.wide * spec.width
    widths = {"narrow": spec.width, PLAIN.method: width_of(spec, wide, macs), "wide": wide}
    plain = {Cell(0, method): spec.with_(width=width) for method, width in widths.items()}
    plain |= {Cell(0, "wide", row): other for row, (other, _) in beside.items()}
    for cell, network in plain.items():
        cost = plain_cost(network).macs
        yield cell.measurement(seed, accuracy(*study.base_outputs(network)))
        yield replace(cell, metric="macs_millions").measurement(seed, cost / 1e6)
        if cell == PLAIN:
            yield PLAINS_COST.measurement(seed, 100 * min(cost, macs) / max(cost, macs))
    tables["channels"].rows.extend(of_layers("deepmoe", own, study.runner))
    tables["classes"].rows.extend(of_classes(own, study.runner))
    yield from _of_shuffles(spec, own, study, tables["shuffled"])


def _of_gated(
    spec: StudySpec, gated: dict[Cell, Asked], study: Study, tables: dict[str, Table]
) -> Iterator[Measurement]:
    """DeepMoE, its other ways and those beside it; one whose gates collapse is on record as collapsed."""
    for cell, asked in gated.items():
        try:
            at = numbers(asked, study.runner)
        except TrainingError as error:
            say(f"{cell.row or METHODS[cell.method]}: left out, {error}")
            yield replace(cell, metric="collapsed").measurement(spec.seed, 1)
            what = str(error).partition(";")[0]  # which layer, and in which epoch
            of_all = tables.setdefault("collapsed", Table(columns=COLLAPSED, rows=[]))
            of_all.rows.append([spec.seed, cell.row or METHODS[cell.method], what])
            continue
        for metric in ("top1", "macs_millions", "naive_macs_millions", "active"):
            yield replace(cell, metric=metric).measurement(spec.seed, at[metric])


def _of_shuffles(spec: StudySpec, own: Asked, study: Study, by_group: Table) -> Iterator[Measurement]:
    """DeepMoE with the gates of other images: of all there are, and a row of the table for each superclass."""
    correct, labels = study.runner.load(shuffles(own)).tensors, study.runner.load(steps(own)).tensors["labels"]
    names, of_class = study.sources.superclasses(spec)
    for shuffle in SHUFFLES:
        there = correct[shuffle] >= 0  # gates of such an image
        if bool(there.any()):
            yield Cell(0, "shuffled", shuffle).measurement(spec.seed, 100 * float(correct[shuffle][there].mean()))
        for group in of_class[labels[there]].unique().tolist():
            within = correct[shuffle][there & (of_class[labels] == group)]
            by_group.rows.append([spec.seed, names[group], shuffle, round(100 * float(within.mean()), 2)])


def _of_equal_cost(spec: StudySpec, wide: float, study: Study, predictions: Step) -> list[Goal]:
    """The plain network of a DeepMoE's cost."""
    macs = float(study.runner.load(predictions).tensors["macs"].mean())
    return [plain_goal(spec.with_(width=width_of(spec, wide * spec.width, macs)))]
