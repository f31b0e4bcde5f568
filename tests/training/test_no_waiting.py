"""Nothing inside an epoch asks the device for a number: how often it is asked does not grow with the steps."""

from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from repro.data.augment import Augmentation
from repro.data.batches import DeviceBatches
from repro.data.modes import make_modes
from repro.families.single_gate.one_pass import NewExpert, train_experts
from repro.models.registry import build_backbone, build_head
from repro.training.classifier import train_base
from repro.training.recipe import Recipe

ASKS = ("_local_scalar_dense", "nonzero", "is_nonzero", "equal", "masked_select")
RECIPE = Recipe(source="test", epochs=1, batch_size=8, learning_rate=0.01, nesterov=True)
EVERYTHING = RECIPE.model_copy(update={"clip_norm": 1.0, "label_smoothing": 0.1, "mixup": 0.8, "cutmix": 1.0})
AUGMENTATIONS = [Augmentation(crop="pad", pad=2, flip=True, cutout=6), Augmentation(crop="resized", flip=True)]


class Asked(TorchDispatchMode):
    """Counts the operations that a host waits for."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += func.overloadpacket.__name__ in ASKS
        return func(*args, **(kwargs or {}))


def asked(kind: str, steps: int, augmentation: Augmentation, where: torch.device, recipe: Recipe = RECIPE) -> int:
    images = make_modes("train", 8 * steps)
    source = DeviceBatches(images, augmentation, where)
    base = build_backbone("tr10", 20, 0.0625)
    share = torch.ones(8 * steps)
    with Asked() as mode:
        if kind == "base":
            train_base(base, source, recipe, 0, where)
        else:
            new = [NewExpert(k, build_head("tr10", 20, 0.0625), share) for k in range(3 if kind == "one pass" else 1)]
            train_experts(new, base, source, "sampling", RECIPE, 0, where)
    return mode.count


@pytest.mark.parametrize("augmentation", AUGMENTATIONS, ids=lambda a: a.crop)
@pytest.mark.parametrize("kind", ["base", "expert", "one pass"])
def test_the_number_of_waits_does_not_grow_with_the_steps(
    kind: str, augmentation: Augmentation, any_device: torch.device
) -> None:
    few, many = (asked(kind, steps, augmentation, any_device) for steps in (3, 6))
    assert few == many > 0, "at the end of an epoch its sums are read"


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_nor_does_it_with_all_that_a_recipe_can_ask_for(optimizer: str, any_device: torch.device) -> None:
    if optimizer == "adamw" and any_device.type == "cpu":
        pytest.skip("torch's AdamW reads its own counter of steps, which lies on the CPU unless the optimiser is fused")
    recipe = EVERYTHING.model_copy(update={"optimizer": optimizer})
    few, many = (asked("base", steps, AUGMENTATIONS[0], any_device, recipe) for steps in (3, 6))
    assert few == many > 0
