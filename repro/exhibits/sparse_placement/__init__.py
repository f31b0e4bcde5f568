"""Where the mixtures go, and when they pay (sweet-spot paper's Tables 3 to 5 and 10, Figure 2, claims V1 to V5, V9).

ConvNeXts or ViTs, dense and sparse, of equal active multiply-adds but for the gates, trained for equally many epochs;
beside them a dense network of as many parameters as Last 2 has in all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from repro.exhibits.sparse_placement.run import (
    EQUAL_PARAMETERS,
    EXPERTS,
    HALF,
    MIXED,
    NAME,
    PLACEMENTS,
    QUARTER,
    TWICE,
    Parameters,
    cell,
    gain_cell,
    run,
)
from repro.report.claim import CHANGES_LITTLE, Cell, Claim, Control, with_controls
from repro.report.exhibit import Exhibit
from repro.report.numbers import NONE, effect, millions, so_many, which_run
from repro.report.plots import PALETTE, mark, panels
from repro.report.printed import PrintedValue, rows_of, sweetspot_rows
from repro.report.statistics import Summary
from repro.report.tables import Captioned, Columns, about, comparison, frame, frame_of_rows, means, metric_columns
from repro.report.verdict import by_seed, difference
from repro.study.record import TRAINED
from repro.study.results import StudyResult

PAPERS = {"convnext": "convnext-s-iso", "vit": "vit-s"}
"""The network of Tables 3 and 10 (ViT's also of Table 4) that stands beside ours.

Of the ConvNeXts the isotropic one: like ours, its mixtures cost what the dense network does, where ConvNeXt-T's on
ImageNet-1k have half the hidden channels. It has no stages: its Last 2 are the last two of every second block. ViT-S's
mixtures cost more than the dense network.
"""
FEW = 6
"""So many rows fit beside one another; names of more are steeper, and have more room."""
WHILE_TRAINING = (
    "While training: accuracy in the last epoch on the training images, augmented and mixed as the recipe says, with "
    "noise, dropped tokens and drop path on; of the seeds of which it was recorded."
)


def _without_mixing(result: StudyResult) -> dict[int, float]:
    """1 where the scale's recipe mixes no images; gpu's does, so that V9's two recipes differ by drop path alone."""
    recipe = result.spec.get("recipe", {})
    return dict.fromkeys(result.seeds, float(not (recipe.get("mixup") or recipe.get("cutmix"))))


def _claims(body: str, name: str) -> Iterator[Claim]:
    last_2, every_2 = cell(body, "last-2"), cell(body, "every-2")
    dense = Control("equal-parameters", "a dense network of as many parameters", cell(body, EQUAL_PARAMETERS))
    claim = partial(Claim, paired=False)
    yield claim(f"V1/{body}", f"{name} with Last 2 beats the dense one", last_2, cell(body, "none"), controls=(dense,),
                section="Table 3")  # fmt: skip
    sweet_spot, less_regularised = gain_cell(body, "sweet spot"), gain_cell(body, "less regularised")
    yield Claim(f"V2/{body}", f"{name}: Last 2 gains more at half the width than at twice the width", sweet_spot,
                section="Figure 2")  # fmt: skip
    if body == "convnext":
        yield claim(f"V3/{body}", f"{name}: Last 2 beats Every 2", last_2, every_2, section="Table 3")
    else:
        yield claim(f"V3/{body}", f"{name}: Every 2 beats Last 2", every_2, last_2, section="Table 3")
    yield claim(f"V4/{body}", f"{name} with Last 2: 8 experts beat 16", last_2, cell(body, "last-2, 16 experts"),
                section="Table 4")  # fmt: skip
    text = f"{name} with Last 2: 16 experts gain more over 4 on all images than on a quarter of them"
    yield Claim(f"V4/{body}/images", text, gain_cell(body, "more images"), section="Tables 4 and 6")
    for gate in ("cos", "l2"):
        other, text = cell(body, f"last-2, {gate} gate"), f"{name} with Last 2: a {gate} gate changes little"
        yield claim(f"V5/{body}/{gate}", text, last_2, other, CHANGES_LITTLE, section="Table 10")
    text = f"{name}: Last 2 gains more without mixup, CutMix and drop path than with them"
    yield Claim(f"V9/{body}", text, less_regularised, premise=(_without_mixing, 1.0), section="Table 13")


CLAIMS = with_controls(
    claim for body, name in (("convnext", "ConvNeXt"), ("vit", "ViT")) for claim in _claims(body, name)
)
"""Of Last 2 with 8 experts; dense and sparse networks have equal active MACs but for the gates' here."""


def body_of(result: StudyResult) -> str:
    """``convnext`` or ``vit``."""
    return result.rows()[0].partition(" ")[0]


def networks_of(result: StudyResult) -> dict[str, Cell]:
    """The rows of a result, in the order in which they were run, with the cells of their top-1."""
    return {m.row.partition(" ")[2]: Cell.of(m) for m in result.measurements if m.metric == "top1"}


def label_of(row: str) -> str:
    """How readers call a row: ``Last 2, cos gate``."""
    placement, comma, change = row.partition(", ")
    return PLACEMENTS[placement] + comma + change


def printed_value(result: StudyResult, asked: Cell) -> PrintedValue | None:
    """Top-1 of Table 3, of Table 4 for other numbers of experts, of Table 10 for other gates (ImageNet-1k, percent)."""
    body, _, row = asked.row.partition(" ")
    placement, _, change = row.partition(", ")
    if asked != cell(body, row) or body not in PAPERS:  # mixtures have 8 experts unless the row says otherwise
        return None
    wanted = ("4" if change else "3", PAPERS[body], placement, asked.num_experts or EXPERTS)
    of_gate = {r["gate"]: float(r["in1k"]) for r in rows_of("sweetspot2024_table10") if r["model"] == PAPERS[body]}
    of_row: dict[tuple[str, str, str, int], float] = {
        (r.table, r.config.network, r.config.placement, r.config.num_experts): r.top1 for r in sweetspot_rows()[::-1]
    }
    plain = not change or change.endswith(" experts")
    top1 = of_row.get(wanted) if plain else of_gate.get(change.removesuffix(" gate"))
    return None if top1 is None else PrintedValue(top1, None, 1, f"{top1:.1f}")


def tables(result: StudyResult) -> dict[str, Captioned]:
    """``main``: top-1 of each network beside the paper's; ``costs``; ``routing``: what the mixtures do."""
    known = networks_of(result)
    cells = {label_of(row): cell for row, cell in known.items()}
    caption = (
        f"{about(result)}; top-1 accuracy on the {result.evaluate} set in percent. The paper's column is "
        f"{PAPERS[body_of(result)]} of Table 3 (a ViT with other numbers of experts: Table 4; gates: Table 10) on "
        "ImageNet-1k. Ours are trained for equally many epochs; with mixtures or without, those of one width have "
        "equal active multiply-adds but for the gates; so have the paper's isotropic ConvNeXts, whose Last 2 are the "
        "last two of every second block, and its ViTs have not."
    )
    if any(row.endswith(QUARTER) for row in known):
        caption += " On a quarter of the images they are trained for four times the epochs."
    theirs = result.base == "convnext-s-iso at width 1"  # a ViT's experts are half as wide here
    table = comparison(result, cells, printed_value, same_model=theirs)
    if fewer := _seeds(result, list(known.values())):
        over = [effect(_over_dense(result, known, row)) for row in known]
        table = table.assign(**fewer, **{"over dense, same seeds": over})
        caption += " Not all rows are of all seeds, whose means lie apart: compare a row on its own seeds alone."
    trained = means(result, [replace(cell, metric=TRAINED) for cell in known.values()])
    if any(text != NONE for text in trained):
        table, caption = table.assign(**{"while training": trained}), f"{caption} {WHILE_TRAINING}"
    return {"main": Captioned(table, caption), "costs": _costs(result, known), "routing": _routing(result)}


def _seeds(result: StudyResult, cells: Sequence[Cell]) -> Columns:
    """A column with the seeds of each cell, where they are not the same for all."""
    seeds = [", ".join(map(str, by_seed(result, cell))) for cell in cells]
    return {"seeds": seeds} if len(set(seeds)) > 1 else {}


def _over_dense(result: StudyResult, known: Mapping[str, Cell], row: str) -> Summary | None:
    """A row less the dense network of its width, recipe and images, on the seeds that have both; if there is one."""
    less = f"none, {row.partition(', ')[2]}" if row.endswith((HALF, TWICE, QUARTER, *MIXED)) else "none"
    return difference(result, known[row], known[less], paired=False) if less in known and less != row else None


def _costs(result: StudyResult, known: Mapping[str, Cell]) -> Captioned:
    costs = {cost.row: cost for cost in result.costs}
    rows = {}
    for row, network_cell in known.items():
        cost = costs[network_cell.row]
        rows[label_of(row)] = {
            "MACs": millions(cost.macs, 2),
            "routed, %": means(result, [replace(network_cell, metric="routed")], 0)[0].partition(" ")[0],
            "active parameters": millions(cost.params_inference, 3),
            "parameters": millions(cost.params_trainable, 3),
        }
    caption = f"{about(result, models=False)}; the cost of an image, counted: the same wherever its tokens go."
    return Captioned(frame_of_rows(rows), caption)


def _routing(result: StudyResult) -> Captioned:
    cells = list(dict.fromkeys(Cell.of(m) for m in result.measurements if m.metric == "largest"))
    metrics = {
        "experts an image": ("experts", 2), "largest expert": ("largest", 2), "smallest expert": ("smallest", 2),
        "choice explained by class": ("information", 2),
    }  # fmt: skip
    caption = (
        f"{about(result, models=False)}; each mixture, first layer first, on the {result.evaluate} set: experts with a "
        "token of an image; tokens of the largest and smallest expert in equal shares (1 is even); mutual information "
        "of class and expert over the entropy of the experts (0 to 1)."
    )
    labels = [label_of(cell.row.partition(" ")[2]) for cell in cells]
    columns = metric_columns(result, cells, metrics) | _seeds(result, cells)
    return Captioned(frame(columns, labels), caption)


def figures(results: Sequence[StudyResult]) -> dict[str, Figure]:
    """``main``: top-1 of each network; ``widths``: what Last 2 gains over multiply-adds, the sweet spot itself.

    A row of panels a result, ours left, the paper's right, each with an axis of its own.
    """
    height = 3.4 if max(len(networks_of(result)) for result in results) <= FEW else 5.0
    return {
        "main": panels(results, partial(_panel, False), partial(_panel, True), height=height)[0],
        "widths": panels(results, _our_gains, _papers_gains, height=2.6)[0],
    }


def _our_gains(axes: Axes, result: StudyResult) -> None:
    """Last 2 less the dense network at each width that was run with both."""
    known, costs, points = networks_of(result), {cost.row: cost.macs for cost in result.costs}, {}
    for width in (HALF, "", TWICE):
        if {"none" + width, "last-2" + width} <= known.keys():
            less, more = (known[row + width] for row in ("none", "last-2"))
            if gain := difference(result, more, less, paired=False):
                points[costs[less.row] / 1e6] = gain
    for macs, gain in points.items():
        mark(axes, macs, gain, "o", PALETTE[0], interval=True)
    axes.plot(list(points), [gain.mean for gain in points.values()], color=PALETTE[0], alpha=0.5)
    axes.set_title(f"{which_run(result)}\n{result.base.partition(' at width ')[0]}, Last 2")
    _over_macs(axes, list(points), "10⁶")
    axes.set_ylabel("gain, points of top-1")


def _papers_gains(axes: Axes, result: StudyResult) -> None:
    """Table 2's, over what its dense networks are printed to cost."""
    rows = [row for row in sweetspot_rows() if row.table == "2" and row.config.shape.body == body_of(result)]
    dense = {row.model: row for row in rows if row.config.placement == "none"}
    sparse = [row for row in rows if row.config.placement != "none"]
    macs, gains = [dense[r.model].macs or 0 for r in sparse], [r.top1 - dense[r.model].top1 for r in sparse]
    axes.plot(macs, gains, "D-", color=PALETTE[6], markerfacecolor="white")
    axes.set_title(f"the paper: ImageNet-21k\n{body_of(result)}, {label_of(sparse[0].config.placement)}")
    _over_macs(axes, macs, "10⁹")


def _over_macs(axes: Axes, macs: Sequence[float], unit: str) -> None:
    axes.axhline(0, color=PALETTE[6], linewidth=0.8)
    axes.set(xlabel=f"multiply-adds of the dense network, {unit}", xscale="log")
    axes.set_xticks(macs, [f"{each:.3g}" for each in macs])
    axes.set_xticks([], minor=True)
    axes.margins(0.15)


def _panel(paper: bool, axes: Axes, result: StudyResult) -> None:
    known = networks_of(result)
    labels, most = list(map(label_of, known)), len(result.seeds)
    for place, network_cell in enumerate(known.values()):
        each, value = list(by_seed(result, network_cell).values()), printed_value(result, network_cell)
        if paper and value:
            axes.plot([place], [value.value], "D", color=PALETTE[6], markerfacecolor="white")
        elif not paper:
            axes.plot([place] * len(each), each, ".", color=PALETTE[0], alpha=0.5)
            face = PALETTE[0] if len(each) == most else "white"
            axes.plot([place], [sum(each) / len(each)], "o", color=PALETTE[0], markerfacecolor=face)
            labels[place] += "" if len(each) == most else f" ({so_many(len(each))})"
            axes.set_ylabel(f"top-1 accuracy, % ({result.evaluate} set)")
    ours = f"{which_run(result)}\n{result.base}"
    axes.set_title(f"the paper: ImageNet-1k\n{PAPERS[body_of(result)]}" if paper else ours)
    axes.set_xticks(
        range(len(known)), labels, rotation=30 if len(known) <= FEW else 60, ha="right", rotation_mode="anchor"
    )
    axes.set_xlim(-0.5, len(known) - 0.5)


EXHIBIT = Exhibit(
    NAME, "Where the mixtures go (sweet spot, Tables 3 to 5)", Parameters, run, tables, CLAIMS, printed_value, figures,
    place=16,
)  # fmt: skip
