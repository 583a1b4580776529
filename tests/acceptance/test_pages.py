"""Links between README and docs, their tables, and numbers that two pages state."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / "docs").glob("*.md")),
]
CODE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`[^`\n]*`")
LINK = re.compile(r"\]\(([^()\s]+)\)")


def prose(page: Path) -> str:
    """A page without its code blocks."""
    return CODE.sub("", page.read_text(encoding="utf-8"))


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub makes of the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken(page: Path) -> list[str]:
    """The links of a page that lead nowhere."""
    found = []
    for link in LINK.findall(SPAN.sub("", prose(page))):
        file, _, anchor = link.partition("#")
        target = page.parent / file if file else page
        if link.startswith("https://"):
            continue
        if not target.exists() or (anchor and anchor not in anchors(target)):
            found.append(link)
    return found


def without_head(page: Path) -> list[str]:
    """The first rows of tables that have no head, as where a blank line cuts a table in two."""
    lines = ["", *prose(page).splitlines(), "", ""]
    return [
        row
        for before, row, after in zip(lines, lines[1:], lines[2:], strict=False)
        if row.startswith("|") and not before.startswith("|") and not re.match(r"\|[ :|-]+\|$", after)
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_to_a_file_and_a_heading_and_every_table_has_a_head(page):
    assert broken(page) == []
    assert without_head(page) == []


def test_a_broken_link_and_a_table_that_is_cut_are_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "# One `thing`, two\n\n[a](#one-thing-two) [b](#three) [c](page.md) [d](none.md) `x[1](2)`\n\n"
        "| a | b |\n| --- | --- |\n| 1 | 2 |\n\n| 3 | 4 |\n"
    )
    assert broken(page) == ["#three", "none.md"]
    assert without_head(page) == ["| 3 | 4 |"]


def rows(page: str, heading: str) -> dict[str, list[str]]:
    """The first table after a heading: from its first column to the others."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8").partition(heading)[2]
    table = re.search(r"(?:^\|.*\n)+", text, re.MULTILINE)
    assert table is not None
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in table[0].splitlines()[2:]
    ]
    return {name: values for name, *values in cells}


def test_sizes_beside_tracr_are_the_same_on_both_pages():
    measured = rows("benchmarks.md", "### Beside Tracr")
    stated = rows("moving-from-tracr.md", "## Sizes")
    assert len(stated) >= 5
    for program, sizes in stated.items():
        found = measured[program]
        assert sizes == [*found[0:2], *found[3:5]], program
