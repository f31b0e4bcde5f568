"""Table 3 (Section 4.2), does it hold on ImageNet? torchvision's networks on ImageNet with 1, 4 and 20 experts, and
early exit at the base's confidence.

On another image set the same is run with that scale's own network, as a stand-in.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

import torch
from pydantic import Field

from repro.analysis.anytime import selected_expert
from repro.analysis.ensemblers import bagging
from repro.analysis.outputs import Outputs, accuracy, percent
from repro.families.single_gate.config import StudySpec
from repro.families.single_gate.scales import default_spec
from repro.families.single_gate.study import SingleGateParameters, measured, measures, open_study, record
from repro.models.cost import ModelCost
from repro.models.torchvision_nets import PAPER_NETWORKS as NETWORKS
from repro.report.claim import (
    AS_GOOD,
    CHANGES_LITTLE,
    Cell,
    Claim,
    Computed,
    equal_inference,
    equal_training,
    with_controls,
)
from repro.report.exact_costs import Figure, figures_table, paper_cost
from repro.report.exhibit import Exhibit
from repro.report.numbers import NONE
from repro.report.printed import PrintedValue, printed
from repro.report.tables import PAPER_COLUMN, Captioned, about, comparison, frame, frame_of_rows, metric_columns
from repro.report.verdict import by_seed
from repro.study.lists import NamesOrNone, Numbers
from repro.study.record import cost_row
from repro.study.results import Measurement, StudyResult

NAME = "table3_imagenet"
EXPERTS = (1, 4, 20)
THRESHOLDS = (0.75, 0.5)
"""Confidences of the base at which an image exits."""


class Parameters(SingleGateParameters):
    """The common ones, which networks, and how many experts."""

    networks: NamesOrNone = Field((), description="empty: Table 3's on imagenet, elsewhere the scale's own")
    experts: Numbers = Field(EXPERTS, description="numbers of experts K, e.g. 1,4,20")
    pretrained: bool = Field(True, description="imagenet: torchvision's weights; false: train the base here")

    def specs(self) -> list[StudySpec]:
        spec = default_spec(self.scale, self.dataset)
        spec = spec.with_(pretrained=spec.pretrained and self.pretrained, stacking=False)
        names = self.networks or (NETWORKS if self.dataset == "imagenet" else (spec.base,))
        nets = [spec.with_(base=name, expert=name) for name in names]
        return [net.with_(seed=seed, num_experts=k) for net in nets for seed in self.seeds for k in self.experts]


def exit_method(tau: float) -> str:
    """How records, and the paper's CSV, name bagging with early exit at τ."""
    return f"bagging tau={tau:g}"


def run(parameters: Parameters) -> StudyResult:
    """Run Table 3 and write its record."""
    study = open_study(parameters)
    specs = study.specs
    measurements: list[Measurement] = []
    costs = []
    for spec in specs:
        measurements += measure(spec, study.run(spec), THRESHOLDS, row=spec.base)
        cost = spec.cost
        costs += [cost_row(cost.without_experts(), spec.base), cost_row(cost, spec.base)]
    varies = ("base", "expert") if len({spec.base for spec in specs}) > 1 else ()
    return record(NAME, parameters, study, measurements, costs, varies=varies)


def measure(spec: StudySpec, outputs: Outputs, thresholds: Sequence[float], row: str = "") -> Iterator[Measurement]:
    """Base, bagging, and bagging with early exit: accuracy, who runs the expert, and the mean cost of an image."""
    yield measured(spec, "backbone", accuracy(outputs.base_logits, outputs.labels), row=row, num_experts=0)
    yield measured(spec, "bagging", accuracy(bagging(outputs), outputs.labels), row=row)
    for tau in thresholds:
        yield from measures(spec, exit_method(tau), at_confidence(outputs, spec.cost, tau), row)


