"""Table 4 (Section 4.2): is ours as good as other dynamic routing at about equal multiply-adds? DeepMoE and RMN stand
as printed.

On ImageNet ours is ResNet-18 with 4 experts (the models of Table 3), elsewhere tr18-tr10 with 10.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from pydantic import Field

from repro.errors import SpecError
from repro.exhibits.table3_imagenet import ImpliedShare, check_classes, exit_method, measure
from repro.families.single_gate.config import StudySpec
from repro.families.single_gate.scales import default_spec
from repro.families.single_gate.study import SingleGateParameters, measured, open_study, record
from repro.models.cost import count_macs, count_params
from repro.models.widenets import widenet
from repro.report.claim import AS_GOOD, Cell, Claim, equal_inference, equal_training, with_controls
from repro.report.exact_costs import Figure, paper_cost
from repro.report.exhibit import Exhibit
from repro.report.numbers import NONE, mean_std, signed
from repro.report.printed import PrintedValue, printed
from repro.report.tables import PAPER_COLUMN, Captioned, Columns, Row, about, comparison, cost_columns, frame, text
from repro.report.verdict import is_model, summary_of
from repro.study.lists import Shares
from repro.study.record import cost_row
from repro.study.results import Measurement, StudyResult

NAME = "table4_dynamic_routing"
OURS = {"imagenet": ("resnet18-resnet18", 4)}
OURS_ELSEWHERE = ("tr18-tr10", 10)
THRESHOLDS = (0.75,)


def ours_on(dataset: str) -> tuple[str, int]:
    """The pair and the number of experts of Table 4 on an image set."""
    return OURS.get(dataset, OURS_ELSEWHERE)


class Parameters(SingleGateParameters):
    """The common ones, the model, and where to exit."""

    pair: str = Field("", description="base-expert; empty: Table 4's, resnet18-resnet18 on imagenet, else tr18-tr10")
    experts: int = Field(0, ge=0, description="number of experts K; 0: Table 4's, 4 on imagenet, else 10")
    thresholds: Shares = Field(THRESHOLDS, description="base confidences at which an image exits")
    pretrained: bool = Field(True, description="imagenet: torchvision's weights; false: train the base here")

    def specs(self) -> list[StudySpec]:
        """The spec of every seed."""
        pair, count = ours_on(self.dataset)
        base, dash, expert = (self.pair or pair).partition("-")
        if not dash:
            raise SpecError(f"pair: write base-expert, such as tr18-tr10, not {self.pair!r}")
        spec = default_spec(self.scale, self.dataset)
        spec = spec.with_(
            base=base, expert=expert, num_experts=self.experts or count, stacking=False,
            pretrained=spec.pretrained and self.pretrained,
        )  # fmt: skip
        return [spec.with_(seed=seed) for seed in self.seeds]


def run(parameters: Parameters) -> StudyResult:
    """Run our half of Table 4 and write its record."""
    study = open_study(parameters)
    specs = study.specs
    check_classes(specs[0], study)
    measurements: list[Measurement] = []
    for spec in specs:
        found = list(measure(spec, study.run(spec), study, parameters.thresholds))
        base, *mixtures = (m for m in found if m.metric == "top1")
        measurements += found
        # Table 4 compares gains over each method's own base, since the bases differ.
        measurements += [measured(spec, m.method, m.value - base.value, "gain") for m in mixtures]
    cost = study.cost(specs[0])
    return record(NAME, parameters, study, measurements, [cost_row(cost.without_experts()), cost_row(cost)])


COPIES_IN_RMN = 8
"""'Each residual block is replicated 8 times' (Section 4.2)."""

Lookup = Callable[[int, str, str], PrintedValue | None]


def counts() -> dict[str, Captioned]:
    """``counts``: every printed cost of Table 4 against what it is by our count; ``share``: who runs the expert."""
    figures = [*_imagenet(), *_tiny_imagenet()]
    columns: Columns = {
        "printed": [figure.paper.digits for figure in figures],
        "what it is by our count": [figure.counted for figure in figures],
        "exact": [f"{figure.texts()[1]}e{figure.paper.digits.partition('e')[2]}" for figure in figures],
        "match": [figure.verdict for figure in figures],
    }
    caption = (
        "The costs that Table 4 prints. The left half's column '#params (train)' holds multiply-adds: its numbers are "
        "those of running the base and all four experts, and of a dense network of twice the width; as parameters "
        "they do not come out. Of the right half the parameters of ours are not reproduced."
    )
    return {"counts": Captioned(frame(columns, [figure.what for figure in figures]), caption), "share": _share()}


def _of(dataset: str, base: str, expert: str) -> Lookup:
    return lambda k, method, metric: printed(4, dataset, base, expert, k, method, metric)


def _imagenet() -> list[Figure]:
    cost = paper_cost("imagenet", "resnet18", "resnet18", 4)
    wide_macs, wide_params = _dense_wide()
    ours, deepmoe = _of("imagenet", "resnet18", "resnet18"), _of("imagenet", "resnet18", "")
    training = cost.base_macs + 4 * cost.expert_macs
    return _known(
        ("ours, MACs", ours(4, "bagging", "macs"), "base, gate and one expert", cost.macs),
        ("ours, training", ours(4, "bagging", "training_column"), "multiply-adds of base and 4 experts", training),
        ("ours, training", ours(4, "bagging", "training_column"), "parameters of 4 experts", cost.params_trainable),
        ("ours, training", ours(4, "bagging", "training_column"), "parameters of base and 4 experts",
         cost.base_params + cost.params_trainable),
        ("DeepMoE, MACs", deepmoe(17, "deepmoe", "macs"), "the plain ResNet-18", cost.base_macs),
        ("DeepMoE, training", deepmoe(17, "deepmoe", "training_column"),
         "multiply-adds of a dense ResNet-18 twice as wide", wide_macs),
        ("DeepMoE, training", deepmoe(17, "deepmoe", "training_column"),
         "parameters of a dense ResNet-18 twice as wide", wide_params),
    )  # fmt: skip


def _tiny_imagenet() -> list[Figure]:
    cost = paper_cost("tiny-imagenet", "tr18", "tr10", 10)
    ours, rmn = _of("tiny-imagenet", "tr18", "tr10"), _of("tiny-imagenet", "tr18", "")
    everything = cost.base_params + cost.gate_params + cost.params_trainable
    return _known(
        ("tr18-tr10, MACs", ours(10, "bagging", "macs"), "base, gate and one expert", cost.macs),
        ("tr18-tr10, parameters", ours(10, "bagging", "params_trainable"), "10 experts", cost.params_trainable),
        ("tr18-tr10, parameters", ours(10, "bagging", "params_trainable"), "base, gate and 10 experts", everything),
        ("RMN, MACs", rmn(8, "rmn (no SE)", "macs"), "the plain tr18", cost.base_macs),
        ("RMN, parameters", rmn(8, "rmn (no SE)", "params_trainable"), f"{COPIES_IN_RMN} whole tr18",
         COPIES_IN_RMN * cost.base_params),
    )  # fmt: skip


def _known(*rows: tuple[str, PrintedValue | None, str, float]) -> list[Figure]:
    return [Figure(what, paper, counted, exact) for what, paper, counted, exact in rows if paper]


def _dense_wide() -> tuple[int, int]:
    """Multiply-adds and parameters of the dense network of which DeepMoE runs about half the channels."""
    spec = default_spec("paper", "imagenet")
    with torch.device("meta"):
        net = widenet("resnet18", spec.num_classes, 2.0)
        macs, _ = count_macs(net, torch.empty(1, 3, spec.image_size, spec.image_size))
    return macs, count_params(net)


def _share() -> Captioned:
    """Who runs the expert of tr18-tr10 at 0.75, by the printed MACs (ResNet-18's shares stand in Table 3)."""
    cost = paper_cost("tiny-imagenet", "tr18", "tr10", 10)
    macs = printed(4, "tiny-imagenet", "tr18", "tr10", 10, "bagging tau=0.75", "macs")
    base = printed(1, "tiny-imagenet", "tr18", "", 0, "backbone", "macs")
    columns: Columns = {"share, %": [], "rounding allows, %": []}
    if macs and base:
        share = ImpliedShare(macs, base, cost.expert_macs)
        columns = {"share, %": [f"{share.percent:.1f}"], "rounding allows, %": [f"{share.low:.1f} to {share.high:.1f}"]}
    caption = "tiny-ImageNet: the share of images that run their expert, by the printed multiply-adds as for Table 3."
    return Captioned(frame(columns, ["tr18-tr10, 10 experts, exit at 0.75"] if macs and base else []), caption)


EARLY = exit_method(THRESHOLDS[0])
OTHERS = {
    "imagenet": {"DeepMoE (Wide-DeepMoE-18), as printed": (17, "deepmoe")},
    "tiny-imagenet": {"RMN (no SE), as printed": (8, "rmn (no SE)")},
}
"""The other methods by image set: what they are called, and their number and method in the paper's CSV."""


def _claims() -> tuple[Claim, ...]:
    claims = []
    for key, pair, count, datasets in (
        ("R", "tr18-tr10", ours_on("")[1], ("tiny-imagenet", "cifar100", "cifar10", "modes")),
        ("W", "ResNet-18", ours_on("imagenet")[1], tuple(OURS)),
    ):
        whole, early = Cell(count), Cell(count, EARLY)
        claims += [
            Claim(f"{key}1", f"{pair} with {count} experts beats its base", whole, Cell(0), datasets=datasets,
                  section="4.2", controls=(equal_training(count), equal_inference())),
            Claim(f"{key}2", f"{pair}: exits at confidence {THRESHOLDS[0]:g} cost little", early, whole, AS_GOOD,
                  datasets=datasets, section="4.2"),
        ]  # fmt: skip
    return with_controls(claims)


CLAIMS = _claims()
"""Section 4.2 calls the trade-offs of ours, DeepMoE and RMN "comparable". DeepMoE and RMN are not run here, so that is
left to the reader; what can be judged within a scale is ours against its own base, and its early exit."""


def printed_value(result: StudyResult, cell: Cell) -> PrintedValue | None:
    """The paper's number for a cell of ours; a gain is the difference of its printed accuracies."""
    pair, _ = ours_on(result.dataset)
    base, _, expert = pair.partition("-")

    def top1(k: int, method: str) -> PrintedValue | None:
        # The base's own accuracy stands in Tables 3 and 1, and in Table 4's text.
        table, named = ("3a", expert) if result.dataset == "imagenet" else (1, "")
        return (
            printed(4, result.dataset, base, expert, k, method, "top1")
            if k
            else printed(table, result.dataset, base, named, 0, "backbone", "top1")
        )

    value = top1(cell.num_experts, cell.measured_as)
    if cell.metric == "top1":
        return value
    alone = top1(0, "backbone")
    return (
        PrintedValue(round(value.value - alone.value, 2), None) if cell.metric == "gain" and value and alone else None
    )


def _cells(result: StudyResult) -> list[tuple[str, Cell]]:
    k = max(result.numbers_of_experts(), default=ours_on(result.dataset)[1])
    taus = [m.method for m in result.measurements if m.metric == "top1" and "tau=" in m.method]
    exits = [
        (f"ours, exit at {method.partition('tau=')[2]}", Cell(k, method)) for method in dict.fromkeys([EARLY, *taus])
    ]
    return [("our base alone", Cell(0)), (f"ours, {k} experts", Cell(k)), *exits]


def tables(result: StudyResult) -> dict[str, Captioned]:
    """``main``: accuracies, ours and as printed; ``trade_off``: gain over the own base against multiply-adds."""
    cells = _cells(result)
    pair, _ = ours_on(result.dataset)
    same = is_model(result, *pair.split("-"))
    rows = [Row(name, cell, printed_value(result, cell), same) for name, cell in cells]
    main = comparison(result, rows)
    for name, (count, method) in OTHERS.get(result.dataset, {}).items():
        other = printed(4, result.dataset, pair.partition("-")[0], "", count, method, "top1")
        known = {PAPER_COLUMN: text(other), "ours": "not run", "verdict": "not run"}
        main.loc[name] = [known.get(column, NONE) for column in main.columns]
    caption = (
        f"{about(result)}; top-1 accuracy on the {result.evaluate} set in percent, mean ± standard deviation. 'ours' "
        "bags the probabilities of base and selected expert; with an exit at τ the base alone answers where its "
        "largest probability is at least τ. The other methods are not run here: their numbers are the paper's."
    )
    return {"main": Captioned(main, caption), "trade_off": _trade_off(result)}


def _trade_off(result: StudyResult) -> Captioned:
    columns: Columns = {PAPER_COLUMN: [], "gain": [], "runs the expert, %": [], "mean MACs, millions": []}
    labels = []
    for name, cell in _cells(result)[1:]:
        k, method = cell.num_experts, cell.method
        gain = Cell(k, cell.measured_as, metric="gain")
        paper, ours = printed_value(result, gain), summary_of(result, gain)
        macs = next((cost.macs / 1e6 for cost in result.costs if cost.num_experts == k), None)
        whole = NONE if macs is None else f"{macs:.1f}"
        mean = mean_std(summary_of(result, Cell(k, method, metric="macs_millions")), 1)
        runs = mean_std(summary_of(result, Cell(k, method, metric="runs_expert")), 1)
        labels.append(name)
        columns[PAPER_COLUMN].append(signed(paper.value) if paper else NONE)
        columns["gain"].append(mean_std(ours))
        columns["runs the expert, %"].append(runs if "tau=" in method else "100")
        columns["mean MACs, millions"].append(mean if "tau=" in method else whole)
    base = next((cost for cost in result.costs if cost.num_experts == 0), None)
    alone = cost_columns([base])["MACs"][0]
    caption = (
        f"{about(result, models=False)}; points of top-1 gained over the own base, whose cost is {alone} multiply-adds "
        f"an image, and what that costs.{_others_gain(result)}"
    )
    return Captioned(frame(columns, labels), caption)


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
