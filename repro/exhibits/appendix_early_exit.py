"""Section 2.3: is the simple exit rule good enough? Others against it: confidence, entropy, margin, the gate's own,
learned ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from repro.analysis.crossfit import halves
from repro.analysis.exits import LEARNED, RULES, accuracies, area, chance, learned_rule, oracle, stakes
from repro.analysis.outputs import Outputs
from repro.families.single_gate.pairs import MEAN, PairParameters, means_over_pairs
from repro.families.single_gate.study import measured, measures, open_study, record
from repro.report.claim import AS_GOOD, Cell, Claim
from repro.report.curves import Curve, draw, each_seed, in_millions, mean
from repro.report.exhibit import Exhibit
from repro.report.numbers import gain, interval, where_run
from repro.report.plots import COLOURS, PALETTE, common_legend, panels
from repro.report.tables import Captioned, Columns, about, frame, means
from repro.report.verdict import difference
from repro.study.record import cost_row
from repro.study.results import Measurement, StudyResult, Table, evidence

NAME = "appendix_early_exit"
SHARES = tuple(i / 40 for i in range(41))
"""Shares of the images that exit; every second one is kept for the drawing."""


def run(parameters: PairParameters) -> StudyResult:
    """Compare exit rules and record it."""
    study = open_study(parameters)
    measurements: list[Measurement] = []
    table = Table(columns=["pair", "K", "rule", "seed", "share", "macs", "top1"], rows=[])
    for spec in study.specs:
        cost = spec.cost
        for rule, curve in curves(study.run(spec), spec.seed).items():
            values = {"area": area(SHARES, curve), "half": curve[len(SHARES) // 2]}
            measurements += measures(spec, rule, values, spec.pair)
            table.rows.extend(
                [spec.pair, spec.num_experts, rule, spec.seed, share, round(cost.macs - share * cost.expert_macs),
                 round(value, 3)]
                for share, value in zip(SHARES[::2], curve[::2], strict=True)
            )  # fmt: skip
        measurements.append(measured(spec, "backbone", curve[-1], row=spec.base, num_experts=0))
        measurements.append(measured(spec, "bagging", curve[0], row=spec.pair))
    measurements += list(means_over_pairs(measurements, parameters.pairs))
    costs = [cost_row(spec.cost, spec.pair) for spec in study.specs]
    return record(NAME, parameters, study, measurements, costs, {"curves": table}, parameters.varies())


def curves(outputs: Outputs, seed: int) -> dict[str, list[float]]:
    """Accuracy in percent at each of :data:`SHARES`, rule by rule; pure."""
    at_stake = stakes(outputs)
    parts = halves(len(outputs.labels), seed)
    scores = {name: rule(outputs) for name, rule in RULES.items()}
    scores |= {name: learned_rule(name, outputs, at_stake, parts, seed) for name in LEARNED}
    scores["oracle"] = oracle(at_stake)
    by_rule = {name: accuracies(score, at_stake, parts, SHARES) for name, score in scores.items()}
    return {**by_rule, "chance": chance(at_stake, SHARES)}


K = 20
LOOKS = {
    "oracle": ("oracle (ceiling)", "#000000", ":"),
    "paper": ("the paper's (Equation 2)", COLOURS["bagging"], "-"),
    "confidence": ("base confidence (Table 3)", PALETTE[0], "-"),
    "entropy": ("entropy of the base", PALETTE[5], "--"),
    "margin": ("margin of the base", PALETTE[3], "--"),
    "gate": ("the gate's own confidence", PALETTE[4], "-"),
    "logistic": ("learned: logistic regression", PALETTE[2], "-"),
    "boosting": ("learned: boosted trees", PALETTE[2], "--"),
    "chance": ("at random (floor)", PALETTE[6], ":"),
}
"""What a rule is called, and the colour and the line with which it is drawn."""


def _area(rule: str) -> Cell:
    return Cell(K, rule, MEAN, "area")


CLAIMS = (
    Claim("X1", "The simple threshold beats exits at random (mean accuracy over all shares of exits)",
          _area("paper"), _area("chance"), section="2.3"),
    *(
        Claim(f"X2/{rule}", f"A learned exit rule ({name}) does not help: the paper's is better",
              _area("paper"), _area(rule), section="2.3", settled_after=True)
        for rule, name in (("logistic", "logistic regression"), ("boosting", "boosted trees"))
    ),
    Claim("X3", "Half of the images can exit at little cost in accuracy",
          Cell(K, "paper", MEAN, "half"), Cell(K, "bagging", MEAN), AS_GOOD, section="2.3"),
)  # fmt: skip
"""Section 2.3, and the poster: "more complex (e.g., learned) early-exiting strategies did not help". Means of pairs."""


def models(result: StudyResult) -> list[tuple[str, int]]:
    """The pairs and numbers of experts that were run."""
    return list(dict.fromkeys((m.row, m.num_experts) for m in result.measurements if m.num_experts and m.row != MEAN))


def tables(result: StudyResult) -> dict[str, Captioned]:
    """``main``: each rule's two numbers, and its difference to the paper's rule."""
    cells = {
        f"{pair}, {k} experts: {name}": Cell(k, rule, pair, "area")
        for pair, k in models(result)
        for rule, (name, *_) in LOOKS.items()
    }
    gaps = [difference(result, cell, replace(cell, method="paper")) for cell in cells.values()]
    columns: Columns = {
        "mean over all shares of exits": means(result, list(cells.values())),
        "against the paper's rule": [gain(gap) for gap in gaps],
        "95 % interval": [interval(gap, sign=True) for gap in gaps],
        "where half exit": means(result, [replace(cell, metric="half") for cell in cells.values()]),
    }
    caption = (
        f"{about(result)}; top-1 accuracy on the {result.evaluate} set in percent, as the share of images that exit "
        "goes from none to all. Differences are taken seed by seed. Learned rules are fitted on one half of the images "
        "and used on the other. The paper prints no number of its other rules."
    )
    return {"main": Captioned(frame(columns, list(cells)), caption)}


def figures(results: Sequence[StudyResult]) -> dict[str, Figure]:
    """A row a result, first pair: accuracy over multiply-adds by rule, and against the paper's rule."""
    figure, grid = panels(evidence(results), _curves, _gaps, height=3.3)
    common_legend(figure, grid[:, 0], columns=3)
    return {"main": figure}


