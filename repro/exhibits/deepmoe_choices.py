"""What DeepMoE's text leaves open: each choice in turn, against a plain network of what it comes to cost.

One choice is changed at a time (in one row two), all others are as in the three families' DeepMoE at the middle
budget. A choice moves accuracy and cost together, so that each row is held against the plain curve at its own
multiply-adds. All is judged on validation images: nobody is to pick a choice on the test set.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import cycle
from typing import Annotated, Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pydantic import AfterValidator, Field

from repro.errors import TrainingError
from repro.exhibits.deepmoe_table2_cifar.channels import CHANNELS, of_layers, shares
from repro.exhibits.deepmoe_table2_cifar.scan import numbers
from repro.exhibits.three_families.asked import ThreeFamiliesParameters
from repro.exhibits.three_families.bodies import TR, Asked, Model
from repro.exhibits.three_families.families import LAMBDAS, asked_deepmoe
from repro.exhibits.three_families.rivals import curve_at, on_curve
from repro.exhibits.three_families.run import point_of
from repro.families.deepmoe import steps as deepmoe
from repro.progress import say
from repro.report.claim import Cell, Claim
from repro.report.exhibit import Exhibit
from repro.report.numbers import gain, interval, where_run
from repro.report.plots import PALETTE, common_legend, panels
from repro.report.tables import Captioned, Columns, about, frame, metric_columns
from repro.report.verdict import Verdict, collapsed, difference, summary_of
from repro.study import parameters as common
from repro.study.graph import Goal
from repro.study.lists import NamesOrNone, Weights, all_or_chosen
from repro.study.record import open_runner, record, seed_by_seed
from repro.study.results import Measurement, StudyResult, Table
from repro.training.recipe import Group

NAME = "deepmoe_choices"
DEFAULT = "default"


class Alternative(NamedTuple):
    """Another way to read the paper: the choice in words, what differs of the model, and of stage one's recipe."""

    choice: str
    model: Mapping[str, Any] = {}
    groups: tuple[Group, ...] = ()
    stages: int = 2


ALTERNATIVES = {
    "λ = 0": Alternative("no penalty: gates as the loss alone has them", {"lam": 0.0}),
    "gates on inputs": Alternative(
        "what a gate scales: what a convolution reads, Eqs. (3) to (5)", {"gate_at": "input"}
    ),
    "gates do not decay": Alternative("weight decay of gates and embedding", groups=(Group(match="gating", decay=0),)),
    "heads at rate / 10": Alternative("rate of the heads that make gates", groups=(Group(match="heads", rate=0.1),)),
    "features": Alternative("what gates are made of", {"embedding_output": "relu"}),
    "λ reaches all": Alternative("what λ trains", {"lambda_reaches": "all"}),
    "PyTorch's start": Alternative("how the gates start: not heads of N(1, 0.5)", {"gate_init": "default"}),
    "λ at once": Alternative("λ's warm-up", {"lambda_warmup": 0.0}),
    "warm-up of λ times 3": Alternative("λ's warm-up: 60 % of stage one", {"lambda_warmup": 0.6}),
    "never frozen": Alternative("stages", stages=1),
    "sum of channels": Alternative("Eq. (8) as printed: channels are summed", {"l1": "sum"}),
    "from a plain network": Alternative("how the backbone starts", {"start": "plain"}),
    "10 % embedding": Alternative("size of the embedding network", {"embedding_share": 0.1}),
    "inner channels": Alternative("which channels have gates", {"gated": "inner"}),
    "BatchNorm's ε at 1e-12": Alternative("ε of the gated network's BatchNorm", {"batchnorm_eps": 1e-12}),
    "gates on inputs and ε at 1e-12": Alternative("both of these", {"gate_at": "input", "batchnorm_eps": 1e-12}),
}


