"""The page of claims: what is counted where, what a demonstration decides, and what was not run."""

from collections.abc import Callable
from pathlib import Path

import pytest

from repro.book import claims
from repro.report.links import Book
from repro.study.results import StudyResult
from tests.helpers import TABLE2

MakeUp = Callable[..., StudyResult]
BOOK = Book(Path("nowhere"))
BETTER = TABLE2 | {("equal-training", 20): [60.0, 60.1, 60.3], ("equal-inference", 1): [58.0, 58.2, 58.3]}


@pytest.fixture(autouse=True)
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of results."""
    monkeypatch.setenv("REPRO_RESULTS", str(tmp_path / "results"))
    return tmp_path / "results"


def line_of(key: str) -> claims.Line:
    """The claim of this key with its runs."""
    (line,) = [line for line in claims.lines() if line.claim.key == key]
    return line


def columns_of(key: str) -> list[str]:
    """Where its verdicts are counted."""
    return [claims.column(r, one) for r, one in line_of(key).tested]


def test_a_verdict_is_counted_by_what_it_came_to(made_up: MakeUp, results: Path) -> None:
    made_up(BETTER).save(results)
    made_up({key: values[:1] for key, values in BETTER.items()}, scale="gpu").save(results)
    assert columns_of("C2/20") == ["anecdote", "holds"]
    assert columns_of("C2/20/equal-training") == ["anecdote", "opposite"]
    assert columns_of("C1") == ["settled afterwards"] * 2 and columns_of("C2/5") == []


def test_without_its_control_it_is_counted_apart(made_up: MakeUp, results: Path) -> None:
    made_up(TABLE2).save(results)
    assert columns_of("C2/20") == ["holds, without control"]


def test_the_embedded_set_has_no_verdict_and_stands_where_nothing_else_does(made_up: MakeUp, results: Path) -> None:
    made_up(BETTER, dataset="modes", scale="quick").save(results)
    assert columns_of("C2/20") == [claims.DEMONSTRATION]
    page = claims.all_claims(BOOK, "royer2022")
    assert ">demonstration</a> +1.30 [" in page and ">holds" not in page
    made_up(BETTER).save(results)
    assert columns_of("C2/20") == ["holds"]


def test_what_was_not_run_is_folded_and_counted(made_up: MakeUp, results: Path) -> None:
    made_up(TABLE2).save(results)
    made_up({key: values for key, values in BETTER.items() if key[0] != "bagging"}, scale="gpu").save(results)
    page, _, folded = claims.all_claims(BOOK, "royer2022").partition("<details")
    assert '<a id="C2/20" href="#C2/20"><code>C2/20</code></a>' in page and "not run: CIFAR-100, gpu scale" in page
    assert "C2/5" in folded and "C2/5" not in page
    every = claims.lines()
    absent = sum(not line.tested for line in every)
    assert f"Of {len(every)} claims {absent} were not run." in claims.claims_count(BOOK)
    assert {line.paper for line in every} == set(claims.PAPERS)
