"""What the pages of the book show of all that was recorded, each a function that makes HTML.

:data:`PARTS` names them as the pages do: ``{all-claims}``, ``{performance} train_throughput``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from html import escape
from pathlib import Path

from repro.book import claims, front, performance, plan, quotes
from repro.data.catalogue import DATASETS as CARDS
from repro.errors import ReproError
from repro.exhibits import exhibit
from repro.families.single_gate.config import StudySpec
from repro.families.single_gate.scales import SCALES, default_spec
from repro.progress import duration
from repro.report.chapter import folded, not_run
from repro.report.links import DATA, FIGURES, Book, link, source_line
from repro.report.numbers import DATASETS, NONE, effect, gain, interval, signed, verdict_quote, where_run, which_run
from repro.report.tables import Captioned, frame_of_rows, html_table
from repro.study.benchmarks import BENCHMARKS, CAMPAIGNS, PerformanceRecord, load_campaign, load_performance
from repro.study.places import project_folder, results_folder
from repro.study.results import Provenance, StudyResult, load_results

FOREST = "headlines"
"""The front page's figure, and beside it ``headlines-narrow`` for a phone."""


def study_answer(book: Book) -> str:
    """The boxed answer, a sentence and a list for each question."""
    results = _results()
    families, *others = (
        f"<p><strong>{escape(opening)}</strong> {escape(text)}</p>"
        + ("<ul>" + "".join(f"<li>{escape(item)}</li>" for item in items) + "</ul>" if items else "")
        for opening, (text, items) in front.answer(results).items()
    )
    sentences = "".join((families, _rivals(results), *others))
    about = "Effects are points of top-1 accuracy, brackets 95 % intervals over seeds, costs multiply-adds."
    small = " ".join(filter(None, (about, front.longer(results), front.older(results))))
    return (
        f'<div class="repro-answer" role="note" aria-label="The answer">{sentences}'
        f'<p class="repro-source">{escape(small)}</p></div>'
    )


def _rivals(results: list[StudyResult]) -> str:
    """The three families and what they were held against as a table; nothing where none was run."""
    against, families = front.rivals(results)
    if not families:
        return ""
    places = {where_run(e.result) for rivals in families.values() for of in rivals for e in of}

    def cell(effects: list[front.Effect]) -> str:
        where = [f" ({where_run(e.result)})" if len(places) > 1 else "" for e in effects]
        texts = [f"{effect(e.judged.ours)} {e.judged.text}{at}" for e, at in zip(effects, where, strict=True)]
        return f"<td>{'<br>'.join(map(escape, texts)) or 'not run'}</td>"

    heads = "".join(f'<th scope="col">against a plain network {escape(words)}</th>' for words in against)
    each = (f'<th scope="row">{escape(who)}</th>{"".join(map(cell, rivals))}' for who, rivals in families.items())
    rows = "".join(f"<tr>{row}</tr>" for row in each)
    return f"<table><thead><tr><td></td>{heads}</tr></thead><tbody>{rows}</tbody></table>"


def study_in_short(book: Book) -> str:
    """The two verdicts of the answer, without their table and lists."""
    answers = front.answer(_results())
    verdicts = [answers[opening][0] for opening in front.VERDICTS if opening in answers]
    return f"<p>{escape(' '.join(verdicts))}</p>"


def headline_figure(book: Book) -> str:
    """The headline claims as one figure, and folded below it the numbers that it draws."""
    lines = front.headlines(_results())
    address = f"{book.root}{FIGURES}/{FOREST}"
    measured = sum(len(line.effects) for line in lines)
    alt = (
        f"Forest plot of {len(lines)} claims in {len(front.GROUPS)} groups, with {measured} effects: mean and 95 % "
        "interval of each in points of top-1 accuracy, around a line at zero. The table below it has the numbers."
    )
    caption = (
        "Every headline claim as a difference of top-1 accuracy: filled marks are means over seeds, lines 95 % "
        "intervals (an arrow: it goes on), pale marks fewer than three seeds; a hollow diamond is what the paper "
        "prints, at its own scale. * without "
        "its control; † by a rule that was settled after a first look. The embedded set is a demonstration and has no "
        "mark here."
    )
    rows = [row for line in lines for row in _rows(book, line)]
    head = ("claim", "image set, scale", "difference", "95 % interval", "seeds", "printed", "verdict")
    return (
        f'<figure class="repro-figure repro-forest"><a href="{address}.svg"><picture>'
        f'<source media="(max-width: 600px)" srcset="{address}-narrow.svg">'
        f'<img src="{address}.svg" alt="{escape(alt)}"></picture></a>'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
        + folded("The numbers of this figure", html_table(head, rows, "the headline claims with effects and verdicts"))
    )


