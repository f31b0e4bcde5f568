"""Exhibits that compare base-expert pairs, each with one or more numbers of experts: parameters, and means."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from pydantic import Field

from repro.families.single_gate.config import StudySpec
from repro.families.single_gate.scales import default_spec
from repro.families.single_gate.study import SingleGateParameters
from repro.study.lists import Numbers, Pairs
from repro.study.results import Measurement


class PairParameters(SingleGateParameters):
    """The common ones, which pairs, and how many experts."""

    pairs: Pairs = Field(("tr10-tr10",), description="base-expert pairs, e.g. tr10-tr10,tr10-tr18")
    experts: Numbers = Field((20,), description="numbers of experts K, e.g. 10,20")

    def specs(self) -> list[StudySpec]:
        """The spec of every seed, pair and number of experts, in this order."""
        return [
            self.spec(seed, pair).with_(num_experts=k)
            for seed in self.seeds
            for pair in self.pairs
            for k in self.experts
        ]

    def spec(self, seed: int, pair: str) -> StudySpec:
        """The scale's spec of a pair, with one expert."""
        base, expert = pair.split("-")
        return default_spec(self.scale, self.dataset).with_(seed=seed, base=base, expert=expert)

    def varies(self) -> tuple[str, ...]:
        """The spec's fields that differ from row to row of the record."""
        bases, experts = ({pair.split("-")[i] for pair in self.pairs} for i in (0, 1))
        return tuple(name for name, backbones in (("base", bases), ("expert", experts)) if len(backbones) > 1)


MEAN = "mean of pairs"


def means_over_pairs(measurements: Iterable[Measurement], pairs: Sequence[str]) -> Iterator[Measurement]:
    """Every number that all pairs have, averaged over them, seed by seed; its row is :data:`MEAN`.

    A number of a base alone (0 experts, the row is its name) counts as often as the base is in a pair. Rows
    ``at <pair>`` count as the pair's.
    """
    values = {(m.seed, m.num_experts, m.method, m.metric, m.row.removeprefix("at ")): m.value for m in measurements}
    for seed, k, method, metric in dict.fromkeys(key[:4] for key in values):
        rows = [pair if k else pair.split("-")[0] for pair in pairs]
        numbers = [values[key] for row in rows if (key := (seed, k, method, metric, row)) in values]
        if len(numbers) == len(rows):
            value = round(sum(numbers) / len(numbers), 4)
            yield Measurement(seed=seed, num_experts=k, method=method, metric=metric, value=value, row=MEAN)
