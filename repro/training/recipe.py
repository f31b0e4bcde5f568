"""How something is trained, as data: optimiser, schedule, epochs, regularisation, augmentation."""

from __future__ import annotations

import math
from typing import Any, Literal

from pydantic import Field

from repro.data.augment import Augmentation
from repro.errors import Frozen


def later(default: Any, **constraints: Any) -> Any:
    """A field that came later: left out of a dump, and so of keys and records, while it has its default."""
    return Field(default, exclude_if=lambda value: value == default, **constraints)


class Group(Frozen):
    """Parameters that are trained otherwise than the rest.

    A parameter belongs to the first group whose ``match`` is found in its name (``layers.3.experts.0.weight``).
    """

    match: str = Field(min_length=1, description="a regular expression, searched for in the parameter's name")
    rate: float = Field(1.0, ge=0, description="a factor on the learning rate")
    decay: float = Field(1.0, ge=0, description="a factor on the weight decay")


class Recipe(Frozen):
    """An optimiser under a schedule that is a pure function of the share of training done, and what goes with it."""

    source: str = Field(description="where the recipe comes from")
    epochs: int = Field(ge=0)
    batch_size: int = Field(ge=1)
    optimizer: Literal["sgd", "adamw"] = later("sgd", description="SGD with momentum, or AdamW")
    learning_rate: float = Field(gt=0, description="the peak")
    momentum: float = Field(0.9, ge=0, lt=1, description="sgd")
    nesterov: bool = Field(False, description="sgd")
    weight_decay: float = Field(0.0, ge=0)
    decayed: Literal["all", "weights"] = later(
        "all", description="what decays; weights: those of linear layers, convolutions, attention and experts alone"
    )
    groups: tuple[Group, ...] = later((), description="parameters with a rate or decay of their own")
    clip_norm: float | None = later(None, gt=0, description="the largest norm of the gradient; None: any")
    schedule: Literal["constant", "multistep", "cosine", "one-cycle"] = "cosine"
    milestones: tuple[float, ...] = Field((), description="multistep: shares of training after which the rate drops")
    drop: float = Field(0.2, gt=0, lt=1, description="multistep: the factor of each drop")
    warmup: float = Field(0.25, gt=0, lt=1, description="one-cycle: share of training of linear warm-up; then cosine")
    warmup_from: float = later(0.1, ge=0, le=1, description="one-cycle: share of the peak at which it begins")
    label_smoothing: float = later(0.0, ge=0, lt=1, description="share of the target that all classes have alike")
    mixup: float = later(0.0, ge=0, description="α of mixup (Zhang et al. 2018), 0: none")
    cutmix: float = later(0.0, ge=0, description="α of CutMix (Yun et al. 2019), 0: none; beside mixup, half the steps")
    augmentation: Augmentation = Augmentation()

    @property
    def settings(self) -> dict[str, Any]:
        """What of it makes numbers, for keys: all but where it comes from."""
        return self.model_dump(mode="json", exclude={"source"})

    def learning_rate_at(self, done: float) -> float:
        """The learning rate when the share ``done`` in [0, 1) of training lies behind."""
        if self.schedule == "constant":
            return self.learning_rate
        if self.schedule == "multistep":
            return self.learning_rate * self.drop ** sum(done >= m for m in self.milestones)
        if self.schedule == "cosine":
            return self.learning_rate * (1 + math.cos(math.pi * done)) / 2
        if done < self.warmup:
            return self.learning_rate * (self.warmup_from + (1 - self.warmup_from) * done / self.warmup)
        return self.learning_rate * (1 + math.cos(math.pi * (done - self.warmup) / (1 - self.warmup))) / 2
