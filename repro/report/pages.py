"""What the pages of the book show of all that was recorded, each a function that makes HTML.

:data:`PARTS` names them as the pages do: ``{reruns}``, ``{exact-table} table1_main cifar100``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path

from pydantic import BaseModel

from repro.errors import ReproError
from repro.families.deepmoe.config import DeepMoEConfig
from repro.families.single_gate.choices import CHOICES
from repro.families.sparse.config import SparseConfig
from repro.report import left_out, overview, performance, plan, quotes, reliability, reruns, settings
from repro.report.chapter import not_run
from repro.report.exhibits import exhibit, exhibits, front_page
from repro.report.links import Book, link, source_line
from repro.report.numbers import NONE, Quote, verdict_quote, where_run
from repro.report.tables import Shown, scroll_box, verdict_css
from repro.report.verdict import Verdict
from repro.study.benchmarks import BENCHMARKS, load_performance
from repro.study.campaigns import CAMPAIGNS, load_campaign
from repro.study.parameters import project_folder, results_folder
from repro.study.results import StudyResult, load_results


def table(head: Sequence[str], rows: Sequence[Sequence[str]], label: str) -> str:
    """A table of finished HTML cells that scrolls in its own box; ``label`` says what it is to a screen reader."""
    top = "".join(f'<th scope="col">{cell}</th>' for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return scroll_box(
        f'<table class="repro-table"><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>', escape(label)
    )


def headline_claims(book: Book) -> str:
    """The front page's claims with their verdicts."""
    rows = []
    for line in overview.headlines(_results(), exhibits()):
        words = f'<a href="{book.chapter(line.study)}" title="{escape(line.title)}">{escape(line.words)}</a>'
        rows.append((words, *(_headline(book, found) for found in line.found)))
    head = ("the paper's claim", *overview.columns())
    return f'<div class="repro-headlines">{table(head, rows, "the main claims of the paper with their verdicts")}</div>'


def _headline(book: Book, found: overview.JudgedRecord | str | None) -> str:
    if found is None:
        return NONE
    if isinstance(found, str):
        quote = Quote(str(Verdict.NOT_RUN), quotes.command_of(found))
    else:
        quote = verdict_quote(found.result, found.judged)
    return quotes.marked(book, quote, "repro-mark", verdict_css(quote.text))


def study_verdict(book: Book) -> str:
    """Whether any mixture beats a plain network that was trained as long, with a link to its chapter."""
    name = "three_families"
    return f'<p>{escape(front_page(_results()))} <a href="{book.chapter(name)}">The chapter.</a></p>'


def verdict_tally(book: Book) -> str:
    """How often each verdict fell."""
    return f"<p>{escape(overview.tally_text(_results(), exhibits()))}</p>"


def all_claims(book: Book) -> str:
    """Every claim of the paper in a sentence, with its verdict on each image set and scale, and a link."""
    rows = []
    for shown in exhibits():
        judged = [(r, {j.claim.key: j for j in shown.judge(r)}) for r in _results() if r.study == shown.name]
        for claim in shown.claims:
            marks = []
            for r, by_key in judged:
                if claim.key in by_key:
                    quote = verdict_quote(r, by_key[claim.key])
                    mark = quotes.marked(book, quote, "repro-mark", verdict_css(quote.text))
                    marks.append(f'<span class="repro-together">{mark} {escape(where_run(r))}</span>')
            evidence = link(book.chapter(shown.name), shown.title.partition(":")[0])
            where = f"Section {claim.section}" if claim.section else ""
            rows.append((escape(claim.text), "<br>".join(marks) or "not run", evidence, where))
    head = ("the paper's claim", "here", "evidence", "where in the paper")
    return table(head, rows, "every claim of the paper with its verdicts")


def spec_choices(book: Book) -> str:
    """What the paper leaves open, and what we chose; defaults are read from the spec."""
    rows = [
        (f"<code>{escape(c.place or c.field)}</code>" + (f"<br>{escape(c.field)}" if c.place else ""),
         escape(c.paper), escape(c.default), escape(c.reason))
        for c in CHOICES
    ]  # fmt: skip
    head = ("field, or function", "what the paper says", "ours", "why")
    return table(head, rows, "choices that the paper leaves open")


def family_choices(book: Book, family: str) -> str:
    """What a family's papers leave open: each field of its config that has a default, and why it has that one."""
    if family not in CONFIGS:
        raise ReproError(f"there is no family '{family}' (there are: {', '.join(CONFIGS)})")
    rows = [
        (f"<code>{escape(name)}</code>", escape(str(field.default)), escape(field.description))
        for name, field in CONFIGS[family].model_fields.items()
        if field.description and not field.is_required()
    ]
    return table(("field", "ours", "what the text says, and why"), rows, f"choices that {family}'s papers leave open")


def exact_table(book: Book, name: str, wanted: str) -> str:
    """A table of an exhibit that needs no run: costs, counted."""
    return _named(exhibit(name).exact(), wanted, f"exact table of {name}").in_page()


def left_out_table(book: Book, wanted: str) -> str:
    """A table of readings against the printed costs."""
    return _named(left_out.tables(_results()), wanted, "table").in_page()


