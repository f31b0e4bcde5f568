"""Experts trained in one pass over the trunk are the experts trained apart."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from repro.data.augment import Augmentation
from repro.data.batches import DeviceBatches
from repro.data.modes import make_modes
from repro.errors import TrainingError
from repro.families.single_gate import one_pass
from repro.families.single_gate.one_pass import (
    NewExpert,
    TrunkBatch,
    chosen_images,
    expert_loss,
    through_trunk,
    train_experts,
    use_batch_statistics,
)
from repro.models.backbone import Backbone, Head
from repro.models.registry import build_backbone, build_head, freeze, init_expert
from repro.training import device, fit
from repro.training.fit import Epoch
from repro.training.recipe import Recipe
from tests.helpers import RECIPE, same
from tests.stopping import Stop

CPU = torch.device("cpu")
N = 120
Together = tuple[list[Head], list[list[Epoch]]]


@pytest.fixture(scope="module")
def source() -> DeviceBatches:
    return DeviceBatches(make_modes("train", N), Augmentation(crop="pad", pad=2, flip=True, cutout=6), CPU)


def shares(num_experts: int, gamma: float = 0.05, sizes: Tensor | None = None) -> Tensor:
    """Γ(g0) ``[N, K]`` of a made-up hard gate; ``sizes`` weighs the experts."""
    g = torch.Generator().manual_seed(1)
    own = torch.multinomial(sizes if sizes is not None else torch.ones(num_experts), N, True, generator=g)
    return nn.functional.one_hot(own, num_experts).float().clamp(min=gamma)


def new(num_experts: int, dropout: float = 0.0) -> tuple[Backbone, list[Head]]:
    torch.manual_seed(0)
    base = build_backbone("tr10", 20, 0.0625)
    heads = [init_expert(base, build_head("tr10", 20, 0.0625)) for _ in range(num_experts)]
    for head in heads:
        head.features = nn.Sequential(head.features, nn.Dropout(dropout))
    return base, heads


def alone(
    head: Head, base: Backbone, source: DeviceBatches, share: Tensor, sharing: str, recipe: Recipe, k: int,
    trunk_batchnorm: str = "evaluation",
) -> list[Epoch]:  # fmt: skip
    """Step 4 for one expert as one would write it down: its own images, through the trunk, a batch at a time."""
    freeze(base)
    if trunk_batchnorm == "training":
        use_batch_statistics(base.trunk)

    def chosen(epoch: int) -> Tensor | None:
        return chosen_images(share, 3, k, epoch) if sharing == "sampling" else None

    def batches(epoch: int) -> tuple[int, Iterator[TrunkBatch]]:
        images = source.train(3, epoch, recipe.batch_size, chosen(epoch))
        return source.num_steps(recipe.batch_size, chosen(epoch)), through_trunk(base, images, CPU)

    base.to(memory_format=torch.channels_last)
    head.to(memory_format=torch.channels_last)
    step = expert_loss(head, share, sharing, CPU, recipe)  # type: ignore[arg-type]
    return fit.fit(fit.Training(head, recipe, step, CPU, f"expert {k}", 3), batches)


def apart(
    source: DeviceBatches, share: Tensor, sharing: str = "sampling", recipe: Recipe = RECIPE, dropout: float = 0.0
) -> Together:
    base, heads = new(share.shape[1], dropout)
    return heads, [alone(head, base, source, share[:, k], sharing, recipe, k) for k, head in enumerate(heads)]


def together(
    source: DeviceBatches, share: Tensor, sharing: str = "sampling", recipe: Recipe = RECIPE, dropout: float = 0.0,
    folder: Path | None = None, trunk_batchnorm: str = "evaluation",
) -> Together:  # fmt: skip
    base, heads = new(share.shape[1], dropout)
    several = [
        NewExpert(k, head, share[:, k], folder / f"{k}.safetensors" if folder else None) for k, head in enumerate(heads)
    ]
    before = {name: value.clone() for name, value in base.state_dict().items()}
    histories = train_experts(several, base, source, sharing, recipe, 3, CPU, trunk_batchnorm=trunk_batchnorm)  # type: ignore[arg-type]
    assert all(torch.equal(value, before[name]) for name, value in base.state_dict().items()), "the base is frozen"
    assert not any(module.training for module in base.modules())
    return heads, histories


def agree(one: Together, other: Together) -> None:
    """To the last bit."""
    assert numbers(one[1]) == numbers(other[1])
    assert all(same(a, b) for a, b in zip(one[0], other[0], strict=True))


def numbers(histories: list[list[Epoch]]) -> list[list[tuple[float, float]]]:
    return [[(e.loss, e.accuracy) for e in history] for history in histories]


@pytest.fixture(scope="module")
def three(source: DeviceBatches) -> Together:
    return together(source, shares(3))


def test_sampling_visits_each_image_with_its_probability_and_by_seed_expert_and_epoch_alone() -> None:
    share = torch.tensor([0.0, 0.05, 0.5, 1.0])
    visits = torch.stack([chosen_images(share, 0, 3, epoch) for epoch in range(4000)]).double().mean(0)
    assert visits[0] == 0 and visits[3] == 1
    assert visits[1:3].tolist() == pytest.approx([0.05, 0.5], abs=0.03)
    half = torch.full((200,), 0.5)
    first = chosen_images(half, 0, 1, 2)
    assert torch.equal(first, chosen_images(half, 0, 1, 2))
    assert not any(torch.equal(first, chosen_images(half, *other)) for other in [(1, 1, 2), (0, 2, 2), (0, 1, 3)])


@pytest.mark.parametrize(
    ("num_experts", "precision", "sharing", "dropout", "changes"),
    [
        (5, None, "sampling", 0.0, {}), (3, "fp32", "sampling", 0.0, {}), (2, None, "reweighting", 0.0, {}),
        (2, None, "sampling", 0.3, {"optimizer": "adamw", "learning_rate": 1e-3, "clip_norm": 1.0}),
    ],
)  # fmt: skip
def test_one_pass_makes_the_experts_of_k_passes(
    num_experts: int, precision: str | None, sharing: str, dropout: float, changes: dict[str, Any],
    source: DeviceBatches, request: pytest.FixtureRequest,
) -> None:  # fmt: skip
    """To the last bit, in the precision of this machine, and in fp32 where batches are whole."""
    if precision:
        request.getfixturevalue(precision)
    how = sharing, RECIPE.model_copy(update=changes), dropout
    ours = together(source, shares(num_experts), *how)
    agree(ours, apart(source, shares(num_experts), *how))
    assert not same(ours[0][0], new(1)[1][0]), "something was learned"
    first = [history[0].seconds for history in ours[1]]
    assert min(first) > 0 and (sharing == "sampling" or max(first) == pytest.approx(min(first))), "all see every image"


@pytest.mark.parametrize("batches", [0, 2.5])
def test_however_many_batches_a_window_has(
    source: DeviceBatches, three: Together, batches: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One by one, or two by two, as all of them at once."""
    width, side, size = 8, 16, 2 if device.bf16_is_fast(CPU) else 4
    monkeypatch.setattr(one_pass, "WINDOW", batches * RECIPE.batch_size * width * side * side * size)
    agree(together(source, shares(3)), three)


