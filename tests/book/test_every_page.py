"""Every page of the built book, in a browser: nothing fails, nothing comes from elsewhere, all can read it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Page, Request, Response

BARRIERS = ("serious", "critical")
LAID_OUT = "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
WIDE = """() => {
    const width = document.documentElement.clientWidth;
    if (document.documentElement.scrollWidth <= width && document.body.scrollWidth <= width) return [];
    const out = [...document.querySelectorAll('main *')]
        .filter(e => e.getBoundingClientRect().right > width + 1 && !e.closest('.repro-scroll'))
        .slice(0, 5).map(e => e.outerHTML.slice(0, 120));
    return [`scrolls sideways: ${document.documentElement.scrollWidth} px`, ...out];
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


def test_a_page_is_in_order_in_either_theme_and_on_a_phone(
    browser: Browser, book: str, axe: Any, page_name: str
) -> None:
    found: list[str] = []
    page = browser.new_page(viewport={"width": 1280, "height": 900}, color_scheme="light")

    def note_message(message: ConsoleMessage) -> None:
        if message.type == "error":
            found.append(message.text)

    def note_request(request: Request) -> None:
        if not request.url.startswith((book, "data:", "blob:")):
            found.append(f"asks another host: {request.url}")

    def note_response(response: Response) -> None:
        if response.status >= 400:
            found.append(f"{response.status} {response.url}")

    page.on("console", note_message)
    page.on("pageerror", lambda error: found.append(str(error)))
    page.on("request", note_request)
    page.on("response", note_response)
    page.goto(book + page_name, wait_until="load")
    page.evaluate("async () => { await window.MathJax?.startup?.promise }")
    page.add_style_tag(content="* { transition: none !important }")  # colours half-way to the other theme
    found += barriers(axe, page)
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    found += [f"in the dark: {barrier}" for barrier in barriers(axe, page, runOnly=["color-contrast"])]
    page.set_viewport_size({"width": 390, "height": 844})
    page.evaluate(LAID_OUT)
    found += page.evaluate(WIDE)
    page.close()
    assert found == []
