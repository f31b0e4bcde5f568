"""What a notebook shows after its run: provenance, tables, figures, and a paragraph that reads them.

IPython is imported by what shows something: sentences are made without it, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from repro.progress import duration
from repro.report.numbers import where_run
from repro.report.tables import Shown, claims_caption, claims_table
from repro.report.verdict import ClaimVerdict
from repro.study.results import StudyResult

if TYPE_CHECKING:
    from IPython.display import Markdown

    from repro.report.exhibits.exhibit import Exhibit

NOTHING = "Nothing has been recorded yet: run this notebook without `recorded`."


def provenance(results: Sequence[StudyResult]) -> Markdown:
    """A line a result: what was run, how long it took in all, where and when."""
    from IPython.display import Markdown

    if not results:
        return Markdown(NOTHING)
    return Markdown(
        "\n".join(
            f"- **{r.name}**: base {r.base}, experts {r.expert}, seeds {', '.join(map(str, r.seeds))}; "
            f"{duration(r.provenance.seconds)} of training on {r.provenance.hardware} ({r.provenance.precision}), "
            f"torch {r.provenance.libraries.get('torch', '?')}, code {r.provenance.code}, {r.provenance.when[:10]}. "
            f"`{r.provenance.command}`"
            for r in results
        )
    )


def show_figures(exhibit: Exhibit, results: Sequence[StudyResult]) -> None:
    """Every figure of an exhibit, as vector graphics."""
    from IPython.display import SVG, display

    for svg in exhibit.drawn(results).values():
        display(SVG(svg))


def show_tables(exhibit: Exhibit, results: Sequence[StudyResult]) -> None:
    """Every table of every result, and those that need no run."""
    from IPython.display import HTML, display

    for result in results:
        for shown in exhibit.tables(result).values():
            display(HTML(shown.in_page()))
    for shown in exhibit.exact().values():
        display(HTML(shown.in_page()))


def show_claims(exhibit: Exhibit, results: Sequence[StudyResult]) -> None:
    """The paper's claims with the verdict on each."""
    from IPython.display import HTML, display

    for result in results:
        if judged := exhibit.judge(result):
            display(HTML(Shown(claims_table(judged), claims_caption(result)).in_page()))


def read(exhibit: Exhibit, results: Sequence[StudyResult]) -> Markdown:
    """A paragraph a result, made of its numbers."""
    from IPython.display import Markdown

    names = [f"**{where_run(r)}.**" for r in results]
    return Markdown("\n\n".join(f"{name} {exhibit.read(r)}" for name, r in zip(names, results, strict=True)) or NOTHING)


def verdicts(result: StudyResult, judged: Sequence[ClaimVerdict]) -> str:
    """The verdicts in a sentence."""
    if len(result.seeds) == 1:
        return "With one seed this is an anecdote: no claim is judged. Run it with `-p seeds 0,1,2`."
    by_verdict: dict[str, list[str]] = {}
    for claim in judged:
        by_verdict.setdefault(claim.text, []).append(claim.claim.key)
    listed = "; ".join(f"{verdict}: {', '.join(keys)}" for verdict, keys in by_verdict.items())
    return f"Of the paper's claims, as trends at this scale, {listed}."