def _rows(book: Book, line: front.Headline) -> list[tuple[str, ...]]:
    claim = link(book.chapter(line.exhibit.name), line.sentence)
    if not line.effects:
        return [(claim, "not run", *[NONE] * 5)]
    return [
        (claim, escape(where_run(result)), gain(judged.ours), interval(judged.ours, sign=True),
         str(judged.ours.n if judged.ours else 0), NONE if judged.paper is None else signed(judged.paper),
         claims.mark(book, verdict_quote(result, judged)))
        for result, judged, *_ in line.effects
    ]  # fmt: skip


def cite_this(book: Book) -> str:
    """The study as BibTeX, of ``CITATION.cff``."""
    text = ((project_folder() or Path()) / "CITATION.cff").read_text(encoding="utf-8")
    facts = dict(re.findall(r'^(title|version|date-released|repository-code): "?(.*?)"?$', text, re.MULTILINE))
    authors = " and ".join(re.findall(r"^  - name: (.*)$", text, re.MULTILINE))
    entry = f"@software{{moe_study,\n  title = {{{facts['title']}}},\n  author = {{{{{authors}}}}},\n"
    entry += f"  year = {{{facts['date-released'][:4]}}},\n  version = {{{facts['version']}}},\n"
    return f"<pre>{escape(entry)}  url = {{{facts['repository-code']}}}\n}}</pre>"


def scales_table() -> Captioned:
    """Networks, images and lengths of training of every scale and image set, made of the scales themselves."""
    rows = {
        f"{scale}: {DATASETS[dataset]}": _cells(default_spec(scale, dataset))
        for scale, sets in SCALES.items()
        for dataset in sets
    }
    caption = (
        "What each scale trains, unless a chapter says otherwise. Epochs are those of the base model, of each expert, "
        "and of the gate; a base taken off the shelf trains for none."
    )
    return Captioned(frame_of_rows(rows), caption)


def _cells(spec: StudySpec) -> dict[str, str]:
    width = "" if spec.width == 1 else f", {spec.width:g} of the width"
    return {
        "base and experts": f"{spec.base if spec.base == spec.expert else spec.pair}{width}",
        "pixels": str(spec.image_size),
        "classes": str(spec.num_classes),
        "base epochs": "off the shelf" if spec.pretrained else str(spec.base_recipe.epochs),
        "expert epochs": str(spec.expert_recipe.epochs),
        "gate epochs": str(spec.gate_recipe.epochs),
    }


def image_sets() -> Captioned:
    """Sizes, sources and terms of the image sets."""
    rows = {
        DATASETS[name]: {
            "classes": f"{card.classes}", "images to train": f"{card.num_train:,}", "to test": f"{card.num_test:,}",
            "pixels": f"{card.image_size or 'varies'}", "from": card.source, "terms": card.terms,
        }
        for name, card in CARDS.items()
    }  # fmt: skip
    return Captioned(frame_of_rows(rows), "The image sets: their size, where they come from, and the terms of use.")


def reliability_table(book: Book, name: str) -> str:
    """The table of a campaign, and the command that makes it."""
    campaign = load_campaign(name, results_folder())
    if campaign is None:
        return not_run(CAMPAIGNS[name])
    head = list(campaign.rows[0]) if campaign.rows else []
    rows = [[f"{row[key]:,}" if isinstance(row[key], int) else escape(str(row[key])) for key in head]
            for row in campaign.rows]  # fmt: skip
    about = escape(quotes.campaign_tooltip(campaign).replace("\n", "; "))
    table = html_table([escape(key) for key in head], rows, f"the campaign {name}")
    return table + source_line([about, link(book.record(f"reliability-{name}"), "record")])


def benchmark(book: Book, name: str) -> str:
    """The tables of a benchmark, how it measures, and where they come from."""
    from markdown_it import MarkdownIt  # comes with the book's tools

    if name not in BENCHMARKS:
        raise ReproError(f"there is no benchmark '{name}' (there are: {', '.join(BENCHMARKS)})")
    record = load_performance(_measured(), name)
    if record is None:
        return not_run(f"uv run python benchmarks/{name}.py")
    tables = [performance.table_html(title, table) for title, table in record.tables.items()]
    about = MarkdownIt().render("\n\n".join([record.method, *record.notes]))
    machine = f"{record.provenance.hardware}, {record.provenance.precision}"
    source = source_line([escape(machine), link(book.record(f"performance-{name}"), "record and data (CSV)")])
    return "".join([about, *tables, source])


