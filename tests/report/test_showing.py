"""Tables, figures, a run that is stopped, and what the book's slider and explorer are given: what was recorded."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from repro.errors import StoppedError
from repro.exhibits import exhibit
from repro.report.claim import Cell
from repro.report.interactive import anytime, routing
from repro.report.plots import as_svg, mark_printed, new_figure
from repro.report.printed import PrintedValue
from repro.report.tables import Captioned, claims_table, frame, frame_of_rows
from repro.study.results import StudyResult, Table
from tests.helpers import TABLE2 as VALUES
from tests.records import RecordOf, cost_of

MakeUp = Callable[..., StudyResult]
TABLE2 = exhibit("table2_num_experts")


@pytest.fixture
def result(made_up: MakeUp) -> StudyResult:
    return made_up(VALUES)


def test_claims_and_style(result: StudyResult) -> None:
    claims = claims_table(TABLE2.judge(result))
    assert claims.loc["C2/20", "verdict"] == "holds (without control)" and claims.loc["C2/5", "verdict"] == "not run"
    page = Captioned(claims, TABLE2.tables(result)["main"].caption).in_page()
    assert "CIFAR-100, laptop scale" in page and "3 seeds" in page and "rgba(0, 158, 115" in page


def test_printed_numbers_have_their_bars_and_those_that_are_not_printed_no_mark() -> None:
    axes = new_figure(3, 3).subplots()
    values = [PrintedValue(60.0, 0.5, 2, "60.00"), None, PrintedValue(61.0, None, 2, "61.00")]
    mark_printed(axes, [0.0, 1.0, 2.0], values, "o", "black")
    (drawn,) = axes.containers
    points, _, (bars,) = drawn
    assert points.get_xydata().tolist() == [[0.0, 60.0], [2.0, 61.0]]
    assert [bar[:, 1].tolist() for bar in bars.get_segments()] == [[59.5, 60.5], [61.0, 61.0]]


def test_figures_are_the_same_bytes_each_time(result: StudyResult) -> None:
    first, again = (as_svg(TABLE2.figures([result])["main"], "a title") for _ in "ab")
    assert first == again and "<svg" in first


def test_names_of_classes_cannot_break_a_table() -> None:
    page = Captioned(frame({"it says": ["<b>|"], "a|<i>": ["1"]}, ["<u>"]), "all of it; <s>").in_page()
    assert not any(tag in page for tag in ("<b>", "<i>", "<u>", "<s>"))
    assert "&lt;b&gt;|" in page and "a|&lt;i&gt;" in page


def test_a_stop_shows_a_sentence_in_a_notebook() -> None:
    def stop(parameters: object) -> StudyResult:
        raise KeyboardInterrupt

    with pytest.raises(StoppedError) as stopped:
        replace(TABLE2, study=stop).run(TABLE2.parameters.check(scale="smoke"))
    assert stopped.value._render_traceback_() == [
        "StoppedError: stopped; the same command goes on from the last epoch that was kept"
    ]


def test_a_folded_table_opens_by_the_first_sentence_of_its_caption() -> None:
    caption = "CIFAR-100: thresholds, by Eq. (2), of 3 seeds (nothing is chosen). τ = 0 runs all. A dash: none."
    page = Captioned(frame_of_rows({"a": {"b": "1"}}), caption).in_page(folded=True)
    first, rest = "CIFAR-100: thresholds, by Eq. (2), of 3 seeds (nothing is chosen).", "τ = 0 runs all. A dash: none."
    assert f'<summary>{first}</summary><p class="repro-caption">{rest}</p>' in page
    assert "<summary>One.</summary><div" in Captioned(frame_of_rows({"a": {"b": "1"}}), "One.").in_page(folded=True)


def test_the_slider_has_the_mean_of_the_seeds_at_every_threshold(record_of: RecordOf) -> None:
    columns = ["pair", "K", "seed", "tau", "macs", "top1", "exits", "experts_of_others"]
    rows = [["tr10-tr10", 20, seed, *at] for seed in (0, 1) for at in (
        (0.0, 9_000_000, 60.0 + seed, 0.0, 20.0), (1.0, 1_000_000, 58.0 + seed, 100.0, 0.0),
    )]  # fmt: skip
    values = {Cell(0, "backbone", "tr10"): [58.0, 59.0], Cell(20, "bagging", "tr10-tr10"): [60.0, 61.0]}
    tables = {"sweep": Table(columns=columns, rows=rows)}
    (curve,) = anytime([record_of("figure2_anytime", values, costs=[cost_of(0, 900_000, "tr10")], tables=tables)])
    assert curve["points"] == [[0.0, 9_000_000, 60.5, 0.0, 20.0], [1.0, 1_000_000, 58.5, 100.0, None]]
    assert curve["marks"] == [{"name": "base alone", "macs": 900_000, "top1": 58.5}]  # the other has no cost
    assert (curve["name"], curve["seeds"]) == ("CIFAR-100, laptop scale: tr10-tr10, 20 experts", 2)


def test_the_explorer_has_the_counts_of_the_record(record_of: RecordOf) -> None:
    counts = Table(columns=["class", "expert 1", "expert 2"], rows=[["n02056570 king penguin", 3, 1], ["apple", 0, 4]])
    experts = Table(columns=["class"], rows=[["apple"]])
    tables = {"counts": counts, "experts": experts}
    with_counts, without = (record_of("figure3_king_penguin", {Cell(20): [1.0]}, tables=some) for some in (tables, {}))
    (dealt,) = routing([with_counts, without])
    assert dealt["classes"] == ["king penguin", "apple"]
    assert dealt["counts"] == [[3, 1], [0, 4]]
    assert dealt["start"] == "apple"
