"""What a mixture is held against: plain networks that get as much training, or as much inference, as the mixture.

A gain that a control has too is not the mixture's. Exhibits that train them beside their mixtures have
:class:`ControlledParameters`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from repro.analysis.outputs import accuracy
from repro.families.single_gate.config import StudySpec
from repro.families.single_gate.study import SingleGateParameters, Study, measured
from repro.models.cost import ModelCost, model_cost, width_for
from repro.models.trnet import BLOCKS_PER_STAGE
from repro.study.parameters import DEMONSTRATIONS
from repro.study.results import Measurement

EQUAL_TRAINING = "equal-training"
EQUAL_INFERENCE = "equal-inference"
STEPS_OF_WIDTH = 64  # widths are tried in steps of 1/64 of the base's


def equal_training(spec: StudySpec) -> StudySpec:
    """The base, trained alone with the training multiply-adds of base, gate and experts together.

    Whole epochs, rounded up: in case of doubt the control gets more.
    """
    epochs = math.ceil(round(training_epochs(spec), 6))
    recipe = spec.base_recipe.model_copy(update={"epochs": epochs})
    return spec.with_(role="control", base_recipe=recipe, num_experts=1, stacking=False)


def equal_inference(spec: StudySpec) -> StudySpec | None:
    """A plain network with the inference multiply-adds of base, gate and one expert, trained as the base is.

    It is the base made wider, to the width (in steps of 1/64 of the base's) whose multiply-adds are nearest. None
    where the base has no width to change (torchvision's networks).
    """
    if spec.base not in BLOCKS_PER_STAGE:
        return None
    widths = [spec.width * (1 + step / STEPS_OF_WIDTH) for step in range(3 * STEPS_OF_WIDTH)]
    widths = [width for width in widths if width <= 4]
    width = width_for(widths, spec.cost.macs, lambda width: plain_cost(spec, width).macs)
    return spec.with_(role="control", expert=spec.base, width=width, num_experts=1, stacking=False)


def training_epochs(spec: StudySpec) -> float:
    """Training multiply-adds of base, gate and K experts, in epochs of the base.

    A training step is three forward passes. The gate takes one forward pass of the base (its own training is less
    than a thousandth). In an epoch of the experts the trunk runs once over every image, forward, and expert k
    trains on Γ(g0(k|x)) of them, which is counted for equal shares: 1 + γ (K - 1) visits an image in all.
    """
    cost, experts = spec.cost, spec.num_experts
    visits = experts * spec.mean_share
    epoch_of_experts = cost.trunk_macs + 3 * visits * cost.expert_macs
    gate = cost.base_macs if experts > 1 else 0
    macs = 3 * spec.base_recipe.epochs * cost.base_macs + gate + spec.recipe_of_experts.epochs * epoch_of_experts
    return macs / (3 * cost.base_macs)


def shares_of(control: StudySpec, spec: StudySpec) -> tuple[float, float]:
    """Inference and training multiply-adds of a control, in percent of those of a mixture."""
    macs = plain_cost(control).macs
    training = control.base_recipe.epochs * macs / (training_epochs(spec) * plain_cost(spec).macs)
    return 100 * macs / spec.cost.macs, 100 * training


def plain_cost(spec: StudySpec, width: float | None = None) -> ModelCost:
    """What the base of ``spec`` costs alone, at another width if one is given."""
    return model_cost(spec.base, None, spec.num_classes, spec.image_size, 0, spec.width if width is None else width)


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
