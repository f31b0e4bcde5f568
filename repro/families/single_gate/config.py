"""The spec of a study: a frozen, validated value from which everything follows.

Each artifact depends on a part of it and on nothing else (see :mod:`~repro.families.single_gate.steps`), so the base
model of Table 2 is the base model of every other table, trained once.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from repro.errors import validated
from repro.families.single_gate.one_pass import Sharing, TrunkBatchNorm
from repro.families.single_gate.routing import Routing
from repro.models.cost import ModelCost, model_cost
from repro.models.registry import ExpertInit
from repro.randomness import derive
from repro.study.plain import PlainSpec
from repro.training.recipe import Recipe


class StudySpec(PlainSpec):
    """One single-gate MoE: what is trained, on what, how."""

    expert: str = Field(description="depth of the experts, in the same names")
    num_experts: int = Field(1, ge=1, le=1024, description="K; 1 is the ensembling baseline")
    routing: Routing = Routing()
    gamma: float = Field(0.05, ge=0, le=1, description="smoothing γ: Γ(g0) = clip(g0, γ, 1)")
    sharing: Sharing = Field("sampling", description="smoothed weights as sampling probabilities, or as loss weights")
    expert_length: Literal["epochs", "steps"] = Field(
        "epochs",
        description="epochs: so many passes over an expert's own share; steps: as many steps as a single expert takes",
    )
    expert_init: ExpertInit = Field("prefix", description="what experts take from the base where depths differ")
    trunk_batchnorm: TrunkBatchNorm = Field(
        "evaluation", description="BatchNorm of the frozen trunk while experts train: running or batch statistics"
    )
    em_steps: int = Field(0, ge=0, le=10, description="N_E of the EM variant (Section 2.2); 0 is Algorithm 1")
    stacking: bool = Field(False, description="also train stacking ensemblers")
    gate_recipe: Recipe
    expert_recipe: Recipe
    ensembler_recipe: Recipe

    @model_validator(mode="after")
    def _folder_fits(self) -> StudySpec:
        batch = max(self.base_recipe.batch_size, self.expert_recipe.batch_size)
        if self.folder and batch > self.folder.num_train:
            raise ValueError(
                f"batch_size: {batch} is more than the {self.folder.num_train} training images of {self.folder.name}"
            )
        return self

    @model_validator(mode="after")
    def _networks_exist_and_join(self) -> StudySpec:
        _ = self.cost  # which says what is wrong
        return self

    @property
    def pair(self) -> str:
        """``base-expert``, e.g. ``tr18-tr10``."""
        return f"{self.base}-{self.expert}"

    @property
    def cost(self) -> ModelCost:
        """Exact cost of base, gate and experts."""
        return model_cost(self.base, self.expert, self.num_classes, self.image_size, self.num_experts, self.width)

    @property
    def mean_share(self) -> float:
        """Images that an expert visits in an epoch over images there are, if experts are equally large."""
        return 1 / self.num_experts + self.gamma * (1 - 1 / self.num_experts) if self.sharing == "sampling" else 1.0

    @property
    def recipe_of_experts(self) -> Recipe:
        """The experts' recipe, in more epochs where they are to take as many steps as a single expert does."""
        if self.expert_length == "epochs":
            return self.expert_recipe
        return self.expert_recipe.model_copy(update={"epochs": round(self.expert_recipe.epochs / self.mean_share)})

    def seed_for(self, purpose: Literal["gate", "experts", "ensemblers"]) -> int:
        """The seed of all that is drawn while this is trained: each purpose, and each round of EM, draws its own.

        Under one seed experts would be shown the batches of the base's first epochs once more, augmented alike.
        """
        return derive(self.seed, purpose, self.em_steps)

    def before_em_step(self) -> StudySpec:
        """The spec of one E-step less: where this one's posterior comes from."""
        return self.model_copy(update={"em_steps": self.em_steps - 1})

    def with_(self, **changes: Any) -> StudySpec:
        """A validated copy with some fields changed; :class:`SpecError` names the field that is wrong."""
        return validated(StudySpec, {**self.model_dump(), **changes})
