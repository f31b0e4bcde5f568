"""The one training loop: base, gate, experts and ensemblers all go through :func:`fit`.

It knows nothing of what it trains. Whoever calls it says which module, which batches an epoch has
and what a step's loss is. Between epochs everything is on disk, so a run that is stopped goes on
from the last finished epoch, to the same numbers.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from repro.errors import StoreError, TimeIsUpError, TrainingError
from repro.files import write_aside
from repro.method.compiling import seconds_to_compile
from repro.method.device import autocast
from repro.method.recipe import Recipe
from repro.progress import late


class Step(NamedTuple):
    """loss: scalar to minimise; correct: how many of the ``samples`` were right (scalar tensors, on the device)."""

    loss: Tensor
    correct: Tensor
    samples: int


class Epoch(NamedTuple):
    """History of one epoch: mean loss, share of samples that were right in [0, 1] while training, seconds."""

    loss: float
    accuracy: float
    seconds: float


DIVERGED = 50.0  # nats: a guess among 1000 classes costs 6.9
LARGE = 32e6  # states of more bytes than that, together, are not written after each epoch, but ...
WRITTEN = 4e6  # ... so rarely that it makes so many bytes a second
DISK = 2e8  # bytes a second that a disk takes, where time is short
SLOWER = 1.1  # times as long as the last one an epoch may take
Report = Callable[[int, Epoch], None]
B = TypeVar("B")


class Training(Generic[B]):
    """One module on its way through a recipe: optimiser, schedule, history, checkpoint.

    :func:`fit` drives one; training experts in one pass drives many side by side. After
    ``begin_epoch``, ``step`` takes each batch of the epoch and ``end_epoch`` closes it.
    """

    def __init__(
        self,
        module: nn.Module,
        recipe: Recipe,
        loss: Callable[[B], Step],
        device: torch.device,
        what: str,
        checkpoint: Path | None = None,
        report: Report = lambda epoch, history: None,
        beside: int = 1,
    ) -> None:
        """``beside`` is how many such are trained at once, each with a checkpoint of its own."""
        self.module = module.train()
        self.recipe = recipe
        self._loss = loss
        self._device = device
        self.what = what
        self._checkpoint = checkpoint
        self._report = report
        self._optimizer = torch.optim.SGD(
            [p for p in module.parameters() if p.requires_grad],
            lr=recipe.learning_rate,
            momentum=recipe.momentum,
            nesterov=recipe.nesterov and recipe.momentum > 0,
            weight_decay=recipe.weight_decay,
            foreach=device.type != "cuda",
            fused=device.type == "cuda",
        )
        self.history = load_checkpoint(checkpoint, module, self._optimizer) if checkpoint else []
        self._kept, self._kept_at = len(self.history), time.monotonic()
        self.bytes, self._beside = 2 * sum(p.nbytes for p in module.parameters()), beside

    @property
    def epoch(self) -> int:
        """The epoch that is next, or under way; counted from 0."""
        return len(self.history)

    def begin_epoch(self, steps: int) -> None:
        """An epoch of ``steps`` batches begins (the schedule needs their number)."""
        self._began = time.monotonic()
        self._steps, self._index, self.samples = steps, 0, 0
        # Sums stay on the device: nothing inside an epoch waits for it.
        self._loss_sum = torch.zeros((), device=self._device)
        self._correct = torch.zeros((), device=self._device)

    def step(self, batch: B) -> None:
        """One step of the optimiser on one batch; :class:`TimeIsUpError` if the run has no time left."""
        if late():
            raise TimeIsUpError(f"{self.what}: stopped in epoch {self.epoch + 1}")
        done = (self.epoch + self._index / self._steps) / self.recipe.epochs
        for group in self._optimizer.param_groups:
            group["lr"] = self.recipe.learning_rate_at(done)
        with autocast(self._device):
            out = self._loss(batch)
        out.loss.backward()
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        self._loss_sum += out.loss.detach() * out.samples
        self._correct += out.correct.detach()
        self.samples += out.samples
        self._index += 1

    def end_epoch(self, seconds: float | None = None) -> None:
        """Put the epoch on record, and on disk; ``seconds`` where it shared its time with others.

        Raises :class:`TrainingError` when the epoch had no data or its loss is not finite.
        """
        if self.samples == 0:
            raise TrainingError(f"{self.what}: epoch {self.epoch + 1} has no data")
        loss, accuracy = float(self._loss_sum) / self.samples, float(self._correct) / self.samples  # waits for a GPU
        entry = Epoch(loss, accuracy, time.monotonic() - self._began if seconds is None else seconds)
        if not math.isfinite(entry.loss):
            raise TrainingError(
                f"{self.what}: the loss of epoch {self.epoch + 1} is not finite; "
                f"lower the learning rate ({self.recipe.learning_rate})"
            )
        if entry.loss > DIVERGED:
            raise TrainingError(
                f"{self.what}: training diverged, the mean loss of epoch {self.epoch + 1} is {entry.loss:.0f}; "
                f"lower the learning rate ({self.recipe.learning_rate})"
            )
        self.history.append(entry)
        together = self._beside * self.bytes
        if together < LARGE or time.monotonic() - self._kept_at > together / WRITTEN:
            self.keep()
        self._report(self.epoch - 1, entry)

    def keep(self) -> None:
        """Put the state after the last finished epoch on disk, if it is not there."""
        if self._checkpoint and self._kept < self.epoch:
            save_checkpoint(self._checkpoint, self.module, self._optimizer, self.history)
            self._kept, self._kept_at = self.epoch, time.monotonic()

    def finish(self) -> list[Epoch]:
        """The module is as it will be used (BatchNorm in evaluation mode); returns the history."""
        self.module.eval()
        return self.history


def fit(
    module: nn.Module,
    recipe: Recipe,
    batches: Callable[[int], Iterable[B]],
    num_steps: Callable[[int], int],
    step: Callable[[B], Step],
    device: torch.device,
    what: str,
    checkpoint: Path | None = None,
    report: Report = lambda epoch, history: None,
) -> list[Epoch]:
    """Train ``module`` in place by ``recipe`` and return its history, one entry an epoch.

    batches(epoch)    the epoch's batches; must be a pure function of the epoch
    num_steps(epoch)  how many there are (the schedule needs it beforehand)
    step(batch)       the loss of one batch, under autocast
    what              names the thing in messages, e.g. ``expert 3 of 20``
    checkpoint        file that holds the state after the last finished epoch; read first if it is there

    Raises :class:`TrainingError` when an epoch has no data, or when its loss is not finite or has diverged;
    :class:`TimeIsUpError` when the next epoch would not end in the time that the run was given.
    """
    training = Training(module, recipe, step, device, what, checkpoint, report)
    for epoch in range(training.epoch, recipe.epochs):
        pause_if_late([training])
        training.begin_epoch(num_steps(epoch))
        for batch in batches(epoch):
            training.step(batch)
        training.end_epoch()
    return training.finish()


def pause_if_late(trainings: Sequence[Training[Any]]) -> None:
    """Before an epoch that these share: if it would not end in time, keep their states, and :class:`TimeIsUpError`.

    It is expected to take a little longer than the last one, and the states some time to be written. Of a first one
    nothing is known but that networks have to be compiled.
    """
    expected = seconds_to_compile(trainings[0]._device)
    if last := sum(training.history[-1].seconds for training in trainings if training.history):
        expected += SLOWER * last + sum(training.bytes for training in trainings) / DISK
    if late(expected):
        for training in trainings:
            training.keep()
        done = trainings[0].epoch
        raise TimeIsUpError(f"{trainings[0].what}: {f'stopped after epoch {done}' if done else 'not begun'}")


def save_checkpoint(path: Path, module: nn.Module, optimizer: torch.optim.SGD, history: list[Epoch]) -> None:
    """One file with the module, the momentum and the history, whole or not at all.

    Raises :class:`StoreError` when it cannot be written; the one before then still stands.
    """
    tensors = {f"module.{k}": v for k, v in module.state_dict().items()}
    for index, state in optimizer.state_dict()["state"].items():
        if state.get("momentum_buffer") is not None:
            tensors[f"momentum.{index}"] = state["momentum_buffer"]
    try:
        with write_aside(path) as aside:
            save_file({k: v.contiguous() for k, v in tensors.items()}, aside, {"history": json.dumps(history)})
    except (OSError, SafetensorError) as error:
        raise StoreError(
            f"{path} cannot be written ({error}); free some space, or choose another folder with the parameter "
            "root; the same command then goes on from the last epoch that was kept"
        ) from error


def load_checkpoint(path: Path, module: nn.Module, optimizer: torch.optim.SGD) -> list[Epoch]:
    """Put the state of the last finished epoch back; returns its history, ``[]`` if there is none to go on from."""
    try:
        with safe_open(path, "pt") as file:
            tensors = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118 (not a mapping)
            history = [Epoch(*entry) for entry in json.loads(file.metadata()["history"])]
    except (FileNotFoundError, SafetensorError):
        return []
    module.load_state_dict({k.removeprefix("module."): v for k, v in tensors.items() if k.startswith("module.")})
    state = optimizer.state_dict()
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for name, buffer in tensors.items():
        if name.startswith("momentum."):
            index = int(name.removeprefix("momentum."))
            # Laid out in memory as the parameter is: the fused optimiser walks both as they lie.
            state["state"][index] = {"momentum_buffer": torch.empty_like(parameters[index]).copy_(buffer)}
    optimizer.load_state_dict(state)
    return history
