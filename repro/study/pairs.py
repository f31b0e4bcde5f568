"""Parameters of exhibits that compare base-expert pairs, each with one or more numbers of experts."""

from __future__ import annotations

from typing import Any

from pydantic import Field, field_validator

from repro.study.parameters import Parameters, numbers, words
from repro.study.scales import default_spec
from repro.study.spec import StudySpec


class PairParameters(Parameters):
    """The common ones, which pairs, and how many experts."""

    pairs: tuple[str, ...] = Field(("tr10-tr10",), description="base-expert pairs, e.g. tr10-tr10,tr10-tr18")
    experts: tuple[int, ...] = Field((20,), description="numbers of experts K, e.g. 10,20")

    @field_validator("experts", mode="before")
    @classmethod
    def _experts(cls, value: Any) -> tuple[int, ...]:
        return numbers(value)

    @field_validator("pairs", mode="before")
    @classmethod
    def _pairs(cls, value: Any) -> tuple[str, ...]:
        return pair_names(value)

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
        return tuple(name for name, found in (("base", bases), ("expert", experts)) if len(found) > 1)


def pair_names(value: Any) -> tuple[str, ...]:
    """One or more pairs ``base-expert``, a list or text with commas."""
    pairs = words(value)
    if not all(len(pair.split("-")) == 2 and all(pair.split("-")) for pair in pairs):
        raise ValueError("should be pairs written base-expert, such as tr10-tr10,tr18-tr10")
    return pairs
