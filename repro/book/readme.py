"""What came out, in README: the front page's first two answers, written anew by ``python -m repro.book.readme``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from repro.book.front import CONTROLS, VERDICTS, Effect, answer, headlines
from repro.files import write_text
from repro.report.numbers import so_many
from repro.study.places import project_folder, results_folder
from repro.study.results import StudyResult, load_results

BEGIN, END = "<!-- what came out: of results/, by `uv run python -m repro.book.readme` -->", "<!-- end -->"


def came_out(results: Sequence[StudyResult]) -> str:
    """The verdict of the three families, then each comparison with a plain network of as much compute, as Markdown."""
    answers = answer(results)
    lines = [line for line in headlines(results) if line.group == CONTROLS]
    rows = [f"| {line.sentence} | {'<br>'.join(map(_effect, line.effects)) or 'not run'} |" for line in lines]
    verdicts = [f"**{opening}** {answers[opening][0]}" for opening in VERDICTS if opening in answers]
    head = "| claim | here: verdict, points of top-1 accuracy [95 % interval] |\n|---|---|"
    return "\n\n".join([BEGIN, *verdicts, "\n".join([head, *rows]), END])


def _effect(one: Effect) -> str:
    return f"{one.text}: {so_many(one.seeds)}, {one.result.provenance.hardware}"


def with_what_came_out(readme: str, results: Sequence[StudyResult]) -> str:
    """README with that part as the records have it now."""
    before, rest = readme.split(BEGIN)
    return before + came_out(results) + rest.split(END)[1]


def main() -> None:
    """Write it into the checkout's README."""
    path = (project_folder() or Path()) / "README.md"
    results = list(load_results(results_folder()).values())
    write_text(path, with_what_came_out(path.read_text(encoding="utf-8"), results))


if __name__ == "__main__":
    main()
