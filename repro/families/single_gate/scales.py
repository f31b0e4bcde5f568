"""The five scales as data: what is trained on what, for how long. Nothing in the method asks for the scale.

Recipes state where they come from; their measured numbers stand in ``results/``, one file a run.
"""

from __future__ import annotations

from typing import Any

from repro.data.augment import Augmentation
from repro.errors import SpecError
from repro.families.single_gate.config import StudySpec
from repro.training.recipe import Recipe

CROP = Augmentation(crop="pad", pad=2)  # a mirrored glyph would be another glyph
CROP_AND_FLIP = Augmentation(crop="pad", pad=4, flip=True)

CUTOUT = Recipe(
    source="DeVries & Taylor 2017 (uoguelph-mlrg/Cutout, train.py); the paper's reference [9] for CIFAR-100",
    epochs=200,
    batch_size=128,
    learning_rate=0.1,
    nesterov=True,
    weight_decay=5e-4,
    schedule="multistep",
    milestones=(0.3, 0.6, 0.8),
    drop=0.2,
    augmentation=Augmentation(crop="pad", pad=4, flip=True, cutout=8),
)

OPENMIXUP = Recipe(
    source="OpenMixup, tiny_imagenet r18 vanilla; the paper's reference [27] for tiny-ImageNet",
    epochs=400,
    batch_size=100,
    learning_rate=0.2,
    weight_decay=1e-4,
    schedule="cosine",
    augmentation=Augmentation(crop="resized", flip=True),
)

TORCHVISION = Recipe(
    source="torchvision's reference training of ResNets (90 epochs of steps), cut to the paper's 40 epochs",
    epochs=40,
    batch_size=256,
    learning_rate=0.1,
    weight_decay=1e-4,
    schedule="multistep",
    milestones=(1 / 3, 2 / 3),
    drop=0.1,
    augmentation=Augmentation(crop="resized", flip=True),
)

GATE = Recipe(
    source="ours: a convex problem; ten passes bring the KL divergence to rest",
    epochs=10,
    batch_size=256,
    learning_rate=0.2,
    schedule="cosine",
)

STACKING = Recipe(
    source="ours: a linear layer that starts at the sum of both log-probabilities; they are large numbers, so the rate "
    "is small (at 0.01 it diverges; how it was chosen was not recorded)",
    epochs=5,
    batch_size=128,
    learning_rate=0.0003,
    weight_decay=1e-4,
    schedule="cosine",
)

LAPTOP_BASE = Recipe(
    source="ours: Cutout's recipe without Cutout, in 24 epochs of one cycle; looked at on a validation split only",
    epochs=24,
    batch_size=128,
    learning_rate=0.1,
    nesterov=True,
    weight_decay=5e-4,
    schedule="one-cycle",
    augmentation=CROP_AND_FLIP,
)

# "We train [experts] with the same hyperparameters and data augmentations as the baseline, although using fewer
# training iterations" (Section 4): the same recipe, a third of the epochs.
LAPTOP_EXPERT = LAPTOP_BASE.model_copy(update={"epochs": 8})
TINY_BASE = LAPTOP_BASE.model_copy(update={"epochs": 12})
TINY_EXPERT = LAPTOP_BASE.model_copy(update={"epochs": 4})

# One data-centre GPU is waited for by its host below a batch of about 512, so the base trains with 512 at four times
# the rate. An expert of twenty sees a tenth of the images: at 512 it would have nine steps an epoch, so it keeps 128.
GPU_BASE = CUTOUT.model_copy(
    update={
        "source": "ours: Cutout's recipe in one short cycle of 30 epochs, batch 512 at four times the rate; not tuned",
        "epochs": 30,
        "batch_size": 512,
        "learning_rate": 0.4,
        "schedule": "one-cycle",
        "milestones": (),
    }
)
GPU_EXPERT = GPU_BASE.model_copy(
    update={
        "source": "ours: the base's recipe in half its epochs, at Cutout's own batch and rate; not tuned",
        "epochs": 15,
        "batch_size": 128,
        "learning_rate": 0.1,
    }
)


def _on(dataset: str, image_size: int, network: str, base: Recipe, expert: Recipe, **more: Any) -> dict[str, Any]:
    """An image set, by its name: base and experts are one network."""
    common = {"dataset": dataset, "image_size": image_size, "base": network, "expert": network}
    recipes = {"base_recipe": base, "expert_recipe": expert, "gate_recipe": GATE, "ensembler_recipe": STACKING}
    return {dataset: common | recipes | more}


_QUICK_BASE = LAPTOP_BASE.model_copy(update={"epochs": 8, "batch_size": 64, "augmentation": CROP})
_QUICK_EXPERT = _QUICK_BASE.model_copy(update={"epochs": 5, "batch_size": 32})
_GPU_TINY_BASE, _GPU_TINY_EXPERT = (
    recipe.model_copy(update={"augmentation": OPENMIXUP.augmentation}) for recipe in (GPU_BASE, GPU_EXPERT)
)
_SMOKE_IMAGENET = TORCHVISION.model_copy(update={"epochs": 1, "batch_size": 8, "learning_rate": 0.01})

SCALES: dict[str, dict[str, dict[str, Any]]] = {
    "smoke": {
        **_on(
            "modes", 32, "tr10", _QUICK_BASE.model_copy(update={"epochs": 2}),
            _QUICK_EXPERT.model_copy(update={"epochs": 1}), width=0.125, num_train=400, num_test=200, stacking=True,
            gate_recipe=GATE.model_copy(update={"epochs": 20, "batch_size": 64}),  # a tenth of a usual epoch's steps
        ),
        # any small folder in its layout, without torchvision's weights
        **_on("imagenet", 64, "resnet18", _SMOKE_IMAGENET, _SMOKE_IMAGENET),
    },
    "quick": _on("modes", 32, "tr10", _QUICK_BASE, _QUICK_EXPERT, width=0.125, stacking=True),
    "laptop": {
        **_on("cifar10", 32, "tr10", LAPTOP_BASE, LAPTOP_EXPERT, width=0.25),
        **_on("cifar100", 32, "tr10", LAPTOP_BASE, LAPTOP_EXPERT, width=0.25),
        **_on("tiny-imagenet", 32, "tr10", TINY_BASE, TINY_EXPERT, width=0.25),
    },
    "gpu": {
        **_on("cifar100", 32, "tr18", GPU_BASE, GPU_EXPERT),
        **_on("tiny-imagenet", 64, "tr18", _GPU_TINY_BASE, _GPU_TINY_EXPERT),
    },
    "paper": {
        **_on("cifar10", 32, "tr18", CUTOUT, CUTOUT),
        **_on("cifar100", 32, "tr18", CUTOUT, CUTOUT),
        **_on("tiny-imagenet", 64, "tr18", OPENMIXUP, OPENMIXUP.model_copy(update={"epochs": 100})),
        **_on("imagenet", 224, "resnet18", TORCHVISION, TORCHVISION, pretrained=True),
    },
}  # fmt: skip


def default_spec(scale: str, dataset: str) -> StudySpec:
    """The spec of a scale and dataset, with one expert and seed 0; :class:`SpecError` names the choices."""
    if scale not in SCALES:
        raise SpecError(f"scale: there is no {scale!r}; choose one of {', '.join(SCALES)}")
    if dataset not in SCALES[scale]:
        raise SpecError(
            f"dataset: scale {scale!r} has no {dataset!r}; choose one of {', '.join(SCALES[scale])}"
            + "".join(f" (or scale {other!r})" for other, sets in SCALES.items() if dataset in sets)
        )
    return StudySpec(**SCALES[scale][dataset])
