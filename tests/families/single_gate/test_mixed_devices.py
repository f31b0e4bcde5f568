"""No forward path mixes devices: each runs with its networks on a pretended GPU, where nothing is computed."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from repro.data.augment import Augmentation, Draws, cutout, flip_some, pad_crop, resized_crop
from repro.data.batches import Batch, normaliser
from repro.families.single_gate.algorithm1 import compute_losses, compute_outputs
from repro.families.single_gate.experts import embed, expert_loss, through_trunk
from repro.families.single_gate.model import SingleGateMoE
from repro.families.single_gate.one_pass import _windows
from repro.families.single_gate.stacking import Stacking, logits_of_training
from repro.models.registry import build_backbone, build_head
from repro.training.recipe import Recipe

CUDA = torch.device("cuda")
B, C, K = 4, 5, 3


class Pretended:
    """A source with two batches on the GPU."""

    num_classes, image_size = C, 16

    def __init__(self) -> None:
        self.labels = torch.zeros(2 * B, dtype=torch.int64, device=CUDA)

    def __len__(self) -> int:
        return 2 * B

    def clean(self, batch_size: int, chosen: Tensor | None = None) -> Iterator[Batch]:
        for first in (0, B):
            indices = torch.arange(first, first + B, device=CUDA)
            yield Batch(torch.zeros(B, 3, 16, 16, device=CUDA), self.labels[indices], indices)


@pytest.fixture
def gpu(fp32: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(nn.Module, "to", lambda module, *where, **how: module)  # pretended tensors cannot be moved
    with FakeTensorMode():
        yield


def networks() -> tuple[Any, list[Any]]:
    """Base and experts, made on the GPU."""
    with CUDA:
        return build_backbone("tr10", C, 0.0625), [build_head("tr10", C, 0.0625) for _ in range(K)]


@pytest.mark.usefixtures("gpu")
def test_what_is_computed_of_the_trained_model() -> None:
    base, experts = networks()
    with CUDA:
        gate = nn.Linear(32, K)
    moe, source = SingleGateMoE(base, gate, experts), Pretended()
    outputs, losses = compute_outputs(moe, source, CUDA), compute_losses(moe, source, CUDA)  # type: ignore[arg-type]
    for tensor in (*vars(outputs).values(), *vars(losses).values(), embed(base, source, CUDA)):  # type: ignore[arg-type]
        assert tensor.device.type == "cpu" and len(tensor) == 2 * B


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize("sharing", ["sampling", "reweighting"])
def test_a_step_of_an_expert_on_a_window_of_the_trunks_features(sharing: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    base, (expert, *_) = networks()
    source = Pretended()
    monkeypatch.setattr(Tensor, "__float__", lambda tensor: 1.0)  # whose sum is asked for
    loss_of = expert_loss(
        expert,
        torch.ones(2 * B) / 2,
        sharing,
        0,
        CUDA,
        Recipe(source="a test", epochs=1, batch_size=B, learning_rate=0.1),
    )
    seen = list(through_trunk(base, source.clean(B), CUDA))
    ((first, window),) = _windows(seen)
    assert first == 0 and window.shape == (2 * B, 8, 8, 8) and window.device.type == "cuda"
    step = loss_of(seen[0], 0.0)
    assert {step.loss.device.type, step.correct.device.type} == {"cuda"}


@pytest.mark.usefixtures("gpu")
def test_ensemblers() -> None:
    base, (expert, *_) = networks()
    said = logits_of_training(base, expert, Pretended(), torch.ones(2 * B, dtype=torch.bool), CUDA)  # type: ignore[arg-type]
    with CUDA:
        stacker = Stacking(C)
    assert stacker(*said).device.type == "cuda"


@pytest.mark.usefixtures("gpu")
def test_augmentation() -> None:
    plain = Augmentation(crop="pad", pad=2, cutout=4, flip=True)
    indices = torch.arange(B, device=CUDA)
    whole = Draws(
        torch.zeros(8, 4, device=CUDA), torch.zeros(8, 2, dtype=torch.int64, device=CUDA),
        torch.zeros(8, dtype=torch.bool, device=CUDA), torch.zeros(8, 2, dtype=torch.int64, device=CUDA),
    )  # fmt: skip
    row = whole.rows(indices)
    padded = torch.zeros(8, 20, 20, 3, dtype=torch.uint8, device=CUDA)
    for images in (
        pad_crop(padded, indices, row.offset, 16),
        resized_crop(torch.zeros(B, 3, 16, 16, device=CUDA), row.box, 16),
    ):
        normalised = normaliser((0.5,) * 3, (0.2,) * 3, CUDA)(flip_some(images, row.flip))
        assert cutout(normalised, row.hole, plain.cutout).device.type == "cuda"


@pytest.mark.usefixtures("gpu")
def test_the_tests_above_can_fail() -> None:
    base, _ = networks()
    with pytest.raises(RuntimeError, match=r"same device|device"):
        base(torch.zeros(B, 3, 16, 16))
