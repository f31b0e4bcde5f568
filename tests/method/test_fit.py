"""The one training loop: schedules, resumption to the last bit, numbers that went wrong."""

import contextlib
import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors import safe_open
from torch import Tensor, nn

from repro.errors import TimeIsUpError, TrainingError
from repro.method.device import autocast
from repro.method.fit import LARGE, Epoch, Step, Training, fit
from repro.method.recipe import Recipe
from repro.randomness import generator

CPU = torch.device("cpu")
RECIPE = Recipe(
    source="test", epochs=5, batch_size=8, learning_rate=0.1, nesterov=True, weight_decay=1e-3, schedule="one-cycle"
)


class Stop(Exception):
    """Stands for whatever stops a run."""


def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))


def train(module: nn.Module, checkpoint: Path | None = None, stop_after: int = 99, scale: float = 1.0) -> list[Epoch]:
    def batches(epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        g = generator(3, "test", epoch)
        for _ in range(4):
            x = torch.randn(8, 6, generator=g)
            yield x * scale, (x.sum(1) > 0).long()

    def step(batch: tuple[Tensor, Tensor]) -> Step:
        logits = module(batch[0]).float()
        return Step(F.cross_entropy(logits, batch[1]), (logits.argmax(1) == batch[1]).sum(), 8)

    def report(epoch: int, entry: Epoch) -> None:
        if epoch + 1 == stop_after:
            raise Stop

    return fit(module, RECIPE, batches, lambda epoch: 4, step, CPU, "the test", checkpoint, report)


def same(a: nn.Module, b: nn.Module) -> bool:
    return all(torch.equal(v, b.state_dict()[k]) for k, v in a.state_dict().items())


@pytest.mark.parametrize("stop_after", [1, 3, 4])
def test_stopped_and_resumed_is_never_stopped(tmp_path: Path, stop_after: int) -> None:
    whole = net()
    history = train(whole)
    with pytest.raises(Stop):
        train(net(), tmp_path / "c.safetensors", stop_after)
    resumed = net()
    with torch.no_grad():
        resumed[0].weight.fill_(7.0)  # what a fresh process starts from must not matter  # type: ignore[index]
    again = train(resumed, tmp_path / "c.safetensors")
    assert same(whole, resumed)
    assert [(e.loss, e.accuracy) for e in again] == [(e.loss, e.accuracy) for e in history]


def test_the_test_above_can_fail(tmp_path: Path) -> None:
    """Without the checkpoint a run of the remaining epochs ends elsewhere."""
    whole, other = net(), net()
    train(whole)
    with pytest.raises(Stop):
        train(other, tmp_path / "c.safetensors", 3)
    assert not same(whole, other)


def test_a_broken_checkpoint_is_not_gone_on_from(tmp_path: Path) -> None:
    path = tmp_path / "c.safetensors"
    path.write_bytes(b"\x10\x00")
    broken, whole = net(), net()
    train(broken, path)
    train(whole)
    assert same(broken, whole)


def test_the_loop_is_torchs_plain_loop() -> None:
    """Losses and weights to the last bit, against the loop as a tutorial would write it."""
    module, losses = net(), []
    sgd = torch.optim.SGD(module.parameters(), lr=1.0, momentum=0.9, nesterov=True, weight_decay=1e-3)
    for epoch in range(RECIPE.epochs):
        g, total = generator(3, "test", epoch), torch.zeros(())
        for index in range(4):
            sgd.param_groups[0]["lr"] = RECIPE.learning_rate_at((epoch + index / 4) / RECIPE.epochs)
            x = torch.randn(8, 6, generator=g)
            with autocast(CPU):
                loss = F.cross_entropy(module(x).float(), (x.sum(1) > 0).long())
            sgd.zero_grad()
            loss.backward()
            sgd.step()
            total += loss.detach() * 8
        losses.append(float(total) / 32)
    ours = net()
    assert [entry.loss for entry in train(ours)] == losses
    assert same(ours, module)


def test_training_learns() -> None:
    history = train(net())
    assert len(history) == 5 and history[-1].loss < history[0].loss


def test_a_loss_that_is_not_finite_names_what_it_is_of() -> None:
    with pytest.raises(TrainingError, match="the test: the loss of epoch 1 is not finite; lower the learning rate"):
        train(net(), scale=float("inf"))


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("constant", [1, 1, 1, 1]),
        ("cosine", [1, 0.8535533906, 0.5, 0.1464466094]),
        ("multistep", [1, 1, 0.2, 0.04]),
        ("one-cycle", [0.1, 1, 0.75, 0.25]),
    ],
)
def test_schedules_by_hand(schedule: str, expected: list[float]) -> None:
    recipe = Recipe(
        source="test",
        epochs=1,
        batch_size=1,
        learning_rate=1.0,
        schedule=schedule,
        milestones=(0.5, 0.75),  # type: ignore[arg-type]
    )
    assert [recipe.learning_rate_at(done) for done in (0, 0.25, 0.5, 0.75)] == pytest.approx(expected)


