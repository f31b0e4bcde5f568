"""A recorded result made up for the tests: no run stands behind its numbers."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from repro.report.claim import Cell
from repro.report.exhibit import Exhibit
from repro.report.verdict import ClaimVerdict
from repro.study.results import Cost, Measurement, Provenance, StudyResult

Values = Mapping[tuple[str, int], list[float]]
RecordOf = Callable[..., StudyResult]


def judged(exhibit: Exhibit, result: StudyResult) -> dict[str, ClaimVerdict]:
    """What an exhibit judges of a record, by the keys of its claims."""
    return {one.claim.key: one for one in exhibit.judge(result)}


def cost_of(num_experts: int, macs: int, row: str = "") -> Cost:
    return Cost(num_experts=num_experts, row=row, macs=macs, params_inference=1, params_trainable=1)


def recorded(lines: list[Measurement], **more: Any) -> StudyResult:
    known: dict[str, Any] = {"evaluate": "test", "base": "several", "expert": "several", "spec": {}}
    return StudyResult(
        seeds=sorted({line.seed for line in lines}), spec_hash="0" * 16, measurements=lines,
        provenance=Provenance(
            command="repro run it", code="abc", when="2026-01-02T03:04:05+00:00", hardware="a machine",
            precision="fp32", libraries={"torch": "2"}, seconds=120,
        ), **{**known, **more},
    )  # fmt: skip


@pytest.fixture
def made_up() -> Callable[..., StudyResult]:
    """``made_up({("bagging", 20): [60.0, 61.0, 62.0], ...}, scale=..., dataset=...)``, one value a seed."""

    def make(values: Values, scale: str = "laptop", dataset: str = "cifar100", model: str = "tr18") -> StudyResult:
        lines = [
            Measurement(seed=seed, num_experts=k, method=method, metric="top1", value=value)
            for (method, k), each in values.items()
            for seed, value in enumerate(each)
        ]
        costs = [Cost(num_experts=20, macs=1_500_000, params_inference=2_340_000, params_trainable=40_000_000)]
        return recorded(
            lines, study="table2_num_experts", dataset=dataset, scale=scale, base=model, expert=model, costs=costs
        )

    return make


@pytest.fixture
def record_of() -> Callable[..., StudyResult]:
    """``record_of("table1_main", {Cell(20, row="tr10-tr10"): [60.0, 61.0, 62.0], ...}, dataset=..., scale=...)``.

    One number stands for three seeds, of which the second has 0.1 more, the third 0.2.
    """

    def make(
        study: str, values: Mapping[Cell, float | list[float]], dataset: str = "cifar100", scale: str = "laptop",
        costs: Sequence[Cost] = (), **more: Any,
    ) -> StudyResult:  # fmt: skip
        lines = [
            Measurement(
                seed=seed, num_experts=cell.num_experts, method=cell.measured_as, metric=cell.metric, value=value,
                row=cell.row,
            )
            for cell, each in values.items()
            for seed, value in enumerate(each if isinstance(each, list) else [each, each + 0.1, each + 0.2])
        ]  # fmt: skip
        own = {"study": study, "dataset": dataset, "scale": scale, "costs": list(costs), "spec": {"width": 0.25}}
        return recorded(lines, **{**own, **more})

    return make