@pytest.mark.usefixtures("fp32")
def test_an_expert_with_less_than_a_batch_is_the_same_to_float_tolerance(source: DeviceBatches) -> None:
    """Apart, its trunk batch is small, and fp32 kernels for small batches may add in another order."""
    share = shares(3, gamma=0.0, sizes=torch.tensor([0.1, 0.5, 0.4]))
    assert 1 < share[:, 0].sum() < RECIPE.batch_size
    (ours, histories), (theirs, expected) = together(source, share), apart(source, share)
    torch.testing.assert_close(numbers(histories), numbers(expected), rtol=1e-4, atol=1e-4)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a.state_dict(), b.state_dict(), rtol=1e-3, atol=1e-4)


def test_the_trunk_runs_once_on_each_image_that_some_expert_wants(
    source: DeviceBatches, monkeypatch: pytest.MonkeyPatch
) -> None:
    share = shares(5)
    base, heads = new(5)
    images: list[int] = []
    base.trunk.register_forward_hook(lambda module, args, out: images.append(len(out)))
    several = [NewExpert(k, head, share[:, k]) for k, head in enumerate(heads)]
    train_experts(several, base, source, "sampling", RECIPE, 3, CPU)
    visits = sum(float(share[:, k].sum()) for k in range(5)) * RECIPE.epochs
    assert sum(images) <= RECIPE.epochs * (N + RECIPE.batch_size) < visits
    assert set(images) == {RECIPE.batch_size}


@pytest.mark.parametrize("stop_after", [1, 4])
def test_stopped_anywhere_and_resumed_is_never_stopped(
    source: DeviceBatches, three: Together, tmp_path: Path, stops: list[int], stop_after: int
) -> None:
    stops[1] = stop_after
    with pytest.raises(Stop):
        together(source, shares(3), folder=tmp_path)
    agree(together(source, shares(3), folder=tmp_path), three)
    assert stops[0] == 3 * RECIPE.epochs, "no epoch of any expert was trained twice"


def test_begun_alone_and_gone_on_together(
    source: DeviceBatches, three: Together, tmp_path: Path, stops: list[int]
) -> None:
    share, stops[1] = shares(3), 1
    base, heads = new(3)
    with pytest.raises(Stop):
        one = NewExpert(1, heads[1], share[:, 1], tmp_path / "1.safetensors")
        train_experts([one], base, source, "sampling", RECIPE, 3, CPU)
    agree(together(source, share, folder=tmp_path), three)


@pytest.mark.usefixtures("fp32")
@pytest.mark.parametrize("trunk_batchnorm", ["evaluation", "training"])
@pytest.mark.parametrize("images", [RECIPE.batch_size // 2, 3 * RECIPE.batch_size + 1])
def test_one_expert_is_the_plain_loop_s_whatever_it_has(
    source: DeviceBatches, images: int, trunk_batchnorm: str
) -> None:
    """Less than a batch of images, or a trunk that normalises by each batch: to the last bit."""
    share = (torch.arange(N) < images).float()
    base, (theirs,) = new(1)
    expected = alone(theirs, base, source, share, "sampling", RECIPE, 0, trunk_batchnorm)
    agree(together(source, share[:, None], trunk_batchnorm=trunk_batchnorm), ([theirs], [expected]))


def test_what_cannot_be_trained_is_said(source: DeviceBatches) -> None:
    with pytest.raises(TrainingError, match="expert 1: epoch 1 has no data; ask for fewer"):
        together(source, torch.tensor([1.0, 0.0]).expand(N, 2))
