"""What a sparse network is trained on and how; and the scales as data. Nothing in the method asks for a scale."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from repro.data.augment import Augmentation
from repro.data.catalogue import DATASETS
from repro.errors import SpecError
from repro.families.sparse.config import SparseConfig
from repro.method.recipe import Recipe
from repro.study.image_set import DatasetName
from repro.study.spec import validated


class SparseSpec(BaseModel):
    """One network, what it is trained and evaluated on, how, and from which seed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: DatasetName
    num_train: int | None = Field(None, description="modes only: a smaller training set")
    num_test: int | None = Field(None, description="modes only: a smaller test set")
    evaluate: Literal["test", "validation"] = "test"
    folder: None = None
    model: SparseConfig
    recipe: Recipe
    seed: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _classes(self) -> SparseSpec:
        if self.model.num_classes != DATASETS[self.dataset].classes:
            raise ValueError(f"num_classes: {self.dataset} has {DATASETS[self.dataset].classes}")
        return self

    @property
    def image_size(self) -> int:
        """Side of the images in pixels."""
        return self.model.image_size

    @property
    def label(self) -> str:
        """E.g. ``convnext-micro, last-2 of 8 experts, on modes, seed 0``."""
        model = self.model
        mixtures = "dense" if model.placement == "none" else f"{model.placement} of {model.num_experts} experts"
        return f"{model.network}, {mixtures}, on {self.dataset}, seed {self.seed}"


LAPTOP = Recipe(
    source="ours: ConvNeXt's recipe in few epochs (AdamW, decay of weights alone, warm-up and cosine, smoothing), "
    "at a batch of 128; not tuned",
    epochs=20,
    batch_size=128,
    optimizer="adamw",
    learning_rate=2e-3,
    weight_decay=0.05,
    decayed="weights",
    clip_norm=5.0,
    schedule="one-cycle",
    warmup=0.15,
    warmup_from=0.0,
    label_smoothing=0.1,
    augmentation=Augmentation(crop="pad", pad=4, flip=True),
)
GPU = LAPTOP.model_copy(update={"epochs": 50, "batch_size": 512, "learning_rate": 4e-3, "mixup": 0.2, "cutmix": 1.0})
QUICK = LAPTOP.model_copy(
    update={"epochs": 5, "batch_size": 64, "learning_rate": 4e-3, "augmentation": Augmentation(crop="pad", pad=2)}
)
SMOKE = QUICK.model_copy(update={"epochs": 1})

SCALES: dict[str, dict[str, dict[str, Any]]] = {
    "smoke": {"modes": {"recipe": SMOKE, "num_train": 200, "num_test": 100, "image_size": 32, "width": 0.25}},
    "quick": {"modes": {"recipe": QUICK, "num_train": 3000, "image_size": 32, "width": 0.5}},
    "laptop": {"cifar100": {"recipe": LAPTOP, "image_size": 32, "width": 1.0}},
    "gpu": {
        "cifar100": {"recipe": GPU, "image_size": 32, "width": 2.0},
        "tiny-imagenet": {"recipe": GPU, "image_size": 64, "width": 2.0},
    },
}


def sparse_spec(scale: str, dataset: str, seed: int, **model: Any) -> SparseSpec:
    """The spec of a scale and image set; ``model`` are fields of :class:`~repro.families.sparse.config.SparseConfig`.

    Raises:
        SpecError: There is none, or a field makes no sense; the message names the choices.
    """
    if scale not in SCALES:
        raise SpecError(f"scale: sparse networks have no {scale!r}; choose one of {', '.join(SCALES)}")
    if dataset not in SCALES[scale]:
        raise SpecError(f"dataset: scale {scale!r} has no {dataset!r}; choose one of {', '.join(SCALES[scale])}")
    asked = dict(SCALES[scale][dataset])
    sizes = {name: asked.pop(name) for name in ("image_size", "width")}
    network = {"network": "convnext-micro", "num_classes": DATASETS[dataset].classes, **sizes, **model}
    return validated(SparseSpec, {"dataset": dataset, "seed": seed, "model": network, **asked})
