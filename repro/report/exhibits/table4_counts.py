"""The cost columns of Table 4 by our count: one of them is not what its heading says."""

from __future__ import annotations

from collections.abc import Callable

import torch

from repro.models.cost import count_macs, count_params
from repro.models.widenets import widenet
from repro.report.exact_costs import Figure, paper_cost
from repro.report.exhibits.table3_imagenet import ImpliedShare
from repro.report.printed import PrintedValue, printed
from repro.report.tables import Columns, Shown, frame
from repro.study.scales import default_spec

COPIES_IN_RMN = 8
"""'Each residual block is replicated 8 times' (Section 4.2)."""

Lookup = Callable[[int, str, str], PrintedValue | None]


def counts() -> dict[str, Shown]:
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
    return {"counts": Shown(frame(columns, [figure.what for figure in figures]), caption), "share": _share()}


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


def _share() -> Shown:
    """Who runs the expert of tr18-tr10 at 0.75, by the printed MACs (ResNet-18's shares stand in Table 3)."""
    cost = paper_cost("tiny-imagenet", "tr18", "tr10", 10)
    macs = printed(4, "tiny-imagenet", "tr18", "tr10", 10, "bagging tau=0.75", "macs")
    base = printed(1, "tiny-imagenet", "tr18", "", 0, "backbone", "macs")
    columns: Columns = {"share, %": [], "rounding allows, %": []}
    if macs and base:
        share = ImpliedShare(macs, base, cost.expert_macs)
        columns = {"share, %": [f"{share.percent:.1f}"], "rounding allows, %": [f"{share.low:.1f} to {share.high:.1f}"]}
    caption = "tiny-ImageNet: the share of images that run their expert, by the printed multiply-adds as for Table 3."
    return Shown(frame(columns, ["tr18-tr10, 10 experts, exit at 0.75"] if macs and base else []), caption)