def _of_first(result: StudyResult, rule: str) -> list[Curve]:
    """The curves of a rule for the first pair, over millions of multiply-adds."""
    pair, k = models(result)[0]
    return in_millions(each_seed(result.tables["curves"].where(pair=pair, K=k, rule=rule), "macs", "top1"))


def _curves(axes: Axes, result: StudyResult) -> None:
    for rule, (name, shade, line) in LOOKS.items():
        if rule != "oracle":  # the means alone: the seeds' levels differ by more than the rules do
            draw(axes, [mean(_of_first(result, rule))], shade, name, linestyle=line, linewidth=1.8)
    axes.set_title(f"{where_run(result)}, {models(result)[0][0]}")
    axes.set(xlabel="multiply-adds an image, millions", ylabel=f"top-1 accuracy, % ({result.evaluate} set)")


def _gaps(axes: Axes, result: StudyResult) -> None:
    """Differences to the paper's rule, seed by seed at the same share of exits: the seeds' own level drops out."""
    paper = _of_first(result, "paper")
    for rule, (name, shade, line) in LOOKS.items():
        if rule not in ("oracle", "paper"):
            gaps = [
                Curve(mine.xs, [a - b for a, b in zip(mine.ys, theirs.ys, strict=True)])
                for mine, theirs in zip(_of_first(result, rule), paper, strict=True)
            ]
            draw(axes, gaps, shade, name, linestyle=line, linewidth=1.8)
    axes.axhline(0, color=COLOURS["bagging"], linewidth=1.8)
    axes.set_title("the same, against the paper's rule")
    axes.set(xlabel="multiply-adds an image, millions", ylabel="against the paper's rule, points")


EXHIBIT = Exhibit(NAME, "Appendix: other exit rules", PairParameters, run, tables, CLAIMS, figures=figures, place=12)
