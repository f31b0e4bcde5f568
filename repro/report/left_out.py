"""What the paper's printed costs settle that its text leaves open: readings of the text, counted and compared."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from functools import cache, partial
from importlib.resources import files
from itertools import combinations_with_replacement
from operator import attrgetter
from typing import NamedTuple

import torch
from pydantic import BaseModel
from torch import nn

from repro.errors import ReproError
from repro.families.deepmoe.config import DeepMoEConfig
from repro.families.single_gate.scales import default_spec
from repro.families.sparse.config import SparseConfig
from repro.families.sparse.cost import SparseCost, sparse_cost
from repro.models.cost import ModelCost, count_macs, count_params
from repro.models.widenets import widenet
from repro.report.anytime_figures import IMAGES, NEAR, paper_macs
from repro.report.exact_costs import BACKBONES, PAIRS, TABLE1_EXPERTS, in_unit_of, paper_cost, table1_figures
from repro.report.numbers import DATASETS, Quote, millions
from repro.report.printed import PrintedValue, drawn, printed, sweetspot_rows
from repro.report.tables import Captioned, frame_of_rows

CONFIGS: dict[str, type[BaseModel]] = {"deepmoe": DeepMoEConfig, "sparse": SparseConfig}
ASKED_FOR = {"family", "backbone", "width", "image_size", "placement", "top_k"}
"""Fields that say which network is meant: no text leaves them open."""

K = TABLE1_EXPERTS
STAGES = 4


class Part(NamedTuple):
    """What one part of a network costs on one image."""

    macs: int
    params: int


@cache
def parts(name: str, dataset: str) -> dict[str, Part]:
    """``stem``, ``stage 1`` ... ``stage 4`` and ``fc`` of a tr-network at the paper's width and image size."""
    spec = default_spec("paper", dataset)
    with torch.device("meta"):
        net = widenet(name, spec.num_classes)
        x = torch.empty(1, 3, spec.image_size, spec.image_size)
        trunk, features = list(net.trunk.children()), list(net.head.features.children())
        modules = [*trunk, *features[: STAGES - 2], nn.Sequential(*features[STAGES - 2 :]), net.head.fc]
        names = ["stem", *(f"stage {s}" for s in range(1, STAGES + 1)), "pool", "fc"]
        costs = {}
        for part, module in zip(names, modules, strict=True):
            macs, x = count_macs(module, x)
            costs[part] = Part(macs, count_params(module))
    return costs


CUTS = {
    "stage 2, 3, 4 and linear": 2,
    "stage 3, 4 and linear": 3,
    "stage 4 and linear": 4,
}
"""What an expert may be, by the first stage that is its own: the text says 'the first three blocks' are shared."""

SUMS: dict[str, Callable[[ModelCost], int]] = {
    "base + expert": lambda cost: cost.base_params + cost.expert_params,
    "base + expert + gate (the plain sum)": lambda cost: cost.params_inference,
    "base + expert + gate, less one fc": lambda cost: cost.params_inference_paper,
    "base + expert, less one fc": lambda cost: cost.base_params + cost.expert_params - cost.fc_params,
}
"""What 'parameters for inference' may add up."""


def tables() -> dict[str, Captioned]:
    """``cut``, ``sum``, ``poster``: readings against print; ``choices``, ``deepmoe``, ``sparse``: what is ours."""
    return {"cut": _cut(), "sum": _sum(), "poster": _poster(), "choices": _choices(),
            **{name: _family_choices(name, config) for name, config in CONFIGS.items()}}  # fmt: skip


def _family_choices(name: str, config: type[BaseModel]) -> Captioned:
    """The fields of a family's config that a text leaves open: defaults and reasons, read from the config itself."""
    rows = {
        field: {"ours": str(about.default), "why, and what is said of it": about.description or ""}
        for field, about in config.model_fields.items()
        if field not in ASKED_FOR and not about.is_required()
    }
    caption = f"Choices that {name}'s text leaves open: fields of {config.__name__}."
    return Captioned(frame_of_rows(rows), caption)


