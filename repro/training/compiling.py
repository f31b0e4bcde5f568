"""Networks compiled by torch: once for each architecture and shape, for all stages, experts and seeds.

A compiled network computes the same function in fewer, larger kernels. It agrees with the plain one to
float noise, so how networks were called is no part of an artifact's key; its description says it.

The choice is the process's own, like torch's number of threads, and workers are told of it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from repro.progress import say

WAYS: dict[str, dict[str, Any]] = {
    "on": {},
    # Traced and run by torch's own kernels, no compiler needed: the way of a GPU, tried where there is none.
    "aot_eager": {"backend": "aot_eager"},
}
SECONDS = 60.0  # that the first networks of a process take to compile, about
LONG = 3000
"""Steps of a training from which ``auto`` compiles on a CPU: by every width measured, more than win back the time to
compile (``benchmarks/train_throughput.py`` says how many do)."""
FORMS = 64  # networks times shapes that are kept compiled; torch keeps 8 by itself, Table 1 alone has 12

Forward = Callable[..., Any]
"""``forward(module, *tensors)`` gives what ``module(*tensors)`` does; the first tensor is the batch."""


class _Setting:
    choice = "auto"
    impossible = False  # a compiler was asked, and there is none
    announced = False  # that compiling begins


def choose(name: str) -> None:
    """How this process calls the networks that it trains: ``auto``, ``off`` or one of ``WAYS``.

    ``auto`` compiles on a GPU, and on a CPU what is trained for :data:`LONG` steps or more: it depends on nothing
    but the training, so that one which was stopped goes on as it began.
    """
    if name != _Setting.choice:
        _Setting.choice, _Setting.impossible = name, False


def choice() -> str:
    """What was chosen."""
    return _Setting.choice


def in_use(device: torch.device, steps: int = 0) -> str:
    """The way in which networks of a training of so many steps are called on ``device``: ``off`` or one of ``WAYS``."""
    if _Setting.impossible:
        return "off"
    automatic = "on" if device.type == "cuda" or steps >= LONG else "off"
    return automatic if _Setting.choice == "auto" else _Setting.choice


def described(device: torch.device) -> str:
    """The way for a record: as :func:`in_use`, or that it depends on the training."""
    short, long = in_use(device), in_use(device, LONG)
    return short if short == long else f"{long}, from {LONG} steps"


def seconds_to_compile(device: torch.device) -> float:
    """How long the first step of a training on ``device`` will take to compile: a guess, 0 if something has been."""
    return 0.0 if in_use(device) == "off" or _compiled.cache_info().currsize else SECONDS


def forward_on(device: torch.device, batch_size: int, steps: int = 0) -> Forward:
    """How a network is called in a training of so many steps: ``forward(module, x)`` is ``module(x)``, maybe compiled.

    Only whole batches are: a batch of another size (of an expert that has less than one batch of images, and
    another number each epoch) would be compiled for itself alone.
    """

    def forward(module: nn.Module, *x: Tensor) -> Any:
        way = in_use(device, steps)
        if way == "off" or len(x[0]) != batch_size:
            return module(*x)
        if device.type == "cpu" and not _Setting.announced:
            _Setting.announced = True
            say("compiling networks, about half a minute for each kind; compile 'off' goes on without, more slowly")
        try:
            return _compiled(way)(module, *x)
        except Exception as error:  # a compiler may fail with anything
            out = module(*x)  # a mistake of the network, or of the device, is raised here once more
            _Setting.impossible = True
            why = str(getattr(error, "inner_exception", error)).strip().partition("\n")[0]
            say(f"networks cannot be compiled here ({why}); going on without, more slowly")
            return out

    return forward


def plain(module: nn.Module, *x: Tensor) -> Any:
    """The way that compiles nothing."""
    return module(*x)


@cache
def _compiled(way: str) -> Forward:
    """One compiled function for all networks: torch keeps a form of it for each architecture, shape and mode.

    The module is an argument, so its weights are inputs, and a second network of the same build finds its form.
    """
    import torch._dynamo  # seconds, which a run that compiles nothing can spare
    import torch._functorch.config

    torch._dynamo.config.recompile_limit = FORMS
    torch._functorch.config.force_non_lazy_backward_lowering = True  # with the forward: both fail where it is tried
    compiled: Forward = torch.compile(plain, dynamic=False, fullgraph=True, **WAYS[way])
    return compiled
