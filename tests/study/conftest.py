"""What the tests of the study share."""

from pathlib import Path
from typing import Any

import pytest
import torch

from repro.progress import Progress
from tests.study import toy


@pytest.fixture(autouse=True)
def nothing_made() -> None:
    toy.CALLS.clear()
    toy.EPOCHS.clear()


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> list[toy.Here]:
    """The executors that runners made: two workers each, which are this process."""
    made: list[toy.Here] = []

    def making(name: str, work: Any, root: Path, device: torch.device, progress: Progress) -> toy.Here:
        made.append(toy.Here(work, root, device, progress, 2, 1))
        return made[-1]

    monkeypatch.setattr("repro.study.runner.make_executor", making)
    return made
