"""What tokens choose (the sweet-spot paper's "Model inspection", Figures 3, 4 and 7; its claims V6 to V8 and V10).

Of the networks that ``sparse_placement`` trains: where an image's tokens go, what experts have to do with classes and
with one another, and whether mixtures help or harm on corrupted images.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Literal

import numpy as np
import torch
from matplotlib.figure import Figure
from pydantic import Field
from torch import Tensor

from repro.analysis.chosen_experts import (
    experts_per_image,
    mutual_information,
    occurrence,
    patch_distribution,
    similarity,
    tokens_per_image,
)
from repro.analysis.outputs import accuracy
from repro.data.augment import Augmentation
from repro.data.batches import DeviceBatches
from repro.data.shifts import KINDS, STRENGTHS, shifted
from repro.families.sparse.config import SHAPES
from repro.families.sparse.cost import sparse_cost
from repro.families.sparse.scales import SparseSpec, sparse_spec
from repro.families.sparse.steps import chosen_experts, load_network, steps
from repro.families.sparse.training import predict
from repro.report.claim import Cell, Claim
from repro.report.exhibit import Exhibit
from repro.report.numbers import NONE, which_run
from repro.report.pictures import close_together, expert_tiles, show_tile
from repro.report.plots import PALETTE, common_legend, new_figure
from repro.report.printed import PrintedValue, rows_of
from repro.report.tables import Captioned, Columns, about, frame, means, metric_columns
from repro.report.verdict import by_seed
from repro.study import parameters as common
from repro.study.artifact import Artifact
from repro.study.graph import FORWARD, Context, Goal, Inputs, Step
from repro.study.lists import Ascending
from repro.study.picture import Picture
from repro.study.record import open_runner, record, seed_by_seed
from repro.study.results import Measurement, StudyResult, Table
from repro.study.runner import Runner

NAME = "sparse_routing"
PICTURES, SIDE = 6, 64
SHIFT = "all shifts"


class Parameters(common.Parameters):
    """The common ones, which network, where its mixtures are, and how many experts they have."""

    network: str = Field("convnext-micro", description=f"one of {', '.join(SHAPES)}")
    placement: Literal["last-2", "last-3", "stage", "every-2"] = Field("last-2", description="where mixtures are")
    experts: Ascending = Field((8,), description="numbers of experts E, e.g. 8,16,32")
    top_k: int = Field(1, ge=1, description="k; experts get 4 / k hidden channels a channel")

    def networks(self) -> list[SparseSpec]:
        """The dense network of each seed and the sparse ones; as ``sparse_placement`` has them."""
        model = {"network": self.network, "top_k": self.top_k, "hidden_ratio": 4 / self.top_k}
        asked = [{"placement": "none", "num_experts": 8}]
        asked += [{"placement": self.placement, "num_experts": experts} for experts in self.experts]
        return [sparse_spec(self.scale, self.dataset, seed, **model, **more) for seed in self.seeds for more in asked]

    def part(self) -> str:
        """Another network, k or placement is recorded apart."""
        return self.apart(network=self.network, top_k=f"top-{self.top_k}", placement=self.placement)

    def goals(self) -> list[Goal]:
        """What is trained, and shown shifted images."""
        return [goal(spec) for spec in self.networks()]


def goal(spec: SparseSpec | str) -> Goal:
    """The predictions of a spec (or of its JSON), and its accuracy under every shift."""
    asked = spec if isinstance(spec, SparseSpec) else SparseSpec.model_validate_json(spec)
    label = f"{asked.label}, shifts"
    return Goal(label, (steps(asked).predictions, shifts(asked)), f"{__name__}:goal", asked.model_dump_json())


def shifts(spec: SparseSpec) -> Step:
    """Top-1 of a trained network under every shift, in percent: ``top1`` float64 ``[kinds, strengths]``."""
    macs = sparse_cost(spec.model).macs * spec.num_images[1] * len(KINDS) * len(STRENGTHS)
    return Step(
        "shifts", {**spec.evaluated_on(), "kinds": list(KINDS), "strengths": list(STRENGTHS), "revision": 1},
        partial(_make_shifts, spec), (steps(spec).network,), f"shifts of {spec.label}", FORWARD * macs,
        images=spec.evaluated_images,
    )  # fmt: skip


def _make_shifts(spec: SparseSpec, context: Context, inputs: Inputs) -> Artifact:
    network, clean = load_network(spec, inputs["network"]), context.sources.images(spec, "evaluation")

    def top1(kind: str, strength: int) -> float:
        source = DeviceBatches(shifted(clean, kind, strength), Augmentation(), context.device)
        found = predict(network, source, context.device)
        return accuracy(found["logits"], found["labels"])

    each = [[top1(kind, strength) for strength in STRENGTHS] for kind in KINDS]
    return Artifact({"top1": torch.tensor(each, dtype=torch.float64)})


def cell(body: str, placement: str, what: str = "", metric: str = "top1", experts: int = 8) -> Cell:
    """Where the record holds a number: of a network, of its ``first`` ... ``last`` mixture, or under a shift."""
    dense = placement == "none"
    row = f"{body} {placement}" + (f", {what}" if what else "")
    return Cell(0 if dense else experts, "dense" if dense else "sparse", row, metric)


def mixture_names(count: int) -> list[str]:
    """``first``, ``mixture 2`` ..., ``last``."""
    return ["first", *(f"mixture {number}" for number in range(2, count)), "last"][:count]


def run(parameters: Parameters) -> StudyResult:
    """Train what is missing, inspect it, show it shifted images, and write the record to ``<root>/results``.

    The record is of as many seeds as time allows; its tables and pictures of single mixtures are of the first
    seed and the first number of experts.
    """
    runner = open_runner(parameters)

    def of_seed(seed: int) -> Iterator[Measurement]:
        for spec in (spec for spec in parameters.networks() if spec.seed == seed):
            runner.run(goal(spec).steps)
            shifted_KS = runner.load(shifts(spec)).tensors["top1"]
            yield from measure(spec, runner.load(steps(spec).predictions).tensors, shifted_KS)

    return seed_by_seed(parameters.seeds, of_seed, lambda found: _write(parameters, runner, found))


def _write(parameters: Parameters, runner: Runner, found: list[Measurement]) -> StudyResult:
    first = next(spec for spec in parameters.networks() if spec.model.placement != "none")
    tensors = runner.load(steps(first).predictions).tensors
    chosen = chosen_experts(first, tensors)
    images = runner.context.sources.images(first, "evaluation").images[:PICTURES]
    maps = np.concatenate(expert_tiles(images, chosen, SIDE)).transpose(0, 3, 1, 2)
    return record(
        NAME, parameters, runner, first, {"seed": True, "model": {"num_experts"}},
        f"{parameters.network} at width {first.model.width:g}", f"{parameters.placement}, top {parameters.top_k}",
        found,
        tables=inspected(chosen, tensors["labels"], first.model.num_experts, first.model.num_classes),
        pictures={"maps": Picture.of(maps, columns=len(images))}, part=parameters.part(),
    )  # fmt: skip


def measure(spec: SparseSpec, tensors: dict[str, Tensor], shifted_KS: Tensor) -> Iterator[Measurement]:
    """Top-1, clean and under each shift; of each mixture: experts an image, their likeness, what classes explain."""
    model, labels = spec.model, tensors["labels"]
    named = partial(cell, model.shape.body, model.placement, experts=model.num_experts)
    yield named().measurement(spec.seed, accuracy(tensors["logits"], labels))
    for kind, row_S in zip(KINDS, shifted_KS.tolist(), strict=True):
        for strength, value in zip(STRENGTHS, row_S, strict=True):
            yield named(f"{kind} {strength}").measurement(spec.seed, value)
    yield named(SHIFT).measurement(spec.seed, float(shifted_KS.mean()))
    chosen = chosen_experts(spec, tensors)
    for name, experts_MTK in zip(mixture_names(len(chosen)), chosen, strict=True):
        involved = experts_per_image(tokens_per_image(experts_MTK, model.num_experts))
        first_ME = tokens_per_image(experts_MTK[..., :1], model.num_experts)
        pairs_EE = similarity(first_ME)[~torch.eye(model.num_experts, dtype=torch.bool)]
        yield named(name, "experts").measurement(spec.seed, involved)
        yield named(name, "share").measurement(spec.seed, 100 * involved / model.num_experts)
        yield named(name, "similarity").measurement(spec.seed, float(pairs_EE.nanmean()))
        explained = mutual_information(occurrence(first_ME, labels, model.num_classes))
        yield named(name, "information").measurement(spec.seed, explained)


def inspected(chosen: Sequence[Tensor], labels: Tensor, num_experts: int, num_classes: int) -> dict[str, Table]:
    """``occurrence`` of experts by class, ``similarity`` of pairs, ``patches``: CDF of an expert's tokens an image."""
    names, each = mixture_names(len(chosen)), [f"expert {e}" for e in range(num_experts)]
    counts = [tokens_per_image(experts_MTK[..., :1], num_experts) for experts_MTK in chosen]
    by_class = [occurrence(counts_ME, labels, num_classes).tolist() for counts_ME in counts]
    alike = [similarity(counts_ME).tolist() for counts_ME in counts]
    upto = [
        patch_distribution(counts_ME, experts_MTK.shape[1]).T.tolist()
        for counts_ME, experts_MTK in zip(counts, chosen, strict=True)
    ]

    def table(column: str, parts: Sequence[Sequence[Sequence[float]]], start: int = 0) -> Table:
        rows = [
            [name, index, *(None if value != value else round(value, 4) for value in row)]
            for name, part in zip(names, parts, strict=True) for index, row in enumerate(part, start)
        ]  # fmt: skip
        return Table(columns=["mixture", column, *each], rows=rows)

    return {
        "occurrence": table("class", by_class),
        "similarity": table("expert", alike),
        "patches": table("tokens", upto, start=1),
    }


