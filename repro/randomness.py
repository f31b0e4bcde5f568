"""Randomness as a pure function of (seed, purpose, counters).

No generator is ever carried from one step to the next, so what is drawn cannot depend on what was
drawn before, on which process draws it, on how many experts are trained, or on a restart.
"""

from __future__ import annotations

import hashlib

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


class seeded_init:
    """Context manager: the initial weights drawn inside depend on (seed, purpose) alone.

    ``torch.nn`` initialises from the global generator; this sets it for the block and puts the
    previous state back after it.
    """

    def __init__(self, seed: int, purpose: str, *counters: int | str) -> None:
        self._seed = derive(seed, purpose, *counters)

    def __enter__(self) -> None:
        self._state = torch.get_rng_state()
        torch.manual_seed(self._seed)

    def __exit__(self, *exc: object) -> None:
        torch.set_rng_state(self._state)
