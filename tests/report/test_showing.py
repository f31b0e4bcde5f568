"""Tables, quotes, figures and the reading of a result."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from repro.errors import ReproError, StoppedError
from repro.exhibits import exhibit
from repro.report.numbers import look_up, paper_quote
from repro.report.plots import save_figure
from repro.report.tables import Captioned, claims_table, frame, style
from repro.study.results import StudyResult

MakeUp = Callable[..., StudyResult]
TABLE2 = exhibit("table2_num_experts")


@pytest.fixture
def result(made_up: MakeUp) -> StudyResult:
    return made_up(
        {
            ("backbone", 0): [57.0, 57.2, 57.4],
            ("expert", 1): [58.0, 58.1, 58.2],
            ("bagging", 1): [58.2, 58.3, 58.4],
            ("expert", 20): [59.0, 59.1, 59.2],
            ("bagging", 20): [59.5, 59.6, 59.7],
        }
    )


def test_claims_and_style(result: StudyResult) -> None:
    claims = claims_table(TABLE2.judge(result))
    assert claims.loc["C2/20", "verdict"] == "holds (without control)" and claims.loc["C2/5", "verdict"] == "not run"
    page = style(claims, "a caption").to_html()
    assert "a caption" in page and "holds" in page and "rgba(0, 158, 115" in page


def test_quotes_carry_their_provenance(result: StudyResult) -> None:
    quote = look_up(result, "top1/bagging/20")
    assert quote.text == "59.60 ± 0.10"
    for part in ("59.50, 59.60, 59.70", "seeds 0, 1, 2", "repro run it", "a machine", "2026-01-02"):
        assert part in quote.tooltip
    assert look_up(result, "minutes").text == "2"
    assert look_up(result, "C2/20", TABLE2.judge(result)).text == "+1.30"
    assert paper_quote("2/cifar100/tr18/tr18/20/bagging/top1").text == "79.90 ± 0.22"


@pytest.mark.parametrize("key", ["top1/bagging/7", "top2/bagging/20", "nothing"])
def test_a_number_that_is_not_there(result: StudyResult, key: str) -> None:
    with pytest.raises(ReproError, match=f"has no '{key}'. It has: "):
        look_up(result, key)


def test_figures_are_the_same_bytes_each_time(result: StudyResult, tmp_path: Path) -> None:
    first, again = (save_figure(TABLE2.figures([result])["main"], tmp_path / name)[0].read_bytes() for name in "ab")
    assert first == again and b"<svg" in first


def test_a_caption_says_data_scale_and_seeds(result: StudyResult) -> None:
    caption = TABLE2.tables(result)["main"].caption
    assert "CIFAR-100, laptop scale" in caption and "3 seeds" in caption


def test_results_are_saved_whole(result: StudyResult, tmp_path: Path) -> None:
    path = result.save(tmp_path)
    assert path.name == "table2_num_experts-cifar100-laptop.json"
    assert StudyResult.model_validate_json(path.read_text()) == result
    assert os.listdir(tmp_path) == [path.name]


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
