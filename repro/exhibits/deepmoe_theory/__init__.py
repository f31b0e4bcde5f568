"""DeepMoE's Appendix A.1: the ranks of small circuits, exactly, under no, static, dynamic and random routing."""

from __future__ import annotations

import time
from collections.abc import Sequence
from statistics import mean
from typing import get_args

from matplotlib.figure import Figure

from repro.exhibits.deepmoe_theory.circuits import Routing, circuit_rank, equal_masks
from repro.report.claim import Cell, Claim
from repro.report.exhibit import Exhibit
from repro.report.plots import PALETTE, common_legend, new_figure
from repro.report.tables import Captioned, Columns, frame
from repro.report.verdict import by_seed
from repro.study.lists import Numbers
from repro.study.parameters import Counted
from repro.study.record import record_exact
from repro.study.results import StudyResult

NAME = "deepmoe_theory"
CIRCUITS = ((4, 8, 4, 2), (4, 8, 4, 1), (8, 4, 3, 2), (8, 4, 3, 1))
"""N patches, M features, width m, n active channels."""

ROUTINGS: dict[Routing, str] = {
    "dense": "dense", "static": "static", "pooled": "by a pooled embedding", "embedding": "by an embedding",
    "dynamic": "random", "routes": "4 random routes",
}  # fmt: skip


class Parameters(Counted):
    """The common ones, of which the seeds alone matter: each draws the weights and masks of all circuits."""

    seeds: Numbers = (0, 1, 2)


def cell(circuit: Sequence[int], routing: Routing) -> Cell:
    """Where the record holds a rank."""
    return Cell(0, routing, _name(circuit), "rank")


def _name(circuit: Sequence[int]) -> str:
    return ", ".join(f"{letter} = {value}" for letter, value in zip("NMmn", circuit, strict=True))


DEEP, LEAST = (8, 4, 3, 2), (8, 4, 3, 1)
CLAIMS = (
    Claim("DT1", "A static choice of channels has a lower rank than the dense circuit", cell(DEEP, "dense"),
          cell(DEEP, "static"), section="4"),
    Claim("DT2", "Two channels chosen by an embedding have at least the dense circuit's rank", cell(DEEP, "embedding"),
          cell(DEEP, "dense"), (-0.5, float("inf")), section="A.1"),
    Claim("DT2/1", "One channel chosen by an embedding has at least the dense circuit's rank",
          cell(LEAST, "embedding"), cell(LEAST, "dense"),
          (-0.5, float("inf")), section="A.1"),
    Claim("DT2/pooled", "Two channels by an embedding that weighs all places alike: at least the dense circuit's rank",
          cell(DEEP, "pooled"), cell(DEEP, "dense"), (-0.5, float("inf")), section="A.1", settled_after=True),
    Claim("DT2/1/pooled", "One channel by an embedding that weighs all places alike: at least the dense circuit's rank",
          cell(LEAST, "pooled"), cell(LEAST, "dense"), (-0.5, float("inf")), section="A.1", settled_after=True),
    Claim("DT3", "Choosing two channels by what is seen has a higher rank than at random",
          cell(DEEP, "embedding"), cell(DEEP, "dynamic"), settled_after=True),
    Claim("DT3/1", "Choosing one channel by what is seen has a higher rank than at random",
          cell(LEAST, "embedding"), cell(LEAST, "dynamic"),
          settled_after=True),
)  # fmt: skip
"""DT1 and DT2 are the paper's, which writes m for the width and n for the active channels in its appendix. DT3 is ours:
what the bound would have to show to speak for learned gates; that random routing has full rank was known by then. The
pooled embedding was added when its ranks had been seen: another embedding than DT2's was known to have fewer.
"""


def run(parameters: Parameters) -> StudyResult:
    """Compute every rank, and write the record to ``<root>/results``."""
    began = time.monotonic()
    measurements = [
        cell(circuit, routing).measurement(seed, circuit_rank(*circuit, routing, seed))
        for seed in parameters.seeds
        for circuit in CIRCUITS
        for routing in get_args(Routing)
    ]
    return record_exact(NAME, parameters, measurements, time.monotonic() - began)


def tables(result: StudyResult) -> dict[str, Captioned]:
    """``main``: ranks beside the formulas; ``masks``: how likely two inputs have the same channels."""
    columns: Columns = {
        "full": [str(features ** (patches // 2)) for patches, features, _, _ in CIRCUITS],
        "m^(N/2)": [str(m ** (patches // 2)) for patches, _, m, _ in CIRCUITS],
        "n^(N/2)": [str(n ** (patches // 2)) for patches, _, _, n in CIRCUITS],
    }
    for routing, name in ROUTINGS.items():
        columns[name] = [_ranks(result, cell(circuit, routing)) for circuit in CIRCUITS]
    caption = (
        "Rank of the matricised tensor of random convolutional arithmetic circuits of N patches, M features a patch, m "
        f"channels of which n are active; computed exactly; {len(result.seeds)} draws, all of them where they differ."
    )
    return {"main": Captioned(frame(columns, [_name(circuit) for circuit in CIRCUITS]), caption), "masks": _masks()}


def _ranks(result: StudyResult, of: Cell) -> str:
    each = [f"{value:g}" for value in by_seed(result, of).values()]
    return " · ".join(each if len(set(each)) > 1 else each[:1])


def _masks() -> Captioned:
    shapes = [(m, n, patches.bit_length() - 1) for patches, _, m, n in CIRCUITS]
    columns: Columns = {
        "C(m, n)^-L": [f"{equal_masks(m, n, layers):.4f}" for m, n, layers in shapes],
        "(m/n)^-L, as printed": [f"{(m / n) ** -layers:.4f}" for m, n, layers in shapes],
    }
    caption = (
        "Probability that two inputs draw the same n of m channels in all L layers: Section 4 prints the first (with n "
        "for m), Appendix A.1 the second, and they differ wherever 1 < n < m."
    )
    return Captioned(frame(columns, [f"m = {m}, n = {n}, L = {layers}" for m, n, layers in shapes]), caption)


def figures(results: Sequence[StudyResult]) -> dict[str, Figure]:
    """Ranks as shares of the full rank, a group of bars a circuit."""
    import pandas as pd  # where it is used: an exhibit is also run where there is none

    figure = new_figure(8.0, 3.4)
    axes = figure.subplots()
    shares = {
        name: [100 * mean(by_seed(results[0], cell(c, routing)).values()) / c[1] ** (c[0] // 2) for c in CIRCUITS]
        for routing, name in ROUTINGS.items()
    }
    circuits = [_name(circuit).replace(", m", "\nm") for circuit in CIRCUITS]
    pd.DataFrame(shares, circuits).plot.bar(
        ax=axes, width=0.8, rot=0, color=list(PALETTE), legend=False, ylabel="rank, % of full"
    )
    common_legend(figure, [axes])
    return {"main": figure}


EXHIBIT = Exhibit(
    NAME, "DeepMoE, Appendix A.1: what gating does to the rank", Parameters, run, tables, CLAIMS, figures=figures,
    place=14,
)  # fmt: skip
