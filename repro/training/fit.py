"""The one training loop: whatever is trained goes through :func:`fit`.

It knows nothing of what it trains. Whoever calls it says which module, which batches an epoch has
and what a step's loss is. Between epochs everything is on disk, so a run that is stopped goes on
from the last finished epoch, to the same numbers; what a module draws while it trains (dropout,
the noise of gates, drop path) is a function of (seed, what is trained, epoch, step).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from repro.errors import TimeIsUpError, TrainingError
from repro.progress import late
from repro.randomness import seeded
from repro.training.checkpoint import load_checkpoint, save_checkpoint
from repro.training.compiling import seconds_to_compile
from repro.training.device import autocast
from repro.training.optimizers import make_optimizer, set_learning_rate
from repro.training.recipe import Recipe

NOTHING: Mapping[str, Any] = {}


class Step(NamedTuple):
    """What one batch says; tensors are on the device.

    Attributes:
        loss: Scalar to minimise, and reported.
        correct: How many of the samples were right.
        samples: How many there were.
        auxiliary: Scalars by name, each times its weight, that are minimised too but are no part of the reported loss.
        statistics: What else is worth recording, by names of their own: scalars, or vectors such as the experts' load.
    """

    loss: Tensor
    correct: Tensor
    samples: int
    auxiliary: Mapping[str, Tensor] = NOTHING
    statistics: Mapping[str, Tensor] = NOTHING


class Epoch(NamedTuple):
    """History of one epoch.

    Attributes:
        loss: Mean over the samples, in nats.
        accuracy: Share of samples that were right while training, in [0, 1].
        seconds: How long it took.
        means: Auxiliary losses and statistics by name, means over the samples; numbers, or lists of them.
    """

    loss: float
    accuracy: float
    seconds: float
    means: Mapping[str, Any] = NOTHING


DIVERGED = 50.0  # nats: a guess among 1000 classes costs 6.9
LARGE = 32e6  # states of more bytes than that, together, are not written after each epoch, but ...
WRITTEN = 4e6  # ... so rarely that it makes so many bytes a second
DISK = 2e8  # bytes a second that a disk takes, where time is short
SLOWER = 1.1  # times as long as the last one an epoch may take
Report = Callable[[int, Epoch], None]
B = TypeVar("B")


class Training(Generic[B]):
    """One module on its way through a recipe: optimiser, schedule, history, checkpoint.

    :func:`fit` drives one; training experts in one pass drives many side by side. After ``begin_epoch``, ``step`` takes
    each batch of the epoch and ``end_epoch`` closes it.

    Args:
        module: What is trained, in place; parameters that require no gradient stay as they are. It ends in evaluation
            mode.
        recipe: Optimiser, schedule, epochs.
        step: What a batch says, under autocast, when the given share in [0, 1) of training lies behind.
        device: Where module and batches are.
        what: Names the thing in messages, e.g. ``expert 3``, and is the purpose of what it draws.
        seed: The seed of what the module draws while it trains.
        checkpoint: File that holds the state after the last finished epoch; read first if it is there.
        report: Hears of each epoch.
        beside: How many such are trained at once, each with a checkpoint of its own.
    """

    def __init__(
        self,
        module: nn.Module,
        recipe: Recipe,
        step: Callable[[B, float], Step],
        device: torch.device,
        what: str,
        seed: int,
        checkpoint: Path | None = None,
        report: Report = lambda epoch, history: None,
        beside: int = 1,
    ) -> None:
        self.module = module.train()
        self.recipe = recipe
        self._step = step
        self._device = device
        self.what = what
        self._seed = seed
        self._checkpoint = checkpoint
        self._report = report
        self._optimizer = make_optimizer(module, recipe, device)
        entries = load_checkpoint(checkpoint, module, self._optimizer) if checkpoint else []
        self.history = [Epoch(*entry) for entry in entries]
        self._saved, self._saved_at = len(self.history), time.monotonic()
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
        self._sums: dict[str, Tensor] = {}

    def step(self, batch: B) -> None:
        """One step of the optimiser on one batch; :class:`TimeIsUpError` if the run has no time left."""
        if late():
            raise TimeIsUpError(f"{self.what}: stopped in epoch {self.epoch + 1}")
        done = (self.epoch + self._index / self._steps) / self.recipe.epochs
        set_learning_rate(self._optimizer, self.recipe.learning_rate_at(done))
        draws = seeded(self._seed, "inside", self.what, self.epoch, self._index, device=self._device)
        with draws, autocast(self._device):
            out = self._out_of(batch, done)
        sum(out.auxiliary.values(), out.loss).backward()
        if self.recipe.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.module.parameters(), self.recipe.clip_norm)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        self._count(out)

    def _out_of(self, batch: B, done: float) -> Step:
        """The step of a batch; :class:`TrainingError` if BatchNorm has one number a channel to find a variance of."""
        try:
            return self._step(batch, done)
        except (ValueError, RuntimeError) as error:  # compiled, it is the latter
            if "Expected more than 1 value per channel" not in str(error):
                raise
            few, more = ("one image", "fewer experts") if self._steps == 1 else ("batches of one image", "larger ones")
            raise TrainingError(
                f"{self.what}: epoch {self.epoch + 1} has {few}, which BatchNorm cannot take; ask for {more}, "
                "or larger images"
            ) from error

    def _count(self, out: Step) -> None:
        self._loss_sum += out.loss.detach() * out.samples
        self._correct += out.correct.detach()
        self.samples += out.samples
        self._index += 1
        for name, value in (*out.auxiliary.items(), *out.statistics.items()):
            self._sums[name] = self._sums.get(name, 0.0) + value.detach().float() * out.samples

    def end_epoch(self, seconds: float | None = None) -> None:
        """Put the epoch on record, and on disk; ``seconds`` where it shared its time with others.

        Raises :class:`TrainingError` when the epoch had no data or its loss is not finite.
        """
        if self.samples == 0:
            raise TrainingError(f"{self.what}: epoch {self.epoch + 1} has no data")
        loss, accuracy = float(self._loss_sum) / self.samples, float(self._correct) / self.samples  # waits for a GPU
        means = {name: (total / self.samples).tolist() for name, total in self._sums.items()}
        entry = Epoch(loss, accuracy, time.monotonic() - self._began if seconds is None else seconds, means)
        self._check(entry)
        self.history.append(entry)
        together = self._beside * self.bytes
        if together < LARGE or time.monotonic() - self._saved_at > together / WRITTEN:
            self.save()
        self._report(self.epoch - 1, entry)

    def _check(self, entry: Epoch) -> None:
        epoch, problem = self.epoch + 1, ""
        if entry.loss > DIVERGED:
            problem = f"training diverged, the mean loss of epoch {epoch} is {entry.loss:.0f}"
        for name, mean in {"loss": entry.loss, **entry.means}.items():
            if not bool(torch.tensor(mean).isfinite().all()):
                problem = f"the {name} of epoch {epoch} is not finite"
        if problem:
            raise TrainingError(f"{self.what}: {problem}; lower the learning rate ({self.recipe.learning_rate})")

    def save(self) -> None:
        """Put the state after the last finished epoch on disk, if it is not there."""
        if self._checkpoint and self._saved < self.epoch:
            save_checkpoint(self._checkpoint, self.module, self._optimizer, self.history)
            self._saved, self._saved_at = self.epoch, time.monotonic()

    def finish(self) -> list[Epoch]:
        """The module is as it will be used (BatchNorm in evaluation mode); returns the history."""
        self.module.eval()
        return self.history


def fit(training: Training[B], batches: Callable[[int], tuple[int, Iterable[B]]]) -> list[Epoch]:
    """Train a module in place, from where its checkpoint left it.

    Args:
        training: The module, its recipe and its step.
        batches: How many batches an epoch (counted from 0) has, and these; must be a pure function of the epoch.

    Returns:
        The history, one entry an epoch.

    Raises:
        TrainingError: An epoch has no data or too little, a loss is not finite or has diverged, the recipe is unfit.
        TimeIsUpError: The next epoch would not end in the time that the run was given.
    """
    for epoch in range(training.epoch, training.recipe.epochs):
        pause_if_late([training])
        steps, those_of_epoch = batches(epoch)
        training.begin_epoch(steps)
        for batch in those_of_epoch:
            training.step(batch)
        training.end_epoch()
    return training.finish()


def pause_if_late(trainings: Sequence[Training[Any]]) -> None:
    """Before an epoch that these share: if it would not end in time, save their states; :class:`TimeIsUpError`.

    It is expected to take a little longer than the last one, and the states some time to be written. Of a first one
    nothing is known but that networks have to be compiled.
    """
    expected = seconds_to_compile(trainings[0]._device)
    if last := sum(training.history[-1].seconds for training in trainings if training.history):
        expected += SLOWER * last + sum(training.bytes for training in trainings) / DISK
    if late(expected):
        for training in trainings:
            training.save()
        done = trainings[0].epoch
        raise TimeIsUpError(f"{trainings[0].what}: {f'stopped after epoch {done}' if done else 'not begun'}")
