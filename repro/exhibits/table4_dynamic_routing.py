"""Table 4 (Section 4.2): is a single gate as good as other dynamic routing at about equal multiply-adds? DeepMoE and
RMN stand as printed; beside them a DeepMoE on the network of the base, with λ chosen for what the mixture costs.

On ImageNet the single gate is ResNet-18 with 4 experts (the models of Table 3), elsewhere tr18-tr10 with 10.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache, partial
from typing import Literal

from pydantic import Field

from repro.analysis.outputs import accuracy
from repro.errors import SpecError
from repro.exhibits.deepmoe_table2_cifar.scan import numbers, scan_table, scanned
from repro.exhibits.table3_imagenet import ENOUGH, EXIT_METRICS, exit_method, exiting, measure, shares
from repro.exhibits.three_families.bodies import TR, Asked
from repro.exhibits.three_families.families import LAMBDAS, asked_deepmoe
from repro.families.deepmoe.steps import Asked as AskedDeepMoE
from repro.families.deepmoe.steps import goal
from repro.families.single_gate.config import StudySpec
from repro.families.single_gate.controls import EQUAL_INFERENCE, EQUAL_TRAINING, ControlledParameters, of_controls
from repro.families.single_gate.study import Study, measured, open_study, record
from repro.models.cost import ModelCost, model_cost
from repro.models.widenets import WIDENETS
from repro.report.claim import AS_GOOD, EQUAL_COST, Cell, Claim, equal_inference, equal_training, with_controls
from repro.report.exact_costs import Figure, figures_table, paper_cost
from repro.report.exhibit import Exhibit
from repro.report.numbers import NONE, signed
from repro.report.printed import PrintedValue, printed
from repro.report.tables import PAPER_COLUMN, Captioned, about, comparison, frame, frame_of_rows, metric_columns, text
from repro.report.verdict import by_seed, is_model
from repro.study.graph import Goal
from repro.study.lists import Weights
from repro.study.parameters import DEMONSTRATIONS
from repro.study.record import cost_row, seed_by_seed
from repro.study.results import Measurement, StudyResult, Table

NAME = "table4_dynamic_routing"
THRESHOLD = 0.75
"""The base's confidence at which an image exits."""
DEEPMOE = Cell(0, "deepmoe")


def ours_on(dataset: str) -> tuple[str, int]:
    """The pair and the number of experts of Table 4 on an image set."""
    return ("resnet18-resnet18", 4) if dataset == "imagenet" else ("tr18-tr10", 10)


class Parameters(ControlledParameters):
    """The common ones, the model, its controls, and its DeepMoE."""

    pair: str = Field("", description="base-expert; empty: Table 4's, resnet18-resnet18 on imagenet, else tr18-tr10")
    experts: int = Field(0, ge=0, description="number of experts K; 0: Table 4's, 4 on imagenet, else 10")
    deepmoe: Literal["auto", "all", "none"] = Field(
        "auto", description="a DeepMoE that costs as much; auto: but in demonstrations, or where the base comes trained"
    )
    lam: Weights = Field(LAMBDAS, description="λ of DeepMoE; of several one is taken on validation images")
    pretrained: bool = Field(True, description="imagenet: torchvision's weights; false: train the base here")

    def specs(self) -> list[StudySpec]:
        pair, count = ours_on(self.dataset)
        base, dash, expert = (self.pair or pair).partition("-")
        if not dash:
            raise SpecError(f"pair: write base-expert, such as tr18-tr10, not {self.pair!r}")
        ours = {"base": base, "expert": expert, "num_experts": self.experts or count, "stacking": False}
        return [spec.with_(**ours, pretrained=spec.pretrained and self.pretrained) for spec in super().specs()]

    def others(self) -> list[Goal]:
        """Every DeepMoE; while λ is yet to be chosen, those of the scan: which is chosen is known only then."""
        first = self.specs()[0]
        usual = self.scale not in DEMONSTRATIONS and not first.pretrained and first.base in WIDENETS
        if self.deepmoe == "none" or (self.deepmoe == "auto" and not usual):
            return []
        if first.base not in WIDENETS:
            raise SpecError(f"deepmoe: no network with gates is made of {first.base}; choose none, or another pair")
        asked = self.scan() if len(self.lam) > 1 else [self.gated(spec, self.lam[0]) for spec in self.specs()]
        return [goal(each) for each in asked]

    def gated(self, spec: StudySpec, lam: float) -> AskedDeepMoE:
        """The three families' DeepMoE for what a mixture costs, on the network of its base."""
        return asked_deepmoe(TR, Asked(self.scale, spec.with_(pretrained=False)), spec.cost.macs, lam)

    def scan(self) -> list[AskedDeepMoE]:
        """The first seed's with each λ, on validation images."""
        return [self.gated(self.specs()[0].with_(evaluate="validation"), lam) for lam in self.lam]


