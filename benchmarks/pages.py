"""How fast a page opens and answers in Chromium: `python benchmarks/pages.py`, or names of programs.

A page is opened from the file system. Then the last token of its first prompt is typed, five times, and
the middle time counts: from the event until everything is computed and laid out, rules and values too.
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
from playwright.sync_api import Page, sync_playwright

NAMES = sorted(path.stem for path in (Path(__file__).resolve().parents[1] / "programs").glob("*.py"))

READY = "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
ANSWER = """async () => {
  const input = document.querySelector("input"), prompt = input.value, times = [];
  const type = text => {
    input.value = text;
    input.dispatchEvent(new Event("input", { bubbles: true }));
    document.body.offsetHeight;  // lays out
  };
  const rest = () => new Promise(done => setTimeout(done, 300));
  for (let run = 0; run < 5; run++) {
    type(prompt.slice(0, -1));
    await rest();
    const start = performance.now();
    type(prompt);
    times.push(performance.now() - start);
    await rest();
  }
  return [prompt, times.sort((a, b) => a - b)[2]];
}"""


def measured(page: Page, name: str, folder: Path) -> list[str]:
    """A row of the table."""
    file = folder / f"{name}.html"
    command = [sys.executable, "-m", "handcraft", "page", name, "-o", str(file)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    start = time.perf_counter()
    page.goto(file.as_uri())
    page.evaluate(READY)
    opened = time.perf_counter() - start
    prompt, answered = page.evaluate(ANSWER)
    size = file.stat().st_size
    return [name, f"{size / 1000:,.0f}", f"{opened:.2f}", f"`{prompt}`", f"{answered:.0f}"]


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
    head = ("program", "kB", "s to open", "prompt", "ms to answer and draw")
    print_table(head, rows(parser.parse_args().names))


if __name__ == "__main__":
    main()