def _named(known: dict[str, Shown], wanted: str, what: str) -> Shown:
    if wanted not in known:
        raise ReproError(f"there is no {what} '{wanted}' (there are: {', '.join(known)})")
    return known[wanted]


def recorded_reading(book: Book, name: str) -> str:
    """The numbers of a run in sentences."""
    found = quotes.find(name)
    return _markdown(exhibit(found.result.study).read(found.result)) if found else not_run(quotes.command_of(name))


def _markdown(text: str) -> str:
    from markdown_it import MarkdownIt  # comes with the book's tools

    return str(MarkdownIt().render(text))


def plan_of_runs(book: Book) -> str:
    """The plan, with what was recorded, and its commands."""
    return f"{plan.plan_table(results_folder()).in_page()}<pre>{escape(plan.commands())}</pre>"


def runs_again(book: Book) -> str:
    """Every run of every exhibit: command, time, hardware."""
    notebooks = (project_folder() or results_folder().parent) / "notebooks"
    by_name = {r.name: r for r in _results()}
    found = []
    for shown in exhibits():
        notebook = notebooks / f"{shown.name}.ipynb"
        text = notebook.read_text(encoding="utf-8") if notebook.exists() else ""
        runs = reruns.exhibit_runs(shown.name, text, by_name)
        found.append(_runs(link(book.chapter(shown.name), shown.title), runs, f"runs of {shown.title}"))
    return "".join(found)


def benchmarks_again(book: Book) -> str:
    """The benchmarks' commands."""
    return _runs("benchmark", reruns.benchmark_runs(performance.load_all(_measured())), "benchmarks")


def campaigns_again(book: Book) -> str:
    """The campaigns' commands."""
    found = [load_campaign(name, results_folder()) for name in CAMPAIGNS]
    return _runs("campaign", reruns.campaign_runs([campaign for campaign in found if campaign]), "campaigns")


def _runs(title: str, runs: Sequence[reruns.Run], label: str) -> str:
    rows = [(escape(run.what), f"<code>{escape(run.command)}</code>", run.time, escape(run.hardware)) for run in runs]
    return table((title, "command", "training, as recorded", "on"), rows, label)


def reliability_table(book: Book, name: str) -> str:
    """The table of a campaign, and the command that makes it."""
    campaign = load_campaign(name, results_folder())
    if campaign is None:
        return not_run(CAMPAIGNS[name])
    head, rows = reliability.table(campaign)
    cells = [tuple(map(escape, row)) for row in rows]
    about = escape(reliability.tooltip(campaign).replace("\n", "; "))
    shown = table(tuple(map(escape, head)), cells, f"the campaign {name}")
    return shown + source_line([about, link(book.record(f"reliability-{name}"), "record")])


def benchmark(book: Book, name: str, title: str = "") -> str:
    """The tables of a benchmark (all, or one), how it measures, and where they come from."""
    if name not in BENCHMARKS:
        raise ReproError(f"there is no benchmark '{name}' (there are: {', '.join(BENCHMARKS)})")
    record = load_performance(_measured(), name)
    if record is None:
        return not_run(f"uv run python benchmarks/{name}.py")
    if title and title not in record.tables:
        raise ReproError(f"{name} has no table '{title}' (there are: {'; '.join(record.tables)})")
    tables = [performance.table_html(each, record.tables[each]) for each in ([title] if title else record.tables)]
    about = _markdown("\n\n".join([record.method, *record.notes]))
    source = source_line([link(book.record(f"performance-{name}"), "record and data (CSV)")])
    return "".join([about, *tables, performance.provenance_html(record), source])


def benchmark_goals(book: Book) -> str:
    """Every benchmark's goals: bound, measured, met or missed."""
    found = []
    for name in BENCHMARKS:
        record = load_performance(_measured(), name)
        if record is None:
            found += [f"<p><code>{name}</code></p>", not_run(f"uv run python benchmarks/{name}.py")]
        else:
            found += [f"<p><code>{name}</code>: {escape(record.claim)}</p>", performance.goals_html(record)]
    return "".join(found)


def _results() -> list[StudyResult]:
    return list(load_results(results_folder()).values())


def _measured() -> Path:
    return results_folder() / "performance"


CONFIGS: dict[str, type[BaseModel]] = {"deepmoe": DeepMoEConfig, "sparse": SparseConfig}
PARTS: dict[str, Callable[..., str]] = {
    "study-verdict": study_verdict,
    "headline-claims": headline_claims,
    "verdict-tally": verdict_tally,
    "all-claims": all_claims,
    "spec-choices": spec_choices,
    "family-choices": family_choices,
    "exact-table": exact_table,
    "left-out-table": left_out_table,
    "recorded-reading": recorded_reading,
    "scales-table": lambda book: settings.scales_table().in_page(),
    "plan-goals": lambda book: plan.goals_table().in_page(),
    "plan-of-runs": plan_of_runs,
    "reruns": runs_again,
    "benchmark-reruns": benchmarks_again,
    "campaign-reruns": campaigns_again,
    "reliability-table": reliability_table,
    "performance": benchmark,
    "performance-goals": benchmark_goals,
}