def run(parameters: Parameters) -> StudyResult:
    """Run our half of Table 4 and write its record: of the mixtures alone, say, where DeepMoE went wrong."""
    study = open_study(parameters)
    specs = parameters.specs()
    tables: dict[str, Table] = {}
    lam = cache(partial(_chosen_lam, parameters, study, tables))

    def of_mixture(spec: StudySpec) -> Iterator[Measurement]:
        measurements = list(measure(spec, study.run(spec), [THRESHOLD]))
        base, *mixtures = (m for m in measurements if m.metric == "top1")
        yield from measurements
        # Table 4 compares gains over each method's own base, since the bases differ.
        yield from (measured(spec, m.method, m.value - base.value, "gain") for m in mixtures)

    def of_its_controls(spec: StudySpec) -> Iterator[Measurement]:
        study.run(spec)  # without its mixture a control has nothing to say
        yield from of_controls(parameters.model_copy(update={"seeds": (spec.seed,)}), study, rows=False)

    def of_deepmoe(spec: StudySpec) -> Iterator[Measurement]:
        outputs = study.run(spec)
        base, macs = accuracy(outputs.base_logits, outputs.labels), spec.cost.macs
        at = numbers(parameters.gated(spec, lam()), study.runner)
        own = 1e6 * at["macs_millions"]
        values = {"top1": at["top1"], "gain": at["top1"] - base, "macs_millions": at["macs_millions"]}
        values |= {"active": at["active"], "like_ours": 100 * min(own, macs) / max(own, macs)}
        yield from (replace(DEEPMOE, metric=name).measurement(spec.seed, value) for name, value in values.items())

    ways = (of_mixture, of_its_controls, *((of_deepmoe,) if parameters.others() else ()))
    cost = specs[0].cost
    costs = [cost_row(cost.without_experts()), cost_row(cost)]
    parts = (way(spec) for way in ways for spec in specs)
    return seed_by_seed(parts, lambda measurements: record(NAME, parameters, study, measurements, costs, tables))


def _chosen_lam(parameters: Parameters, study: Study, tables: dict[str, Table]) -> float:
    """The λ that is most accurate on validation images of those that cost what the mixture does; the one there is."""
    if len(parameters.lam) == 1:
        return parameters.lam[0]
    budget, instead = parameters.specs()[0].cost.macs, "other values of lam, or none for deepmoe"
    lam, tables["scan"] = scanned(parameters.scan(), budget, study.runner, instead)
    study.runner.add(parameters.model_copy(update={"lam": (lam,)}).others(), "what is known so far")
    return lam


COPIES_IN_RMN = 8
"""'Each residual block is replicated 8 times' (Section 4.2)."""


def counts() -> dict[str, Captioned]:
    """``counts``: every printed cost of Table 4 against what it is by our count; ``share``: who runs the expert."""
    cost = paper_cost("imagenet", "resnet18", "resnet18", 4)
    wide = model_cost("resnet18", None, 1000, 224, 0, 2.0)  # DeepMoE runs about half of its channels
    ours = partial(_counted, "single gate", "imagenet", "resnet18", "resnet18", 4, "bagging")
    deepmoe = partial(_counted, "DeepMoE", "imagenet", "resnet18", "", 17, "deepmoe")
    tiny = paper_cost("tiny-imagenet", "tr18", "tr10", 10)
    pair = partial(_counted, "tr18-tr10", "tiny-imagenet", "tr18", "tr10", 10, "bagging")
    rmn = partial(_counted, "RMN", "tiny-imagenet", "tr18", "", 8, "rmn (no SE)")
    everything = tiny.base_params + tiny.gate_params + tiny.params_trainable
    figures = [
        ours("MACs", "base, gate and one expert", cost.macs),
        ours("training", "multiply-adds of base and 4 experts", cost.base_macs + 4 * cost.expert_macs),
        ours("training", "parameters of 4 experts", cost.params_trainable),
        ours("training", "parameters of base and 4 experts", cost.base_params + cost.params_trainable),
        deepmoe("MACs", "the plain ResNet-18", cost.base_macs),
        deepmoe("training", "multiply-adds of a dense ResNet-18 twice as wide", wide.macs),
        deepmoe("training", "parameters of a dense ResNet-18 twice as wide", wide.base_params),
        pair("MACs", "base, gate and one expert", tiny.macs),
        pair("parameters", "10 experts", tiny.params_trainable),
        pair("parameters", "base, gate and 10 experts", everything),
        rmn("MACs", "the plain tr18", tiny.base_macs),
        rmn("parameters", f"{COPIES_IN_RMN} whole tr18", COPIES_IN_RMN * tiny.base_params),
    ]
    caption = (
        "The costs that Table 4 prints. The left half's column '#params (train)' holds multiply-adds: its numbers are "
        "those of running the base and all four experts, and of a dense network of twice the width; as parameters "
        "they do not come out. Of the right half the parameters of tr18-tr10 are not reproduced."
    )
    return {"counts": figures_table(figures, caption), "share": _share(tiny)}