class Wide(nn.Module):
    """A state that is too large to be written after each epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.all = nn.Parameter(torch.zeros(round(LARGE / 8) + 1))

    def forward(self) -> Tensor:
        return ((self.all - 1) ** 2).sum()


def wide(checkpoint: Path, epochs: int, epochs_done: list[int], stop_after: int = 99) -> list[Epoch]:
    module = Wide()
    recipe = Recipe(source="test", epochs=epochs, batch_size=1, learning_rate=0.1, schedule="constant", momentum=0)

    def report(epoch: int, entry: Epoch) -> None:
        with contextlib.suppress(FileNotFoundError), safe_open(checkpoint, "pt") as file:
            epochs_done.append(len(json.loads(file.metadata()["history"])))
        if epoch + 1 == stop_after:
            raise Stop

    def step(batch: int) -> Step:
        return Step(module() / module.all.numel(), torch.zeros(()), 1)

    return fit(module, recipe, lambda epoch: range(1), lambda epoch: 1, step, CPU, "wide", checkpoint, report)


def test_a_large_state_is_written_once_in_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a short training, which the store keeps at its end, not at all."""
    found: list[int] = []
    wide(tmp_path / "a", 3, found)
    assert found == []
    monkeypatch.setattr("repro.method.fit.WRITTEN", float("inf"))
    found.clear()
    wide(tmp_path / "b", 3, found)
    assert found == [1, 2, 3]


def test_out_of_time_the_state_is_kept_and_a_second_call_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected: list[float] = []

    def late(seconds: float = 0.0) -> bool:
        if seconds:  # before an epoch, of which the last one says how long it will take
            expected.append(seconds)
        return len(expected) == 3

    monkeypatch.setattr("repro.method.fit.LARGE", 0)  # so the state would not have been written yet
    monkeypatch.setattr("repro.method.fit.late", late)
    with pytest.raises(TimeIsUpError, match="the test: stopped after epoch 3"):
        train(net(), tmp_path / "c")
    with safe_open(tmp_path / "c", "pt") as file:
        seconds = [entry[2] for entry in json.loads(file.metadata()["history"])]
    assert all(foreseen > took for foreseen, took in zip(expected, seconds, strict=True)), "and the state is written"
    monkeypatch.setattr("repro.method.fit.late", lambda seconds=0.0: False)
    resumed, whole = net(), net()
    train(resumed, tmp_path / "c")
    train(whole)
    assert same(whole, resumed)


def test_inside_an_epoch_too_a_run_stops_when_no_time_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = itertools.count()
    monkeypatch.setattr("repro.method.fit.late", lambda seconds=0.0: next(asked) == 7)  # an epoch asks five times
    with pytest.raises(TimeIsUpError, match="the test: stopped in epoch 2"):
        train(net(), tmp_path / "c")
    monkeypatch.undo()
    resumed, whole = net(), net()
    train(resumed, tmp_path / "c")
    train(whole)
    assert same(whole, resumed)


def test_momentum_comes_back_laid_out_as_its_parameter(tmp_path: Path, any_device: torch.device) -> None:
    """The fused optimiser of a GPU walks both as they lie in memory."""

    def training(module: nn.Module) -> Training[Tensor]:
        recipe = Recipe(source="test", epochs=2, batch_size=2, learning_rate=0.1)
        module.to(any_device, memory_format=torch.channels_last)  # type: ignore[call-overload]

        def loss(x: Tensor) -> Step:
            return Step(module(x).float().square().mean(), torch.zeros((), device=any_device), len(x))

        return Training(module, recipe, loss, any_device, "the test", tmp_path / "c")

    def epoch(of: Training[Tensor], x: Tensor) -> None:
        of.begin_epoch(1)
        of.step(x.to(any_device))
        of.end_epoch()

    torch.manual_seed(0)
    first, x = nn.Conv2d(3, 4, 3), torch.randn(2, 3, 8, 8)
    one = training(first)
    epoch(one, x)
    two = training(nn.Conv2d(3, 4, 3))
    weight, _ = two._optimizer.param_groups[0]["params"]
    assert two._optimizer.state[weight]["momentum_buffer"].stride() == weight.stride()
    assert weight.is_contiguous(memory_format=torch.channels_last) and not weight.is_contiguous()
    epoch(one, x)
    epoch(two, x)
    torch.testing.assert_close(one.module.state_dict(), two.module.state_dict())
