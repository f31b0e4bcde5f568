"""At the widths of a phone and of two screens nothing is cut: what is too wide shows how it scrolls."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

WIDTHS = (390, 1280, 1440)
CUT = """() => {
    const found = [], room = document.documentElement.clientWidth;
    const name = e => `<${e.localName} class="${e.getAttribute('class')}"> ${e.textContent.trim().slice(0, 40)}`;
    const bar = e => {
        const s = getComputedStyle(e), edges = parseFloat(s.borderTopWidth) + parseFloat(s.borderBottomWidth);
        return e.offsetHeight - e.clientHeight - edges > 3;
    };
    for (const e of document.querySelectorAll('main :is(table, figure img, pre, mjx-container, svg.repro-curve)')) {
        const box = e.getBoundingClientRect();
        if (!box.width || e.closest('.tooltip')) continue;
        let scrolls = false;  // whatever is wider inside than outside, from the piece itself up to the page
        for (let p = e; p !== document.body; p = p.parentElement) {
            const s = getComputedStyle(p), more = p.scrollWidth - p.clientWidth;
            if (s.display === 'inline' || more <= 1) continue;
            if (s.overflowX === 'hidden' || s.overflowX === 'clip') {
                found.push(`cut in ${name(p)}: ${name(e)}`);
                break;
            }
            if (s.overflowX === 'auto' || s.overflowX === 'scroll') {
                scrolls = true;
                if (!bar(p)) found.push(`scrolls without a sign: ${name(p)}`);
                break;
            }
        }
        if (!scrolls && box.right > room + 1) found.push(`beyond the page: ${name(e)}`);
    }
    return [...new Set(found)];
}"""


@pytest.fixture(scope="module")
def reader(browser: Browser, book: str) -> Iterator[Callable[[str], Page]]:
    """Opens a page with all that is folded, where the system hides scroll bars that no style asks for."""
    page = browser.new_page(is_mobile=True)

    def opened(name: str) -> Page:
        page.goto(book + name, wait_until="load")
        page.evaluate("async () => { await window.MathJax?.startup?.promise }")
        page.evaluate("document.querySelectorAll('main details').forEach(d => { d.open = true })")
        return page

    yield opened
    page.close()


def test_nothing_is_cut_without_a_way_to_scroll(reader: Callable[[str], Page], page_name: str) -> None:
    page = reader(page_name)
    found: dict[int, list[str]] = {}
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        found[width] = page.evaluate(CUT)
    assert not any(found.values()), found


@pytest.mark.parametrize(
    ("style", "finding"),
    [
        ("overflow: hidden", "cut in <div"),
        ("overflow-x: auto; scrollbar-width: none", "scrolls without a sign: <div"),
        ("", "beyond the page: <table"),
        ("overflow-x: scroll", ""),
    ],
)
def test_what_is_cut_is_found(reader: Callable[[str], Page], style: str, finding: str) -> None:
    """The rule on a table of two thousand pixels."""
    page = reader("index.html")
    page.set_viewport_size({"width": 1280, "height": 900})
    wide = f'<div class="planted" style="{style}"><table style="width: 2000px"><tr><td>wide</td></tr></table></div>'
    page.evaluate("text => document.querySelector('main article').insertAdjacentHTML('beforeend', text)", wide)
    found = [text for text in page.evaluate(CUT) if "wide" in text]
    assert (found == []) if not finding else any(text.startswith(finding) for text in found), found
