"""The static site and the notebook are made from the pages; the notebook shows what they show."""

from __future__ import annotations

import doctest
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
nbformat = pytest.importorskip("nbformat", reason="the extra `dev` is not installed")
pytest.importorskip("mkdocs", reason="the extra `docs` is not installed")

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

NOTEBOOK = runpy.run_path(str(ROOT / "docs" / "site" / "notebook.py"), run_name="notebook")
BUILD = runpy.run_path(str(ROOT / "docs" / "site" / "build.py"), run_name="build")
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS  # as in pyproject.toml


@pytest.fixture(scope="module")
def html(tmp_path_factory):
    """The site without live pages, built as `make docs` builds it: a broken link is an error."""
    target = tmp_path_factory.mktemp("site")
    command = [sys.executable, ROOT / "docs" / "site" / "build.py", "--target", target, "--live"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return target / "html"


def sources(notebook):
    return [(cell.cell_type, cell.source) for cell in notebook.cells]


def test_the_notebook_is_the_tutorial():
    page = NOTEBOOK["PAGE"].read_text(encoding="utf-8")
    stored = nbformat.read(NOTEBOOK["NOTEBOOK"], as_version=4)
    assert sources(stored) == sources(NOTEBOOK["notebook_of"](page)), "run docs/site/notebook.py"


def test_the_notebook_runs_from_a_clean_kernel_and_shows_what_the_page_shows():
    page = NOTEBOOK["PAGE"].read_text(encoding="utf-8")
    made = NOTEBOOK["notebook_of"](page)
    NOTEBOOK["run"](made, ROOT)
    checker = doctest.OutputChecker()
    wrong = []
    for cell, (kind, source, wanted) in zip(made.cells, NOTEBOOK["cells"](page), strict=True):
        if kind == "code":
            wanted = re.sub(r"^[\w.]+\.(\w+Error: )", r"\1", wanted, flags=re.MULTILINE)
            if not checker.check_output(wanted, NOTEBOOK["shown"](cell), FLAGS):
                wrong.append((source, wanted, NOTEBOOK["shown"](cell)))
    assert wrong == []


def test_every_page_of_docs_is_in_the_navigation():
    listed = {page for pages in BUILD["NAVIGATION"].values() for page in pages.values()}
    assert {page.name for page in (ROOT / "docs").glob("*.md")} <= listed


def test_the_site_has_every_page_and_the_gallery_every_program(html):
    for page in (ROOT / "docs").glob("*.md"):
        assert (html / f"{page.stem}.html").is_file()
    gallery = (html / "gallery.html").read_text(encoding="utf-8")
    names = {path.stem for path in (ROOT / "programs").glob("*.py")}
    assert names <= set(re.findall(r"<b>(\w+)</b>", gallery))


def test_the_site_loads_nothing_from_the_network(html):
    for page in html.glob("*.html"):
        text = page.read_text(encoding="utf-8")
        loaded = re.findall(r"<(?:script|link|img|iframe)[^>]*https?://[^>]*>", text)
        assert [tag for tag in loaded if 'rel="canonical"' not in tag] == []


def test_nothing_of_the_site_names_a_script_of_the_network(html):
    """Also not the scripts that a page would load later, which the settings of the theme name."""
    settings = re.findall(r'id="__config"[^>]*>(.*?)</script>', (html / "index.html").read_text())
    assert settings
    assert "https://" not in settings[0]
    assert (html / "search" / "search_index.js").is_file()


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium, which opens pages, is not installed")
def test_from_the_file_system_a_search_finds_a_page_and_asks_no_network(html):
    sync = pytest.importorskip(
        "playwright.sync_api", reason="playwright, which drives Chromium, is not installed"
    )
    asked, complaints = [], []
    with sync.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto((html / "glossary.html").as_uri())
        page.click("[data-md-component=search-query]")
        page.keyboard.type("counter machine")
        found = page.locator(".md-search-result__link")
        found.first.wait_for(timeout=20_000)
        assert "programs.html" in " ".join(each.get_attribute("href") for each in found.all())
        found.first.click()
        page.wait_for_url("**.html*")
        browser.close()
    assert complaints == []
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:", "about:"))] == []


def test_the_api_page_documents_every_public_class_and_function(html):
    text = (html / "api.html").read_text(encoding="utf-8")
    import handcraft

    missing = [
        name
        for name in handcraft.__all__
        if callable(getattr(handcraft, name)) and not re.search(rf'id="handcraft[\w.]*\.{name}"', text)
    ]
    assert missing == []