ABOUT = (-10.0, 10.0)
"""Points around half of the experts that process an image, by the paper's 15.8 of 32 ("almost half"). Tokens that chose
at random would visit 87 % (64 of them in the first mixture of a small ConvNeXt), so that there is an upper end."""


def _claims(body: str, name: str) -> Iterator[Claim]:
    last_2 = partial(cell, body, "last-2")
    yield Claim(
        f"V6/{body}", f"{name}, 32 experts: an image's tokens go to about half of them (first mixture)",
        last_2("first", "share", 32), bar=50, within=ABOUT,
    )  # fmt: skip
    information = partial(last_2, metric="information")
    yield Claim(
        f"V7/{body}", f"{name}: the class explains more of the choice in the last mixture than in the first",
        information("last"), information("first"),
    )  # fmt: skip
    if body == "vit":  # a ConvNeXt's last mixtures have fewer tokens, which by itself makes experts less alike
        alike = partial(last_2, metric="similarity")
        text = f"{name}: experts share images more in the first mixture than in the last"
        yield Claim(f"V8/{body}", text, alike("first"), alike("last"))
    yield Claim(
        f"V10/{body}", f"{name}: under our shifts too, Last 2 beats the dense one", last_2(SHIFT),
        cell(body, "none", SHIFT), paired=False, settled_after=True,
    )  # fmt: skip


