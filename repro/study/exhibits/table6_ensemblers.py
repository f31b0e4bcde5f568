"""Table 6, which ensembler: none, two experts, stacking, bagging; and how well calibrated each of them is."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field
from torch import Tensor

from repro.method.calibration import fit_of, reliability
from repro.method.ensemblers import ENSEMBLERS, Stacking, stacking
from repro.method.outputs import Outputs, accuracy
from repro.study.lists import Pairs
from repro.study.pairs import PairParameters, means_over_pairs
from repro.study.pipeline import Study
from repro.study.record import cost_row, measured, open_study, record
from repro.study.results import Measurement, StudyResult, Table
from repro.study.spec import StudySpec

NAME = "table6_ensemblers"
START = "stacking-start"
"""The method's name in the record for stacking before its training."""


class Table6Parameters(PairParameters):
    """Pairs and numbers of experts, with stacking; and whose fit of the training images is measured."""

    training: Pairs = Field(
        ("tr10-tr10",), description="those of the pairs whose losses on the training images are taken too"
    )

    def spec(self, seed: int, pair: str) -> StudySpec:
        """The scale's spec of a pair, with stacking ensemblers."""
        return super().spec(seed, pair).with_(stacking=True)


def table6(parameters: Table6Parameters) -> StudyResult:
    """Run Table 6 and record it."""
    study = open_study(parameters)
    specs = study.specs
    measurements: list[Measurement] = []
    diagram = Table(columns=["pair", "K", "method", "seed", "bin", "count", "confidence", "accuracy"], rows=[])
    for spec in specs:
        for method, scores, labels in _ways(study, spec, study.run(spec)):
            alone = method == "backbone"
            row, k = (spec.base, 0) if alone else (spec.pair, spec.num_experts)
            found = reliability(scores, labels)
            for metric, value in (
                ("top1", accuracy(scores, labels)),
                ("ece", found.ece),
                ("overconfidence", found.overconfidence),
            ):
                measurements.append(measured(spec, method, value, metric, row, k))
            bins = zip(found.count.tolist(), found.confidence.tolist(), found.accuracy.tolist(), strict=True)
            diagram.rows.extend(
                [spec.pair, spec.num_experts, method, spec.seed, i, count, round(sure, 4), round(right, 4)]
                for i, (count, sure, right) in enumerate(bins)
                if count
            )
        if spec.pair in parameters.training:
            measurements += _training(study, spec)
    measurements += list(means_over_pairs(measurements, parameters.pairs))
    costs = [cost_row(study.cost(spec), spec.pair) for spec in specs]
    return record(NAME, parameters, study, measurements, costs, {"reliability": diagram}, parameters.varies())


def _ways(study: Study, spec: StudySpec, outputs: Outputs) -> Iterator[tuple[str, Tensor, Tensor]]:
    """Probabilities ``[N, C]`` of the base and of every ensembler, one at a time, with the labels ``[N]``."""
    yield "backbone", outputs.base_logits.softmax(-1), outputs.labels
    for method, ensemble in ENSEMBLERS.items():
        if method != "top-2" or spec.num_experts > 1:
            yield method, ensemble(outputs), outputs.labels
    yield "stacking", stacking(outputs, study.stackers(spec)), outputs.labels
    # Its start, the sum of two log-probabilities, counts the evidence that both share twice: how much of stacking's
    # confidence is this, and how much its training's?
    untrained = [Stacking(outputs.base_logits.shape[1])] * spec.num_experts
    yield START, stacking(outputs, untrained), outputs.labels


def _training(study: Study, spec: StudySpec) -> Iterator[Measurement]:
    """What base and selected expert say of the training images: the over-confidence that Section 2.2 speaks of."""
    losses = study.losses(spec)
    chosen = losses.gate_probs.argmax(1, keepdim=True)
    said = {"backbone": losses.base, "expert": losses.experts.gather(1, chosen)[:, 0]}
    for method, each in said.items():
        row, k = (spec.base, 0) if method == "backbone" else (spec.pair, spec.num_experts)
        loss, sure = fit_of(each)
        yield measured(spec, method, loss, "training-loss", row, k)
        yield measured(spec, method, sure, "training-sure", row, k)
