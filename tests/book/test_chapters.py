"""The book's pages and chapters: what they draw from the module exists, and what they show follows from records."""

import re
from fnmatch import fnmatch
from functools import partial
from pathlib import Path

import nbformat
import pytest
import yaml

from repro.book.build import expected_pages
from repro.book.plan import plan_table
from repro.exhibits import exhibits
from tests.book.test_build import built
from tests.book.test_plan import CHEAP

ROOT = Path(__file__).parents[2]
BOOK = ROOT / "book"


def prose(notebook: Path) -> str:
    """The text cells of a notebook."""
    cells = nbformat.read(notebook, as_version=4).cells
    return "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


PAGES = {path.stem: path.read_text(encoding="utf-8") for path in sorted(BOOK.glob("*.md"))}
CHAPTERS = {path.stem: prose(path) for path in sorted((ROOT / "notebooks").glob("*.ipynb"))}


def test_the_contents_take_every_page_and_every_notebook_once() -> None:
    contents = yaml.safe_load((BOOK / "_toc.yml").read_text())
    chapters = [chapter for part in contents["parts"] for chapter in part["chapters"]]
    chapters += [section for chapter in chapters for section in chapter.get("sections", [])]
    patterns = [contents["root"], *(chapter.get("file") or chapter["glob"] for chapter in chapters)]
    for name in expected_pages(ROOT):
        assert len([pattern for pattern in patterns if fnmatch(name, pattern)]) == 1, name
    assert next(part["caption"] for part in contents["parts"]) == "The idea"


def test_no_title_is_borne_twice() -> None:
    titles = [re.findall(r"^# (.*)", text, re.MULTILINE)[0] for text in (*PAGES.values(), *CHAPTERS.values())]
    assert len(set(titles)) == len(titles)


def test_each_chapter_states_its_claim_and_what_does_not_follow() -> None:
    for name in (each.name for each in exhibits()):
        first_screen, _, below = CHAPTERS[name].partition("\n## ")
        assert "**The claim.**" in first_screen or "**The question.**" in first_screen
        if "What follows, and what does not" not in below:
            assert "**What follows.**" in first_screen and "**What does not.**" in first_screen


def test_no_chapter_types_an_accuracy_by_hand() -> None:
    """An accuracy with its decimals is measured or printed: it comes through a role."""
    for name, text in (PAGES | CHAPTERS).items():
        prose = re.sub(r"```.*?```|`[^`]*`", "", text, flags=re.DOTALL)
        assert not re.findall(r"\d\d\.\d\d?\b", prose), name


def test_every_work_that_is_listed_is_cited() -> None:
    listed = re.findall(r"^@\w+\{(\w+),", (BOOK / "references.bib").read_text(encoding="utf-8"), re.MULTILINE)
    cited = re.findall(r"\{cite:[pt]\}`([^`]+)`", "".join((PAGES | CHAPTERS).values()))
    assert set(listed) == {key for keys in cited for key in keys.split(",")}


@pytest.mark.usefixtures("recorded")
def test_what_the_pages_show_of_all_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("repro.book.plan.plan_table", partial(plan_table, CHEAP))
    directives = "study-answer study-in-short headline-figure cite-this scales-table image-sets plan-of-runs"
    text = "\n\n".join(f"```{{{name}}}\n```" for name in directives.split())
    text += "\n\n{counted}`table1`\n\n```{drawing} exit gate\n:alt: An <image> passes\n```"
    text += "\n\n```{source-of} repro.families.single_gate.routing.smooth\n```"
    page, warnings = built(tmp_path, text)
    assert warnings == ""
    for part in (
        "<strong>Do mixtures beat plain networks?</strong> Whether a mixture",
        "figures/headlines-narrow.svg",
        "base and 20 experts beat the base trained as long</a></td><td>not run",
        "<p>Whether a mixture beats",
        "@software{moe_study,",
        "year = {20",
        "non-commercial research",
        "48 of 48</span>",
        "tr18-tr18 with 1, 5, 10, 20 experts, seed 0",
        "quick: modes",
        'role="img" aria-label="An &lt;image&gt; passes',
        '<g class="gate">',
        '<g class="experts faint">',
        "repro/families/single_gate/routing.py: smooth",
        'clamp</span><span class="p">(</span><span class="nb">min</span>',
    ):
        assert part in page
