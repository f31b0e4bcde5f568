"""What a process asks of the machine; inside an epoch, no number of the device."""

from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from repro.data.augment import Augmentation
from repro.data.batches import DeviceBatches
from repro.data.modes import make_modes
from repro.errors import SpecError
from repro.families.single_gate.one_pass import NewExpert, train_experts
from repro.models.registry import build_backbone, build_head
from repro.training.classifier import train_base
from repro.training.device import pick_device
from repro.training.recipe import Recipe


@pytest.mark.parametrize("name", ["mps", "xpu", "meta"])
def test_devices_on_which_nothing_was_tried_are_refused(name: str) -> None:
    with pytest.raises(SpecError, match=f"^device '{name}' is not supported; choose auto, cpu, cuda or cuda:N$"):
        pick_device(name)


ASKS = ("_local_scalar_dense", "nonzero", "is_nonzero", "equal", "masked_select")
RECIPE = Recipe(source="test", epochs=1, batch_size=8, learning_rate=0.01, nesterov=True)
EVERYTHING = RECIPE.model_copy(update={"clip_norm": 1.0, "label_smoothing": 0.1, "mixup": 0.8, "cutmix": 1.0})
ADAMW = EVERYTHING.model_copy(update={"optimizer": "adamw"})
PADDED, RESIZED = Augmentation(crop="pad", pad=2, flip=True, cutout=6), Augmentation(crop="resized", flip=True)


class Asked(TorchDispatchMode):
    """Counts the operations that a host waits for."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += func.overloadpacket.__name__ in ASKS
        return func(*args, **(kwargs or {}))


def asked(experts: int, steps: int, augmentation: Augmentation, where: torch.device, recipe: Recipe) -> int:
    """While a base is trained or, in one pass, so many experts."""
    source = DeviceBatches(make_modes("train", 8 * steps), augmentation, where)
    base = build_backbone("tr10", 20, 0.0625)
    new = [NewExpert(k, build_head("tr10", 20, 0.0625), torch.ones(8 * steps)) for k in range(experts)]
    with Asked() as mode:
        if new:
            train_experts(new, base, source, "sampling", recipe, 0, where)
        else:
            train_base(base, source, recipe, 0, where)
    return mode.count


@pytest.mark.parametrize(
    ("experts", "augmentation", "recipe"),
    [(0, RESIZED, RECIPE), (1, RESIZED, RECIPE), (3, PADDED, RECIPE), (0, PADDED, EVERYTHING), (0, PADDED, ADAMW)],
    ids=["base", "expert", "one pass", "all that a recipe can ask for", "adamw"],
)
def test_the_number_of_waits_does_not_grow_with_the_steps(
    experts: int, augmentation: Augmentation, recipe: Recipe, any_device: torch.device
) -> None:
    if recipe.optimizer == "adamw" and any_device.type == "cpu":
        pytest.skip("torch's AdamW reads its own counter of steps, which lies on the CPU unless the optimiser is fused")
    few, many = (asked(experts, steps, augmentation, any_device, recipe) for steps in (3, 6))
    assert few == many > 0, "at the end of an epoch its sums are read"