def fact(name: str) -> Quote:
    """A count for the prose, by name; :class:`ReproError` names those there are."""
    if name in OF_SPARSE:
        return OF_SPARSE[name]()
    figures = [(row, f) for d in IMAGES for row in (*BACKBONES[1:], *PAIRS) for f in table1_figures(d, row)]
    every = [f.matches for _, f in figures]
    unfitted = [f.matches for row, f in figures if row not in PAIRS or f.what != "params_inference"]
    prices = [  # of equal depths at which the poster draws both
        2 * paper_cost(d, depth, None, 0).macs / paper_cost(d, depth, depth, 1).macs
        for d in IMAGES
        for depth in ("tr10", "tr18")
    ]
    tip = "exact counts at the paper's widths and image sizes, against what Table 1 prints"
    known = {
        "table1": Quote(_of(every), tip),
        "table1/nothing-fitted": Quote(_of(unfitted), f"{tip}: all but those of the parameters for inference of pairs"),
        "table1/plain-sum": Quote(
            _sum_matches(SUMS["base + expert + gate (the plain sum)"]),
            f"{tip}: parameters for inference of pairs, base + gate + expert",
        ),
        "poster/price": Quote(
            f"{min(prices):.2f} to {max(prices):.2f} times",
            "multiply-adds of two whole networks over those of a base and one expert on its trunk, tr10 and tr18, both "
            "image sets",
        ),
    }
    if name not in known:
        raise ReproError(f"there is no count '{name}' (there are: {', '.join([*known, *OF_SPARSE])})")
    return known[name]


def _over_dense(metric: Callable[[SparseCost], int], placements: Sequence[str] = (), body: str = "") -> list[float]:
    """What networks of the sweet-spot paper's tables cost, least first, in those of the dense ones of their name."""
    configs = [row.config for row in sweetspot_rows()]
    ratios = {
        metric(sparse_cost(c)) / metric(sparse_cost(c.model_copy(update={"placement": "none"})))
        for c in configs
        if c.placement != "none" and c.placement in (placements or (c.placement,)) and c.shape.body.startswith(body)
    }
    return sorted(ratios)


def _vit_every_2() -> Quote:
    least, *_, most = _over_dense(attrgetter("macs"), ["every-2"], "vit")
    tip = "multiply-adds of ViT-S and ViT-B with Every 2 over those of the dense ones, two of eight experts a token"
    return Quote(f"{100 * (least - 1):.0f} to {100 * (most - 1):.0f} %", tip)


def _parameters() -> Quote:
    least, *_, most = _over_dense(attrgetter("params"))
    return Quote(
        f"{least:.1f} to {most:.1f} times", "all parameters of the paper's sparse networks, in the dense ones'"
    )


OF_SPARSE = {"sparse/vit-every-2": _vit_every_2, "sparse/parameters": _parameters}
"""Counted where it is asked for: some thirty networks, which take seconds."""


def _of(agree: Sequence[bool]) -> str:
    return f"{sum(agree)} of {len(agree)}"


def _print(dataset: str, pair: str, metric: str) -> PrintedValue | None:
    base, expert = pair.split("-")
    return printed(1, dataset, base, expert, K, "bagging", metric)


def _matches(metric: str, count: Callable[[str, str], int]) -> str:
    """How many of the pairs' printed figures a rule gives, and of how many."""
    figures = [(d, pair, value) for d in IMAGES for pair in PAIRS if (value := _print(d, pair, metric))]
    return _of([value.matches(count(d, pair)) for d, pair, value in figures])


def _sum_matches(count: Callable[[ModelCost], int]) -> str:
    return _matches("params_inference", lambda d, pair: count(paper_cost(d, *pair.split("-"), K)))


