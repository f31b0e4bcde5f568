"""Figure 2: a run at smoke scale, and shown of a made-up result."""

from typing import Any, cast

import pytest

from repro.exhibits.figure2_anytime import EXHIBIT, NO_LOSS, over_plain_networks, printed_value
from repro.families.single_gate.envelope import Model, bars
from repro.families.single_gate.pairs import MEAN
from repro.families.single_gate.scales import default_spec
from repro.report.anytime_figures import anytime_at, marker, paper_macs
from repro.report.claim import Cell
from repro.report.curves import Curve, draw
from repro.report.plots import new_figure
from repro.report.printed import drawn
from repro.report.verdict import Verdict
from repro.study.results import StudyResult, Table
from tests.exhibits.conftest import Smoke
from tests.helpers import drawn_at
from tests.records import RecordOf, cost_of, judged

PAIR = "tr10-tr10"


@pytest.fixture(scope="module")
def result(smoke: Smoke) -> StudyResult:
    return smoke(EXHIBIT, pairs="tr10-tr10,tr10-tr18", experts="3", seeds="0,1")


def test_curves_go_from_every_expert_to_the_base_alone_as_counted(result: StudyResult) -> None:
    counted = result.tables["counted"]
    assert len(counted.rows) == 2 * (2 + 1) * 3  # seeds x (pairs and the baseline) x thresholds
    assert counted.column("expected") == counted.column("counted")
    curve = result.tables["sweep"].where(pair=PAIR, seed=1)
    cost = next(c for c in result.costs if c.row == PAIR and c.num_experts == 3)
    alone = next(c for c in result.costs if c.row == "tr10")
    assert curve.column("macs") == sorted(curve.column("macs"), reverse=True)
    assert curve.column("macs")[0] == pytest.approx(cost.macs + 2 * (cost.macs - alone.macs), rel=0.01)
    assert curve.column("exits")[0] == 0 and curve.column("exits")[-1] == 100
    assert curve.column("top1")[-1] == pytest.approx(result.values("top1", "backbone", 0, "tr10")[1])


def test_everything_is_measured_and_averaged_over_pairs(result: StudyResult) -> None:
    for method in ("bagging", "anytime-small", "anytime-no-loss", "anytime-same-cost", "anytime-best"):
        one, two, both = (result.values("top1", method, 3, row) for row in (PAIR, "tr10-tr18", MEAN))
        assert both == pytest.approx([(a + b) / 2 for a, b in zip(one, two, strict=True)], abs=1e-3)
    assert len(result.values("top1", "bagging", 1, PAIR)) == 2
    assert len(result.values("top1", "two networks", 0, "tr10 + tr10")) == 1, "two seeds are one pair"
    assert len(result.values("top1", "envelope", 3, "at tr10 + tr10")) == 1
    # At the base's own cost there is the base's answer, which a small gate must not push out of reach.
    assert result.values("top1", "envelope", 3, "at tr10") == result.values("top1", "backbone", 0, "tr10")
    assert (result.base, result.expert.split()[0]) == ("tr10 at width 0.125", "several")
    envelope = result.tables["envelope"]
    gaps = [b - a for a, b in zip(envelope.column("top1"), envelope.column("top1_on_test"), strict=True)]
    assert sum(gaps) >= 0, "chosen on test it is never worse"
    assert all(macs > 0 for macs in envelope.column("macs"))


def test_at_the_cost_of_one_expert_the_whole_mixture_is_a_candidate() -> None:
    """One expert has no gate, which is less than a thousandth of a base: whoever is held against it may spend one."""
    spec, nothing = default_spec("smoke", "modes"), cast(Any, None)
    one, three = (Model(spec.with_(num_experts=k), nothing, nothing) for k in (1, 3))
    macs = bars([three, one])
    assert macs["1 expert of tr10-tr10"] == macs["tr10-tr10"] == three.cost.macs > one.cost.macs


@pytest.fixture
def made(record_of: RecordOf) -> StudyResult:
    of_pair = {"saved": 15.0, "experts": 0.5}
    values = {Cell(0, row="tr10"): 50.0, Cell(0, "two networks", "tr10 + tr10"): 51.5}
    values |= {Cell(20, method, row): 52.0 for method in ("bagging", NO_LOSS) for row in (PAIR, MEAN)}
    values |= {Cell(20, NO_LOSS, PAIR, metric): value for metric, value in of_pair.items()}
    values |= {Cell(20, "envelope", row): 52.1 for row in ("at tr10 + tr10", MEAN)}
    sweep = [
        [PAIR, 20, seed, tau, macs, top1 + 0.1 * seed, exits, used]
        for seed in range(3)
        for tau, macs, top1, exits, used in ((0.0, 9_000_000, 52.2, 0, 20), (0.3, 1_500_000, 51.5, 40, 1.1))
    ]
    envelope = [[macs, PAIR, 0, 51.0, 51.2] for macs in (1_500_000, 9_000_000)]
    columns = {
        "sweep": ["pair", "K", "seed", "tau", "macs", "top1", "exits", "experts_of_others"],
        "envelope": ["budget", "model", "seed", "top1", "top1_on_test"],
        "counted": ["pair", "K", "seed", "tau", "images", "expected", "counted", "same_experts"],
    }
    rows = {"sweep": sweep, "envelope": envelope, "counted": [[PAIR, 20, 0, 0.3, 64, 5, 5, 64]]}
    tables = {name: Table(columns=columns[name], rows=rows[name]) for name in columns}
    return record_of(EXHIBIT.name, values, tables=tables)


