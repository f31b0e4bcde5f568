"""The one training loop: base, gate, experts and ensemblers all go through :func:`fit`.

It knows nothing of what it trains. Whoever calls it says which module, which batches an epoch has
and what a step's loss is. Between epochs everything is on disk, so a run that is stopped goes on
from the last finished epoch, to the same numbers.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from repro.errors import TrainingError
from repro.files import write_aside
from repro.method.device import autocast
from repro.method.recipe import Recipe


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


Report = Callable[[int, Epoch], None]
B = TypeVar("B")


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

    Raises :class:`TrainingError` when the loss of an epoch is not finite.
    """
    module.train()
    optimizer = torch.optim.SGD(
        [p for p in module.parameters() if p.requires_grad],
        lr=recipe.learning_rate,
        momentum=recipe.momentum,
        nesterov=recipe.nesterov and recipe.momentum > 0,
        weight_decay=recipe.weight_decay,
        foreach=True,
    )
    history = load_checkpoint(checkpoint, module, optimizer) if checkpoint else []
    for epoch in range(len(history), recipe.epochs):
        began = time.monotonic()
        steps = num_steps(epoch)
        # Sums stay on the device: nothing inside an epoch waits for it.
        loss_sum = torch.zeros((), device=device)
        correct = torch.zeros((), device=device)
        samples = 0
        for index, batch in enumerate(batches(epoch)):
            for group in optimizer.param_groups:
                group["lr"] = recipe.learning_rate_at((epoch + index / steps) / recipe.epochs)
            with autocast(device):
                out = step(batch)
            optimizer.zero_grad(set_to_none=True)
            out.loss.backward()
            optimizer.step()
            loss_sum += out.loss.detach() * out.samples
            correct += out.correct.detach()
            samples += out.samples
        if samples == 0:
            raise TrainingError(f"{what}: epoch {epoch + 1} has no data")
        entry = Epoch(float(loss_sum) / samples, float(correct) / samples, time.monotonic() - began)
        if not torch.isfinite(loss_sum):
            raise TrainingError(
                f"{what}: the loss of epoch {epoch + 1} is not finite; lower the learning rate ({recipe.learning_rate})"
            )
        history.append(entry)
        if checkpoint:
            save_checkpoint(checkpoint, module, optimizer, history)
        report(epoch, entry)
    module.eval()
    return history


def save_checkpoint(path: Path, module: nn.Module, optimizer: torch.optim.SGD, history: list[Epoch]) -> None:
    """One file with the module, the momentum and the history, whole or not at all."""
    tensors = {f"module.{k}": v for k, v in module.state_dict().items()}
    for index, state in optimizer.state_dict()["state"].items():
        if state.get("momentum_buffer") is not None:
            tensors[f"momentum.{index}"] = state["momentum_buffer"]
    with write_aside(path) as aside:
        save_file({k: v.contiguous() for k, v in tensors.items()}, aside, {"history": json.dumps(history)})


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
    momentum = {int(k.removeprefix("momentum.")): v for k, v in tensors.items() if k.startswith("momentum.")}
    state["state"] = {index: {"momentum_buffer": buffer} for index, buffer in momentum.items()}
    optimizer.load_state_dict(state)
    return history
