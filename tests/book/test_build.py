"""The checks of the built book find what they are for, and a role with a wrong key is a warning."""

import shutil
import sys
from io import StringIO
from pathlib import Path

import nbformat
import pytest

from repro.book.build import as_chapter, check_html, expected_pages
from repro.study.benchmarks import FOLDER, Campaign

ROOT = Path(__file__).parents[2]
EXTENSION = ROOT / "book" / "_ext"
PAGES = expected_pages(ROOT)
PROSE = "word " * 60
FIGURE = "<img alt='a curve' src='figures/table2_num_experts.svg'>"


@pytest.fixture
def html(tmp_path: Path) -> Path:
    """A small book that is whole."""
    for name in PAGES:
        page = tmp_path / f"{name}.html"
        page.parent.mkdir(exist_ok=True)
        page.write_text(f"<p id='here'>{PROSE}</p>")
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "table2_num_experts.svg").write_text("<svg/>")
    (tmp_path / "index.html").write_text(f"{PROSE}{FIGURE}<a href='notebooks/table2_num_experts.html#here'></a>")
    return tmp_path


def test_a_whole_book_has_no_findings(html: Path) -> None:
    assert check_html(html, PAGES) == []


@pytest.mark.parametrize(
    ("planted", "finding"),
    [
        ("<a href='gone.html'></a>", "index.html leads to gone.html, which is not there"),
        ("<a href='notebooks/table2_num_experts.html#nowhere'></a>", "no such place on that page"),
        ("<img src='figures/gone.png'>", "leads to figures/gone.png"),
        ("<img src='figures/table2_num_experts.svg'>", "figures/table2_num_experts.svg without alt text"),
        ("<script src='https://cdn.example/x.js'></script>", "loads https://cdn.example/x.js from outside"),
    ],
)
def test_what_is_planted_is_found(html: Path, planted: str, finding: str) -> None:
    (html / "index.html").write_text(PROSE + FIGURE + planted)
    assert any(finding in fault for fault in check_html(html, PAGES))


def test_missing_and_empty_pages_and_figures_are_found(html: Path) -> None:
    (html / "claims.html").unlink()
    (html / "results.html").write_text("nothing")
    (html / "index.html").write_text(PROSE)
    assert check_html(html, PAGES) == [
        "page claims is missing", "figure table2_num_experts.svg is in no page", "results.html is empty",
    ]  # fmt: skip


def test_a_chapter_is_its_notebook_without_what_papermill_put_in(tmp_path: Path) -> None:
    make = nbformat.v4
    prose = make.new_markdown_cell("[every choice](../book/claims.md), [Table 1](table1_main.ipynb)")
    injected = make.new_code_cell("recorded = True", metadata={"tags": ["injected-parameters"]})
    silent, printing = make.new_code_cell("chapter.figure()"), make.new_code_cell("chapter.run()")
    printing.outputs = [make.new_output("stream", text="run")]
    asked = make.new_code_cell("seeds = '0'", metadata={"tags": ["parameters"]})
    nbformat.write(make.new_notebook(cells=[prose, asked, injected, printing, silent]), tmp_path / "a.ipynb")
    as_chapter(tmp_path / "a.ipynb")
    cell, *code = nbformat.read(tmp_path / "a.ipynb", as_version=4).cells
    assert [each.source for each in code] == ["seeds = '0'", "chapter.run()"]
    assert cell.source == "[every choice](../claims.md), [Table 1](table1_main.ipynb)"


def built(tmp_path: Path, text: str) -> tuple[str, str]:
    """HTML and warnings of a one-page book with the project's roles."""
    application = pytest.importorskip("sphinx.application", reason="sphinx is in the group book: run `uv sync`")
    source = tmp_path / "source"
    (source / "_static").mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / "book" / "_static" / "method.svg", source / "_static")
    extensions = ["myst_parser", "repro_book"]
    (source / "conf.py").write_text(f"import sys; sys.path.insert(0, {str(EXTENSION)!r})\nextensions = {extensions}\n")
    (source / "index.md").write_text(f"# Title\n\n{text}\n")
    warnings = StringIO()
    out = tmp_path / "out"
    app = application.Sphinx(source, source, out, tmp_path / "doctrees", "html", status=None, warning=warnings)
    app.build()
    sys.path.remove(str(EXTENSION))
    # a second application in one process says of everything in sphinx that it is there already
    lines = [line for line in warnings.getvalue().splitlines() if "is already registered" not in line]
    return (out / "index.html").read_text(), "\n".join(lines)