def at_confidence(outputs: Outputs, cost: ModelCost, tau: float) -> dict[str, float]:
    """Exit at the base's own confidence: top-1, who runs the expert (percent), and the mean cost of an image.

    An image gets the base alone, or bagged with its expert. This τ is not that of Equation 2: there an image exits when
    every α_k is *below* τ, here when max φ reaches it, so a larger τ exits fewer images.
    """
    runs = selected_expert(outputs, tau).any(1)
    scores = torch.where(runs[:, None], bagging(outputs), outputs.base_logits.softmax(-1))
    macs = float(cost.anytime_macs(runs.long()).double().mean())
    return {"top1": accuracy(scores, outputs.labels), "runs_expert": percent(runs), "macs_millions": macs / 1e6}


SUBTABLES = dict(zip(NETWORKS, ("3a", "3b", "3c"), strict=True))
TITLES = {"resnet18": "ResNet-18", "resnet34": "ResNet-34", "mobilenet_v3_small": "MobileNetV3-small"}
SATURATED = ("resnet34", "mobilenet_v3_small")
EXIT_METRICS = {"runs the expert, %": ("runs_expert", 1), "mean MACs, millions": ("macs_millions", 1)}


ENOUGH = 25.0
"""Percent of the images that exit at the least where it is asked what exits cost: so many a base has to be sure of."""


def exiting(early: Cell) -> Computed:
    """``{seed: percent}`` of the images that exit."""
    runs = replace(early, metric="runs_expert")
    return lambda result: {seed: 100 - share for seed, share in by_seed(result, runs).items()}


def _claims() -> tuple[Claim, ...]:
    claims = []
    for place, net in zip("abc", NETWORKS, strict=True):
        base, one, four, twenty = (Cell(k, row=net) for k in (0, 1, 4, 20))
        early, title = Cell(4, exit_method(THRESHOLDS[0]), net), TITLES[net]
        of_four = f"(4 experts; where at least {ENOUGH:g} % of the images exit)"
        controls, of_twenty = ((equal_training(k, net), equal_inference(net)) for k in (4, 20))
        claims += [
            Claim(f"I{place}1", f"{title}: 4 experts beat the backbone", four, base, controls=controls),
            Claim(f"I{place}2", f"{title}: 4 experts beat the one-expert baseline", four, one, controls=controls),
            Claim(f"I{place}3", f"{title}: exits at {THRESHOLDS[0]:g} cost little {of_four}", early, four, AS_GOOD,
                  premise=(exiting(early), ENOUGH)),
            Claim(f"I{place}4", f"{title}: more than 4 experts change little", twenty, four, CHANGES_LITTLE)
            if net in SATURATED
            else Claim(f"I{place}4", f"{title}: 20 experts beat 4", twenty, four, controls=of_twenty),
        ]  # fmt: skip
    return with_controls(replace(claim, datasets=("imagenet",), section="4.2") for claim in claims)


CLAIMS = _claims()
"""What Section 4.2 says of Table 3, of ImageNet alone: a stand-in on other images judges none of them."""


def printed_value(result: StudyResult, cell: Cell) -> PrintedValue | None:
    """Top-1 accuracy of Table 3 in percent."""
    table, method = SUBTABLES.get(cell.row, ""), cell.measured_as
    return printed(table, result.dataset, cell.row, cell.row, cell.num_experts, method, cell.metric)


def _cells(result: StudyResult) -> list[Cell]:
    """Base and mixtures of every network, each mixture with its thresholds."""
    networks, experts = (NETWORKS, EXPERTS) if result.dataset == "imagenet" else ((), ())
    cells = []
    for net in dict.fromkeys([*networks, *result.rows()]):
        cells.append(Cell(0, row=net))
        for k in sorted({*experts, *result.numbers_of_experts()}):
            cells += [Cell(k, method, net) for method in ("", *map(exit_method, THRESHOLDS))]
    return cells


def label(cell: Cell) -> str:
    """``ResNet-18, 4 experts, exit at 0.75``."""
    title = TITLES.get(cell.row, cell.row)
    if cell.num_experts == 0:
        return f"{title} alone"
    count = "1 expert (baseline)" if cell.num_experts == 1 else f"{cell.num_experts} experts"
    tau = cell.method.partition("tau=")[2]
    return f"{title}, {count}" + (f", exit at {tau}" if tau else "")


