"""Figure 3's numbers and pictures, shown, of a made-up result; and run."""

from dataclasses import replace

import torch

from repro.exhibits.figure3_king_penguin import EXHIBIT, pictured_class
from repro.report.claim import Cell
from repro.report.tables import claims_table
from repro.study.results import StudyResult, Table
from tests.exhibits.conftest import Smoke
from tests.helpers import apes_and_bats
from tests.records import RecordOf

PENGUIN = "n02056570 king penguin"
VALUES = {
    ("effective", "class"): 5.0, ("effective", "classes"): 4.0, ("pixels", "classes"): 9.0,
    ("pixels", "classes by chance"): 3.0, ("agreement", "classes"): 40.0, ("confused", "expert"): 30.0,
    ("confused", "chance"): 12.0,
}  # fmt: skip


def made(record_of: RecordOf, dataset: str = "tiny-imagenet", seeds: int = 3) -> StudyResult:
    modes = dataset == "modes"
    cells = {
        Cell(20, method, "", metric): [value + 0.1 * s for s in range(seeds)]
        for (metric, method), value in (VALUES | ({("modes", "classes"): 80.0} if modes else {})).items()
    }
    ranking = [[20, PENGUIN, 5.0, 30.0], *[[20, f"n0000000{c} thing {c}", 4.9 - c / 100, 31.0] for c in range(30)]]
    shared = [41.0, 205, "orange (400), lemon (300)", "mode 3 (9)" if modes else None]
    columns = ["experts", "seed", "expert", "class", "share", "images", "shared with", "modes"]
    tables = {
        "ranking": Table(columns=["experts", "class", "effective", "largest"], rows=ranking),
        "experts": Table(columns=columns, rows=[[20, s, e, PENGUIN, *shared] for s in (0, 1) for e in (4, 9)]),
    }
    return record_of("figure3_king_penguin", cells, dataset, tables=tables)


def test_tables(record_of: RecordOf) -> None:
    main, experts, ranking = (table.frame for table in EXHIBIT.tables(made(record_of)).values())
    assert main.loc["experts that king penguin effectively splits over", "K = 20"] == "5.10 ± 0.10"
    assert list(experts.index)[1:3] == ["seed 0: expert 9", "seed 1: expert 4"]
    assert "its true modes (images)" not in experts
    assert "its true modes (images)" in EXHIBIT.tables(made(record_of, "modes"))["experts"].frame
    assert ranking.loc["1", "class"] == "king penguin" and ranking.index[-1] == "31"


def test_claims_are_judged_and_the_papers_example_in_words(record_of: RecordOf) -> None:
    claims, modes = (claims_table(EXHIBIT.judge(made(record_of, of))) for of in ("tiny-imagenet", "modes"))
    assert dict(claims["ours"]) == {"K1": "+6.00", "K2": "+40.10 (+40.00, +40.10, +40.20)", "K4": "+18.00"}
    assert dict(claims["verdict"]) == {"K1": "holds", "K2": "pairs of seeds: no interval", "K4": "holds"}
    assert modes.loc["K3", "verdict"] == "holds"
    text = EXHIBIT.advice(made(record_of, seeds=2))
    assert "bell peppers in 2 of 2 seeds, with other animals in 0 of 2 seeds; seen here: **one half**" in text
    assert "**neither half**" in EXHIBIT.advice(made(record_of))  # of the third seed nothing is known


def test_a_class_is_followed_over_its_experts_and_the_split_is_measured_against_chance(smoke: Smoke) -> None:
    split = smoke(EXHIBIT, experts="3", seeds="0,1")
    (name,) = set(split.tables["experts"].column("class"))
    for seed in (0, 1):
        shares = split.tables["experts"].where(seed=seed).column("share")
        assert shares == sorted(shares, reverse=True) and 80 < sum(shares) <= 100.5
    assert len(split.tables["ranking"].rows) == 20
    counts = split.tables["counts"]
    most = max(split.tables["experts"].column("experts"))
    assert [len(row) for row in counts.rows] == [1 + most] * 20
    experts = split.tables["experts"].where(experts=most, seed=split.seeds[0])
    own = counts.where(**{"class": name}).rows[0]
    assert {own[expert] for expert in experts.column("expert")} == set(experts.column("images"))
    tiles = split.tables["tiles"]
    assert split.pictures["tiles"].count == len(tiles.rows)
    assert set(tiles.where(kind="own").column("class")) == {name}
    assert name not in tiles.where(kind="companion").column("class")
    for metric, method in {*VALUES, ("modes", "classes")}:
        assert len(split.values(metric, method, 3)) == (1 if metric == "agreement" else 2), "two seeds are one pair"
    assert all(1 <= value <= 3 for value in split.values("effective", "classes", 3))
    assert smoke(EXHIBIT, experts="3").values("agreement", "classes", 3) == [], "one seed has nobody to agree with"


def test_the_king_penguin_is_pictured_and_else_the_class_that_is_split_most() -> None:
    """Of two classes of two images each the second has one in either expert."""
    two, g0 = apes_and_bats(), torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    assert pictured_class(two, g0) == 1
    assert pictured_class(replace(two, class_names=(PENGUIN, "bat")), g0) == 0
