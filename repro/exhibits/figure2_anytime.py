"""Figure 2 (Sections 2.3, 4.1): what does one threshold save? Each model's curve, and the envelope over models.

A curve over thresholds chooses nothing. Whatever is chosen (the threshold that meets a budget, the model of the
envelope) is chosen on one half of the evaluation images and reported on the other (:mod:`repro.analysis.crossfit`).

That a threshold saves multiply-adds proves nothing: whoever may choose among thresholds and finds none may choose the
full mixture, and experts that are copies of their base can be left out at will. So exits at little loss are held
against exits at random, and against plain networks, that cost as much.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import eq

import numpy as np
from pydantic import Field
from torch import Tensor

from repro.analysis.anytime import answers
from repro.families.single_gate import envelope as anytime
from repro.families.single_gate.config import StudySpec
from repro.families.single_gate.controls import (
    EQUAL_INFERENCE,
    EQUAL_TRAINING,
    ControlledParameters,
    of_controls,
    plain_cost,
)
from repro.families.single_gate.envelope import ENVELOPE, SLACK
from repro.families.single_gate.pairs import MEAN, PairParameters, means_over_pairs
from repro.families.single_gate.study import open_study, record
from repro.report.anytime_figures import IMAGES, anytime_at, figures, marker, paper_macs
from repro.report.claim import AS_GOOD, Cell, Claim, equal_training, with_controls
from repro.report.exact_costs import BACKBONES
from repro.report.exhibit import Exhibit
from repro.report.numbers import so_many
from repro.report.printed import PrintedValue, mean_printed, printed
from repro.report.tables import A_RING, Captioned, about, comparison, frame, metric_columns
from repro.report.verdict import by_seed, summary_of
from repro.study.lists import Pairs
from repro.study.record import cost_row
from repro.study.results import Measurement, StudyResult, Table

NAME = "figure2_anytime"
K = 20
NO_LOSS = "anytime-no-loss"


class Parameters(PairParameters, ControlledParameters):
    """Pairs and numbers of experts, their controls, and where the one-expert baseline is trained as well."""

    baselines: Pairs = Field(("tr10-tr10",), description="those of the pairs whose one-expert baseline is trained too")

    def specs(self) -> list[StudySpec]:
        """Every seed, pair and number of experts; then the one-expert baselines."""
        alone = [self.spec(seed, pair) for seed in self.seeds for pair in self.baselines if pair in self.pairs]
        several = super().specs()
        return [*several, *(spec for spec in alone if spec not in several)]


def run(parameters: Parameters) -> StudyResult:
    """Run Figure 2 and record it."""
    study = open_study(parameters)
    measurements: list[Measurement] = []
    counted = Table(columns=["pair", "K", "seed", "tau", "images", "expected", "counted", "same_experts"], rows=[])
    models: list[anytime.Model] = []
    base_logits: dict[tuple[str, int], Tensor] = {}
    for spec in parameters.specs():
        outputs = study.run(spec)  # up to 170 MB: one at a time, and only what is small is kept
        base_logits[spec.base, spec.seed] = outputs.base_logits
        models.append(anytime.Model.of(spec, answers(outputs)))
        counted.rows.extend(anytime.counted(study, spec, models[-1]))
    labels = outputs.labels
    several = [model for model in models if model.spec.num_experts in parameters.experts]
    for model in models:
        measurements += anytime.plain(model)
    for model in several:
        measurements += anytime.chosen(model)
    rivals = list(anytime.two_networks(base_logits, labels, {m.spec.base: m for m in models}))
    measurements += [measurement for measurement, _ in rivals]
    envelope = Table(columns=["seed", "budget", "macs", "top1", "top1_on_test", "model"], rows=[])
    for seed in parameters.seeds:
        of_seed = [m for m in several if m.spec.seed == seed]
        bars = anytime.bars([m for m in models if m.spec.seed == seed])
        bars |= {measurement.row: macs for measurement, macs in rivals if measurement.seed == seed}
        measurements += anytime.envelope_at(of_seed, bars)
        envelope.rows.extend(anytime.envelope(of_seed))
    tables = {"sweep": anytime.sweeps(several), "envelope": envelope, "counted": counted}
    measurements += of_controls(parameters, study)
    measurements += list(means_over_pairs(measurements, parameters.pairs))
    costs = [cost_row(model.cost, model.spec.pair) for model in models]
    costs += [cost_row(model.cost.without_experts(), model.spec.base) for model in models]
    costs += [
        cost_row(plain_cost(control), f"{method} of {spec.pair}")
        for spec in parameters.specs()
        for method, control in parameters.controls_of(spec).items()
    ]
    return record(NAME, parameters, study, measurements, costs, tables, parameters.varies())


def pairs(result: StudyResult) -> list[str]:
    """The pairs whose any-time curves were recorded."""
    return list(dict.fromkeys(result.tables["sweep"].column("pair"))) if "sweep" in result.tables else []


def over_chance(result: StudyResult) -> dict[int, float]:
    """``{seed: points}`` above as many exits at random: these lie on the line from the base to the full mixture."""

    def at_random(pair: str, seed: int) -> float:
        base, plain = _value(result, Cell(0, row=pair.partition("-")[0]), seed), _value(result, Cell(K, row=pair), seed)
        runs = _value(result, Cell(K, NO_LOSS, pair, "experts"), seed)
        return base + min(runs, 1.0) * (plain - base)

    return _above(result, at_random)


def plain_networks(result: StudyResult) -> dict[Cell, int]:
    """Multiply-adds of the plain networks trained as a base is: backbones, and what costs as much as a pair."""
    macs = {}
    for cost in (cost for cost in result.costs if not cost.num_experts):
        method, _, pair = cost.row.partition(" of ")
        cell = Cell(1, EQUAL_INFERENCE, pair) if method == EQUAL_INFERENCE else Cell(0, row=cost.row)
        if by_seed(result, cell):
            macs[cell] = cost.macs
    return macs


def over_plain_networks(result: StudyResult) -> dict[int, float]:
    """``{seed: points}`` above the line between the two plain networks around the cost; above the costliest, that.

    The line is over the logarithm of the cost: one over the cost itself runs below networks of widths in between, and
    would favour the mixture. One network alone makes no line.
    """
    macs = plain_networks(result)
    cells = sorted(macs, key=lambda cell: macs[cell])
    whole = {cost.row: cost.macs for cost in result.costs if cost.num_experts == K}

    def on_the_line(pair: str, seed: int) -> float:
        cost = whole.get(pair, np.nan) * (1 - _value(result, Cell(K, NO_LOSS, pair, "saved"), seed) / 100)
        at, top1 = np.log([macs[cell] for cell in cells]), [_value(result, cell, seed) for cell in cells]
        return float(np.interp(np.log(cost), at, top1, left=np.nan)) if len(cells) > 1 else np.nan

    return _above(result, on_the_line)


def several_pairs(result: StudyResult) -> dict[int, float]:
    """``{seed: how many pairs have a curve}``: the envelope of one model is its curve."""
    return dict.fromkeys(result.seeds, float(len(pairs(result))))


def _above(result: StudyResult, rival: Callable[[str, int], float]) -> dict[int, float]:
    """Top-1 at little loss minus a rival's, the mean over the pairs that have one, by seed."""
    points = {}
    for seed in result.seeds:
        gaps = [_value(result, Cell(K, NO_LOSS, pair), seed) - rival(pair, seed) for pair in pairs(result)]
        if known := [gap for gap in gaps if not np.isnan(gap)]:
            points[seed] = sum(known) / len(known)
    return points


