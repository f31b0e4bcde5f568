"""Figure 1's and Figure 3's studies at smoke scale, on one root: what one trains the other finds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from repro.errors import SpecError
from repro.report.exhibits import exhibit
from repro.study.exhibits.figure1_gradcam import Figure1Parameters, figure1
from repro.study.exhibits.figure3_king_penguin import Figure3Parameters, figure3, named_class
from repro.study.results import StudyResult, load_result
from repro.study.sources import Sources

COMMON = {"scale": "smoke", "device": "cpu"}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("root")


@pytest.fixture(scope="module")
def cams(root: Path) -> StudyResult:
    result = figure1(Figure1Parameters.check(**COMMON, root=root, experts="1,3", seeds="0,1", examples=2))
    return result


@pytest.fixture(scope="module")
def split(root: Path) -> StudyResult:
    result = figure3(Figure3Parameters.check(**COMMON, root=root, experts="3", seeds="0,1", class_name="class 02"))
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


def test_a_class_is_followed_over_its_experts(split: StudyResult) -> None:
    assert set(split.tables["experts"].column("class")) == {"class 02"}
    for seed in (0, 1):
        shares = split.tables["experts"].where(seed=seed).column("share")
        assert shares == sorted(shares, reverse=True) and 80 < sum(shares) <= 100.5
    assert len(split.tables["ranking"].rows) == 20
    counts = split.tables["counts"]
    most = max(split.tables["experts"].column("experts"))
    assert [len(row) for row in counts.rows] == [1 + most] * 20
    shown = split.tables["experts"].where(experts=most, seed=split.seeds[0])
    own = counts.where(**{"class": "class 02"}).rows[0]
    assert {own[expert] for expert in shown.column("expert")} == set(shown.column("images"))
    tiles = split.tables["tiles"]
    assert split.pictures["tiles"].count == len(tiles.rows)
    assert set(tiles.where(kind="own").column("class")) == {"class 02"}
    assert "class 02" not in tiles.where(kind="companion").column("class")


def test_the_split_is_measured_against_chance(split: StudyResult) -> None:
    for metric, method in (("effective", "classes"), ("pixels", "classes"), ("pixels", "classes by chance")):
        assert len(split.values(metric, method, 3)) == 2
    for metric, method in (("agreement", "classes"), ("modes", "classes"), ("confused", "chance")):
        assert len(split.values(metric, method, 3)) == 2
    assert all(1 <= value <= 3 for value in split.values("effective", "classes", 3))


def test_the_second_figure_finds_what_the_first_trained(cams: StudyResult, root: Path, capsys) -> None:
    figure3(Figure3Parameters.check(**COMMON, root=root, experts="3", seeds="0,1"))
    assert "nothing was trained" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["cams", "split"])
def test_records_are_whole_and_shown(name: str, root: Path, request: pytest.FixtureRequest) -> None:
    result: StudyResult = request.getfixturevalue(name)
    path = root / "results" / f"{result.name}.json"
    assert path.stat().st_size < 300_000
    shown = exhibit(result.study)
    again = load_result(path) if name == "cams" else result
    assert "main" in shown.tables(again) and shown.read(again)
    assert shown.figures([again])["main"].axes or shown.figures([again])["main"].subfigs


def test_one_seed_has_nobody_to_agree_with(root: Path) -> None:
    result = figure3(Figure3Parameters.check(**COMMON, root=root, experts="3"))
    assert result.values("agreement", "classes", 3) == []


def test_a_class_by_id_name_or_both(root: Path) -> None:
    images = Sources(root, "cpu").images(Figure3Parameters.check(**COMMON, root=root).specs()[0], "train")  # type: ignore[arg-type]
    named = np.array(["n02056570 king penguin", *images.class_names[1:]])
    images = type(images)(**{**vars(images), "class_names": tuple(named.tolist())})
    for name in ("n02056570", "king penguin", "n02056570 king penguin"):
        assert named_class(name, images) == 0
    with pytest.raises(SpecError, match="modes has no class 'emperor penguin'"):
        named_class("emperor penguin", images)
