"""The front page's claims and counts follow from the records."""

from collections.abc import Callable

import pytest

from repro.errors import ReproError
from repro.exhibits import exhibits
from repro.report import overview
from repro.report.overview import HEADLINES, JudgedRecord, columns, headlines, tally, tally_text
from repro.report.verdict import Verdict
from repro.study.results import StudyResult

MakeUp = Callable[..., StudyResult]


@pytest.fixture
def results(made_up: MakeUp) -> list[StudyResult]:
    rows = {
        ("backbone", 0): [57.0, 57.2, 57.4],
        ("bagging", 1): [58.2, 58.3, 58.4],
        ("bagging", 20): [57.5, 57.7, 57.8],
        ("equal-training", 20): [60.0, 60.1, 60.2],
        ("expert", 1): [57.8, 57.9, 58.1],
    }
    return [made_up(rows), made_up(rows, scale="gpu")]


def test_every_headline_has_a_cell_for_every_column(results: list[StudyResult]) -> None:
    lines = headlines(results, exhibits())
    assert [line.words for line in lines] == [words for _, _, words in HEADLINES]
    assert all(len(line.found) == len(columns()) for line in lines)


def test_a_cell_holds_a_verdict_or_says_which_run_is_missing(results: list[StudyResult]) -> None:
    by_words = {line.words: line.found for line in headlines(results, exhibits())}
    first = by_words["Base and one expert beat that expert alone"]
    assert isinstance(first[0], JudgedRecord) and first[0].judged.verdict is Verdict.HOLDS
    assert first[1] == "table2_num_experts-tiny-imagenet-laptop"
    assert isinstance(first[2], JudgedRecord) and first[2].result.scale == "gpu"
    assert first[3] == "table2_num_experts-cifar100-paper"
    controlled = by_words["They beat the base trained as long as all of them"][0]
    assert isinstance(controlled, JudgedRecord) and controlled.judged.text == "opposite"
    uncontrolled = by_words["Twenty experts beat the one"][0]  # one of two controls has been run
    assert isinstance(uncontrolled, JudgedRecord) and uncontrolled.judged.text == "opposite (without control)"


def test_a_run_at_the_papers_scale_takes_the_last_column(made_up: MakeUp) -> None:
    of_the_paper = made_up({("backbone", 0): [77.0, 77.2], ("bagging", 1): [78.0, 78.1]}, "paper", "tiny-imagenet")
    last = headlines([of_the_paper], exhibits())[0].found[-1]
    assert isinstance(last, JudgedRecord) and last.result is of_the_paper


def test_a_claim_that_does_not_exist_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overview, "HEADLINES", (("table2_num_experts", "C9", "nothing"),))
    with pytest.raises(ReproError, match="table2_num_experts has no claim 'C9'"):
        headlines([], exhibits())


def test_verdicts_are_counted_by_scale(results: list[StudyResult], made_up: MakeUp) -> None:
    # Neither what was not run is there, nor C1, which holds by a rule that was settled afterwards.
    expected = {"holds (without control)": 1, "opposite (without control)": 1, "opposite": 1}
    assert tally(results, exhibits()) == {"laptop": expected, "gpu": expected}
    text = tally_text(
        [results[0], made_up({("backbone", 0): [57.0], ("bagging", 1): [58.0]}, dataset="tiny-imagenet")], exhibits()
    )
    assert text == (
        "Laptop scale: 4 comparisons of a claim with a run, of which 1 holds (without control), 1 opposite, "
        "1 opposite (without control), 1 with one seed alone."
    )
    assert tally_text([], exhibits()) == "Nothing has been recorded yet."


def test_a_record_without_claims_is_not_counted(results: list[StudyResult]) -> None:
    counted = results[0].model_copy(update={"study": "sparse_costs", "scale": "paper"})
    assert tally_text([counted], exhibits()) == "Nothing has been recorded yet."