class Parameters(common.Parameters):
    """The common ones, λ, the rate, and which alternatives."""

    lam: float = Field(0.7, ge=0, description="λ of the default and of every alternative that has none of its own")
    curve: Weights = Field(LAMBDAS, description="the default at these λ too")
    rate: float = Field(1.0, gt=0, description="of everything that is trained, in the recipe's")
    epochs: int = Field(0, ge=0, description="of each network, both stages of DeepMoE together; 0: the scale's")
    alternatives: Annotated[NamesOrNone, AfterValidator(partial(all_or_chosen, ALTERNATIVES))] = Field(
        tuple(ALTERNATIVES), description="which alternatives, with commas between them; default: all"
    )

    def asked(self, seed: int) -> Asked:
        """Images, recipe and width of the three families, on validation images."""
        return self._families.asked(seed, "validation", self.rate)

    def plain(self, asked: Asked) -> list[Model]:
        """The plain curve, rising in cost."""
        return self._families.curve(TR, asked)

    @property
    def _families(self) -> ThreeFamiliesParameters:
        shared = self.model_dump(include=set(common.Parameters.model_fields))
        return ThreeFamiliesParameters(**shared, budgets="middle", epochs=self.epochs)

    def rows(self, seed: int) -> dict[str, deepmoe.Asked]:
        """The default, each alternative, and the default at other λ."""
        asked = self.asked(seed)
        (budget,) = self._families.macs(asked).values()
        usual = asked_deepmoe(TR, asked, budget, self.lam)
        rows = {DEFAULT: usual} | {name: self._other(usual, ALTERNATIVES[name], asked) for name in self.alternatives}
        return rows | {f"λ = {lam:g}": asked_deepmoe(TR, asked, budget, lam) for lam in self.curve if lam != self.lam}

    def _other(self, usual: deepmoe.Asked, other: Alternative, asked: Asked) -> deepmoe.Asked:
        changes: dict[str, Any] = {"model": usual.model.model_copy(update=dict(other.model))}
        changes["recipe"] = usual.recipe.model_copy(update={"groups": other.groups})
        if other.stages == 1:
            changes |= {"recipe": asked.trained(), "recipe_two": None}
        return usual.model_copy(update=changes)

    def goals(self) -> list[Goal]:
        """The plain curve and every row, seed by seed."""
        return [
            goal
            for seed in self.seeds
            for goal in (*(m.goal for m in self.plain(self.asked(seed))), *map(deepmoe.goal, self.rows(seed).values()))
        ]


def run(parameters: Parameters) -> StudyResult:
    """Train the plain curve, the default and every alternative; of seeds that are whole, if time is up earlier."""
    runner = open_runner(parameters)
    tables = {"plain": Table(columns=["seed", "macs", "top1"], rows=[]), "channels": Table(columns=CHANNELS, rows=[])}

    def of_seed(seed: int) -> Iterator[Measurement]:
        curve = [(model, point_of(runner, model)) for model in parameters.plain(parameters.asked(seed))]
        opened = []
        for row, made in parameters.rows(seed).items():
            try:
                at = numbers(made, runner)
            except TrainingError as error:
                if row == DEFAULT:
                    raise
                say(f"{row}: left out, {error}")
                yield Cell(0, "deepmoe", row, "collapsed").measurement(seed, 1)
                continue
            for metric in ("top1", "embedding", "macs_millions", "active"):
                yield Cell(0, "deepmoe", row, metric).measurement(seed, at[metric])
            opened += of_layers(row, made, runner)
            if (plain := on_curve(curve, 1e6 * at["macs_millions"])) is not None:
                yield Cell(0, "plain", row).measurement(seed, plain)
        tables["plain"].rows.extend([seed, point.macs, round(point.top1, 3)] for _, point in curve)
        tables["channels"].rows.extend(opened)

    def write(measurements: list[Measurement]) -> StudyResult:
        spec = parameters.asked(parameters.seeds[0]).spec
        usual = parameters.rows(parameters.seeds[0])[DEFAULT]
        base = f"{usual.model.backbone} at width {usual.model.width:g}"
        left_out = {"seed": True, "width": True}
        return record(NAME, parameters, runner, spec, left_out, base, base, measurements, tables=tables)

    return seed_by_seed(map(of_seed, parameters.seeds), write)


def _claim(row: str) -> Claim:
    gates = "inputs (Eqs. 3 to 5)" if row.startswith("gates on inputs") else "outputs"
    other = "" if row == DEFAULT else row.removeprefix("gates on inputs").removeprefix(" and ")
    text = f"DeepMoE, gates on {gates}, beats a plain network of its own multiply-adds"
    text += f" (another choice: {other})" if other else ""
    return Claim(f"open/{row}", text, Cell(0, "deepmoe", row), Cell(0, "plain", row), paired=False, of_curve=True)


