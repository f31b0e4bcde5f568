"""Randomness as a pure function of (seed, purpose, counters).

No generator is ever carried from one step to the next, so what is drawn cannot depend on what was
drawn before, on which process draws it, on how many experts are trained, or on a restart.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def derive(seed: int, purpose: str, *counters: int | str) -> int:
    """A 63-bit integer that depends on every argument, the same on every machine."""
    text = "/".join([str(seed), purpose, *map(str, counters)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


def generator(seed: int, purpose: str, *counters: int | str) -> torch.Generator:
    """A fresh CPU generator for one purpose, e.g. ``generator(0, "order", epoch)``.

    Drawing on the CPU keeps the numbers the same whatever device the study runs on.
    """
    return torch.Generator().manual_seed(derive(seed, purpose, *counters))


def stable_integers(seed: int, purpose: str, shape: tuple[int, ...], high: int) -> np.ndarray:
    """Integers in ``[0, high)``, int64, the same bytes on every machine and NumPy version.

    Only the raw stream of a bit generator is covered by NumPy's promise of stability, so the
    distribution on top of it is made here (the bias of the scaling is below ``high / 2**32``).
    """
    raw = np.random.Philox(key=derive(seed, purpose)).random_raw(int(np.prod(shape)))
    return ((raw >> np.uint64(32)) * np.uint64(high) >> np.uint64(32)).astype(np.int64).reshape(shape)


def stable_bytes(seed: int, purpose: str, shape: tuple[int, ...]) -> np.ndarray:
    """Uniform uint8, the same on every machine and NumPy version; eight to each raw draw, so cheap."""
    count = int(np.prod(shape))
    raw = np.random.Philox(key=derive(seed, purpose)).random_raw(-(-count // 8))
    return raw.astype("<u8").view(np.uint8)[:count].reshape(shape)


@contextmanager
def seeded(
    seed: int,
    purpose: str,
    *counters: int | str,
    device: torch.device = torch.device("cpu"),  # noqa: B008 (a constant)
) -> Iterator[None]:
    """What ``torch`` draws inside from its global generators is a function of (seed, purpose, counters).

    For what takes no generator: initial weights, dropout, the noise of gates, drop path. Nothing waits for
    the ``device``, which has a generator of its own where it is a GPU; states are put back at the end.
    """
    generators = [torch.default_generator]
    if device.type == "cuda":
        index = torch.cuda.current_device() if device.index is None else device.index
        generators.append(torch.cuda.default_generators[index])
    states = [each.get_state() for each in generators]
    for each in generators:  # not torch.manual_seed, which seeds every kind of device and takes 0.2 ms
        each.manual_seed(derive(seed, purpose, *counters))
    try:
        yield
    finally:
        for each, state in zip(generators, states, strict=True):
            each.set_state(state)


seeded_init = seeded  # its name where initial weights are drawn