def benchmark_goals(book: Book) -> str:
    """Every benchmark's goals: bound, measured, met or missed."""
    tables = []
    for name in BENCHMARKS:
        record = load_performance(_measured(), name)
        if record is None:
            tables += [f"<p><code>{name}</code></p>", not_run(f"uv run python benchmarks/{name}.py")]
        elif record.goals:
            tables += [f"<p><code>{name}</code>. {_aim(record)}</p>", performance.goals_html(record)]
    return "".join(tables)


def goals_count(book: Book) -> str:
    """How many goals are met, of all that were measured."""
    goals = [goal for record in performance.load_all(_measured()).values() for goal in record.goals]
    met = sum(goal.met is True for goal in goals)
    return f"<p><strong>Of {len(goals)} goals {met} are met.</strong></p>"


def _aim(record: PerformanceRecord) -> str:
    """What a benchmark was to show, where it has goals, how many of them are met; else what it measures."""
    if not record.goals:
        return escape(record.claim)
    met = sum(goal.met is True for goal in record.goals)
    return f"Goal: {escape(record.claim)} <em>{met} of {len(record.goals)} bounds met.</em>"


def recorded_runs(book: Book) -> str:
    """Every recorded run with its provenance: the places to which quoted numbers lead."""
    sections = []
    for name, r in load_results(results_folder()).items():
        facts = {
            "shown in": link(book.chapter(r.study), exhibit(r.study).title),
            "models": escape(f"base {r.base}, experts {r.expert}; {r.evaluate} set"),
            "seeds": ", ".join(map(str, r.seeds)),
            **_provenance(r.provenance),
            "code, spec": f"<code>{escape(r.provenance.code)}</code>, <code>{r.spec_hash}</code>",
            "files": f"{_file(book, f'{name}.json')} (this record), CSV: {book.csv_links(r.study)}",
        }
        sections.append(_section(name, f"{r.study}: {which_run(r)}", facts))
    return "".join(sections) or "<p>Nothing has been recorded yet.</p>"


def recorded_measurements(book: Book) -> str:
    """Every benchmark and campaign with its provenance."""
    sections = []
    for name, one in performance.load_all(results_folder() / "performance").items():
        files = f"{_file(book, f'performance/{name}.json')}, CSV: {book.csv_links(f'performance-{name}')}"
        facts = {"measures": _aim(one), **_provenance(one.provenance), "files": files}
        sections.append(_section(f"performance-{name}", f"Benchmark: {name}", facts))
    for name in CAMPAIGNS:
        if campaign := load_campaign(name, results_folder()):
            facts = _provenance(campaign.provenance) | {"files": _file(book, f"reliability/{name}.json")}
            sections.append(_section(f"reliability-{name}", f"Campaign: {name}", facts))
    return "".join(sections) or "<p>Not run.</p>"


def _provenance(p: Provenance) -> dict[str, str]:
    """Command, machine and libraries, finished HTML."""
    return {
        "command": f"<code>{escape(p.command)}</code>",
        "time": escape(f"{duration(p.seconds)} on {p.hardware}, {p.precision}; {p.when[:10]}"),
        "code, spec": f"<code>{escape(p.code)}</code>",
        "libraries": escape(", ".join(f"{library} {version}" for library, version in p.libraries.items())),
    }


def _file(book: Book, name: str) -> str:
    return f'<a href="{book.root}{DATA}/{name}"><code>{name.rpartition("/")[2]}</code></a>'


def _section(place: str, title: str, facts: Mapping[str, str]) -> str:
    """A heading with an address of its own, and a table of two columns."""
    rows = "".join(f'<tr><th scope="row">{key}</th><td>{value}</td></tr>' for key, value in facts.items())
    return (
        f'<section id="{place}"><h3>{escape(title)}</h3>'
        f'<table class="repro-table repro-facts"><tbody>{rows}</tbody></table></section>'
    )


def _results() -> list[StudyResult]:
    return list(load_results(results_folder()).values())


def _measured() -> Path:
    return results_folder() / "performance"


PARTS: dict[str, Callable[..., str]] = {
    "study-answer": study_answer,
    "study-in-short": study_in_short,
    "headline-figure": headline_figure,
    "cite-this": cite_this,
    "claims-count": claims.claims_count,
    "all-claims": claims.all_claims,
    "scales-table": lambda book: scales_table().in_page(),
    "image-sets": lambda book: image_sets().in_page(),
    "plan-of-runs": lambda book: plan.plan_table().in_page(),
    "reliability-table": reliability_table,
    "performance": benchmark,
    "performance-count": goals_count,
    "performance-goals": benchmark_goals,
    "speed-runs": lambda book: performance.speed_runs_html(load_performance(_measured(), "gpu_training")),
    "recorded-runs": recorded_runs,
    "recorded-measurements": recorded_measurements,
}