def _cut() -> Captioned:
    example = ("cifar100", "tr18-tr18")
    metrics = {"macs": "MACs", "params_trainable": "trainable"}
    rows = {}
    for name, first in CUTS.items():
        counts = {metric: partial(_counted, metric, first) for metric in metrics}
        row = {f"{metrics[metric]} that match": _matches(metric, count) for metric, count in counts.items()}
        for metric, count in counts.items():
            if paper := _print(*example, metric):
                ours, theirs = in_unit_of(paper, count(*example), 0), in_unit_of(paper, paper.value, 0)
                row[f"tr18-tr18 {metrics[metric]}, 1e{paper.digits.partition('e')[2]}"] = f"{ours} ({theirs})"
        rows[name] = row
    caption = (
        "What an expert is made of, by three readings of the text, against the printed multiply-adds and trainable "
        "parameters of Table 1's pairs on both image sets; and the pair tr18-tr18 on CIFAR-100, with the printed "
        "figure in brackets. Multiply-adds are those of the base and one expert, trainable parameters those of all "
        f"{K} experts."
    )
    return Captioned(frame_of_rows(rows), caption)


def _counted(metric: str, first: int, dataset: str, pair: str) -> int:
    """Multiply-adds or trainable parameters of a pair whose experts begin with stage ``first``."""
    base, expert = (parts(name, dataset) for name in pair.split("-"))
    own = [expert[f"stage {s}"] for s in range(first, STAGES + 1)] + [expert["fc"]]
    if metric == "params_trainable":
        return K * sum(p.params for p in own)
    gate = expert["fc"].macs // default_spec("paper", dataset).num_classes * K
    return sum(p.macs for p in base.values()) + gate + sum(p.macs for p in own)


def _sum() -> Captioned:
    caption = (
        "Sums that 'parameters for inference' may be, and how many of the printed figures of Table 1's pairs each "
        "gives after rounding."
    )
    return Captioned(frame_of_rows({name: {"match": _sum_matches(count)} for name, count in SUMS.items()}), caption)


def _poster() -> Captioned:
    """Where the poster's triangles stand: at two whole networks, or at one expert on a shared trunk?"""
    rows, markers, placed = {}, 0, 0
    for dataset in IMAGES:
        at = [macs for macs, _ in drawn(dataset, "one_expert")]
        markers += len(at)
        for a, b in combinations_with_replacement(BACKBONES[:-1], 2):
            both = paper_macs(dataset, a) + paper_macs(dataset, b)
            near = [macs for macs in at if abs(macs - both) <= NEAR * both]
            placed += len(near)
            if near:
                shared = {paper_cost(dataset, x, y, 1).macs for x, y in ((a, b), (b, a))}
                rows[f"{DATASETS[dataset]}, {a} and {b}"] = {
                    "drawn at": millions(round(sum(near) / len(near)), 1),
                    "markers": str(len(near)),
                    "two whole networks": millions(both, 1),
                    "shared trunk": " or ".join(millions(macs, 1) for macs in sorted(shared)),
                }
    caption = (
        "The multiply-adds at which the poster draws its '1 expert' markers, those of two whole networks, and those of "
        f"one expert on the base's trunk (either of the two as the base). {placed} of {markers} markers stand at the "
        "sum of two whole networks."
    )
    return Captioned(frame_of_rows(rows), caption)


def _choices() -> Captioned:
    """What stands in ``choices.csv``, a choice a line; defaults as the spec has them at the paper's scale on CIFAR-100.

    field   name of the spec's field, dotted where nested; where it is no field, what it is, in words
    place   for what is no field: the function that holds the rule
    fixed   for what is no field: what the rule is
    paper   what the paper (or its poster) says of it
    reason  why the default is what it is
    """
    spec = default_spec("paper", "cifar100")
    choices = files("repro.report").joinpath("choices.csv").read_text(encoding="utf-8")
    rows = {}
    for choice in csv.DictReader(choices.splitlines()):
        field = choice["field"]
        ours = choice["fixed"] or attrgetter(field)(spec)
        name = f"{choice['place']}: {field}".removeprefix(": ").replace(".", ".\u200b")  # where a long name may break
        rows[name] = {
            "what the paper says": choice["paper"], "ours": str(getattr(ours, "source", ours)), "why": choice["reason"],
        }  # fmt: skip
    caption = "Every choice that the text leaves open: the field or function that makes it, its default, its reason."
    return Captioned(frame_of_rows(rows), caption)
