"""What a sparse network is trained on and how; and the scales as data. Nothing in the method asks for a scale."""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from repro.data.augment import Augmentation
from repro.data.catalogue import DATASETS
from repro.errors import SpecError, validated
from repro.families.sparse.config import SparseConfig
from repro.study.image_set import ImageSet
from repro.training.recipe import Recipe


class SparseSpec(ImageSet):
    """One network, what it is trained and evaluated on, how, and from which seed."""

    model: SparseConfig
    recipe: Recipe
    seed: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _model_fits(self) -> SparseSpec:
        if (self.model.num_classes, self.model.image_size) != (self.num_classes, self.image_size):
            raise ValueError(f"model: {self.data} has {self.num_classes} classes at {self.image_size} px")
        return self

    @property
    def label(self) -> str:
        """E.g. ``convnext-micro at width 0.5, last-2 of 8 experts, on modes, seed 0``."""
        model = self.model
        mixtures = "dense" if model.placement == "none" else f"{model.placement} of {model.num_experts} experts"
        part = f", {self.num_train} images" if self.num_train and self.dataset != "modes" else ""
        return f"{model.network} at width {model.width:g}, {mixtures}{part}, on {self.data}, seed {self.seed}"


LAPTOP = Recipe(
    source="ours: ConvNeXt's recipe in few epochs, not tuned (AdamW, decay of weights, warm-up, cosine, smoothing)",
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
"""The paper's text has Mixup, CutMix, RandAugment, Random Erasing, drop path and a decay of the experts' own, over 300
epochs: that there is none of it here is a departure. RandAugment and Random Erasing are not implemented."""
GPU = LAPTOP.model_copy(update={"epochs": 50, "batch_size": 512, "learning_rate": 4e-3, "mixup": 0.2, "cutmix": 1.0})
QUICK = LAPTOP.model_copy(
    update={"epochs": 4, "batch_size": 64, "learning_rate": 4e-3, "augmentation": Augmentation(crop="pad", pad=2)}
)
SMOKE = QUICK.model_copy(update={"epochs": 1})
PAPER = LAPTOP.model_copy(
    update={
        "source": "the paper's text (300 epochs, mixup, CutMix, drop path); as Table 12 is lost, the values are those "
        "of ConvNeXt's own recipe at a quarter of its batch and rate; no RandAugment, Random Erasing or expert decay",
        "epochs": 300, "batch_size": 1024, "learning_rate": 1e-3, "clip_norm": None, "warmup": 1 / 15,
        "mixup": 0.8, "cutmix": 1.0, "augmentation": Augmentation(crop="resized", flip=True),
    }
)  # fmt: skip
_SMOKE_IMAGENET = SMOKE.model_copy(update={"batch_size": 8, "augmentation": PAPER.augmentation})

WIDTHS = {"smoke": 0.25, "quick": 0.5, "laptop": 1.0, "gpu": 2.0, "paper": 1.0}
DROP_PATH = {"paper": 0.1}
"""ConvNeXt-T's, as Table 11 was not read; elsewhere none."""
SCALES: dict[str, dict[str, dict[str, Any]]] = {
    "smoke": {
        "modes": {"recipe": SMOKE, "image_size": 32, "num_train": 200, "num_test": 100},
        "imagenet": {"recipe": _SMOKE_IMAGENET, "image_size": 64},  # any small folder in its layout
    },
    "quick": {"modes": {"recipe": QUICK, "image_size": 32, "num_train": 3000}},
    "laptop": {"cifar100": {"recipe": LAPTOP, "image_size": 32}, "tiny-imagenet": {"recipe": LAPTOP, "image_size": 32}},
    "gpu": {"cifar100": {"recipe": GPU, "image_size": 32}, "tiny-imagenet": {"recipe": GPU, "image_size": 64}},
    "paper": {"imagenet": {"recipe": PAPER, "image_size": 224}},
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
    asked = SCALES[scale][dataset]
    network = {
        "network": "convnext-micro", "num_classes": DATASETS[dataset].classes, "image_size": asked["image_size"],
        "width": WIDTHS[scale], "drop_path": DROP_PATH.get(scale, 0.0), **model,
    }  # fmt: skip
    return validated(SparseSpec, {"dataset": dataset, "seed": seed, "model": network, **asked})