@pytest.mark.usefixtures("recorded")
def test_numbers_and_campaigns_are_those_recorded_lead_to_their_record_and_say_where_they_come_from(
    tmp_path: Path,
) -> None:
    name = "table2_num_experts-cifar100-laptop"
    campaign = Campaign.now("faults", {"kills": 1234}, [{"phase": "base", "kills": 1234}], 70.0)
    campaign.save(tmp_path / "results" / FOLDER)
    page, warnings = built(
        tmp_path,
        f"{{result}}`{name}:top1/bagging/20` {{verdict}}`{name}:C2/20` "
        f"{{result}}`{name}:minutes` {{result}}`{name}:C2/20` "
        "{paper}`2/cifar100/tr18/tr18/20/bagging/top1` {result}`table2_num_experts-cifar100-paper:top1/bagging/20`\n\n"
        "{reliability}`faults:kills` {reliability}`writers:killed`\n\n"
        "```{reliability-table} faults\n```\n\n```{reliability-table} executors\n```\n\n"
        "```{claims-count}\n```\n\n```{all-claims} royer2022\n```\n\n```{recorded-runs}\n```",
    )
    assert warnings == ""
    numbers = ("59.60 ± 0.10</a>", ">2</a>", "+1.30</a>", "79.90 ± 0.22</a>", "not run</span>", "+1.30 [")
    assert all(number in page for number in (*numbers, "holds (without control)</a>"))
    link = page.partition('class="repro-number"')[2].partition("</a>")[0]
    about = ("59.50, 59.60, 59.70", "seeds 0, 1, 2", "laptop scale", "repro run it", "a machine", "2026-01-02")
    assert all(part in link for part in (f'href="results.html#{name}"', *about))
    assert f'id="{name}"' in page and f"recorded/{name}.json" in page
    campaigns = ("1,234</a>", "<td>1,234</td>", "benchmarks.executors")
    assert all(number in page for number in campaigns) and page.count("not run</span>") == 2


@pytest.mark.usefixtures("recorded")
def test_a_figure_has_its_caption_and_its_sources(tmp_path: Path) -> None:
    drawn = tmp_path / "source" / "_extra" / "figures" / "performance_anytime.svg"
    data = tmp_path / "source" / "_extra" / "recorded" / "performance-anytime_wallclock.csv"
    for path in (drawn, data):
        path.parent.mkdir(parents=True)
        path.write_text("a,b\n")
    figure = "```{recorded-figure} performance_anytime\n:alt: accuracy over time\n\nA *caption*.\n```"
    page, _ = built(tmp_path, figure)
    assert 'src="figures/performance_anytime.svg" alt="accuracy over time"' in page
    assert "A <em>caption</em>" in page.partition("<figcaption>")[2].partition("</figcaption>")[0]
    assert 'href="recorded/performance-anytime_wallclock.csv">measurements</a>' in page


@pytest.mark.usefixtures("recorded")
def test_wrong_names_and_keys_are_warnings_and_so_a_failed_build(tmp_path: Path) -> None:
    Campaign.now("faults", {"kills": 1234}, [], 70.0).save(tmp_path / "results" / FOLDER)
    wrong = {
        "{result}`table2_num_experts-cifar100-laptop:top1/bagging/7`": "has no 'top1/bagging/7'. It has: ",
        "{result}`table2_num_experts-mnist-laptop:seeds`": "there is no run 'table2_num_experts-mnist-laptop'",
        "{paper}`2/cifar100/tr18/tr18/7/bagging/top1`": "The paper prints no",
        "{verdict}`table2_num_experts-cifar100-laptop:C9`": "There is no claim 'C9'",
        "{counted}`gone`": "there is no count 'gone'",
        "{reliability}`faults:deaths`": "has no 'deaths'",
        "{reliability}`fire:kills`": "there is no campaign 'fire'",
        "```{recorded-figure} gone\n```": "there is no figure gone, or it has no alt text (there are: performance_",
        "```{performance} speed\n```": "there is no benchmark 'speed'",
        "```{all-claims} wang2020\n```": "no claims are of 'wang2020' (there are: royer2022, ",
        "```{drawing} gone\n:alt: It\n```": "the drawing has no such part, or no alt text (its parts: base, ",
        "```{source-of} repro.families.single_gate.routing.gone\n```": "Object named 'gone' not found in include file",
        "```{source-of} elsewhere.smooth\n```": "there is no module of this project in 'elsewhere.smooth'",
    }
    warnings = built(tmp_path, "\n\n".join(wrong))[1]
    assert [warning for warning in wrong.values() if warning not in warnings] == []
