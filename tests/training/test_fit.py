"""The one training loop: schedules, resumption to the last bit, numbers that went wrong."""

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from unittest.mock import Mock

import pytest
import torch
import torch.nn.functional as F
from safetensors import safe_open
from torch import Tensor, nn

from repro.errors import TimeIsUpError, TrainingError
from repro.randomness import generator
from repro.training.device import autocast
from repro.training.fit import Epoch, Step, Training, fit
from repro.training.recipe import Group, Recipe
from tests.helpers import same
from tests.stopping import Stop

CPU = torch.device("cpu")
RECIPE = Recipe(
    source="test", epochs=5, batch_size=8, learning_rate=0.1, nesterov=True, weight_decay=1e-3, schedule="one-cycle"
)
ADAMW = RECIPE.model_copy(
    update={"optimizer": "adamw", "learning_rate": 0.01, "decayed": "weights", "clip_norm": 0.5,
            "groups": (Group(match="3", rate=0.5),)}
)  # fmt: skip


def net(dropout: float = 0.0) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3), nn.Dropout(dropout))


def train(
    module: nn.Module, checkpoint: Path | None = None, scale: float = 1.0, recipe: Recipe = RECIPE, seed: int = 0,
    more: Callable[[Tensor], dict[str, dict[str, Tensor]]] = lambda logits: {}, device: torch.device = CPU,
) -> list[Epoch]:  # fmt: skip
    def batches(epoch: int) -> tuple[int, list[tuple[Tensor, Tensor]]]:
        g = generator(3, "test", epoch)
        several = [torch.randn(8, 6, generator=g) for _ in range(4)]
        return 4, [((x * scale).to(device), (x.sum(1) > 0).long().to(device)) for x in several]

    def step(batch: tuple[Tensor, Tensor], done: float) -> Step:
        logits = module(batch[0]).float()
        return Step(F.cross_entropy(logits, batch[1]), (logits.argmax(1) == batch[1]).sum(), 8, **more(logits))

    module.to(device)
    return fit(Training(module, recipe, step, device, "the test", seed, checkpoint), batches)


@pytest.mark.parametrize("dropout", [0.0, 0.5])
@pytest.mark.parametrize("recipe", [RECIPE, ADAMW], ids=lambda recipe: recipe.optimizer)
@pytest.mark.parametrize("stop_after", [1, 3, 4])
def test_stopped_and_resumed_is_never_stopped(
    tmp_path: Path, any_device: torch.device, stops: list[int], stop_after: int, recipe: Recipe, dropout: float
) -> None:
    def more(logits: Tensor) -> dict[str, dict[str, Tensor]]:
        return {"auxiliary": {"size": 0.01 * logits.square().mean()}, "statistics": {"logits": logits.mean(0)}}

    whole, stops[1] = net(dropout), stop_after
    history = train(whole, recipe=recipe, more=more, device=any_device)
    with pytest.raises(Stop):
        train(net(dropout), tmp_path / "c.safetensors", recipe=recipe, more=more, device=any_device)
    resumed = net(dropout)
    with torch.no_grad():
        next(resumed.parameters()).fill_(7.0)  # what a fresh process starts from must not matter
    torch.manual_seed(1)  # nor must the state of its generators
    again = train(resumed, tmp_path / "c.safetensors", recipe=recipe, more=more, device=any_device)
    assert same(whole, resumed)
    assert [e._replace(seconds=0) for e in again] == [e._replace(seconds=0) for e in history]


@pytest.mark.parametrize(("kind", "clip"), [("sgd", None), ("sgd", 0.3), ("adamw", None)])
def test_the_loop_is_torchs_plain_loop(kind: str, clip: float | None) -> None:
    """Losses and weights to the last bit, against the loop as a tutorial would write it."""
    module, losses = net(), []
    recipe = RECIPE.model_copy(update={"optimizer": kind, "clip_norm": clip})
    optimizer: torch.optim.Optimizer
    if kind == "sgd":
        optimizer = torch.optim.SGD(module.parameters(), lr=1.0, momentum=0.9, nesterov=True, weight_decay=1e-3)
    else:
        optimizer = torch.optim.AdamW(module.parameters(), lr=1.0, weight_decay=1e-3)
    for epoch in range(RECIPE.epochs):
        g, total = generator(3, "test", epoch), torch.zeros(())
        for index in range(4):
            optimizer.param_groups[0]["lr"] = RECIPE.learning_rate_at((epoch + index / 4) / RECIPE.epochs)
            x = torch.randn(8, 6, generator=g)
            with autocast(CPU):
                loss = F.cross_entropy(module(x).float(), (x.sum(1) > 0).long())
            optimizer.zero_grad()
            loss.backward()
            if clip:
                nn.utils.clip_grad_norm_(module.parameters(), clip)
            optimizer.step()
            total += loss.detach() * 8
        losses.append(float(total) / 32)
    ours = net()
    assert [entry.loss for entry in train(ours, recipe=recipe)] == losses
    assert same(ours, module)


