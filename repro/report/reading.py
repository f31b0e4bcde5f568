"""What a notebook shows after its run: provenance, tables, and a paragraph that reads them."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence

from IPython.display import HTML, SVG, Markdown, display
from matplotlib.figure import Figure

from repro.progress import duration
from repro.report import tables
from repro.report.numbers import DATASETS, interval, mean_std, summary_of
from repro.report.statistics import Summary
from repro.report.verdict import Row, Verdict, difference, table2_claims
from repro.study.results import StudyResult


def provenance(results: Sequence[StudyResult]) -> Markdown:
    """A line a result: what was run, how long it took in all, where and when."""
    if not results:
        return Markdown("Nothing has been recorded yet: run this notebook without `recorded`.")
    return Markdown(
        "\n".join(
            f"- **{r.name}**: {r.base}, experts {r.expert}, seeds {', '.join(map(str, r.seeds))}; "
            f"{duration(r.provenance.seconds)} of training on {r.provenance.hardware} ({r.provenance.precision}), "
            f"torch {r.provenance.libraries.get('torch', '?')}, code {r.provenance.code}, {r.provenance.when[:10]}. "
            f"`{r.provenance.command}`"
            for r in results
        )
    )


def show_figure(figure: Figure) -> None:
    """A figure as vector graphics, in the notebook and in the book."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    display(SVG(buffer.getvalue()))


def show_tables(results: Iterable[StudyResult]) -> None:
    """Table 2 of every result, the paper's column beside ours."""
    for result in results:
        display(HTML(tables.style(tables.table2(result), tables.table2_caption(result)).to_html()))
        display(HTML(tables.style(tables.table2_details(result), tables.details_caption(result)).to_html()))


def show_claims(results: Iterable[StudyResult]) -> None:
    """The paper's claims about Table 2 with the verdict on each."""
    for result in results:
        display(HTML(tables.style(tables.claims_table(result), tables.claims_caption(result)).to_html()))


def read_table2(results: Iterable[StudyResult]) -> Markdown:
    """A paragraph a result, made of its numbers."""
    return Markdown("\n\n".join(_read(result) for result in results))


def _read(result: StudyResult) -> str:
    name = f"**{DATASETS.get(result.dataset, result.dataset)}, {result.scale} scale.**"
    seeds = "one seed" if len(result.seeds) == 1 else f"{len(result.seeds)} seeds"
    base = summary_of(result, "top1", "backbone", 0)
    sentences = [f"{name} The base alone reaches {mean_std(base)} % ({seeds})."]
    for k in result.numbers_of_experts():
        alone, bagged = summary_of(result, "top1", "expert", k), summary_of(result, "top1", "bagging", k)
        who = "One expert trained on everything" if k == 1 else f"With {k} experts the selected one"
        gain = difference(result, Row(k), Row(0))
        sentences.append(
            f"{who} reaches {mean_std(alone)} % alone and {mean_std(bagged)} % bagged with the base"
            + (f" ({_points(gain)} against the base)." if gain else ".")
        )
    sentences.append(_verdicts(result))
    return " ".join(sentences)


def _points(gain: Summary) -> str:
    spread = f", 95 % interval {interval(gain, sign=True)}" if gain.interval else ""
    return f"{gain.mean:+.2f} points{spread}"


def _verdicts(result: StudyResult) -> str:
    judged = table2_claims(result)
    if len(result.seeds) == 1:
        return "With one seed this is an anecdote: no claim is judged. Run it with `-p seeds 0,1,2`."
    by_verdict: dict[Verdict, list[str]] = {}
    for claim in judged:
        by_verdict.setdefault(claim.verdict, []).append(claim.claim.key)
    listed = "; ".join(f"{verdict}: {', '.join(keys)}" for verdict, keys in by_verdict.items())
    return f"Of the paper's claims, as trends at this scale, {listed}."
