"""A state that is damaged, that cannot be read or written, and how it lies in memory; the rest is in test_fit."""

from pathlib import Path
from unittest.mock import Mock

import pytest
import torch
from torch import nn

from repro.errors import StoreError
from repro.training.checkpoint import load_checkpoint, save_checkpoint
from repro.training.optimizers import make_optimizer
from repro.training.recipe import Recipe


def sgd(module: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(module.parameters(), lr=0.1, momentum=0.9)


def test_a_broken_file_is_not_gone_on_from(tmp_path: Path) -> None:
    (tmp_path / "c").write_bytes(b"\x10\x00")
    assert load_checkpoint(tmp_path / "c", nn.Linear(2, 2), sgd(nn.Linear(2, 2))) == []


def test_one_that_may_not_be_read_is_said_and_not_begun_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a training that somebody else began; safetensors itself would say that there is no such file."""
    module = nn.Linear(2, 2)
    save_checkpoint(tmp_path / "c", module, sgd(module), [])

    monkeypatch.setattr(Path, "open", Mock(side_effect=PermissionError(13, "Permission denied")))
    with pytest.raises(StoreError, match=r"c cannot be read \(.*Permission denied\); its owner can make it readable"):
        load_checkpoint(tmp_path / "c", module, sgd(module))


def test_a_disk_that_is_full_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("repro.training.checkpoint.save_file", Mock(side_effect=OSError("No space left on device")))
    module = nn.Linear(2, 2)
    with pytest.raises(StoreError, match=r"No space left on device.*goes on from the last epoch"):
        save_checkpoint(tmp_path / "c", module, sgd(module), [])


@pytest.mark.parametrize("kind", ["sgd", "adamw"])
def test_the_state_comes_back_laid_out_as_its_parameter(tmp_path: Path, any_device: torch.device, kind: str) -> None:
    """The fused optimiser of a GPU walks both as they lie in memory."""
    recipe = Recipe(source="test", epochs=2, batch_size=2, learning_rate=0.1, optimizer=kind)
    module = nn.Conv2d(3, 4, 3).to(any_device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    one, two = (make_optimizer(module, recipe, any_device) for _ in range(2))
    module(torch.randn(2, 3, 8, 8, device=any_device)).square().mean().backward()
    one.step()
    save_checkpoint(tmp_path / "c", module, one, [])
    load_checkpoint(tmp_path / "c", module, two)
    weight = module.weight
    loaded = {name: value for name, value in two.state[weight].items() if value.shape == weight.shape}
    assert loaded and all(value.stride() == weight.stride() for value in loaded.values())
    assert all(torch.equal(value, one.state[weight][name]) for name, value in loaded.items())
    assert weight.is_contiguous(memory_format=torch.channels_last) and not weight.is_contiguous()
