"""Results made up for the tests of single exhibits: no run stands behind their numbers."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from repro.study.results import Measurement, StudyResult, Table

Cells = Mapping[tuple[str, str, int, str], list[float]]


@pytest.fixture(scope="session")
def smoke_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One root for runs at smoke scale: what one exhibit trains the next finds."""
    return tmp_path_factory.mktemp("smoke")


@pytest.fixture
def made_of(made_up: Callable[..., StudyResult]) -> Callable[..., StudyResult]:
    """``made_of("table5_per_class", {("top1", "expert", 10, "per-sample"): [60.0, ...], ...})``, one value a seed."""

    def make(
        study: str, cells: Cells, dataset: str = "tiny-imagenet", scale: str = "laptop",
        tables: Mapping[str, Table] | None = None,
    ) -> StudyResult:  # fmt: skip
        lines = [
            Measurement(seed=seed, num_experts=k, method=method, metric=metric, value=value, row=row)
            for (metric, method, k, row), each in cells.items()
            for seed, value in enumerate(each)
        ]
        seeds = sorted({line.seed for line in lines}) or [0]
        changes = {"study": study, "measurements": lines, "seeds": seeds, "tables": dict(tables or {}), "costs": []}
        return made_up({}, scale=scale, dataset=dataset).model_copy(update=changes)

    return make