def test_what_a_module_draws_is_a_function_of_the_seed_the_epoch_and_the_step(any_device: torch.device) -> None:
    """Whatever the state of torch's own generators, which is left as it was."""
    one, again, other, plain = net(0.5), net(0.5), net(0.5), net()
    masks: list[Tensor] = []
    one[4].register_forward_hook(lambda layer, args, out: masks.append(out == 0))
    torch.manual_seed(5)
    drawn = [torch.rand(3, device=any_device) for _ in range(2)]
    torch.manual_seed(5)
    first = torch.rand(3, device=any_device)
    train(one, device=any_device)
    assert torch.equal(first, drawn[0])
    assert torch.equal(torch.rand(3, device=any_device), drawn[1]), "as if nothing had been drawn in between"
    train(again, device=any_device)
    train(other, seed=1, device=any_device)
    train(plain, device=any_device)
    assert same(one, again) and not same(one, other) and not same(one, plain)
    assert len(masks) == 20 and all(not torch.equal(a, b) for a, b in itertools.combinations(masks, 2))


def test_auxiliary_losses_are_minimised_but_not_reported() -> None:
    """λ times a mean square of the logits: it shrinks them; what is reported is the cross-entropy of the step."""

    def report_of(kind: str, weight: float) -> Epoch:
        return train(net(), more=lambda logits: {kind: {"size": weight * logits.square().mean()}})[-1]

    without, weak, strong = report_of("statistics", 1.0), report_of("auxiliary", 0.0), report_of("auxiliary", 1.0)
    assert (weak.loss, weak.accuracy, weak.means) == (without.loss, without.accuracy, {"size": 0.0})
    size = without.means["size"]
    assert isinstance(strong.means["size"], float) and isinstance(size, float)
    assert 0 < strong.means["size"] < 0.5 * size
    assert strong.loss > without.loss, "cross-entropy alone, which now is not all that is minimised"


def test_statistics_are_means_over_the_samples_and_a_step_knows_how_much_lies_behind() -> None:
    """Two batches, of 1 and of 3 samples."""
    module, seen = nn.Linear(1, 1), []

    def step(samples: int, done: float) -> Step:
        seen.append(done)
        load = torch.tensor([1.0, 0.0]) if samples == 1 else torch.tensor([0.0, 1.0])
        loss = module(torch.ones(1)).square().sum()
        return Step(loss, torch.tensor(0), samples, {}, {"n": load[1] * 4, "load": load})

    history = fit(Training(module, RECIPE, step, CPU, "two", 0), lambda epoch: (2, [1, 3]))
    assert history[0].means == {"n": 3.0, "load": [0.25, 0.75]} and seen == pytest.approx([i / 10 for i in range(10)])


def test_what_is_not_finite_and_one_image_of_which_batchnorm_finds_no_variance_are_named() -> None:
    with pytest.raises(TrainingError, match="the test: the loss of epoch 1 is not finite; lower the learning rate"):
        train(net(), scale=float("inf"))
    with pytest.raises(TrainingError, match="the test: the load of epoch 1 is not finite"):
        train(net(), more=lambda logits: {"statistics": {"load": logits.mean(0) / 0}})

    def train_on_one_image(steps: int, step: Callable[[Tensor, float], Step]) -> None:
        fit(Training(module, RECIPE, step, CPU, "the test", 0), lambda epoch: (steps, [torch.randn(1, 6)] * steps))

    module = net()
    for steps, has in ((1, "has one image"), (2, "has batches of one image")):
        with pytest.raises(TrainingError, match=f"^the test: epoch 1 {has}, which BatchNorm cannot take; ask for "):
            train_on_one_image(steps, lambda x, done: Step(module(x).square().mean(), torch.tensor(0), len(x)))
    with pytest.raises(ValueError, match="a mistake"):
        train_on_one_image(1, Mock(side_effect=ValueError("a mistake")))


def test_a_large_state_is_written_once_in_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a short training, which the store keeps at its end, not at all."""
    monkeypatch.setattr("repro.training.fit.LARGE", 0)
    monkeypatch.setattr("repro.training.fit.WRITTEN", 1e-3)  # bytes a second
    train(net(), tmp_path / "c")
    assert not (tmp_path / "c").exists()
    monkeypatch.setattr("repro.training.fit.WRITTEN", float("inf"))
    train(net(), tmp_path / "c")
    with safe_open(tmp_path / "c", "pt") as file:
        assert len(json.loads(file.metadata()["history"])) == RECIPE.epochs


def test_out_of_time_after_or_in_an_epoch_the_state_is_kept_and_a_second_call_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected: list[float] = []

    def late(seconds: float = 0.0) -> bool:
        if seconds:  # before an epoch, of which the last one says how long it will take
            expected.append(seconds)
        return len(expected) == 3

    monkeypatch.setattr("repro.training.fit.LARGE", 0)  # so the state would not have been written yet
    monkeypatch.setattr("repro.training.fit.late", late)
    with pytest.raises(TimeIsUpError, match="the test: stopped after epoch 3"):
        train(net(), tmp_path / "c")
    with safe_open(tmp_path / "c", "pt") as file:
        seconds = [entry[2] for entry in json.loads(file.metadata()["history"])]
    assert all(foreseen > took for foreseen, took in zip(expected, seconds, strict=True)), "and the state is written"
    asked = itertools.count()
    monkeypatch.setattr("repro.training.fit.late", lambda seconds=0.0: next(asked) == 2)  # an epoch asks five times
    with pytest.raises(TimeIsUpError, match="the test: stopped in epoch 4"):
        train(net(), tmp_path / "c")
    monkeypatch.undo()
    resumed, whole = net(), net()
    train(resumed, tmp_path / "c")
    train(whole)
    assert same(whole, resumed)
