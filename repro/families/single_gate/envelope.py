"""What is measured of any-time models: thresholds chosen on one half of the images, the envelope, what skipping saves.

A curve over thresholds chooses nothing. Whatever is chosen (the threshold that meets a budget, the model of the
envelope) is chosen on one half of the evaluation images and reported on the other (:mod:`repro.analysis.crossfit`); of
a folder of images, on its validation part and reported on its test part.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from repro.analysis.anytime import THRESHOLDS, Answers, answers, bagged, sweep
from repro.analysis.crossfit import Points, chosen_on_test, halves, held_out, rules, within
from repro.analysis.outputs import Outputs, accuracy, percent
from repro.data.augment import Augmentation
from repro.families.single_gate.config import StudySpec
from repro.families.single_gate.predict import predict
from repro.families.single_gate.study import Study, measured, measures
from repro.models.cost import ModelCost
from repro.study.lists import in_a_ring
from repro.study.results import Measurement, Table

ENVELOPE = "envelope"
SLACK = 0.1
"""Points of accuracy that 'little loss' may lose on the images on which the threshold is chosen."""
SMALL = 0.01
"""A threshold at which whoever is unsure uses several experts; one for all models, fixed after a first look."""
BUDGETS = 60
COUNTED_IMAGES, COUNTED_AT = 64, (0.001, 0.05, 0.3)


class Model(NamedTuple):
    """What is kept of a trained model once its outputs have been read: small."""

    spec: StudySpec
    answers: Answers
    points: Points  # one a threshold; the last is the full mixture, one expert for every image

    @classmethod
    def of(cls, spec: StudySpec, answers: Answers) -> Model:
        """A model with its points on both halves of the images."""
        return cls(spec, answers, Points.of(answers, spec.cost, halves(len(answers.right), spec.seed)))

    @property
    def cost(self) -> ModelCost:
        """Of base, gate and experts."""
        return self.spec.cost


def plain(model: Model) -> Iterator[Measurement]:
    """The base alone, the full mixture, and the any-time model at :data:`SMALL`, the same for every model."""
    spec, right = model.spec, model.answers.right
    yield measured(spec, "backbone", percent(right[:, 0]), row=spec.base, num_experts=0)
    yield measured(spec, "bagging", percent(right[:, 1]), row=spec.pair)
    if spec.num_experts > 1:
        small = model.answers.right_with(model.answers.used(SMALL))
        yield measured(spec, "anytime-small", percent(small), row=spec.pair)


def chosen(model: Model) -> Iterator[Measurement]:
    """Thresholds chosen on one half and reported on the other, by what they are chosen for."""
    spec, points = model.spec, model.points
    plain = points.top1.shape[1] - 1
    full = points.whole(points.top1)[plain]
    for rule, choose in rules(plain, SLACK, model.cost.macs).items():
        held, method = held_out(points, choose), f"anytime-{rule}"
        if held is None:
            continue
        saved = 100 * (1 - held.macs / model.cost.macs)
        run = (held.macs - model.cost.base_macs - model.cost.gate_macs) / model.cost.expert_macs
        values = {"top1": held.top1, "change": held.top1 - float(full), "saved": saved, "experts": run}
        yield from measures(spec, method, values, spec.pair)


def two_networks(
    logits: dict[tuple[str, int], Tensor], labels: Tensor, models: dict[str, Model]
) -> Iterator[tuple[Measurement, float]]:
    """The poster's "1 expert", two whole networks, with its MACs: two of a kind are the bases of a seed and of the
    next one in a ring, two of different depths the bases of one seed.
    """
    seeds = sorted({seed for _, seed in logits})
    bases = list(models)
    for i, first in enumerate(bases):
        for second in bases[i:]:
            for seed, other in in_a_ring(seeds) if first == second else zip(seeds, seeds, strict=True):
                value = accuracy(bagged(logits[first, seed], logits[second, other]), labels)
                spec = models[first].spec.with_(seed=seed)
                macs = models[first].cost.base_macs + models[second].cost.base_macs
                yield measured(spec, "two networks", value, row=f"{first} + {second}", num_experts=0), float(macs)


def bars(models: list[Model]) -> dict[str, float]:
    """The budgets at which the envelope is held against something: every full mixture and every base.

    What has no gate may spend one's cost besides: it is less than a thousandth of a base, and without it the any-time
    model of the same base, or of base and expert, would be too dear for the place where it stands.
    """
    # A gate grows with the number of its experts: the largest comes last, and stays.
    by_gate = sorted(models, key=lambda model: model.cost.gate_macs)
    bars = {model.spec.base: float(model.cost.base_macs + model.cost.gate_macs) for model in by_gate}
    for model in models:
        one, gate = model.spec.num_experts == 1, by_gate[-1].cost.gate_macs
        bars[f"1 expert of {model.spec.pair}" if one else model.spec.pair] = float(model.cost.macs + one * gate)
    return bars


def envelope_at(models: list[Model], bars: dict[str, float]) -> Iterator[Measurement]:
    """The envelope at the budgets of :func:`bars`, chosen on the other half, and chosen on test."""
    joined = Points.joined([model.points for model in models])
    spec = models[0].spec.with_(num_experts=max(model.spec.num_experts for model in models))
    for name, budget in bars.items():
        for method, how in ((ENVELOPE, held_out), (f"{ENVELOPE}-on-test", chosen_on_test)):
            if held := how(joined, within(budget)):
                yield measured(spec, method, held.top1, row=f"at {name}")


def envelope(models: list[Model]) -> Iterator[list[str | int | float | None]]:
    """The envelope over models: at each budget the most accurate, chosen on the other half, and chosen on all."""
    joined = Points.joined([model.points for model in models])
    names = [model.spec.pair for model in models for _ in range(model.points.top1.shape[1])]
    start = float(joined.macs.min())
    end = max(model.cost.macs + 2 * model.cost.expert_macs for model in models)
    for step in range(BUDGETS):
        budget = start + (end - start) * step / (BUDGETS - 1)
        held, naive = held_out(joined, within(budget)), chosen_on_test(joined, within(budget))
        if held and naive:
            chosen = " / ".join(dict.fromkeys(names[i] for i in held.chosen))
            seed = models[0].spec.seed
            yield [seed, round(budget), round(held.macs), round(held.top1, 3), round(naive.top1, 3), chosen]


def sweeps(models: list[Model]) -> Table:
    """Every model at every threshold, all images."""
    columns = ["pair", "K", "seed", "tau", "macs", "top1", "exits", "experts_of_others"]
    rows: list[list[str | int | float | None]] = []
    for spec, answered, points in models:
        macs, swept = points.whole(points.macs), sweep(answered)
        rows += [
            [spec.pair, spec.num_experts, spec.seed, tau, round(float(macs[i])), round(swept.top1[i], 3),
             round(swept.exits[i], 3), round(swept.experts_of_others[i], 4)]
            for i, tau in enumerate(THRESHOLDS)
        ]  # fmt: skip
    return Table(columns=columns, rows=rows)


def counted(study: Study, spec: StudySpec, model: Model) -> Iterator[list[str | int | float | None]]:
    """The multiply-adds that a skipping forward really does, beside those expected, on the first images;
    and on how many of them it runs as many experts as the recorded outputs say (precision decides in near ties).
    """
    moe = study.moe(spec).to(study.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    source = study.sources.batches(spec, "evaluation", Augmentation())
    batch = next(iter(source.clean(COUNTED_IMAGES)))
    for tau in COUNTED_AT:
        with FlopCounterMode(display=False) as counter:
            used = predict(moe, batch.images, tau).experts_used
        expected, done = int(model.cost.anytime_macs(used).sum()), counter.get_total_flops() // 2
        same = int((used.cpu() == model.answers.used(tau)[: len(used)]).sum())
        yield [spec.pair, spec.num_experts, spec.seed, tau, len(batch.images), expected, done, same]


class Chosen(NamedTuple):
    """A threshold chosen on the validation images of a folder, and what it comes to on its test images.

    rule   ``no-loss``, ``same-cost`` or ``best``
    tau    the threshold of Equation 2; None: none does better than one expert for every image
    top1   accuracy in percent; ``macs`` of an image on average; ``exits`` in percent; ``experts`` an image runs
    """

    rule: str
    tau: float | None
    top1: float
    macs: float
    exits: float
    experts: float


def choices(spec: StudySpec, outputs: Outputs, slack: float) -> list[Chosen]:
    """What three rules choose on the validation images: the cheapest threshold that loses at most ``slack`` points
    against one expert for every image, the best that costs no more than that, and the best at any cost.
    """
    test = held_parts(spec)[1]
    ways, points = ways_of(spec, outputs)
    plain = len(ways) - 1
    chosen = []
    for rule, choose in rules(plain, slack, spec.cost.macs).items():
        i = choose(points.top1[0], points.macs[0])
        assert i is not None  # the full mixture is always among them
        used = ways[i][test]
        tau = None if i == plain else THRESHOLDS[i]
        exits, experts = percent(used == 0), float(used.double().mean())
        chosen.append(Chosen(rule, tau, float(points.top1[1, i]), float(points.macs[1, i]), exits, experts))
    return chosen


def held_parts(spec: StudySpec) -> tuple[Tensor, Tensor]:
    """Rows of the outputs of a folder: its validation images, and its test images."""
    assert spec.folder is not None
    rows = torch.arange(spec.folder.num_validation + spec.folder.num_test)
    return rows[: spec.folder.num_validation], rows[spec.folder.num_validation :]


def ways_of(spec: StudySpec, outputs: Outputs) -> tuple[list[Tensor], Points]:
    """How many experts each image runs ``[N]`` at each threshold, and last with one for every image; and the points
    that these make on validation and test images.
    """
    answered = answers(outputs)
    return answered.ways(), Points.of(answered, spec.cost, held_parts(spec))
