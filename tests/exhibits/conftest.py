"""What the tests of the exhibits share."""

import sys
from collections.abc import Callable
from typing import Any

import pytest

from repro.errors import ReproError, TrainingError
from repro.exhibits.deepmoe_table2_cifar.run import numbers
from repro.families.deepmoe.steps import Asked
from tests.study.conftest import here as here

Collapse = Callable[..., None]


@pytest.fixture
def collapse(monkeypatch: pytest.MonkeyPatch) -> Collapse:
    """``collapse(run, lambda asked: ...)``: the gates of what is asked for collapse in the module of ``run``."""

    def collapsing(run: Callable[..., Any], when: Callable[[Asked], bool], error: ReproError | None = None) -> None:
        def instead(asked: Asked, *more: Any) -> dict[str, float]:
            if when(asked):
                raise error or TrainingError("stem: no channel is active")
            return numbers(asked, *more)

        monkeypatch.setattr(sys.modules[run.__module__], "numbers", instead)

    return collapsing
