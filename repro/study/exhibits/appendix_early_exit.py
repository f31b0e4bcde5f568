"""Other rules for exiting early, against the paper's: confidence, entropy, margin, the gate's own, learned ones."""

from __future__ import annotations

from repro.method.crossfit import halves
from repro.method.exits import LEARNED, RULES, accuracies, area, chance, learned_rule, oracle, stakes
from repro.method.outputs import Outputs
from repro.study.pairs import PairParameters, means_over_pairs
from repro.study.record import cost_row, measured, open_study, record
from repro.study.results import Measurement, StudyResult, Table

NAME = "appendix_early_exit"
SHARES = tuple(i / 40 for i in range(41))
"""Shares of the images that exit; every second one is kept for the drawing."""


def early_exit(parameters: PairParameters) -> StudyResult:
    """Compare exit rules and record it."""
    study = open_study(parameters)
    specs = study.specs
    measurements: list[Measurement] = []
    table = Table(columns=["pair", "K", "rule", "seed", "share", "macs", "top1"], rows=[])
    for spec in specs:
        cost = study.cost(spec)
        for rule, curve in curves(study.run(spec), spec.seed).items():
            values = {"area": area(SHARES, curve), "half": curve[len(SHARES) // 2]}
            measurements += [measured(spec, rule, value, metric, spec.pair) for metric, value in values.items()]
            table.rows.extend(
                [spec.pair, spec.num_experts, rule, spec.seed, share, round(cost.macs - share * cost.expert_macs),
                 round(value, 3)]
                for share, value in zip(SHARES[::2], curve[::2], strict=True)
            )  # fmt: skip
        measurements.append(measured(spec, "backbone", curve[-1], row=spec.base, num_experts=0))
        measurements.append(measured(spec, "bagging", curve[0], row=spec.pair))
    measurements += list(means_over_pairs(measurements, parameters.pairs))
    costs = [cost_row(study.cost(spec), spec.pair) for spec in specs]
    return record(NAME, parameters, study, measurements, costs, {"curves": table}, parameters.varies())


def curves(outputs: Outputs, seed: int) -> dict[str, list[float]]:
    """Accuracy in percent at each of :data:`SHARES`, rule by rule; pure."""
    at_stake = stakes(outputs)
    parts = halves(len(outputs.labels), seed)
    scores = {name: rule(outputs) for name, rule in RULES.items()}
    scores |= {name: learned_rule(name, outputs, at_stake, parts, seed) for name in LEARNED}
    scores["oracle"] = oracle(at_stake)
    found = {name: accuracies(score, at_stake, parts, SHARES) for name, score in scores.items()}
    return {**found, "chance": chance(at_stake, SHARES)}
