"""Figure 1's numbers and pictures, shown, of a made-up result."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest

from repro.exhibits.figure1_gradcam import EXHIBIT, VISIBLE, Parameters, run
from repro.report.pictures import blend, from_hex
from repro.report.plots import save_figure
from repro.report.tables import claims_table
from repro.study.results import Measurement, Picture, StudyResult, Table, load_result

VALUES = {
    ("backbone", 0): {"spread": 80.0, "in_box": 60.0, "pointing": 70.0},
    ("expert", 1): {"spread": 79.0, "in_box": 61.0, "pointing": 71.0},
    ("expert", 20): {"spread": 70.0, "in_box": 66.0, "pointing": 75.0},
    ("others", 20): {"spread": 90.0, "in_box": 55.0, "pointing": 60.0},
    ("wins", 20): {"spread": 80.0, "in_box": 63.7},
}


@pytest.fixture
def result(made_up: Callable[..., StudyResult]) -> Callable[..., StudyResult]:
    def make(dataset: str = "tiny-imagenet", seeds: int = 3, boxes: bool = True) -> StudyResult:
        lines = [
            Measurement(seed=s, num_experts=k, method=method, metric=metric, value=value + 0.1 * s, row=row)
            for (method, k), values in VALUES.items()
            for metric, value in values.items()
            for row in ("true class", "own prediction")
            for s in range(seeds)
            if boxes or metric == "spread"
        ]
        if boxes:
            blind = {"method": "uniform", "metric": "in_box", "value": 50.0, "num_experts": 0}
            lines += [Measurement(seed=s, **blind) for s in range(seeds)]
        sides = [10.0, 20.0, 80.0, 90.0] if boxes else [None] * 4
        inside = 61.0 if boxes else None
        maps = [["base", 0], ["selected", 7], ["other", 3]]
        text = bytes(range(0, 256, 16)).hex()
        return made_up({("backbone", 0): [50.0]}, dataset=dataset).model_copy(
            update={
                "study": "figure1_gradcam", "measurements": lines, "seeds": list(range(seeds)), "costs": [],
                "pictures": {"examples": Picture.of(np.full((2, 3, 32, 32), 99, np.uint8))},
                "tables": {
                    "images": Table(
                        columns=["tile", "image", "class", "left", "top", "right", "bottom"],
                        rows=[[tile, 5, "n02056570 king penguin", *sides] for tile in range(2)],
                    ),
                    "maps": Table(
                        columns=["tile", "role", "expert", "spread", "in_box", "map"],
                        rows=[[tile, *who, 80.0, inside, text] for tile in range(2) for who in maps],
                    ),
                },
            }
        )  # fmt: skip

    return make


def test_the_table_has_a_row_a_network_and_what_knows_nothing(result: Callable[..., StudyResult]) -> None:
    table = EXHIBIT.tables(result())["main"].frame
    assert list(table.index) == [
        "base", "one expert, trained on everything", "selected of 20 experts", "not selected, of 20",
        "a uniform map", "the centre of the image",
    ]  # fmt: skip
    assert table.loc["not selected, of 20", "spread, % of the image"] == "90.1 ± 0.1"
    assert table.loc["a uniform map", "in the box, %"] == "50.0 ± 0.0"


def test_claims_are_differences_over_seeds(result: Callable[..., StudyResult]) -> None:
    claims = claims_table(EXHIBIT.judge(result()))
    assert (claims.loc["G2", "ours"], claims.loc["G2", "verdict"]) == ("+20.00", "holds")
    assert claims.loc["G3/often", "verdict"] == "undecided (settled afterwards)"
    assert list(claims_table(EXHIBIT.judge(result("cifar100", boxes=False))).index) == [
        "G1", "G2", "G2/own", "G2/often",
    ]  # fmt: skip
    assert "anecdote" in claims_table(EXHIBIT.judge(result(seeds=1))).loc["G1", "verdict"]


def test_visible_is_cohens_medium_effect() -> None:
    assert VISIBLE == pytest.approx(100 * NormalDist().cdf(0.5 / 2**0.5), abs=0.05)


def test_figures_of_several_results(result: Callable[..., StudyResult], tmp_path: Path) -> None:
    figures = EXHIBIT.figures([result(), result("cifar100", boxes=False)])
    assert list(figures) == ["main", "numbers"]
    for name, figure in figures.items():
        assert b"<svg" in save_figure(figure, tmp_path / name)[0].read_bytes()


def test_nothing_recorded(result: Callable[..., StudyResult]) -> None:
    empty = result().model_copy(update={"measurements": [], "tables": {}, "pictures": {}})
    assert set(claims_table(EXHIBIT.judge(empty))["verdict"]) == {"not run"}
    assert EXHIBIT.tables(empty)["main"] is not None
    assert EXHIBIT.figures([empty])["main"] is not None


def test_maps_over_pictures() -> None:
    corner = np.zeros((4, 4), np.float32)
    corner[0, 0] = 1
    assert np.array_equal(from_hex(bytes((255 * corner).astype(np.uint8).flatten()).hex()), corner)
    shown = blend(np.full((32, 32, 3), 100, np.uint8), corner, 64)
    assert shown.shape == (64, 64, 3) and shown[:8, :8].mean() > shown[-8:, -8:].mean()


COMMON = {"scale": "smoke", "device": "cpu"}


@pytest.fixture(scope="module")
def cams(smoke_root: Path) -> StudyResult:
    result = run(Parameters.check(**COMMON, root=smoke_root, experts="1,3", seeds="0,1", examples=2))
    return result


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


def test_examples_have_their_pictures_and_maps(cams: StudyResult) -> None:
    assert cams.pictures["examples"].tiles().shape == (2, 32, 32, 3)
    maps = cams.tables["maps"]
    assert maps.where(tile=0).column("role") == ["base", "selected", "other", "other"]
    assert sorted(maps.where(tile=0).column("expert")) == [0, 1, 2, 3]
    assert all(len(text) == 2 * 4 * 4 for text in maps.column("map"))


def test_the_record_is_small_and_whole(cams: StudyResult, smoke_root: Path) -> None:
    path = smoke_root / "results" / f"{cams.name}.json"
    assert path.stat().st_size < 300_000
    again = load_result(path)
    assert "main" in EXHIBIT.tables(again) and EXHIBIT.figures([again])["main"].axes