CLAIMS = tuple(claim for body, name in (("convnext", "ConvNeXt"), ("vit", "ViT")) for claim in _claims(body, name))
"""Of Last 2, 8 experts unless said otherwise. ConvNeXt-micro's and ViTs' first mixtures have 64 tokens or more."""


def printed_value(result: StudyResult, asked: Cell) -> PrintedValue | None:
    """Experts that process an image, in number or percent, as the text has them ("in the last MoE layers")."""
    body, metric = asked.row.partition(" ")[0], asked.metric
    if metric in ("experts", "share"):
        for row in rows_of("sweetspot2024_experts_per_image"):
            if (row["model"], int(row["num_experts"])) == (body, asked.num_experts):
                count = float(row["experts"])
                value = count if metric == "experts" else 100 * count / asked.num_experts
                return PrintedValue(value, None, 1, row["experts"])
    return None


def _name(cell: Cell) -> str:
    """How readers call a network or a mixture."""
    return f"{cell.row.partition(' ')[2]}, {cell.num_experts} experts" if cell.num_experts else "dense"


def _networks(result: StudyResult) -> dict[str, Cell]:
    """The cells of clean top-1 by what readers call the networks."""
    cells = map(Cell.of, result.measurements)
    return {_name(cell): cell for cell in cells if cell.metric == "top1" and "," not in cell.row}


def tables(result: StudyResult) -> dict[str, Captioned]:
    """``main``: what mixtures do with the evaluation images; ``shifts``: accuracy on corrupted ones."""
    mixtures = {_name(cell): cell for cell in map(Cell.of, result.measurements) if cell.metric == "experts"}
    metrics = {
        "experts an image": ("experts", 2), "of all, %": ("share", 2), "likeness of experts": ("similarity", 2),
        "choice explained by class": ("information", 2),
    }  # fmt: skip
    columns = metric_columns(result, list(mixtures.values()), metrics)
    paper = [printed_value(result, cell) for cell in mixtures.values()]
    columns["experts an image, paper"] = [NONE if value is None else value.digits for value in paper]
    caption = (
        f"{about(result, models=False)}; on the {result.evaluate} set. Likeness: mean S of pairs of experts, 1 where "
        "two have equally many tokens of each image, 0 where no image has both; where tokens are few it is lower by "
        "chance. Explained: mutual information of class "
        "and expert over the entropy of the experts; few tokens give more than 0 by chance. The paper's numbers are of "
        "its last mixtures, on ImageNet."
    )
    return {"main": Captioned(frame(columns, list(mixtures)), caption), "shifts": _shifts(result)}


