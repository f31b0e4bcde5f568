"""Our maps are those of the package grad-cam, for the base and for a frozen expert."""

import pytest
import torch
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import nn

from repro.analysis.focus import stretched
from repro.data.augment import Augmentation
from repro.data.batches import DeviceBatches
from repro.data.modes import make_modes
from repro.families.single_gate.gradcam import class_maps, compute_class_maps, last_block
from repro.families.single_gate.model import SingleGateMoE
from repro.models.backbone import Backbone, Head
from repro.models.registry import build_backbone, build_head, freeze

CPU = torch.device("cpu")
CLASSES, SIZE = 20, 32


def trained_looking(name: str, size: int = SIZE) -> tuple[Backbone, Head, torch.Tensor]:
    """A base, an expert with statistics of their own, and images."""
    torch.manual_seed(0)
    width = 0.125 if name.startswith("tr") else 1.0
    base, expert = build_backbone(name, CLASSES, width), build_head(name, CLASSES, width)
    images = torch.randn(6, 3, size, size)
    for _ in range(3):
        expert(base.train().trunk(images))
        base(images)
    return freeze(base), freeze(expert), images


@pytest.mark.parametrize(
    ("name", "who"), [("tr10", "base"), ("tr18", "expert"), ("resnet18", "expert"), ("mobilenet_v3_small", "base")]
)
def test_maps_are_those_of_the_package(name: str, who: str) -> None:
    base, expert, images = trained_looking(name, 32 if name.startswith("tr") else 96)
    head = base.head if who == "base" else expert
    labels = torch.arange(len(images)) % CLASSES
    ours, logits = class_maps(head, base.trunk(images), labels)
    torch.testing.assert_close(logits, head(base.trunk(images)))
    whole = nn.Sequential(base.trunk, head)  # one tensor [B, C] for the whole batch, as the package wants it
    for column, classes in enumerate((labels, logits.argmax(1))):
        with GradCAM(whole, [last_block(head)]) as package:
            # A frozen network has no gradients unless its input asks for them.
            theirs = package(images.clone().requires_grad_(), [ClassifierOutputTarget(int(c)) for c in classes])
        large = nn.functional.interpolate(stretched(ours[:, column])[:, None], images.shape[-1], mode="bilinear")[:, 0]
        torch.testing.assert_close(stretched(large), torch.from_numpy(theirs), atol=2e-4, rtol=0)


def test_a_whole_set_is_mapped_like_its_batches() -> None:
    base, expert, _ = trained_looking("tr10")
    source = DeviceBatches(make_modes("test", 40), Augmentation(), CPU)
    moe = SingleGateMoE(base, nn.Linear(64, 2), [expert, base.head])
    class_maps = compute_class_maps(moe, source, CPU)
    assert class_maps.maps.shape == (40, 3, 2, 4, 4) and class_maps.correct.shape == (40, 3)
    assert bool((class_maps.maps >= 0).all()) and torch.equal(class_maps.maps[:, 0], class_maps.maps[:, 2])
    assert not torch.equal(class_maps.maps[:, 0], class_maps.maps[:, 1])
