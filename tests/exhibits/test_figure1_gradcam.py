"""Figure 1's numbers and pictures, shown, of a made-up result; and run."""

from pathlib import Path

import numpy as np
import pytest

from repro.exhibits.figure1_gradcam import EXHIBIT
from repro.report.claim import Cell
from repro.report.pictures import blend, from_hex
from repro.report.tables import claims_table
from repro.study.results import StudyResult
from tests.exhibits.conftest import Smoke
from tests.records import RecordOf

VALUES = {
    ("backbone", 0): {"spread": 80.0, "in_box": 60.0, "pointing": 70.0},
    ("expert", 1): {"spread": 79.0, "in_box": 61.0, "pointing": 71.0},
    ("expert", 20): {"spread": 70.0, "in_box": 66.0, "pointing": 75.0},
    ("others", 20): {"spread": 90.0, "in_box": 55.0, "pointing": 60.0},
    ("wins", 20): {"spread": 80.0, "in_box": 63.7},
}


def test_tables_and_claims_are_of_every_network_and_of_what_knows_nothing(record_of: RecordOf) -> None:
    def made(dataset: str) -> StudyResult:
        cells = {
            Cell(k, method, row, metric): value
            for (method, k), values in VALUES.items()
            for metric, value in values.items()
            for row in ("true class", "own prediction")
        }
        return record_of("figure1_gradcam", cells | {Cell(0, "uniform", "", "in_box"): [50.0] * 3}, dataset)

    table = EXHIBIT.tables(made("tiny-imagenet"))["main"].frame
    assert list(table.index) == [
        "base", "one expert, trained on everything", "selected of 20 experts", "not selected, of 20",
        "a uniform map", "the centre of the image",
    ]  # fmt: skip
    assert table.loc["not selected, of 20", "spread, % of the image"] == "90.1 ± 0.1"
    assert table.loc["a uniform map", "in the box, %"] == "50.0 ± 0.0"
    claims, without_boxes = (claims_table(EXHIBIT.judge(made(name))) for name in ("tiny-imagenet", "cifar100"))
    assert list(claims.loc["G2", ["ours", "verdict"]]) == ["+20.00", "holds"]
    assert claims.loc["G3/often", "verdict"] == "undecided (settled afterwards)"
    assert list(without_boxes.index) == ["G1", "G1/one-expert", "G2", "G2/own", "G2/often"]


def test_maps_over_pictures() -> None:
    corner = np.zeros((4, 4), np.float32)
    corner[0, 0] = 1
    assert np.array_equal(from_hex(bytes((255 * corner).astype(np.uint8).flatten()).hex()), corner)
    blended = blend(np.full((32, 32, 3), 100, np.uint8), corner, 64)
    assert blended.shape == (64, 64, 3) and blended[:8, :8].mean() > blended[-8:, -8:].mean()


def test_a_run_measures_maps_of_every_network_and_keeps_examples_in_a_small_record(
    smoke: Smoke, smoke_root: Path
) -> None:
    cams = smoke(EXHIBIT, experts="1,3", seeds="0,1", examples=2)
    for row in ("true class", "own prediction"):
        for metric in ("spread", "spread_shown", "in_box", "pointing", "empty"):
            for method, k in (("backbone", 0), ("expert", 1), ("expert", 3), ("others", 3)):
                values = cams.values(metric, method, k, row)
                assert len(values) == 2 and all(0 <= value <= 100 for value in values)
            assert cams.values(metric, "others", 1, row) == []
        assert len(cams.values("spread", "wins", 3, row)) == 2
    assert cams.values("in_box", "uniform", 0)[0] == pytest.approx(100 * 100 / 32**2, abs=1e-3)
    assert len(cams.values("top1", "expert", 3)) == 2
    assert (smoke_root / "results" / f"{cams.name}.json").stat().st_size < 300_000
    assert cams.pictures["examples"].tiles().shape == (2, 32, 32, 3)
    first = cams.tables["maps"].where(tile=0)
    assert first.column("role") == ["base", "selected", "other", "other"]
    assert sorted(first.column("expert")) == [0, 1, 2, 3]
    assert all(len(text) == 2 * 4 * 4 for text in first.column("map"))
