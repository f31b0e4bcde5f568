"""The built book, served on this machine, and a real Chromium to read it.

These tests run where a book is named:  ``uv run repro book && REPRO_BOOK=book/_build/html uv run pytest tests/book``.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

import pytest

from repro.study.results import StudyResult
from tests.helpers import TABLE2

if TYPE_CHECKING:
    from playwright.sync_api import Browser

NAME = os.environ.get("REPRO_BOOK", "")
BOOK = Path(NAME).resolve()
PAGES = sorted(p.relative_to(BOOK).as_posix() for p in BOOK.rglob("*.html") if "_static" not in p.parts) if NAME else []
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that asks for ``page_name`` is run for every page."""
    if "page_name" in metafunc.fixturenames:
        metafunc.parametrize("page_name", PAGES or ["(no book)"])


@pytest.fixture
def recorded(made_up: Callable[..., StudyResult], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of results with one made-up record of Table 2."""
    made_up(TABLE2).save(tmp_path / "results")
    monkeypatch.setenv("REPRO_RESULTS", str(tmp_path / "results"))
    return tmp_path / "results"


class Quiet(SimpleHTTPRequestHandler):
    """Serves files and says nothing."""

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@pytest.fixture(scope="session")
def book() -> Iterator[str]:
    """The address of the served book."""
    if not NAME:
        pytest.skip("REPRO_BOOK names no built book: `uv run repro book`, then REPRO_BOOK=book/_build/html")
    assert (BOOK / "index.html").exists(), f"REPRO_BOOK={NAME} is no built book"
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(BOOK)))
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()


@pytest.fixture(scope="session")
def browser(book: str) -> Iterator[Browser]:
    """Chromium, headless, with the scroll bars that people see."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is in the group browser: run `uv sync`")
    if CHROMIUM is None:
        pytest.skip("there is no Chromium here (apt-get install chromium)")
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox"], ignore_default_args=["--hide-scrollbars"]
        )
        yield chromium
        chromium.close()
