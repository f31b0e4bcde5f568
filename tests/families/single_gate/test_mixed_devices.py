"""No forward path mixes devices: each runs with its networks on a pretended GPU, where nothing is computed."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from repro.data.augment import Draws, cutout, flip_some, pad_crop, resized_crop
from repro.data.batches import Batch, normaliser
from repro.families.single_gate.algorithm1 import compute_outputs
from repro.families.single_gate.model import SingleGateMoE
from repro.families.single_gate.one_pass import _windows, embed, expert_loss, through_trunk
from repro.families.single_gate.stacking import Stacking
from repro.models.registry import build_backbone, build_head
from tests.helpers import RECIPE

CUDA = torch.device("cuda")
B, C, K = 4, 5, 3


class Pretended:
    """A source with two batches on the GPU."""

    num_classes, image_size = C, 16

    def __init__(self) -> None:
        self.labels = torch.zeros(2 * B, dtype=torch.int64, device=CUDA)

    def clean(self, batch_size: int, chosen: Tensor | None = None) -> Iterator[Batch]:
        for first in (0, B):
            indices = torch.arange(first, first + B, device=CUDA)
            yield Batch(torch.zeros(B, 3, 16, 16, device=CUDA), self.labels[indices], indices)


@pytest.fixture
def moe(fp32: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[SingleGateMoE]:
    """Made on the GPU."""
    monkeypatch.setattr(nn.Module, "to", lambda module, *where, **how: module)  # pretended tensors cannot be moved
    with FakeTensorMode():
        with CUDA:
            experts = [build_head("tr10", C, 0.0625) for _ in range(K)]
            made = SingleGateMoE(build_backbone("tr10", C, 0.0625), nn.Linear(32, K), experts)
        yield made


def test_what_is_computed_of_the_trained_model(moe: SingleGateMoE) -> None:
    source: Any = Pretended()
    for tensor in (*vars(compute_outputs(moe, source, CUDA)).values(), embed(moe.base, source, CUDA)):
        assert tensor.device.type == "cpu" and len(tensor) == 2 * B
    with CUDA:
        assert Stacking(C)(torch.zeros(B, C), torch.zeros(B, C)).device.type == "cuda"


@pytest.mark.parametrize("sharing", ["sampling", "reweighting"])
def test_a_step_of_an_expert_on_a_window_of_the_trunks_features(
    sharing: Any, moe: SingleGateMoE, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Tensor, "__float__", lambda tensor: 1.0)  # whose sum is asked for
    loss_of = expert_loss(moe.experts[0], torch.ones(2 * B) / 2, sharing, CUDA, RECIPE)  # type: ignore[arg-type]
    seen = list(through_trunk(moe.base, Pretended().clean(B), CUDA))
    ((first, window),) = _windows(seen)
    assert first == 0 and window.shape == (2 * B, 8, 8, 8) and window.device.type == "cuda"
    step = loss_of(seen[0], 0.0)
    assert {step.loss.device.type, step.correct.device.type} == {"cuda"}


def test_augmentation(moe: SingleGateMoE) -> None:
    with CUDA:
        indices, pairs = torch.arange(B), torch.zeros(8, 2, dtype=torch.int64)
        row = Draws(torch.zeros(8, 4), pairs, torch.zeros(8, dtype=torch.bool), pairs).rows(indices)
        padded, images = torch.zeros(8, 20, 20, 3, dtype=torch.uint8), torch.zeros(B, 3, 16, 16)
    for cropped in (pad_crop(padded, indices, row.offset, 16), resized_crop(images, row.box, 16)):
        normalised = normaliser((0.5,) * 3, (0.2,) * 3, CUDA)(flip_some(cropped, row.flip))
        assert cutout(normalised, row.hole, 4).device.type == "cuda"
    with pytest.raises(RuntimeError, match="device"):  # so these tests can fail
        moe.base(torch.zeros(B, 3, 16, 16))
