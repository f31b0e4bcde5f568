"""The spec of a study: a frozen, validated value from which everything follows.

Each artifact depends on a part of it and on nothing else (see :mod:`repro.study.single_gate`), so the base model of
Table 2 is the base model of every other table, trained once.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, Field, ValidationError, model_validator

from repro.errors import SpecError
from repro.method.experts import Sharing, TrunkBatchNorm
from repro.method.recipe import Recipe
from repro.method.routing import Routing
from repro.models.backbone import check_joins
from repro.models.registry import ExpertInit, Start, build_backbone, build_head
from repro.models.trnet import BLOCKS_PER_STAGE
from repro.randomness import derive
from repro.study.image_set import ImageSet

Model = TypeVar("Model", bound=BaseModel)


class StudySpec(ImageSet):
    """One single-gate MoE: what is trained, on what, how."""

    base: str = Field(description="a tr-network or one of torchvision's, which NAME@STAGE cuts after a stage")
    expert: str = Field(description="depth of the experts, in the same names")
    width: float = Field(1.0, gt=0, le=4, description="width multiplier of tr-networks, base and experts")
    pretrained: bool = Field(False, description="take the base off the shelf (torchvision's weights)")
    start: Start = Field(
        "scratch", description="imagenet: the base's training begins at torchvision's weights, with a new last layer"
    )
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
    base_recipe: Recipe
    gate_recipe: Recipe
    expert_recipe: Recipe
    ensembler_recipe: Recipe
    role: Literal["base", "control"] = Field(
        "base", description="control: a plain network to hold a mixture against, drawn apart from every base"
    )
    seed: int = Field(0, ge=0)

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
        _check_networks(self.base, self.expert, self.num_classes, self.width)
        if (self.pretrained or self.start == "imagenet") and self.base in BLOCKS_PER_STAGE:
            raise ValueError(f"there are no pretrained weights of {self.base}; set pretrained to false")
        return self

    @property
    def pair(self) -> str:
        """``base-expert``, e.g. ``tr18-tr10``."""
        return f"{self.base}-{self.expert}"

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

    def seed_for(self, purpose: Literal["base", "gate", "experts", "ensemblers"]) -> int:
        """The seed of all that is drawn while this is trained: each purpose, and each round of EM, draws its own.

        Under one seed experts would be shown the batches of the base's first epochs once more, augmented alike.
        """
        if purpose == "base":
            return derive(self.seed, "control") if self.role == "control" else self.seed
        return derive(self.seed, purpose, self.em_steps)

    def before_em_step(self) -> StudySpec:
        """The spec of one E-step less: where this one's posterior comes from."""
        return self.model_copy(update={"em_steps": self.em_steps - 1})

    def with_(self, **changes: Any) -> StudySpec:
        """A validated copy with some fields changed; :class:`SpecError` names the field that is wrong."""
        return validated(StudySpec, {**self.model_dump(), **changes})


@cache
def _check_networks(base: str, expert: str, num_classes: int, width: float) -> None:
    """Once for each combination: specs are copied many times over, and building networks takes a while."""
    import torch

    with torch.device("meta"):
        check_joins(build_backbone(base, num_classes, width), build_head(expert, num_classes, width))


def validated(model: type[Model], values: dict[str, Any]) -> Model:
    """``model(**values)``, with pydantic's findings turned into one sentence that names fields and choices."""
    try:
        return model(**values)
    except ValidationError as error:
        known = ", ".join(model.model_fields)
        lines = []
        for finding in error.errors():
            field = ".".join(str(part) for part in finding["loc"])
            if finding["type"] == "extra_forbidden":
                lines.append(f"there is no field {field!r} (there are: {known})")
            elif finding["type"] == "missing":
                lines.append(f"{field} is missing")
            else:
                lines.append(f"{field}: {finding['msg'].lower()}, not {finding['input']!r}".lstrip(": "))
        raise SpecError("; ".join(lines)) from error
