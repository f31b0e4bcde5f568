"""Figure 1's numbers and pictures, shown, of a made-up result."""

from collections.abc import Callable
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest

from repro.exhibits.figure1_gradcam import EXHIBIT, VISIBLE, Parameters, run
from repro.report.claim import Cell
from repro.report.pictures import blend, from_hex
from repro.report.tables import claims_table
from repro.study.results import StudyResult

RecordOf = Callable[..., StudyResult]
VALUES = {
    ("backbone", 0): {"spread": 80.0, "in_box": 60.0, "pointing": 70.0},
    ("expert", 1): {"spread": 79.0, "in_box": 61.0, "pointing": 71.0},
    ("expert", 20): {"spread": 70.0, "in_box": 66.0, "pointing": 75.0},
    ("others", 20): {"spread": 90.0, "in_box": 55.0, "pointing": 60.0},
    ("wins", 20): {"spread": 80.0, "in_box": 63.7},
}


def made(record_of: RecordOf, dataset: str = "tiny-imagenet") -> StudyResult:
    cells = {
        Cell(k, method, row, metric): value
        for (method, k), values in VALUES.items()
        for metric, value in values.items()
        for row in ("true class", "own prediction")
    }
    return record_of("figure1_gradcam", cells | {Cell(0, "uniform", "", "in_box"): [50.0] * 3}, dataset)


def test_the_table_has_a_row_a_network_and_what_knows_nothing(record_of: RecordOf) -> None:
    table = EXHIBIT.tables(made(record_of))["main"].frame
    assert list(table.index) == [
        "base", "one expert, trained on everything", "selected of 20 experts", "not selected, of 20",
        "a uniform map", "the centre of the image",
    ]  # fmt: skip
    assert table.loc["not selected, of 20", "spread, % of the image"] == "90.1 ± 0.1"
    assert table.loc["a uniform map", "in the box, %"] == "50.0 ± 0.0"


def test_claims_are_differences_over_seeds(record_of: RecordOf) -> None:
    claims = claims_table(EXHIBIT.judge(made(record_of)))
    assert (claims.loc["G2", "ours"], claims.loc["G2", "verdict"]) == ("+20.00", "holds")
    assert claims.loc["G3/often", "verdict"] == "undecided (settled afterwards)"
    assert list(claims_table(EXHIBIT.judge(made(record_of, "cifar100"))).index) == [
        "G1", "G1/one-expert", "G2", "G2/own", "G2/often",
    ]  # fmt: skip


def test_visible_is_cohens_medium_effect() -> None:
    assert VISIBLE == pytest.approx(100 * NormalDist().cdf(0.5 / 2**0.5), abs=0.05)


def test_maps_over_pictures() -> None:
    corner = np.zeros((4, 4), np.float32)
    corner[0, 0] = 1
    assert np.array_equal(from_hex(bytes((255 * corner).astype(np.uint8).flatten()).hex()), corner)
    shown = blend(np.full((32, 32, 3), 100, np.uint8), corner, 64)
    assert shown.shape == (64, 64, 3) and shown[:8, :8].mean() > shown[-8:, -8:].mean()


COMMON = {"scale": "smoke", "device": "cpu"}


@pytest.fixture(scope="module")
def cams(smoke_root: Path) -> StudyResult:
    return run(Parameters.check(**COMMON, root=smoke_root, experts="1,3", seeds="0,1", examples=2))


def test_maps_are_measured_for_every_network(cams: StudyResult) -> None:
    for row in ("true class", "own prediction"):
        for metric in ("spread", "spread_shown", "in_box", "pointing", "empty"):
            for method, k in (("backbone", 0), ("expert", 1), ("expert", 3), ("others", 3)):
                values = cams.values(metric, method, k, row)
                assert len(values) == 2 and all(0 <= value <= 100 for value in values)
            assert cams.values(metric, "others", 1, row) == []
        assert len(cams.values("spread", "wins", 3, row)) == 2
    (uniform, _) = cams.values("in_box", "uniform", 0)
    assert uniform == pytest.approx(100 * 100 / 32**2, abs=1e-3)
    assert len(cams.values("top1", "expert", 3)) == 2


def test_examples_have_their_pictures_and_maps_in_a_small_record(cams: StudyResult, smoke_root: Path) -> None:
    assert (smoke_root / "results" / f"{cams.name}.json").stat().st_size < 300_000
    assert cams.pictures["examples"].tiles().shape == (2, 32, 32, 3)
    first = cams.tables["maps"].where(tile=0)
    assert first.column("role") == ["base", "selected", "other", "other"]
    assert sorted(first.column("expert")) == [0, 1, 2, 3]
    assert all(len(text) == 2 * 4 * 4 for text in first.column("map"))
