"""Addresses within the built book, and the line below a table or figure that says where its numbers are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from pathlib import Path

DATA, FIGURES = "recorded", "figures"
"""Folders of the built book: the records with their CSV files, and the figures."""


@dataclass(frozen=True)
class Book:
    """A book that is being built.

    extra  folder whose files the book serves as they are
    root   from the page that is being made to the book's first page: ``""`` or ``"../"``
    """

    extra: Path
    root: str = ""

    def record(self, name: str) -> str:
        """Where a record is described, with command, machine and files."""
        return f"{self.root}results.html#{name}"

    def chapter(self, exhibit: str) -> str:
        """The chapter of an exhibit, which is its notebook."""
        return f"{self.root}notebooks/{exhibit}.html"

    def csv_links(self, stem: str) -> str:
        """Links to the CSV files of an exhibit or benchmark, each by what it holds."""
        folder = self.extra / DATA
        paths = [*folder.glob(f"{stem}.csv"), *sorted(folder.glob(f"{stem}-*.csv"))]
        names = {path.name: path.stem.removeprefix(stem).lstrip("-") or "measurements" for path in paths}
        return ", ".join(link(f"{self.root}{DATA}/{file}", name) for file, name in names.items())

    def source_line(self, record: str, *more: str) -> str:
        """What stands below a table of a record, and ``more``: the address and the name of another page."""
        csv = self.csv_links(record.partition("-")[0])
        other = link(self.root + more[0], more[1]) if more else ""
        return source_line([link(self.record(record), "record and provenance"), csv and f"data (CSV): {csv}", other])


def link(address: str, text: str) -> str:
    """A link, finished HTML."""
    return f'<a href="{address}">{escape(text)}</a>'


def source_line(parts: list[str]) -> str:
    """A line of small print below a table or figure."""
    return f'<p class="repro-source">{" · ".join(filter(None, parts))}</p>'


def figure(source: str, alt: str, caption: str) -> str:
    """A picture with its caption, both finished for a page; the picture leads to itself, alone."""
    return (
        f'<figure class="repro-figure"><a href="{source}"><img src="{source}" alt="{escape(alt)}"></a>'
        f"<figcaption>{caption}</figcaption></figure>"
    )


_built: list[Book] = []


@contextmanager
def building(extra: Path) -> Iterator[None]:
    """While a book is built: its notebooks, executed in this process, lead to its pages and files."""
    _built.append(Book(extra, root="../"))
    try:
        yield
    finally:
        _built.pop()


def book_of_notebooks() -> Book | None:
    """The book that is being built, as its notebooks see it; None where a notebook is run by itself."""
    return _built[-1] if _built else None
