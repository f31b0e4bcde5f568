"""Networks and recipes that a scale trains, unless others are asked for."""

from __future__ import annotations

from typing import Any

from repro.families.single_gate.scales import CROP_AND_FLIP, SCALES, TORCHVISION
from repro.training.recipe import Recipe

PAPERS = Recipe(
    source="Wang et al. 2019, Section 5 (rate, its steps, epochs); He et al. 2016 for batch, decay and augmentation",
    epochs=350, batch_size=128, learning_rate=0.1, weight_decay=1e-4, schedule="multistep", drop=0.1,
    milestones=(150 / 350, 250 / 350), augmentation=CROP_AND_FLIP,
)  # fmt: skip
VGGS_RATE = 1 / 10
"""VGG16's learning rate beside the other networks': 0.01 of 0.1 (Section 5), and as much less at every scale."""
IMAGENETS = TORCHVISION.model_copy(update={
    "source": "Wang et al. 2019, Section 5 (rate, its steps, epochs); torchvision's reference for all else",
    "epochs": 100, "milestones": (0.3, 0.6, 0.9),
})  # fmt: skip
USUAL: dict[str, dict[str, Any]] = {
    "quick": {"base_recipe": SCALES["quick"]["modes"]["base_recipe"].model_copy(update={"epochs": 5})},
    "gpu": {"base": "resnet56", "width": 1.0},
    "paper": {"base": "resnet56", "width": 1.0, "base_recipe": PAPERS},
    "paper/imagenet": {"base": "resnet18", "width": 1.0, "base_recipe": IMAGENETS, "pretrained": False},
}
"""What a scale trains here where it is not the scale's own recipe on a tr10 of half its width."""