def _value(result: StudyResult, cell: Cell, seed: int) -> float:
    return by_seed(result, cell).get(seed, np.nan)


PLAIN = Cell(K, row=MEAN)
LONGER, OF_TR10 = equal_training(K, MEAN), equal_training(K, "tr10-tr10")

CLAIMS = (
    Claim("F1", "Exits by the threshold beat exits at random that cost as much (the cheapest threshold that loses at "
          f"most {SLACK:g} points, chosen on other images)", over_chance, section="2.3", settled_after=True),
    Claim("F1/plain", "... and beat plain networks that cost as much (between the two recorded ones around it, over "
          "the logarithm of the cost; beyond all, the costliest)", over_plain_networks, section="2.3",
          controls=(LONGER,), settled_after=True),
    Claim("F1/equal-training", f"... and beat {LONGER.label}", Cell(K, NO_LOSS, MEAN), LONGER.cell, section="2.3",
          settled_after=True, paired=False),
    Claim("F2", "... and are as good as one expert for every image",
          Cell(K, NO_LOSS, MEAN), PLAIN, AS_GOOD, section="4.1"),
    Claim("F3", "At the cost of one expert for every image, the threshold does better than that",
          Cell(K, "anytime-same-cost", MEAN), PLAIN, section="4.1"),
    Claim("F4", "A small threshold (0.01), with several experts where base and gate are unsure, beats the top-1 expert",
          Cell(K, "anytime-small", MEAN), PLAIN, section="2.3", settled_after=True),
    Claim("F5", "The envelope lies above the mixtures with one expert for every image, at their cost",
          Cell(K, ENVELOPE, MEAN), PLAIN, section="4.1", premise=(several_pairs, 2)),
    *with_controls((
        Claim("F6", "At the cost of tr18 the envelope lies above it", Cell(K, ENVELOPE, "at tr18"),
              Cell(0, row="tr18"), section="4.1", controls=(equal_training(K, "tr18-tr18"),),
              premise=(several_pairs, 2), settled_after=True),
        Claim("F7", "At the cost of one expert of tr10-tr10 (shared trunk) the envelope lies above it",
              Cell(K, ENVELOPE, "at 1 expert of tr10-tr10"), Cell(1, row="tr10-tr10"), section="4.1",
              controls=(OF_TR10,)),
        Claim("F8", "At the cost of two whole tr10 the envelope lies above the poster's one-expert baseline",
              Cell(K, ENVELOPE, "at tr10 + tr10"), Cell(0, "two networks", "tr10 + tr10"), section="4.1",
              controls=(OF_TR10,)),
    )),
)  # fmt: skip
"""What Sections 2.3 and 4.1 say of Figure 2. Averages are over the pairs that were run.

In F3 and F5 one expert for every image is among the candidates: what is chosen on one half of the images is then judged
on the other, where it may be worse. F5 and F6 speak of several models: of one, the envelope is its curve, and F5 is F3;
at the cost of its base it is that base, and F6 is zero.
"""


