"""What an exhibit is: a table or figure of a paper, with everything that runs, judges and shows it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure

from repro.errors import TimeIsUpError, TrainingError, in_a_sentence
from repro.report.claim import Claim
from repro.report.plots import as_svg, figure_style
from repro.report.tables import Captioned
from repro.report.verdict import ClaimVerdict, Printed, Verdict, judge, not_printed
from repro.study.parameters import Parameters
from repro.study.places import results_folder
from repro.study.remaining import Remaining
from repro.study.results import StudyResult, load_results
from repro.study.store import Store

_DRAWN: dict[tuple[object, ...], dict[str, str]] = {}


@dataclass(frozen=True)
class Exhibit:
    """A table or figure of a paper.

    name        of its notebook, of its records, and of its page in the book
    title       as a reader calls it, e.g. "Table 2"
    parameters  what its notebook may be asked for
    study       parameters -> the record of a run
    tables      a result -> its tables by name, ``main`` first
    claims      what the paper says of it
    printed     the paper's number for a cell
    exact       tables that need no run, by name: costs, counted and not measured
    figures     results -> figures by name; the book shows ``<exhibit>-<name>`` (``main``: ``<exhibit>``)
    advice      a result -> what no table says of it and a reader has to know (Markdown)
    together    results of one place that were trained alike -> the tables that they have together
    place       in reading order; ``None``: no paper's
    """

    name: str
    title: str
    parameters: type[Parameters]
    study: Callable[[Any], StudyResult]
    tables: Callable[[StudyResult], dict[str, Captioned]]
    claims: tuple[Claim, ...] = ()
    printed: Printed = not_printed
    figures: Callable[[Sequence[StudyResult]], dict[str, Figure]] = lambda results: {}
    exact: Callable[[], dict[str, Captioned]] = dict
    advice: Callable[[StudyResult], str] = lambda result: ""
    together: Callable[[Sequence[StudyResult]], dict[str, Captioned]] = lambda results: {}
    place: int | None = None

    def run(self, parameters: Parameters) -> list[StudyResult]:
        """Run the study; with ``recorded``, take what stands recorded: each image set and scale, in reading order.

        If the time is up before all is done, or a training went wrong, the seeds that are whole are recorded before
        :class:`TimeIsUpError` or :class:`TrainingError` says so.
        """
        if parameters.recorded:
            return list(load_results(results_folder(), self.name).values())
        with in_a_sentence():
            try:
                return [self.study(parameters)]
            except (TimeIsUpError, TrainingError) as error:
                if not error.recorded and (whole := _whole_seeds(parameters)):
                    with suppress(TimeIsUpError, TrainingError):
                        self.study(parameters.model_copy(update={"seeds": whole}))
                raise

    def judge(self, result: StudyResult) -> list[ClaimVerdict]:
        """The verdict on every claim that is about the result's image set; of a part, on those that it has."""
        judged = judge(self.claims, result, self.printed)
        return [one for one in judged if one.ours or one.verdict is not Verdict.NOT_RUN] if result.part else judged

    def drawn(self, results: Sequence[StudyResult]) -> dict[str, str]:
        """The figures as SVG by name, drawn once for the same records however often they are shown."""
        key = (self.name, *(hash(r.model_dump_json()) for r in results))
        if key not in _DRAWN:
            with figure_style():
                made = self.figures(results) if results else {}
            _DRAWN[key] = {
                name: as_svg(figure, self.title + ("" if name == "main" else f" ({name})"))
                for name, figure in made.items()
            }
        return _DRAWN[key]

    def figure_name(self, name: str) -> str:
        """File stem of a figure."""
        return self.name if name == "main" else f"{self.name}-{name}"


def _whole_seeds(parameters: Parameters) -> tuple[int, ...]:
    """The seeds of which all models stand, where others are not done."""
    store, whole = Store(parameters.root), parameters.model_copy(update={"seeds": ()})
    for seed in parameters.seeds:
        more = whole.model_copy(update={"seeds": (*whole.seeds, seed)})
        if Remaining(more.goals(), store).whole:
            whole = more
    return whole.seeds if len(whole.seeds) < len(parameters.seeds) else ()
