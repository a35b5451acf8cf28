"""Chromium for the tests that look at our pages: fixtures, and what axe-core says against a page.

A module of tests asks for ``browser`` or ``page``. They are Playwright's synchronous API, which leaves an event loop
running in its thread: so one browser lives as long as a module, and such a module holds no ``async`` tests.
"""

import shutil
from collections.abc import Iterator
from typing import Any, Literal

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from conftest import missing

__all__ = ["DESKTOP", "PHONE", "Chromium", "Scheme", "browser", "page", "violations"]

Scheme = Literal["light", "dark"]

DESKTOP = (1280, 800)
PHONE = (360, 740)
PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
GRAVE = ("serious", "critical")
ACTION_MS = 15_000  # that an action or an expectation may take: the machine may be busy


class Chromium:
    """A running browser that makes pages. Each has a context of its own, so no cookie of another, and is closed."""

    def __init__(self, browser: Browser) -> None:
        self.browser = browser
        self._contexts: list[BrowserContext] = []

    def new_page(
        self, width: int = DESKTOP[0], height: int = DESKTOP[1], color_scheme: Scheme = "light", **context: Any
    ) -> Page:
        """Return a new page of this size. ``context`` is passed on to Playwright's ``new_context``.

        What its scripts throw is kept in ``page.failures``.
        """
        own = self.browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=color_scheme, reduced_motion="reduce", **context
        )
        own.set_default_timeout(ACTION_MS)
        self._contexts.append(own)
        made = own.new_page()
        failures: list[str] = []
        made.failures = failures  # type: ignore[attr-defined]
        made.on("pageerror", lambda error: failures.append(str(error)))
        return made

    def close_pages(self) -> None:
        while self._contexts:
            self._contexts.pop().close()


def violations(page: Page) -> list[str]:
    """Return what axe-core finds serious or critical on a page, a line for each element."""
    if not page.evaluate("() => 'axe' in window"):  # once a document: it is half a megabyte of script
        page.evaluate(f"() => {{ {AXE_SCRIPT} }}")  # past the page's own policy
    found = page.evaluate("() => axe.run({resultTypes: ['violations']})")
    return [
        f"{each['id']} ({each['impact']}): {' '.join(map(str, node['target']))}: {node['failureSummary']}"
        for each in found["violations"]
        if each["impact"] in GRAVE
        for node in each["nodes"]
    ]


@pytest.fixture(scope="module")
def browser() -> Iterator[Chromium]:
    """Yield a browser that one module shares: ``browser.new_page(width, height, color_scheme)``."""
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        missing("Chromium")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-dev-shm-usage"])
        chromium = Chromium(launched)
        try:
            yield chromium
        finally:
            chromium.close_pages()
            launched.close()


@pytest.fixture
def page(browser: Chromium) -> Iterator[Page]:
    """Yield one page of a desktop's size, in the light colours; no script of it may fail."""
    made = browser.new_page()
    yield made
    failures: list[str] = made.failures  # type: ignore[attr-defined]
    browser.close_pages()
    assert failures == []
