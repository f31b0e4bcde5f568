"""Every page of the built book, in a browser: nothing fails, comes from elsewhere, or is cut, and all can read it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Page, Request, Response

BARRIERS = ("serious", "critical")
GENERATED = re.compile(r"api/|genindex|py-modindex")  # all from Sphinx's templates, and long: one is read for barriers
WIDTHS = (390, 1280, 1440)
LAID_OUT = "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
CUT = """() => {
    const findings = [], room = document.documentElement.clientWidth;
    const wide = Math.max(document.documentElement.scrollWidth, document.body.scrollWidth);
    if (room <= 390 && wide > room) findings.push(`scrolls sideways: ${wide} px`);
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
                findings.push(`cut in ${name(p)}: ${name(e)}`);
                break;
            }
            if (s.overflowX === 'auto' || s.overflowX === 'scroll') {
                scrolls = true;
                if (!bar(p)) findings.push(`scrolls without a sign: ${name(p)}`);
                break;
            }
        }
        if (!scrolls && box.right > room + 1) findings.push(`beyond the page: ${name(e)}`);
    }
    return [...new Set(findings)];
}"""


@pytest.fixture(scope="module")
def axe() -> Any:
    """axe-core, which knows barriers for those who read otherwise."""
    return pytest.importorskip("axe_playwright_python.sync_playwright").Axe()


def barriers(axe: Any, page: Page, **rules: list[str]) -> list[str]:
    """axe-core's serious and critical findings, each with the first element it is about."""
    violations = axe.run(page, options={"resultTypes": ["violations"], "preload": False, **rules}).response[
        "violations"
    ]
    return [
        f"{v['id']}: {v['help']} ({len(v['nodes'])} places, such as {v['nodes'][0]['html'][:200]})"
        for v in violations
        if v["impact"] in BARRIERS
    ]


def test_a_page_is_in_order_in_either_theme(browser: Browser, book: str, axe: Any, page_name: str) -> None:
    faults: list[str] = []
    page = browser.new_page(viewport={"width": 1280, "height": 900}, color_scheme="light")

    def note_message(message: ConsoleMessage) -> None:
        if message.type == "error":
            faults.append(message.text)

    def note_request(request: Request) -> None:
        if not request.url.startswith((book, "data:", "blob:")):
            faults.append(f"asks another host: {request.url}")

    def note_response(response: Response) -> None:
        if response.status >= 400:
            faults.append(f"{response.status} {response.url}")

    page.on("console", note_message)
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("request", note_request)
    page.on("response", note_response)
    page.goto(book + page_name, wait_until="load")
    page.evaluate("async () => { await window.MathJax?.startup?.promise }")
    if page_name == "api/repro.families.html" or not GENERATED.match(page_name):
        page.add_style_tag(content="* { transition: none !important }")  # colours half-way to the other theme
        faults += barriers(axe, page)
        page.evaluate("document.documentElement.dataset.theme = 'dark'")
        faults += [f"in the dark: {barrier}" for barrier in barriers(axe, page, runOnly=["color-contrast"])]
    page.close()
    assert faults == []


@pytest.fixture(scope="module")
def phone(browser: Browser) -> Iterator[Page]:
    """Of a system that hides scroll bars which no style asks for."""
    page = browser.new_page(is_mobile=True)
    yield page
    page.close()


def test_nothing_is_cut_without_a_way_to_scroll(phone: Page, book: str, page_name: str) -> None:
    phone.goto(book + page_name, wait_until="load")
    phone.evaluate("async () => { await window.MathJax?.startup?.promise }")
    phone.evaluate("document.querySelectorAll('main details').forEach(d => { d.open = true })")
    clipped: dict[int, list[str]] = {}
    for width in WIDTHS:
        phone.set_viewport_size({"width": width, "height": 900})
        phone.evaluate(LAID_OUT)
        clipped[width] = phone.evaluate(CUT)
    assert not any(clipped.values()), clipped