def _shifts(result: StudyResult) -> Captioned:
    rows = _networks(result)
    columns: Columns = {"clean": means(result, list(rows.values()))}
    for kind in KINDS:
        for strength in (STRENGTHS[0], STRENGTHS[-1]):
            columns[f"{kind} {strength}"] = means(result, [_under(c, f"{kind} {strength}") for c in rows.values()])
    columns["mean of all"] = means(result, [_under(c, SHIFT) for c in rows.values()])
    caption = (
        f"{about(result, models=False)}; top-1 in percent on our shifts of the {result.evaluate} set: {len(KINDS)} "
        f"kinds of corruption at {len(STRENGTHS)} strengths, the weakest and strongest of each. They stand in for "
        "ImageNet-V2, -A, -R and Sketch, which were not run."
    )
    return Captioned(frame(columns, list(rows)), caption)


def _under(clean: Cell, shift: str) -> Cell:
    return Cell(clean.num_experts, clean.method, f"{clean.row}, {shift}")


def figures(results: Sequence[StudyResult]) -> dict[str, Figure]:
    """``main``: classes, pairs of experts and CDF of tokens by mixture; ``maps``; ``shifts``: a row a result each."""
    return {"main": _inspections(results), "maps": _maps(results), "shifts": _curves(results)}


def _parts(table: Table) -> dict[str, np.ndarray]:
    """The numbers of each mixture, ``[rows, E]``."""
    return {
        name: np.array([row[2:] for row in table.where(mixture=name).rows], float)
        for name in dict.fromkeys(table.column("mixture"))
    }


def _inspections(results: Sequence[StudyResult]) -> Figure:
    names = max((list(_parts(r.tables["similarity"])) for r in results), key=len)
    figure = new_figure(max(3.1 * len(names), 6.0), 7.6 * len(results))
    grid = figure.subplots(3 * len(results), len(names), squeeze=False)
    for axes in grid.flat:
        axes.grid(False)
    for top, result in zip(range(0, len(grid), 3), results, strict=True):
        by_class, alike, patches = (_parts(result.tables[name]) for name in ("occurrence", "similarity", "patches"))
        for place, name in enumerate(alike):
            first, second, third = grid[top : top + 3, place]
            shares = by_class[name] / by_class[name].sum(1, keepdims=True)
            first.imshow(shares.T, aspect="auto", cmap="viridis", vmin=0, interpolation="nearest")
            first.set_title(f"{which_run(result)}\n{name}: tokens of a class (0 to {shares.max():.0%})")
            first.set(xlabel="class", ylabel="expert")
            second.imshow(alike[name], cmap="viridis", vmin=0, vmax=1)
            second.set_title("likeness S of experts (0 to 1)")
            third.set_prop_cycle(color=PALETTE)
            third.plot(np.arange(1, len(patches[name]) + 1), patches[name], linewidth=1)
            third.set_ylim(0, 1.02)
            third.set(xlabel="tokens of an image, at most", ylabel="share of its images")
    return figure


def _maps(results: Sequence[StudyResult]) -> Figure:
    shown = [result.pictures["maps"] for result in results]
    rows, columns = sum(p.count // p.columns for p in shown), max(p.columns for p in shown)
    figure = close_together(new_figure(1.25 * columns, 1.3 * rows))
    tiles = [tile for picture in shown for tile in picture.tiles()]
    for axes, tile in zip(figure.subplots(rows, columns, squeeze=False).flat, tiles, strict=True):
        show_tile(axes, tile)
    return figure


def _curves(results: Sequence[StudyResult]) -> Figure:
    figure = new_figure(9.0, 2.9 * len(results))
    grid = figure.subplots(len(results), len(KINDS), squeeze=False, sharey="row", sharex=True)
    for panels, result in zip(grid, results, strict=True):
        for axes, kind in zip(panels, KINDS, strict=True):
            for colour, (name, clean) in zip(PALETTE, _networks(result).items(), strict=False):
                cells = [clean, *(_under(clean, f"{kind} {strength}") for strength in STRENGTHS)]
                each = [list(by_seed(result, cell).values()) for cell in cells]
                axes.plot((0, *STRENGTHS), np.mean(each, 1), "o-", color=colour, markersize=4, label=name)
            axes.set_title(f"{which_run(result)}\n{kind}" if axes is panels[0] else f"\n{kind}")
            axes.set_xlabel("strength")
        panels[0].set_ylabel("top-1 accuracy, %")
    common_legend(figure, grid.flat)
    return figure


EXHIBIT = Exhibit(
    NAME, "What tokens choose (sweet spot, Figures 3, 4 and 7)", Parameters, run, tables, CLAIMS, printed_value,
    figures, place=17,
)  # fmt: skip
