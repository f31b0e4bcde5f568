"""Figure 3's numbers and pictures, shown, of a made-up result."""

import io
from collections.abc import Callable

import matplotlib as mpl
import numpy as np
import pytest

from repro.report.exhibits import exhibit
from repro.report.tables import claims_table
from repro.study.results import Measurement, Picture, StudyResult, Table

FIGURE3 = exhibit("figure3_king_penguin")
PENGUIN = "n02056570 king penguin"
VALUES = {
    ("effective", "class"): 5.0, ("effective", "classes"): 4.0, ("pixels", "classes"): 9.0,
    ("pixels", "classes by chance"): 3.0, ("agreement", "classes"): 40.0, ("confused", "expert"): 30.0,
    ("confused", "chance"): 12.0,
}  # fmt: skip


@pytest.fixture
def result(made_up: Callable[..., StudyResult]) -> Callable[..., StudyResult]:
    def make(dataset: str = "tiny-imagenet", seeds: int = 3, modes: bool = False) -> StudyResult:
        values = VALUES | ({("modes", "classes"): 80.0} if modes else {})
        lines = [
            Measurement(seed=s, num_experts=20, method=method, metric=metric, value=value + 0.1 * s)
            for (metric, method), value in values.items()
            for s in range(seeds)
        ]
        mode = 3 if modes else None
        tiles = [[expert, PENGUIN, "own", mode] for expert in (4, 9) for _ in range(12)]
        tiles += [[expert, f"class {c}", "companion", None] for expert in (4, 9) for c in range(4) for _ in range(2)]
        ranking = [[20, PENGUIN, 5.0, 30.0], *[[20, f"n0000000{c} thing {c}", 4.9 - c / 100, 31.0] for c in range(30)]]
        shown = "orange (400), lemon (300)"
        experts = [
            [20, s, e, PENGUIN, 41.0, 205, shown, "mode 3 (9)" if modes else None] for s in (0, 1) for e in (4, 9)
        ]
        return made_up({("backbone", 0): [50.0]}, dataset=dataset).model_copy(
            update={
                "study": "figure3_king_penguin", "measurements": lines, "seeds": list(range(seeds)), "costs": [],
                "pictures": {"tiles": Picture.of(np.full((len(tiles), 3, 32, 32), 99, np.uint8))},
                "tables": {
                    "tiles": Table(columns=["expert", "class", "kind", "mode"], rows=tiles),
                    "ranking": Table(columns=["experts", "class", "effective", "largest"], rows=ranking),
                    "experts": Table(
                        columns=["experts", "seed", "expert", "class", "share", "images", "shared with", "modes"],
                        rows=experts,
                    ),
                },
            }
        )  # fmt: skip

    return make


def test_tables(result: Callable[..., StudyResult]) -> None:
    shown = FIGURE3.tables(result())
    assert list(shown) == ["main", "experts", "ranking"]
    main = shown["main"].frame
    assert main.loc["experts that king penguin effectively splits over", "K = 20"] == "5.10 ± 0.10"
    experts = shown["experts"].frame
    assert (
        list(experts.index)[1:3] == ["seed 0: expert 9", "seed 1: expert 4"]
        and "its true modes (images)" not in experts
    )
    assert "its true modes (images)" in FIGURE3.tables(result("modes", modes=True))["experts"].frame
    ranking = shown["ranking"].frame
    assert ranking.loc["1", "class"] == "king penguin" and ranking.index[-1] == "31"


def test_claims(result: Callable[..., StudyResult]) -> None:
    claims = claims_table(FIGURE3.judge(result()))
    assert list(claims.index) == ["P1", "P2", "P4"]
    assert (claims.loc["P1", "ours"], claims.loc["P2", "ours"], claims.loc["P4", "ours"]) == (
        "+6.00", "+40.10 (+40.00, +40.10, +40.20)", "+18.00",
    )  # fmt: skip
    assert dict(claims["verdict"]) == {"P1": "holds", "P2": "pairs of seeds: no interval", "P4": "holds"}
    modes = claims_table(FIGURE3.judge(result("modes", modes=True)))
    assert modes.loc["P3", "verdict"] == "holds"
    assert "anecdote" in claims_table(FIGURE3.judge(result(seeds=1))).loc["P1", "verdict"]


def test_the_reading(result: Callable[..., StudyResult]) -> None:
    text = FIGURE3.read(result())
    assert "king penguin effectively splits over 5.1 ± 0.1 of them, the mean class over 4.1 ± 0.1" in text
    assert "6.0 points more" in text and "holds: P1, P4; pairs of seeds: no interval: P2" in text


def test_figures(result: Callable[..., StudyResult]) -> None:
    figures = FIGURE3.figures([result("modes", modes=True)])  # frames are drawn there
    assert list(figures) == ["main", "split"]
    for name, words in (("main", "king penguin in expert 4: 41 % of its images"), ("split", "is the split real?")):
        page = io.StringIO()
        with mpl.rc_context({"svg.fonttype": "none"}):
            figures[name].savefig(page, format="svg", metadata={"Date": None})
        assert words in page.getvalue()


def test_nothing_recorded(result: Callable[..., StudyResult]) -> None:
    empty = result().model_copy(update={"measurements": [], "tables": {}, "pictures": {}})
    assert set(claims_table(FIGURE3.judge(empty))["verdict"]) == {"not run"}
    assert FIGURE3.tables(empty)["main"] is not None and FIGURE3.read(empty)
    assert FIGURE3.figures([empty])["split"] is not None