def printed_value(result: StudyResult, cell: Cell) -> PrintedValue | None:
    """The paper's number: Table 1's for backbones and pairs, the digitised figure's for everything else."""
    data, method = result.dataset, cell.measured_as
    if data not in IMAGES or cell.metric != "top1":
        return None
    if cell.row == MEAN:
        rows = [f"at {pair}" if method == ENVELOPE else pair for pair in pairs(result)]
        return mean_printed([printed_value(result, Cell(cell.num_experts, method, row)) for row in rows])
    if method == "bagging" and cell.num_experts == K:
        base, expert = cell.row.split("-")
        return printed(1, data, base, expert, K, "bagging", "top1")
    macs = _paper_macs(data, cell.row.removeprefix("at "))
    if macs is None:
        return None
    if method == ENVELOPE:
        return anytime_at(data, macs)
    kind = {"backbone": "backbone", "two networks": "one_expert"}.get(method)
    return marker(data, kind, macs) if kind else None


def _paper_macs(data: str, name: str) -> int | None:
    """Cost at the paper's width of ``tr18``, ``tr10-tr18`` or ``tr10 + tr18``; the paper draws nothing else."""
    parts = name.replace(" + ", "-").split("-")
    if not set(parts) <= set(BACKBONES):
        return None
    return sum(paper_macs(data, part) for part in parts) if " + " in name else paper_macs(data, *parts)


