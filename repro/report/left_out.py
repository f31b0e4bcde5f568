"""What the paper's printed costs settle that its text leaves open: readings of the text, counted and compared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import combinations_with_replacement

import torch
from pydantic import BaseModel
from torch import nn

from repro.errors import ReproError
from repro.families.deepmoe.config import DeepMoEConfig
from repro.families.single_gate.choices import CHOICES
from repro.families.sparse.config import SparseConfig
from repro.models.cost import ModelCost, count_macs, count_params, model_cost
from repro.models.widenets import widenet
from repro.report.exact_costs import BACKBONES, PAIRS, Figure, in_unit_of, paper_cost, table1_figures
from repro.report.figure2 import IMAGES, NEAR, paper_macs
from repro.report.numbers import DATASETS, Quote, millions
from repro.report.printed import PrintedValue, drawn, printed
from repro.report.tables import Captioned, frame

CONFIGS: dict[str, type[BaseModel]] = {"deepmoe": DeepMoEConfig, "sparse": SparseConfig}
ASKED_FOR = {"family", "backbone", "width", "image_size", "placement", "top_k"}
"""Fields that say which network is meant: no text leaves them open."""

K = 20
"""Experts of every pair of Table 1."""

STAGES = 4


@dataclass(frozen=True)
class Part:
    """What one part of a network costs on one image."""

    macs: int
    params: int


@cache
def parts(name: str, dataset: str) -> dict[str, Part]:
    """``stem``, ``stage 1`` ... ``stage 4`` and ``fc`` of a tr-network at the paper's width and image size."""
    classes, side = IMAGES[dataset]
    with torch.device("meta"):
        net = widenet(name, classes)
        x = torch.empty(1, 3, side, side)
        trunk, features = list(net.trunk.children()), list(net.head.features.children())
        modules = [*trunk, *features[: STAGES - 2], nn.Sequential(*features[STAGES - 2 :]), net.head.fc]
        names = ["stem", *(f"stage {s}" for s in range(1, STAGES + 1)), "pool", "fc"]
        found = {}
        for part, module in zip(names, modules, strict=True):
            macs, x = count_macs(module, x)
            found[part] = Part(macs, count_params(module))
    return found


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
    open_ones = {
        field: about
        for field, about in config.model_fields.items()
        if field not in ASKED_FOR and not about.is_required()
    }
    columns = {
        "ours": [str(about.default) for about in open_ones.values()],
        "why, and what is said of it": [about.description or "" for about in open_ones.values()],
    }
    return Captioned(
        frame(columns, list(open_ones)), f"Choices that {name}'s text leaves open: fields of {config.__name__}."
    )


def facts() -> dict[str, Quote]:
    """Counts for the prose, by name."""
    fitted = [f for d in IMAGES for pair in PAIRS for f in _row(d, pair) if f.what == "params_inference"]
    every = [f for d in IMAGES for name in (*BACKBONES[1:], *PAIRS) for f in _row(d, name)]
    others = [f for f in every if f not in fitted]
    prices = _prices()
    plain = [_matches("params_inference", SUMS["base + expert + gate (the plain sum)"])]
    tip = "exact counts at the paper's widths and image sizes, against what Table 1 prints"
    return {
        "table1": Quote(_of(sum(f.matches for f in every), len(every)), tip),
        "table1/nothing-fitted": Quote(_of(sum(f.matches for f in others), len(others)), f"{tip}: all but those of "
                                       "the parameters for inference of pairs"),
        "table1/plain-sum": Quote(_of(*plain[0]), f"{tip}: parameters for inference of pairs, base + gate + expert"),
        "poster/price": Quote(f"{min(prices):.2f} to {max(prices):.2f} times",
                              "multiply-adds of two whole networks over those of a base and one expert on its trunk, "
                              "tr10 and tr18, both image sets"),
    }  # fmt: skip


def _prices() -> list[float]:
    """Two whole networks over one expert on a shared trunk, for equal depths at which the poster draws both."""
    return [
        2 * paper_macs(dataset, name) / model_cost(name, name, classes, side, 1).macs
        for dataset, (classes, side) in IMAGES.items()
        for name in ("tr10", "tr18")
    ]


def fact(name: str) -> Quote:
    """One of :func:`facts`; :class:`ReproError` names those there are."""
    known = facts()
    if name not in known:
        raise ReproError(f"there is no count '{name}' (there are: {', '.join(known)})")
    return known[name]


def _row(dataset: str, name: str) -> list[Figure]:
    base, _, expert = name.partition("-")
    return table1_figures(dataset, base, expert or None)


def _of(agree: int, total: int) -> str:
    return f"{agree} of {total}"


def _print(dataset: str, pair: str, metric: str) -> PrintedValue | None:
    base, expert = pair.split("-")
    return printed(1, dataset, base, expert, K, "bagging", metric)


