"""Exhibits whose mixtures are held against their controls: what is trained for them besides, and what is measured."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from repro.analysis.outputs import accuracy
from repro.families.single_gate.config import StudySpec
from repro.families.single_gate.controls import EQUAL_INFERENCE, EQUAL_TRAINING, equal_inference, equal_training
from repro.families.single_gate.study import SingleGateParameters, Study, measured
from repro.study.parameters import DEMONSTRATIONS
from repro.study.results import Measurement


class ControlledParameters(SingleGateParameters):
    """The common ones, and whether plain networks that get as much are trained beside the mixtures."""

    controls: Literal["auto", "all", "none"] = Field(
        "auto", description="plain networks of equal training and of equal inference; auto: all, but in demonstrations"
    )

    def controls_of(self, spec: StudySpec) -> dict[str, StudySpec]:
        """The controls of a mixture by method; none of a one-expert baseline, or of a base that comes trained."""
        wanted = self.controls == "all" or (self.controls == "auto" and self.scale not in DEMONSTRATIONS)
        if not wanted or spec.num_experts == 1 or spec.pretrained:
            return {}
        plain = equal_inference(spec.with_(num_experts=max(each.num_experts for each in self.specs())))
        return {EQUAL_TRAINING: equal_training(spec), **({EQUAL_INFERENCE: plain} if plain else {})}

    def bases(self) -> list[StudySpec]:
        """Every control; a plain network of equal inference once, of the cost with the most experts."""
        return list(dict.fromkeys(control for spec in self.specs() for control in self.controls_of(spec).values()))


def of_controls(parameters: ControlledParameters, study: Study, rows: bool = True) -> Iterator[Measurement]:
    """Top-1 of every control, in the row of its pair if there are ``rows``; of equal inference as of one expert."""
    for spec in parameters.specs():
        for method, control in parameters.controls_of(spec).items():
            top1, count = accuracy(*study.base_outputs(control)), 1 if method == EQUAL_INFERENCE else spec.num_experts
            yield measured(spec, method, top1, row=spec.pair if rows else "", num_experts=count)