def tables(result: StudyResult) -> dict[str, Captioned]:
    """``main``: Table 3; ``exits``: who runs the expert, and the mean cost."""
    cells = _cells(result)
    stand_in = "" if result.dataset == "imagenet" else "A STAND-IN for ImageNet: what Table 3 does, on other images. "
    caption = (
        f"{stand_in}{about(result)}; top-1 accuracy on the {result.evaluate} set in percent, mean ± standard "
        "deviation. 'ours' bags the probabilities of base and selected expert; with an exit at τ the base alone "
        "answers where its largest probability is at least τ."
    )
    labels = {label(cell): cell for cell in cells}
    main = comparison(result, labels, printed_value, bool(result.spec.get("pretrained")))
    if result.dataset != "imagenet":
        del main[PAPER_COLUMN]
    return {"main": Captioned(main, caption), "exits": _exits(result)}


def _exits(result: StudyResult) -> Captioned:
    cells = [cell for cell in _cells(result) if "tau=" in cell.method]
    columns = metric_columns(result, cells, EXIT_METRICS)
    if result.dataset == "imagenet":
        implied = [implied_shares(cell.row, float(cell.method.partition("tau=")[2])) for cell in cells]
        columns["implied by the paper, %"] = [share.get("share, %", NONE) for share in implied]
    caption = f"{about(result, models=False)}; the share of images that run their expert, and what an image then costs."
    return Captioned(frame(columns, list(map(label, cells))), caption)


def shares(macs: PrintedValue, base: PrintedValue, cost: ModelCost) -> dict[str, str]:
    """The share of images that run the expert, by MACs as printed and an expert's as counted; what rounding allows."""
    off = macs.half_unit + base.half_unit
    share, low, high = (100 * (macs.value + each - base.value) / cost.expert_macs for each in (0.0, -off, off))
    return {"share, %": f"{share:.1f}", "rounding allows, %": f"{low:.1f} to {high:.1f}"}


def implied_shares(network: str, tau: float) -> dict[str, str]:
    """Those behind Table 3's MACs at a threshold; empty where it prints none."""
    table = SUBTABLES.get(network, "")
    macs = printed(table, "imagenet", network, network, None, exit_method(tau), "macs")
    base = printed(table, "imagenet", network, network, 0, "backbone", "macs")
    return shares(macs, base, paper_cost("imagenet", network, network, 4)) if macs and base else {}


def exact() -> dict[str, Captioned]:
    """``costs``: Table 3's MACs against exact counts; ``shares``: what its MACs with early exit say of who exits."""
    figures = []
    for network, table in SUBTABLES.items():
        cost, paper = paper_cost("imagenet", network, network, 4), partial(printed, table, "imagenet", network, network)
        if macs := paper(0, "backbone", "macs"):
            figures.append(Figure(TITLES[network], macs, "the network", cost.base_macs))
        if macs := paper(None, "bagging", "macs"):
            figures.append(Figure(TITLES[network], macs, "with gate and one expert", cost.macs))
    costs = (
        "Multiply-adds of Table 3 without early exit, against exact counts at 224 pixels: {matching} of {all} "
        "match after rounding. An expert is stage 3, stage 4 and the last layer of a ResNet; of MobileNetV3-small the "
        "second half of the features and the whole classifier."
    )
    rows = {
        f"{TITLES[network]}, exit at {tau:g}": implied
        for network in NETWORKS
        for tau in THRESHOLDS
        if (implied := implied_shares(network, tau))
    }
    about_shares = (
        "The share of ImageNet's validation images that still run their expert, which the paper does not print: its "
        "MACs with early exit, less those of its base, over the exact cost of an expert. A run must come out here."
    )
    return {"costs": figures_table(figures, costs), "shares": Captioned(frame_of_rows(rows), about_shares)}


EXHIBIT = Exhibit(NAME, "Table 3: ImageNet", Parameters, run, tables, CLAIMS, printed_value, exact=exact, place=4)
