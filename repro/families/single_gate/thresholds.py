"""Thresholds of the any-time rule for a folder of images: chosen on its validation part, reported on its test part."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from repro.analysis.answers import THRESHOLDS, answers
from repro.analysis.crossfit import Points, rules
from repro.analysis.outputs import Outputs, percent
from repro.families.single_gate.config import StudySpec


class Chosen(NamedTuple):
    """A threshold chosen on the validation images, and what it comes to on the test images.

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
