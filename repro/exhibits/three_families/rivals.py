"""What a mixture is held against: the plain networks of its body."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil

import numpy as np
from torch import Tensor

from repro.analysis.anytime import bagged
from repro.analysis.outputs import accuracy
from repro.exhibits.three_families.asked import ThreeFamiliesParameters
from repro.exhibits.three_families.bodies import Asked, Body, Model, Point
from repro.exhibits.three_families.families import PARTNER
from repro.report.claim import Cell
from repro.study.runner import Runner


def _ask(runner: Runner, model: Model) -> Mapping[str, Tensor]:
    """The predictions of a model; trained first where they do not stand."""
    runner.run(model.goal.steps)
    return runner.load(model.goal.steps[0]).tensors


def cell(family: str, budget: str, method: str = "mixture", metric: str = "top1") -> Cell:
    """Where the record holds a number of a family at a budget, or of what it is held against."""
    return Cell(0, method, f"{family}, {budget}", metric)


class Rivals:
    """The plain networks of a body and a seed: the curve, and whatever else a mixture is held against."""

    def __init__(self, parameters: ThreeFamiliesParameters, runner: Runner, body: Body, asked: Asked, rate: float):
        self.body, self.asked, self.rate, self._runner = body, asked, rate, runner
        widths = parameters.widths(body, asked)
        self.curve = [self._plain(width) for width in widths]

    def _plain(self, width: float, epochs: int | None = None) -> tuple[Model, Point]:
        model = self.body.make(self.asked, width, epochs, self.rate)
        return model, model.points(_ask(self._runner, model))[0]

    def at(self, price: float, prices: Sequence[float] = ()) -> float | None:
        """Top-1 of the curve at some MACs, straight between its networks over log MACs; None beyond its ends.

        ``prices`` are what else its networks cost, the narrowest first; a wider one counts as no cheaper.
        """
        x = np.maximum.accumulate(np.log(prices or [point.macs for _, point in self.curve]))
        inside = x[0] <= np.log(price) <= x[-1]
        return float(np.interp(np.log(price), x, [point.top1 for _, point in self.curve])) if inside else None

    def as_long(self, macs: float, training: float) -> tuple[Model, Point]:
        """A plain network of equal inference and of equal training: whole epochs, rounded up."""
        width = self.body.width_for(self.asked, macs)
        one_epoch = 3 * self.body.cost(self.asked, width)[0]
        return self._plain(width, max(1, ceil(round(training / one_epoch, 6))))

    def as_large(self, params: int) -> tuple[Model, Point]:
        """A plain network of as many parameters as the mixture has in all."""
        width = self.body.width_for(self.asked, params, lambda width: self.body.cost(self.asked, width)[1])
        return self._plain(width)

    def two(self, macs: float) -> tuple[float, float]:
        """Top-1 and MACs of two plain networks of half the MACs each, their probabilities averaged."""
        width, spec = self.body.width_for(self.asked, macs / 2), self.asked.spec
        partner = self.asked._replace(spec=spec.with_(seed=spec.seed + PARTNER))
        both = [_ask(self._runner, self.body.make(one, width, rate=self.rate)) for one in (self.asked, partner)]
        found = accuracy(bagged(both[0]["logits"], both[1]["logits"]), both[0]["labels"])
        return found, 2.0 * self.body.cost(self.asked, width)[0]