def _matches(metric: str, count: Callable[[ModelCost], int]) -> tuple[int, int]:
    """How many of the pairs' printed figures a rule gives, and of how many."""
    figures = [(d, pair, value) for d in IMAGES for pair in PAIRS if (value := _print(d, pair, metric))]
    return sum(value.matches(count(paper_cost(d, *pair.split("-"), K))) for d, pair, value in figures), len(figures)


def _cut() -> Captioned:
    example = ("cifar100", "tr18-tr18")
    paper_macs_, paper_trained = (_print(*example, metric) for metric in ("macs", "params_trainable"))
    columns: dict[str, list[str]] = {}
    for first in CUTS.values():
        cells = {"MACs that match": _agree(first, "macs"), "trainable that match": _agree(first, "params_trainable")}
        for metric, paper in (("macs", paper_macs_), ("params_trainable", paper_trained)):
            if paper:
                unit = f"1e{paper.digits.partition('e')[2]}"
                name = {"macs": "MACs", "params_trainable": "trainable"}[metric]
                counted = _counted(*example, first)[metric]
                cells[f"tr18-tr18 {name}, {unit}"] = (
                    f"{in_unit_of(paper, counted, 0)} ({in_unit_of(paper, paper.value, 0)})"
                )
        for column, cell in cells.items():
            columns.setdefault(column, []).append(cell)
    caption = (
        "What an expert is made of, by three readings of the text, against the printed multiply-adds and trainable "
        "parameters of Table 1's pairs on both image sets; and the pair tr18-tr18 on CIFAR-100, with the printed "
        "figure in brackets. Multiply-adds are those of the base and one expert, trainable parameters those of all "
        f"{K} experts."
    )
    return Captioned(frame(columns, list(CUTS)), caption)


def _agree(first: int, metric: str) -> str:
    figures = [(d, pair, value) for d in IMAGES for pair in PAIRS if (value := _print(d, pair, metric))]
    return _of(sum(value.matches(_counted(d, pair, first)[metric]) for d, pair, value in figures), len(figures))


def _counted(dataset: str, pair: str, first: int) -> dict[str, int]:
    """Costs of a pair whose experts begin with stage ``first``."""
    base, expert = (parts(name, dataset) for name in pair.split("-"))
    own = [expert[f"stage {s}"] for s in range(first, STAGES + 1)] + [expert["fc"]]
    gate = expert["fc"].macs // IMAGES[dataset][0] * K
    return {
        "macs": sum(p.macs for p in base.values()) + gate + sum(p.macs for p in own),
        "params_trainable": K * sum(p.params for p in own),
    }


def _sum() -> Captioned:
    rows = [_of(*_matches("params_inference", count)) for count in SUMS.values()]
    caption = (
        "Sums that 'parameters for inference' may be, and how many of the printed figures of Table 1's pairs each "
        "gives after rounding."
    )
    return Captioned(frame({"match": rows}, list(SUMS)), caption)


def _poster() -> Captioned:
    """Where the poster's triangles stand: at two whole networks, or at one expert on a shared trunk?"""
    columns: dict[str, list[str]] = {"drawn at": [], "markers": [], "two whole networks": [], "shared trunk": []}
    labels = []
    for dataset, (classes, side) in IMAGES.items():
        at = [macs for macs, _ in drawn(dataset, "one_expert")]
        for a, b in combinations_with_replacement(BACKBONES[:-1], 2):
            both = paper_macs(dataset, a) + paper_macs(dataset, b)
            near = [macs for macs in at if abs(macs - both) <= NEAR * both]
            if near:
                labels.append(f"{DATASETS[dataset]}, {a} and {b}")
                shared = {model_cost(x, y, classes, side, 1).macs for x, y in ((a, b), (b, a))}
                columns["drawn at"].append(millions(round(sum(near) / len(near)), 1))
                columns["markers"].append(str(len(near)))
                columns["two whole networks"].append(millions(both, 1))
                columns["shared trunk"].append(" or ".join(millions(macs, 1) for macs in sorted(shared)))
    total = sum(len(drawn(dataset, "one_expert")) for dataset in IMAGES)
    placed = sum(int(count) for count in columns["markers"])
    caption = (
        "The multiply-adds at which the poster draws its '1 expert' markers, those of two whole networks, and those of "
        f"one expert on the base's trunk (either of the two as the base). {_of(placed, total)} markers stand at the "
        "sum of two whole networks."
    )
    return Captioned(frame(columns, labels), caption)


def _choices() -> Captioned:
    """Defaults as the spec has them."""
    columns = {
        "what the paper says": [c.paper for c in CHOICES],
        "ours": [c.default for c in CHOICES],
        "why": [c.reason for c in CHOICES],
    }
    caption = "Every choice that the text leaves open: the field or function that makes it, its default, its reason."
    return Captioned(frame(columns, [f"{c.place}: {c.field}" if c.place else c.field for c in CHOICES]), caption)
