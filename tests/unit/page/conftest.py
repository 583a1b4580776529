"""Chromium, and pages that are opened in it."""

from contextlib import suppress

import pytest

from handcraft.page import of_compiled, page_html

from .pages import CHROMIUM

SWITCHES = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
DESKTOP = {"width": 1280, "height": 900}


@pytest.fixture(scope="module")
def browser():
    sync = pytest.importorskip(
        "playwright.sync_api", reason="playwright, which drives Chromium, is not installed"
    )
    with sync.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=SWITCHES)
        yield browser
        with suppress(sync.Error):
            browser.close()


@pytest.fixture
def opened(browser, tmp_path):
    """A function that opens the page of a compiled program; nothing may be fetched or complained of."""
    pages, complaints, asked = [], [], []

    def open_page(compiled, example="", viewport=DESKTOP, scheme="light"):
        file = tmp_path / f"{len(pages)}.html"
        file.write_text(page_html(of_compiled(compiled).with_example(example)), encoding="utf-8")
        page = browser.new_page(viewport=viewport, color_scheme=scheme)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(file.as_uri())
        page.wait_for_selector("output")
        pages.append(page)
        return page

    yield open_page
    for page in pages:
        page.close()
    assert complaints == []
    assert [url for url in asked if not url.startswith("file:")] == []
    assert len(asked) == len(pages)
