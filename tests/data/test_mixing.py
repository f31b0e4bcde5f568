"""mixup and CutMix are torchvision's, and a function of (seed, purpose, epoch, step)."""

from typing import Any
from unittest.mock import Mock

import pytest
import torch
from torchvision.transforms import v2

from repro.data.batches import Batch
from repro.data.mixing import cut_mix, mix_up, mixed, mixed_labels

IMAGES = torch.randn(6, 3, 16, 16, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([0, 1, 2, 2, 4, 3])


def drawing(*integers: int) -> Any:
    """A generator that draws what it is told."""
    return Mock(integers=Mock(side_effect=integers))


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_mixup_is_torchvisions(share: float) -> None:
    theirs = v2.MixUp(num_classes=5)
    images = theirs.transform(IMAGES, {"lam": share, "labels": LABELS, "batch_size": 6})
    labels = theirs.transform(LABELS, {"lam": share, "labels": LABELS, "batch_size": 6})
    ours, own_share = mix_up(IMAGES, share, drawing())
    torch.testing.assert_close(ours, images)
    torch.testing.assert_close(mixed_labels(LABELS, own_share, 5), labels)


@pytest.mark.parametrize(("share", "x", "y"), [(0.3, 4, 9), (0.9, 0, 15), (0.0, 8, 8), (1.0, 3, 3)])
def test_cutmix_is_torchvisions(monkeypatch: pytest.MonkeyPatch, share: float, x: int, y: int) -> None:
    theirs = v2.CutMix(num_classes=5)
    monkeypatch.setattr(theirs, "_dist", type("Dist", (), {"sample": staticmethod(lambda size: share)}))
    monkeypatch.setattr(torch, "randint", Mock(side_effect=(torch.tensor([x]), torch.tensor([y]))))
    params = theirs.make_params([IMAGES]) | {"labels": LABELS, "batch_size": 6}
    ours, own_share = cut_mix(IMAGES, share, drawing(x, y))
    assert torch.equal(ours, theirs.transform(IMAGES, params))
    assert own_share == pytest.approx(params["lam_adjusted"])
    torch.testing.assert_close(mixed_labels(LABELS, own_share, 5), theirs.transform(LABELS, params))


def batches(count: int = 40) -> list[Batch]:
    return [Batch(IMAGES.to(memory_format=torch.channels_last), LABELS, torch.arange(6)) for _ in range(count)]


def shares(*arguments: Any) -> list[float]:
    """Of each batch, the share of its first image that is its own."""
    return [float(batch.labels[0, 0]) for batch in mixed(batches(), *arguments)]


def test_what_is_drawn_is_a_function_of_seed_purpose_epoch_and_step() -> None:
    one = shares(0.8, 0.0, 5, 0, "base", 0)
    assert one == shares(0.8, 0.0, 5, 0, "base", 0)
    assert len(set(one)) == len(one), "each step draws its own"
    for other in ((1, "base", 0), (0, "another", 0), (0, "base", 1)):
        assert not set(one) & set(shares(0.8, 0.0, 5, *other))


def test_with_both_each_is_drawn_half_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = Mock(side_effect=mix_up), Mock(side_effect=cut_mix)
    monkeypatch.setattr("repro.data.mixing.mix_up", one)
    monkeypatch.setattr("repro.data.mixing.cut_mix", other)
    for batch in mixed(batches(), 0.8, 1.0, 5, 0, "base", 0):
        torch.testing.assert_close(batch.labels.sum(1), torch.ones(6))
        assert batch.images.is_contiguous(memory_format=torch.channels_last)
    assert 10 <= one.call_count <= 30 and one.call_count + other.call_count == 40
    plain = mixed(batches(1), 0, 0, 5, 0, "base", 0)
    assert all(torch.equal(a, b) for a, b in zip(next(iter(plain)), batches(1)[0], strict=True)), "nothing to mix"