def tables(result: StudyResult) -> dict[str, Captioned]:
    """``main``: backbones, pairs, curves and envelope, paper beside ours; ``chosen``."""
    caption = (
        f"{about(result)}; top-1 accuracy on the {result.evaluate} set in percent. Thresholds (and the envelope's "
        "model) are chosen on one half of the images and reported on the other, and the other way round. The paper's "
        "numbers: Table 1 for backbones and pairs, else the digitised figure; its envelope is over five pairs, at full "
        "width. At a backbone's cost the envelope may spend what a gate costs besides. Two whole networks of a depth "
        f"are the bases of two seeds, {A_RING}."
    )
    cells = _cells(result)
    envelope = [cell for cell in cells.values() if cell.method == ENVELOPE]
    main = Captioned(comparison(result, cells, printed_value, same_model=True, other_models=envelope), caption)
    return {"main": main, "chosen": _chosen(result)}


def _cells(result: StudyResult) -> dict[str, Cell]:
    """Accuracies of the record by name: the models, then the envelope where claims and rivals of its cost stand."""
    first = next(iter(pairs(result)), "").partition("-")[0]
    at = {f"at {name}" for name in ("tr18", "1 expert of tr10-tr10", f"{first} + {first}", *pairs(result))}
    names = {
        "backbone": "{row} alone",
        "bagging": "{row}, {experts}",
        EQUAL_TRAINING: "{row}: its base, trained as long as with {experts}",
        EQUAL_INFERENCE: "{row}: a plain network of its cost",
        "two networks": "{row}, two whole networks",
        "anytime-small": "{row}, any-time, τ = 0.01",
        ENVELOPE: "envelope, {row}",
    }
    return {
        name.format(row=m.row, experts=so_many(m.num_experts, "expert")): Cell.of(m)
        for method, name in names.items()
        for m in result.measurements
        if (m.method, m.metric) == (method, "top1") and m.row != MEAN and (method != ENVELOPE or m.row in at)
    }


def _chosen(result: StudyResult) -> Captioned:
    """What each choice of a threshold saves and costs, pair by pair."""
    rules = {"anytime-no-loss": "little loss", "anytime-same-cost": "same cost", "anytime-best": "most accurate"}
    cells = {
        f"{pair}, {k} experts: {label}": cell
        for pair in [*pairs(result), *[MEAN] * (len(pairs(result)) > 1)]
        for k in result.numbers_of_experts()
        for method, label in rules.items()
        if summary_of(result, cell := Cell(k, method, pair, "saved"))
    }
    metrics = {
        "top-1": ("top1", 2), "against one expert for every image, points": ("change", 2),
        "MACs saved, %": ("saved", 2), "experts an image": ("experts", 2),
    }  # fmt: skip
    caption = (
        f"{about(result, models=False)}: thresholds chosen on the other half of the images for three ends. Little "
        f"loss: the cheapest within {SLACK:g} points of one expert for every image on the half where it is chosen; "
        "same cost: the most accurate that costs no more than that; most accurate: at any cost."
    )
    return Captioned(frame(metric_columns(result, list(cells.values()), metrics), list(cells)), caption)


def advice(result: StudyResult) -> str:
    """What choosing on the reported images would add, and whether a forward that skips costs what is expected."""
    table, counted = result.tables["envelope"], result.tables["counted"]
    same = sum(map(eq, counted.column("expected"), counted.column("counted")))
    gaps = np.subtract(table.column("top1_on_test"), table.column("top1"))
    return (
        "Chosen on the images that it is reported on, the envelope would look "
        f"{gaps.mean():.2f} points better on average, and {gaps.max():.2f} at most. "
        f"In {same} of {len(counted.rows)} batches torch's counter, around a forward that really skips, finds the "
        "multiply-adds that were expected."
    )


EXHIBIT = Exhibit(
    NAME, "Figure 2: accuracy against MACs", Parameters, run, tables, CLAIMS, printed_value, figures, advice=advice,
    place=3,
)  # fmt: skip