def test_the_paper_stands_beside_ours(made: StudyResult) -> None:
    tables, claims = EXHIBIT.tables(made), judged(EXHIBIT, made)
    main, chosen = tables["main"].frame, tables["chosen"].frame
    papers = {"tr10-tr10, 20 experts": "77.96 ± 0.20", "tr10 alone": "74.96"}
    papers["tr10 + tr10, two whole networks"] = "76.36"  # the mean of four triangles
    assert {row: main.loc[row, "paper"] for row in papers} == papers
    assert main.loc["tr10-tr10, 20 experts", "each seed"] == "52.00 · 52.10 · 52.20"
    assert "tr10-tr10, 20 experts: little loss" in chosen.index and "mean of pairs" not in " ".join(chosen.index)
    verdicts = {"F1": "holds", "F2": "holds", "F6": "not run", "F8": str(Verdict.PAIRS)}
    verdicts["F5"] = str(Verdict.NO_PREMISE)  # of one pair, the envelope is its curve
    assert {key: str(claims[key].verdict) for key in verdicts} == verdicts
    assert "0.20 points better on average" in EXHIBIT.advice(made) and "In 1 of 1 batches" in EXHIBIT.advice(made)
    assert [row for row in main.index if "envelope" in row] == ["envelope, at tr10 + tr10"]


@pytest.mark.parametrize(
    ("millions", "above"),
    [
        ({"tr10": 1, "control": 8, "pair": 10}, 1),  # saves 15 %: beyond the costliest, which is held against it
        ({"tr10": 4, "control": 18.0625, "pair": 10}, 1.5),  # saves 15 %: half-way between the two, by ratio
        ({"tr10": 1, "pair": 10}, None),  # its own base is no network of its cost
    ],
)
def test_a_pair_is_held_against_plain_networks_of_its_cost(
    made: StudyResult, millions: dict[str, float], above: float | None
) -> None:
    """The made-up result with a control of the pair's cost, 51 %, and these multiply-adds."""
    names = {"pair": PAIR, "control": f"equal-inference of {PAIR}", "tr10": "tr10"}
    costs = [cost_of(20 * (row == "pair"), round(macs * 10**6), names[row]) for row, macs in millions.items()]
    controls = [Cell(1, "equal-inference", PAIR).measurement(seed, 51 + 0.1 * seed) for seed in range(3)]
    result = made.model_copy(update={"costs": costs, "measurements": [*made.measurements, *controls]})
    points = over_plain_networks(result)
    assert points == ({} if above is None else pytest.approx(dict.fromkeys(range(3), above), abs=0.01))
    labels = EXHIBIT.figures([result])["main"].axes[0].get_legend_handles_labels()[1]
    assert ("plain network of the pair's cost" in labels) == ("control" in millions)


def test_a_band_reaches_from_the_lowest_to_the_highest_seed() -> None:
    axes = new_figure(2, 2).subplots()
    draw(axes, [Curve([1, 2], [0, 1]), Curve([1, 2], [2, 3])], "black", "a model")
    assert drawn_at(axes.lines[0]) == ([1, 2], [1, 2])
    assert axes.collections[0].get_paths()[0].get_extents().get_points().tolist() == [[1, 0], [2, 3]]


def test_the_digitised_curve_is_looked_up(made: StudyResult) -> None:
    value = printed_value(made, Cell(20, "envelope", "at tr18"))
    at_tr18 = anytime_at("cifar100", paper_macs("cifar100", "tr18"))
    alone = marker("tiny-imagenet", "backbone", paper_macs("tiny-imagenet", "tr18"))
    assert value and at_tr18 and value.value == at_tr18.value == 79.42  # FACTS: at tr18's own cost
    assert alone and alone.value == 60.42
    assert drawn("modes", "anytime") == () and marker("cifar100", "moe", 1) is None
    assert printed_value(made, Cell(20, "envelope", "at 1 expert of tr10-tr10")) is None