def _counted(
    who: str, dataset: str, base: str, expert: str, k: int, method: str, what: str, counted: str, exact: int
) -> Figure:
    metric = {"MACs": "macs", "training": "training_column", "parameters": "params_trainable"}[what]
    paper = printed(4, dataset, base, expert, k, method, metric)
    assert paper
    return Figure(f"{who}, {what}", paper, counted, exact)


def _share(cost: ModelCost) -> Captioned:
    """Who runs the expert of tr18-tr10 at 0.75, by the printed MACs (ResNet-18's shares stand in Table 3)."""
    macs = printed(4, "tiny-imagenet", "tr18", "tr10", 10, "bagging tau=0.75", "macs")
    base = printed(1, "tiny-imagenet", "tr18", "", 0, "backbone", "macs")
    assert macs and base
    caption = "tiny-ImageNet: the share of images that run their expert, by the printed multiply-adds as for Table 3."
    return Captioned(frame_of_rows({"tr18-tr10, 10 experts, exit at 0.75": shares(macs, base, cost)}), caption)


EARLY = exit_method(THRESHOLD)
OTHERS = {
    "imagenet": {"DeepMoE (Wide-DeepMoE-18), as printed": (17, "deepmoe")},
    "tiny-imagenet": {"RMN (no SE), as printed": (8, "rmn (no SE)")},
}
"""The other methods by image set: what they are called, and their number and method in the paper's CSV."""


ABOUT_DEEPMOE = (
    "The DeepMoE gates the base's network, made wider, and is trained for as many epochs as the base: for fewer than "
    "base and experts together. Where several λ were asked for, the table of the scan says which was taken."
)


def _claims() -> tuple[Claim, ...]:
    claims = []
    for key, pair, count, datasets in (
        ("R", "tr18-tr10", ours_on("")[1], ("tiny-imagenet", "cifar100", "cifar10", "modes")),
        ("W", "ResNet-18", ours_on("imagenet")[1], ("imagenet",)),
    ):
        whole, early = Cell(count), Cell(count, EARLY)
        equal_cost = replace(DEEPMOE, metric="like_ours"), EQUAL_COST
        claims += [
            Claim(f"{key}1", f"{pair} with {count} experts beats its base", whole, Cell(0), datasets=datasets,
                  section="4.2", controls=(equal_training(count), equal_inference())),
            Claim(f"{key}2", f"{pair}: exits at confidence {THRESHOLD:g} cost little (where at least {ENOUGH:g} % "
                  "of the images exit)", early, whole, AS_GOOD, datasets=datasets, section="4.2",
                  premise=(exiting(early), ENOUGH), settled_after=key == "R"),
            Claim(f"{key}3", f"{pair} with {count} experts is as good as a DeepMoE of its multiply-adds", whole,
                  DEEPMOE, AS_GOOD, datasets=datasets, section="4.2", premise=equal_cost, paired=False),
        ]  # fmt: skip
    return with_controls(claims)


CLAIMS = _claims()
"""Section 4.2 calls the trade-offs of its method, DeepMoE and RMN "comparable". Within a scale a single gate can be
judged against its own base, with its early exit, and against a DeepMoE; RMN is not run here."""


