"""A training on disk after its last finished epoch: module, optimiser and history in one file, never pickle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from repro.errors import StoreError
from repro.files import write_aside


def save_checkpoint(path: Path, module: nn.Module, optimizer: torch.optim.Optimizer, history: list[Any]) -> None:
    """Write the state of a module, the whole state of its optimiser and the history, whole or not at all.

    SGD's and AdamW's state is tensors; rates and the like are the recipe's, and are not kept.
    :class:`StoreError` if the file cannot be written; the one before then still stands.
    """
    tensors = {f"module.{name}": tensor for name, tensor in module.state_dict().items()}
    for index, state in optimizer.state_dict()["state"].items():
        for name, value in state.items():
            tensors[f"optimizer.{index}.{name}"] = value
    try:
        with write_aside(path) as aside:
            contiguous = {name: tensor.contiguous() for name, tensor in tensors.items()}
            save_file(contiguous, aside, {"history": json.dumps(history)})
    except (OSError, SafetensorError) as error:
        raise StoreError(
            f"{path} cannot be written ({error}); free some space, or choose another folder with the parameter "
            "root; the same command then goes on from the last epoch that was kept"
        ) from error


def load_checkpoint(path: Path, module: nn.Module, optimizer: torch.optim.Optimizer) -> list[list[Any]]:
    """Put the state of the last finished epoch back into module and optimiser; returns the history as it was given.

    It is empty if there is none to go on from: no file, or a damaged one. :class:`StoreError` if it cannot be read.
    """
    try:
        path.open("rb").close()  # safetensors says of what it may not open that it is not there
        with safe_open(path, "pt") as file:
            history: list[list[Any]] = json.loads(file.metadata()["history"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    except (FileNotFoundError, SafetensorError):
        return []
    except OSError as error:
        raise StoreError(f"{path} cannot be read ({error}); its owner can make it readable") from error
    module.load_state_dict({n.removeprefix("module."): t for n, t in tensors.items() if n.startswith("module.")})
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, Any]] = {}
    for key, value in tensors.items():
        if key.startswith("optimizer."):
            _, index, name = key.split(".", 2)
            if value.shape == parameters[int(index)].shape:
                # Laid out in memory as the parameter is: a fused optimiser walks both as they lie.
                value = torch.empty_like(parameters[int(index)], dtype=value.dtype).copy_(value)
            state.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
    return history
