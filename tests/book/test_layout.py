"""At the widths of a phone and of two screens nothing is cut: what is too wide shows how it scrolls."""

from __future__ import annotations

from collections.abc import Iterator
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
def page(browser: Browser) -> Iterator[Page]:
    """Of a system that hides scroll bars which no style asks for."""
    page = browser.new_page(is_mobile=True)
    yield page
    page.close()


def test_nothing_is_cut_without_a_way_to_scroll(page: Page, book: str, page_name: str) -> None:
    page.goto(book + page_name, wait_until="load")
    page.evaluate("async () => { await window.MathJax?.startup?.promise }")
    page.evaluate("document.querySelectorAll('main details').forEach(d => { d.open = true })")
    found: dict[int, list[str]] = {}
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        found[width] = page.evaluate(CUT)
    assert not any(found.values()), found
