"""What the tests of the exhibits share."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from repro.errors import ReproError, TrainingError
from repro.exhibits.deepmoe_table2_cifar.scan import numbers
from repro.families.deepmoe.steps import Asked
from repro.report.exhibit import Exhibit
from repro.study.results import StudyResult
from tests.study.conftest import here as here

Collapse = Callable[..., None]
Smoke = Callable[..., StudyResult]


@pytest.fixture(scope="session")
def smoke(smoke_root: Path) -> Smoke:
    """``smoke(EXHIBIT, experts=2)``: what a run at smoke scale records, in the root that all tests share."""

    def run(exhibit: Exhibit, **asked: Any) -> StudyResult:
        return exhibit.study(exhibit.parameters.check(scale="smoke", device="cpu", root=smoke_root, **asked))

    return run


@pytest.fixture
def collapse(monkeypatch: pytest.MonkeyPatch) -> Collapse:
    """``collapse(EXHIBIT, lambda asked: ...)``: the gates of what is asked for collapse in an exhibit's run."""

    def collapsing(exhibit: Exhibit, when: Callable[[Asked], bool], error: ReproError | None = None) -> None:
        def instead(asked: Asked, *more: Any) -> dict[str, float]:
            if when(asked):
                raise error or TrainingError("stem: no channel is active")
            return numbers(asked, *more)

        for module in (exhibit.study.__module__, numbers.__module__):
            monkeypatch.setattr(sys.modules[module], "numbers", instead)

    return collapsing
