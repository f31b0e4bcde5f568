"""The numbers behind an exhibit as CSV: all of them, and which record each is of."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from repro.book import tidy
from repro.report.claim import Cell
from repro.study.results import StudyResult, Table


@pytest.fixture
def results(record_of: Callable[..., StudyResult]) -> list[StudyResult]:
    table = Table(columns=["tau", "top1"], rows=[[0.0, 60.5], [1.0, 58.0]])
    values = {Cell(20, row="tr10-tr10"): [60.0, 61.0]}
    return [
        record_of("figure2_anytime", values, dataset=d, tables={"The any-time curve, γ": table})
        for d in ("cifar100", "modes")
    ]


def test_every_number_of_every_record_is_there(results: list[StudyResult], tmp_path: Path) -> None:
    tidy.write("figure2_anytime", tidy.frames(results), tmp_path)
    names = ("figure2_anytime.csv", "figure2_anytime-the-any-time-curve.csv")
    measured, sweep = (pd.read_csv(tmp_path / name, keep_default_na=False) for name in names)
    assert list(measured.columns[:3]) == ["dataset", "scale", "part"]
    assert list(measured["value"]) == [60.0, 61.0, 60.0, 61.0]
    assert list(sweep["dataset"]) == ["cifar100", "cifar100", "modes", "modes"]
    assert list(sweep["top1"]) == [60.5, 58.0] * 2


def test_rows_of_two_networks_are_told_apart(results: list[StudyResult]) -> None:
    one = results[0]
    by_kind = tidy.frames([one, one.model_copy(update={"part": "vit-micro"})])
    assert [list(frame["part"].unique()) for frame in by_kind.values()] == [["", "vit-micro"]] * len(by_kind)
