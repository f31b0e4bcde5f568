"""The parts of the book that move, moved by the keyboard in a real browser, and held against the records."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from repro.report import interactive
from repro.study.places import results_folder
from repro.study.results import load_results

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ROOT = Path(__file__).parents[2]


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    yield page
    page.close()


def records(study: str) -> list:
    return list(load_results(results_folder(), study).values())


def test_the_slider_is_turned_by_the_keyboard_and_tells_what_is_recorded(page: Page, book: str) -> None:
    page.goto(f"{book}notebooks/figure2_anytime.html")
    slider, marker = page.locator("#anytime-threshold"), page.locator("#anytime-slider .marker")
    for curve in interactive.anytime(records("figure2_anytime")):
        page.locator("#anytime-model").select_option(label=curve["name"])
        slider.focus()
        seen = set()
        for key, (tau, macs, top1, exits, others) in (("Home", curve["points"][0]), ("End", curve["points"][-1])):
            page.keyboard.press(key)
            seen.add((marker.get_attribute("cx"), slider.get_attribute("aria-valuetext")))
            values = page.locator("#anytime-slider dd").all()
            readings = {value.get_attribute("data-value"): value.inner_text() for value in values}
            assert readings["threshold τ"] == f"{tau:g}"
            assert float(readings["multiply-adds"].split()[0]) == pytest.approx(macs / 1e6, abs=0.051)
            assert float(readings["top-1 accuracy"].split()[0]) == pytest.approx(top1, abs=0.051)
            assert float(readings["images that exit early"].split()[0]) == pytest.approx(exits, abs=0.051)
            assert readings["experts the others use"] == ("–" if others is None else f"{others:.2f}")
        assert len(seen) == 2, "marker and words follow"


def test_the_explorer_deals_every_image_and_a_class_that_shares_an_expert_can_be_chosen(page: Page, book: str) -> None:
    page.goto(f"{book}notebooks/figure3_king_penguin.html")
    classes, rows = page.locator("#routing-class"), page.locator("#routing-explorer tbody tr")
    for dealt in interactive.routing(records("figure3_king_penguin")):
        page.locator("#routing-set").select_option(label=dealt["name"])
        classes.focus()
        page.keyboard.press("Home")
        page.keyboard.press("ArrowDown")
        name = classes.locator("option:checked").inner_text()
        counts = dealt["counts"][dealt["classes"].index(name)]
        listed = [int(row.locator("td").first.inner_text()) for row in rows.all()]
        assert listed == sorted((count for count in counts if count), reverse=True)
        assert f"{name}: {sum(counts)} training images" in page.locator("#routing-explorer [role=status]").inner_text()
        companion = page.locator("#routing-explorer .repro-choose").first
        name = companion.inner_text().rpartition(" (")[0]
        companion.focus()
        page.keyboard.press("Enter")
        assert classes.locator("option:checked").inner_text() == name


@pytest.mark.parametrize(("name", "box"), [("figure2_anytime", "anytime-slider"),
                                           ("figure3_king_penguin", "routing-explorer")])  # fmt: skip
def test_without_javascript_the_figures_remain(browser: Browser, book: str, name: str, box: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{book}notebooks/{name}.html")
    assert page.locator(f"#{box}:visible").count() == 0
    assert page.locator("figure img:visible").count() >= 1
    context.close()


def test_a_number_tells_where_it_comes_from_and_leads_there(page: Page, book: str) -> None:
    page.goto(f"{book}notebooks/table2_num_experts.html")
    number = page.locator("a.repro-number[href*='results.html#table2']").first
    number.focus()
    tooltip = page.get_by_role("tooltip")
    tooltip.wait_for()
    for part in ("seeds", "scale", "spec ", "repro run ", "20"):
        assert part in tooltip.inner_text()
    page.keyboard.press("Enter")
    page.wait_for_url("**/results.html#table2*")
    assert page.locator(f"[id='{page.url.partition('#')[2]}']").is_visible()


def test_figures_stand_on_a_light_card_in_the_dark_and_on_paper_controls_are_gone(page: Page, book: str) -> None:
    page.goto(f"{book}notebooks/figure2_anytime.html")
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    ground = "getComputedStyle(document.querySelector('.repro-figure img')).backgroundColor"
    assert page.evaluate(ground) == "rgb(255, 255, 255)"
    page.emulate_media(media="print")
    assert page.locator("figure img:visible").count() >= 1
    assert not page.locator("#anytime-slider").is_visible()


def test_tables_beyond_the_first_of_a_run_are_folded_and_open(page: Page, book: str) -> None:
    page.goto(f"{book}notebooks/table2_num_experts.html")
    assert page.locator(".repro-scroll:visible").count() >= 2
    more = page.locator("details.repro-folded").filter(has=page.locator("table")).first
    assert not more.locator("table").is_visible()
    more.locator("summary").focus()
    page.keyboard.press("Enter")
    assert more.locator("table").is_visible()


def test_launch_buttons_open_notebooks_that_are_in_the_repository(page: Page, book: str) -> None:
    """That the two services run them, no test here can say."""
    page.goto(f"{book}notebooks/table2_num_experts.html")
    for service in ("mybinder.org", "colab.research.google.com"):
        button = page.locator(f"a[href*='{service}']").first
        path = (button.get_attribute("href") or "").partition("main")[2].removeprefix("?urlpath=lab/tree/")
        assert (ROOT / path.lstrip("/")).is_file(), button.get_attribute("href")
