"""One thread a process, and the real image sets, where they are present."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

# Tests are small and start processes of their own: with several threads each they would wait for one another's
# turn, on a busy machine for minutes. Set before torch is imported, and inherited by every process.
os.environ.setdefault("OMP_NUM_THREADS", "1")

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture
def real_data_root() -> Callable[..., Path]:
    """``real_data_root("cifar-100-python")`` is the data folder, or skips naming what is not in it."""
    root = Path(os.environ.get("REPRO_DATA", REPOSITORY / "data"))

    def root_with(*needed: str) -> Path:
        for name in needed:
            if not (root / name).exists():
                pytest.skip(f"{root / name} is missing; see data/README.md for how to get it")
        return root

    return root_with