CLAIMS = tuple(map(_claim, (DEFAULT, *ALTERNATIVES)))
"""Ours: whether a choice that the text leaves open is what a verdict on DeepMoE hangs on."""


def _rows(result: StudyResult) -> list[str]:
    """The default, the alternatives in their order, the other λ."""
    there = {m.row for m in result.measurements if m.method == "deepmoe"}
    named = [row for row in (DEFAULT, *ALTERNATIVES) if row in there]
    return [*named, *sorted(there - set(named), key=lambda row: float(row.partition("= ")[2]))]


def tables(result: StudyResult) -> dict[str, Captioned]:
    """``main``: each choice, its cost, the plain network of that cost; ``channels``, ``layers``: what is open."""
    rows = _rows(result)
    cells = [Cell(0, "deepmoe", row) for row in rows]
    gaps = [difference(result, cell, Cell(0, "plain", cell.row), paired=False) for cell in cells]
    metrics = {
        "active channels, %": ("active", 1), "MACs, millions": ("macs_millions", 2),
        "embedding's top-1": ("embedding", 2), "top-1": ("top1", 2),
    }  # fmt: skip
    choices = {row: ALTERNATIVES[row].choice if row in ALTERNATIVES else "" for row in rows}
    columns: Columns = {"the choice": list(choices.values()), **metric_columns(result, cells, metrics)}
    columns["against a plain network of its MACs"] = [
        gain(gap) if gap else Verdict.COLLAPSED if collapsed(result, cell) else Verdict.BEYOND
        for cell, gap in zip(cells, gaps, strict=True)
    ]
    columns["95 % interval"] = [interval(gap, sign=True) for gap in gaps]
    caption = (
        f"{about(result)}; top-1 accuracy on the {result.evaluate} set in percent. One choice is changed at a time, "
        "in a row that names two both. The plain network of as many multiply-adds, embedding network and heads "
        "counted, lies on a curve over widths, interpolated in log MACs. Collapsed: a layer was left without an active "
        "channel. The default has its gates on outputs."
    )
    captioned = {"main": Captioned(frame(columns, rows), caption)}
    if channels := result.tables.get("channels"):  # earlier records have none
        images = f"{about(result)}, {result.evaluate} images: which of DeepMoE's channels are open"
        captioned["channels"] = shares(channels, "row", f"{images}, all layers together")
        captioned["layers"] = shares(channels.where(row=DEFAULT), "layer", f"{images}, layer by layer, by default")
    return captioned


def figures(results: Sequence[StudyResult]) -> dict[str, Figure]:
    """``main``: accuracy over multiply-adds: the plain curve, the default at several λ, every alternative."""
    figure, grid = panels(results, _draw, height=4.6)
    common_legend(figure, grid.flat, columns=2)
    return {"main": figure}


def _draw(axes: Axes, result: StudyResult) -> None:
    table = result.tables["plain"]
    for index, seed in enumerate(result.seeds):
        part = table.where(seed=seed)
        x, y = [macs / 1e6 for macs in part.column("macs")], part.column("top1")
        between = np.geomspace(x[0], x[-1], 50)
        axes.plot(x, y, "D", color="#595959", markersize=4, label="plain" if not index else None)
        axes.plot(between, curve_at(between, x, y), color="#595959")
    points = {row: point for row in _rows(result) if (point := _point(result, row))}
    curve = sorted(point for row, point in points.items() if row not in ALTERNATIVES)
    axes.plot(*zip(*curve, strict=True), "o-", color=PALETTE[1], label="DeepMoE, gates on outputs, at several λ")
    for row, marker, colour in zip(ALTERNATIVES, cycle("^svPX*<"), cycle(PALETTE), strict=False):
        if point := points.get(row):
            axes.plot(*point, marker, color=colour, label=row, fillstyle="none")
    axes.set_title(where_run(result))
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_xlabel("mean multiply-adds of an image, millions")
    axes.set_ylabel(f"top-1 accuracy, % ({result.evaluate} set)")


def _point(result: StudyResult, row: str) -> tuple[float, float] | None:
    x, y = (summary_of(result, Cell(0, "deepmoe", row, metric)) for metric in ("macs_millions", "top1"))
    return (x.mean, y.mean) if x and y else None


EXHIBIT = Exhibit(
    NAME, "DeepMoE: what the text leaves open", Parameters, run, tables, CLAIMS, figures=figures, place=15
)