def printed_value(result: StudyResult, cell: Cell) -> PrintedValue | None:
    """The paper's number for a cell; a gain is the difference of its printed accuracies."""
    base, _, expert = ours_on(result.dataset)[0].partition("-")
    # The base's own accuracy stands in Tables 3 and 1, and in Table 4's text.
    table, named = ("3a", expert) if result.dataset == "imagenet" else (1, "")
    alone = printed(table, result.dataset, base, named, 0, "backbone", "top1")
    value = printed(4, result.dataset, base, expert, cell.num_experts, cell.measured_as, "top1")
    if cell.metric == "gain" and value and alone:
        return PrintedValue(round(value.value - alone.value, 2), None)
    return {"top1": value if cell.num_experts or cell.method else alone}.get(cell.metric)


def _cells(result: StudyResult) -> dict[str, Cell]:
    k = result.most_experts(ours_on(result.dataset)[1])
    return {
        "the base alone": Cell(0), f"single gate, {k} experts": Cell(k),
        f"single gate, exit at {THRESHOLD:g}": Cell(k, EARLY), "a DeepMoE of its multiply-adds": DEEPMOE,
    }  # fmt: skip


def tables(result: StudyResult) -> dict[str, Captioned]:
    """``main``: accuracies, run and as printed; ``trade_off``: gain over the own base against multiply-adds."""
    pair, _ = ours_on(result.dataset)
    k = result.most_experts(ours_on(result.dataset)[1])
    controls = {"control: the base, trained as long": Cell(k, EQUAL_TRAINING),
                "control: a plain network of its cost": Cell(1, EQUAL_INFERENCE)}  # fmt: skip
    cells = _cells(result) | {name: cell for name, cell in controls.items() if by_seed(result, cell)}
    main = comparison(result, cells, printed_value, is_model(result, *pair.split("-")))
    for name, (count, method) in OTHERS.get(result.dataset, {}).items():
        other = printed(4, result.dataset, pair.partition("-")[0], "", count, method, "top1")
        known = {PAPER_COLUMN: text(other), "ours": "not run", "verdict": "not run"}
        main.loc[name] = [known.get(column, NONE) for column in main.columns]
    of_deepmoe = f" {ABOUT_DEEPMOE}" if by_seed(result, DEEPMOE) else ""
    caption = (
        f"{about(result)}; top-1 accuracy on the {result.evaluate} set in percent, mean ± standard deviation. The "
        "single gate's base and selected expert are bagged; with an exit at τ the base alone answers where its "
        f"largest probability is at least τ.{of_deepmoe} What stands as printed is not run here."
    )
    scan = {"scan": scan_table(result.tables["scan"], "mixture")} if "scan" in result.tables else {}
    return {"main": Captioned(main, caption), "trade_off": _trade_off(result), **scan}


def _trade_off(result: StudyResult) -> Captioned:
    labels, (_, *cells) = list(_cells(result)), _cells(result).values()
    papers = [printed_value(result, replace(cell, metric="gain")) for cell in cells]
    macs = {cost.num_experts: cost.macs / 1e6 for cost in result.costs}
    columns = {PAPER_COLUMN: [signed(paper.value) if paper else NONE for paper in papers]}
    columns |= metric_columns(result, cells, {"gain": ("gain", 2), **EXIT_METRICS})
    columns["runs the expert, %"][0] = "100"  # without an exit
    columns["mean MACs, millions"][0] = f"{macs[cells[0].num_experts]:.1f}"
    caption = (
        f"{about(result, models=False)}; points of top-1 gained over the own base, whose cost is {macs[0]:.1f} M "
        f"multiply-adds an image, and what that costs.{_others_gain(result)}"
    )
    return Captioned(frame(columns, labels[1:]), caption)


def _others_gain(result: StudyResult) -> str:
    """What RMN gains over its own base, by the paper's numbers."""
    ours = ours_on(result.dataset)[0].partition("-")[0]
    rmn, base = (printed(4, result.dataset, ours, "", 8, m, "top1") for m in ("rmn (no SE)", "rmn base"))
    if not (rmn and base):
        return ""
    return f" As printed, RMN gains {signed(rmn.value - base.value)} points over a base of its own, at {base.text()} %."


EXHIBIT = Exhibit(
    NAME, "Table 4: other dynamic routing", Parameters, run, tables, CLAIMS, printed_value, exact=counts, place=5
)
