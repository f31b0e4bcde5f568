"""The real image sets, where they are present."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

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
