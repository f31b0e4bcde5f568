"""How something is trained, as data: optimiser, schedule, epochs, augmentation."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from repro.data.augment import Augmentation


class Recipe(BaseModel):
    """SGD with momentum under a schedule that is a pure function of the share of training done."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str = Field(description="where the recipe comes from")
    epochs: int = Field(ge=0)
    batch_size: int = Field(ge=1)
    learning_rate: float = Field(gt=0, description="the peak")
    momentum: float = Field(0.9, ge=0, lt=1)
    nesterov: bool = False
    weight_decay: float = Field(0.0, ge=0)
    schedule: Literal["constant", "multistep", "cosine", "one-cycle"] = "cosine"
    milestones: tuple[float, ...] = Field((), description="multistep: shares of training after which the rate drops")
    drop: float = Field(0.2, gt=0, lt=1, description="multistep: the factor of each drop")
    warmup: float = Field(0.25, gt=0, lt=1, description="one-cycle: share of training that warms up, from a tenth")
    augmentation: Augmentation = Augmentation()

    def learning_rate_at(self, done: float) -> float:
        """The learning rate when the share ``done`` in [0, 1) of training lies behind."""
        if self.schedule == "constant":
            return self.learning_rate
        if self.schedule == "multistep":
            return self.learning_rate * self.drop ** sum(done >= m for m in self.milestones)
        if self.schedule == "cosine":
            return self.learning_rate * (1 + math.cos(math.pi * done)) / 2
        if done < self.warmup:
            return self.learning_rate * (0.1 + 0.9 * done / self.warmup)
        return self.learning_rate * (1 + math.cos(math.pi * (done - self.warmup) / (1 - self.warmup))) / 2
