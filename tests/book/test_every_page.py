"""Every page of the built book, in a browser: nothing fails, nothing comes from elsewhere, all can read it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Page, Request, Response

DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
BARRIERS = ("serious", "critical")


class Visit(NamedTuple):
    """What was found on one page; every list is empty on a page that is in order."""

    errors: list[str]
    from_outside: list[str]
    barriers: dict[str, list[str]]
    wide: list[str]
    unseen: list[str]


@pytest.fixture(scope="module")
def visit(browser: Browser, book: str) -> Callable[[str], Visit]:
    """Look at a page, once, however many tests ask."""
    from axe_playwright_python.sync_playwright import Axe

    axe = Axe()

    @cache
    def look(name: str) -> Visit:
        errors: list[str] = []
        outside: list[str] = []
        page = browser.new_page(viewport=DESKTOP, color_scheme="light")

        def note_message(message: ConsoleMessage) -> None:
            if message.type == "error":
                errors.append(message.text)

        def note_request(request: Request) -> None:
            if not request.url.startswith((book, "data:", "blob:")):
                outside.append(request.url)

        def note_response(response: Response) -> None:
            if response.status >= 400:
                errors.append(f"{response.status} {response.url}")

        page.on("console", note_message)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("request", note_request)
        page.on("response", note_response)
        page.goto(book + name, wait_until="load")
        page.evaluate("async () => { await window.MathJax?.startup?.promise }")
        page.add_style_tag(content="* { transition: none !important }")  # colours half-way to the other theme
        barriers, unseen = {}, []
        for theme in ("light", "dark"):
            page.evaluate("theme => { document.documentElement.dataset.theme = theme }", theme)
            barriers[theme] = found_by(axe, page, ["color-contrast"] if theme == "dark" else None)
            unseen += [f"{theme}: {image}" for image in images_in_the_wrong_light(page, theme)]
        page.set_viewport_size(PHONE)  # type: ignore[arg-type]
        wide = wider_than_the_page(page)
        page.close()
        return Visit(errors, outside, barriers, wide, unseen)

    return look


def found_by(axe: Any, page: Page, rules: list[str] | None) -> list[str]:
    """axe-core's serious and critical findings, each with the first element it is about."""
    options: dict[str, Any] = {"resultTypes": ["violations"], "preload": False}
    options |= {"runOnly": rules} if rules else {}
    violations = axe.run(page, options=options).response["violations"]
    return [
        f"{v['id']}: {v['help']} ({len(v['nodes'])} places, such as {v['nodes'][0]['html'][:200]})"
        for v in violations
        if v["impact"] in BARRIERS
    ]


def images_in_the_wrong_light(page: Page, theme: str) -> list[str]:
    """Figures of the other theme that are shown, and figures of this one that are not."""
    found: list[str] = page.evaluate(
        """theme => [...document.querySelectorAll('img.only-light, img.only-dark')]
        .filter(i => !i.closest('details:not([open])'))
        .filter(i => (getComputedStyle(i).display !== 'none') !== i.classList.contains('only-' + theme))
        .map(i => i.getAttribute('src'))""",
        theme,
    )
    return found


def wider_than_the_page(page: Page) -> list[str]:
    """What makes the page scroll sideways: nothing, or its width and the elements that stick out."""
    found: list[str] = page.evaluate(
        """() => {
        const width = document.documentElement.clientWidth;
        if (document.documentElement.scrollWidth <= width && document.body.scrollWidth <= width) return [];
        const out = [...document.querySelectorAll('main *')]
            .filter(e => e.getBoundingClientRect().right > width + 1 && !e.closest('.repro-scroll'))
            .slice(0, 5).map(e => e.outerHTML.slice(0, 120));
        return [`${document.documentElement.scrollWidth} px`, ...out];
        }"""
    )
    return found


def test_no_error_in_the_console(visit: Callable[[str], Visit], page_name: str) -> None:
    assert visit(page_name).errors == []


def test_nothing_is_asked_of_another_host(visit: Callable[[str], Visit], page_name: str) -> None:
    assert visit(page_name).from_outside == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_barrier_that_axe_knows(visit: Callable[[str], Visit], page_name: str, theme: str) -> None:
    assert visit(page_name).barriers[theme] == []


def test_a_phone_does_not_scroll_sideways(visit: Callable[[str], Visit], page_name: str) -> None:
    assert visit(page_name).wide == []


def test_figures_are_in_the_light_of_the_page(visit: Callable[[str], Visit], page_name: str) -> None:
    assert visit(page_name).unseen == []
