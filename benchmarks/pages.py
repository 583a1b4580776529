"""How fast a page opens and answers in Chromium: `python benchmarks/pages.py`, or names of programs.

A page is opened from the file system. Then the last token of its first prompt is typed, and of its
first 20 tokens where it is longer, nine times each. The middle one counts: the time that the thread of
the page computes from the event until everything is laid out, rules and values too. Time in which the
machine runs something else is not counted.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from shutil import which
from tempfile import TemporaryDirectory

from measuring import print_table
from playwright.sync_api import CDPSession, Page, sync_playwright

NAMES = sorted(path.stem for path in (Path(__file__).resolve().parents[1] / "programs").glob("*.py"))

SHORT = 20
"""The length of a prompt that is asked of a page."""

PARTS = ("ScriptDuration", "RecalcStyleDuration", "LayoutDuration")

READY = "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
TYPE = """text => {
  const input = document.querySelector("input");
  input.value = text;
  input.dispatchEvent(new Event("input", { bubbles: true }));
  document.body.offsetHeight;  // lays out
}"""


def spent(session: CDPSession) -> float:
    """The milliseconds that the page's thread has computed so far."""
    listed = session.send("Performance.getMetrics")["metrics"]
    found: dict[str, float] = {each["name"]: each["value"] for each in listed}
    return 1000 * sum(found[part] for part in PARTS)


def answered(page: Page, session: CDPSession, prompt: Sequence[str], separator: str) -> float:
    """The milliseconds after the last token of a prompt is typed."""
    times = []
    for _ in range(9):
        page.evaluate(TYPE, separator.join(prompt[:-1]))
        page.wait_for_timeout(150)
        before = spent(session)
        page.evaluate(TYPE, separator.join(prompt))
        times.append(spent(session) - before)
    return sorted(times)[4]


def measured(page: Page, name: str, folder: Path) -> list[str]:
    """A row of the table."""
    file = folder / f"{name}.html"
    command = [sys.executable, "-m", "handcraft", "page", name, "-o", str(file)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    start = time.perf_counter()
    page.goto(file.as_uri())
    page.evaluate(READY)
    opened = time.perf_counter() - start
    text = page.input_value("#prompt")
    separator = " " if " " in text else ""
    prompt = text.split() if separator else [*text]
    times = [answered(page, session, prompt[:length], separator) for length in (SHORT, len(prompt))]
    size = file.stat().st_size
    return [
        name,
        f"{size / 1000:,.0f}",
        f"{opened:.2f}",
        str(len(prompt)),
        *(f"{t:.0f}" for t in times),
    ]


def rows(names: Sequence[str]) -> Iterator[list[str]]:
    """A row for each program."""
    browser = which("chromium") or which("chromium-browser") or which("google-chrome")
    if browser is None:
        raise SystemExit("Chromium is not installed: apt-get install chromium")
    with TemporaryDirectory() as folder, sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        for name in names:
            page = started.new_page(viewport={"width": 1280, "height": 1000})
            yield measured(page, name, Path(folder))
            page.close()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=NAMES, help="programs; by default all")
    head = ("program", "kB", "s to open", "tokens", f"ms for up to {SHORT} tokens", "ms for all")
    print_table(head, rows(parser.parse_args().names))


if __name__ == "__main__":
    main()
