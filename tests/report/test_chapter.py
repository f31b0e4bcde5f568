"""A chapter shows its own run open and what was recorded folded beside it; the book's, records with links."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from repro.errors import ReproError
from repro.exhibits import exhibit, open_exhibit
from repro.report import chapter
from repro.report.chapter import Chapter, made_before, of_before, provenance
from repro.report.links import building
from repro.report.tables import Captioned, frame
from repro.study.results import StudyResult
from tests.helpers import TABLE2 as VALUES

TABLE2 = exhibit("table2_num_experts")
LAPTOP = "table2_num_experts-cifar100-laptop"


@pytest.fixture
def pages(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What cells have displayed."""
    displayed: list[str] = []
    monkeypatch.setattr(chapter, "_display", displayed.append)
    return displayed


@pytest.fixture
def record(made_up: Callable[..., StudyResult], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StudyResult:
    monkeypatch.setenv("REPRO_RESULTS", str(tmp_path / "results"))
    made_up(VALUES).save(tmp_path / "results")
    return made_up(VALUES)


def recorded() -> Chapter:
    opened = open_exhibit("table2_num_experts", {"recorded": True})
    opened.run()
    return opened


@pytest.mark.usefixtures("record")
def test_the_first_table_stands_open_the_others_are_folded_and_a_planned_run_that_nobody_recorded_is_named(
    pages: list[str],
) -> None:
    opened = recorded()
    pages.clear()
    opened.tables()
    (page,) = pages
    first, *others = TABLE2.tables(opened.recorded[0]).values()
    assert page.count("<details") == len(others) >= 1
    assert page.index(first.caption[:20]) < page.index("<details")
    opened.tables("cifar100-laptop", "tiny-imagenet-paper")
    assert [text for text in pages if "Not run" in text] == [
        "<p><strong>Not run.</strong> <code>uv run repro run table2_num_experts -p scale paper "
        "-p dataset tiny-imagenet -p seeds 0,1,2</code> fills this in.</p>"
    ]


def test_what_was_trained_alike_in_one_place_has_its_tables_together(
    pages: list[str], made_up: Callable[..., StudyResult]
) -> None:
    first, other = made_up(VALUES), made_up(VALUES, dataset="tiny-imagenet")
    parts = replace(TABLE2, together=lambda results: {
        "main": Captioned(frame({"part": [r.part for r in results]}, [""] * len(results)), "of all.")
    })  # fmt: skip
    for exhibit_of in (TABLE2, parts):
        opened = Chapter(exhibit_of, TABLE2.parameters.check())
        opened.recorded = [first.model_copy(update={"part": "a"}), first.model_copy(update={"part": "b"}), other]
        opened.together()
    (page,) = pages  # Table 2 has none
    assert page.count("<table") == 2 and page.index(">a<") < page.index(">b<")


def test_a_record_of_before_randomness_was_told_apart_says_so(record: StudyResult) -> None:
    base: dict[str, object] = {"expert_recipe": {}, "base_recipe": {"epochs": 12}}
    specs = [base, base | {"expert_length": "epochs"}, {}]
    records = [record.model_copy(update={"spec": spec}) for spec in specs]
    assert ["by an earlier version" in provenance(each) for each in records] == [True, False, False]
    assert list(map(of_before, records)) == ["CIFAR-100, laptop scale (bases of 12 epochs, of 24 now)", "", ""]
    assert made_before([]) == ""


def test_claims_lead_to_their_rules_and_where_none_was_run_it_is_said_how_many_there_are(
    pages: list[str], made_up: Callable[..., StudyResult], tmp_path: Path
) -> None:
    with building(tmp_path):
        chapters = [Chapter(of, of.parameters.check()) for of in (TABLE2, exhibit("table3_imagenet"))]
    for opened in chapters:
        opened.recorded = [made_up(VALUES)]
        opened.claims()
    assert '<a href="../claims.html#verdicts">how verdicts are made</a>' in pages[0]
    assert pages[1] == "<p>20 claims: <strong>not run</strong>.</p>"


def test_a_run_of_ones_own_stands_open_beside_records_and_the_embedded_set_is_a_demonstration(
    pages: list[str], record: StudyResult, made_up: Callable[..., StudyResult]
) -> None:
    opened, modes = Chapter(TABLE2, TABLE2.parameters.check()), made_up(VALUES, scale="quick", dataset="modes")
    opened.own, opened.recorded = [modes], [record]
    opened.claims()
    own, beside = pages
    assert "modes, quick scale" in own and "<details" not in own
    assert beside.startswith("<details") and "Recorded, to hold it against: CIFAR-100, laptop scale, 3 seeds" in beside
    opened.own, opened.recorded = [], [record, modes]
    opened.claims()
    assert "CIFAR-100, laptop scale" in pages[-1] and "modes" not in pages[-1]
    assert "modes, quick scale" not in TABLE2.drawn(opened.recorded)["main"]
    opened.recorded = opened.recorded[1:]
    opened.claims()
    assert "modes, quick scale" in pages[-1], "where there is nothing else it is shown"
    assert "modes, quick scale" in TABLE2.drawn(opened.recorded)["main"]


@pytest.mark.usefixtures("record")
def test_a_figure_is_in_the_notebook_or_a_file_of_the_book(pages: list[str], tmp_path: Path) -> None:
    recorded().figure(alt="a <curve>", caption="Of `modes`.")
    assert 'src="data:image/svg+xml;base64,' in pages[-1]
    assert 'alt="a &lt;curve&gt;"' in pages[-1] and "<figcaption>Of <code>modes</code>.</figcaption>" in pages[-1]
    with building(tmp_path):
        opened = recorded()
        opened.figure(alt="a curve", caption="It.")
        opened.tables()
        opened.claims()
    assert 'src="../figures/table2_num_experts.svg"' in pages[-3]
    assert f'href="../results.html#{LAPTOP}"' in pages[-2] and "verdicts" not in pages[-2]
    assert '<a href="../claims.html#verdicts">how verdicts are made</a>' in pages[-1]
    with pytest.raises(ReproError, match=r"table2_num_experts has no figure 'pie' \(there are: main"):
        opened.figure("pie", alt="", caption="")


def test_nothing_recorded_is_said(pages: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPRO_RESULTS", str(tmp_path))
    recorded().figure(alt="a curve", caption="It.")
    (page,) = pages
    assert "Nothing has been recorded yet" in page
