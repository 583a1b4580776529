"""Build the static site: the pages of docs/, a gallery, the API from docstrings, and linked sources.

`make docs` runs it and writes build/site/html/index.html, which opens from the file system. The pages
are plain Markdown that GitHub shows too, so what the site needs is made here and not written in them:
links to files outside docs/ lead to a page with the file's text, and examples with a prompt are
highlighted as such.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from html import escape
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"

NAVIGATION: dict[str, dict[str, str]] = {
    "Start": {
        "What it is": "index.md",
        "Gallery": "gallery.md",
        "Tutorial": "tutorial.md",
        "Glossary": "glossary.md",
    },
    "Writing rules": {
        "Expressions": "language.md",
        "Rules as text": "language-text.md",
        "Coming from Tracr": "moving-from-tracr.md",
        "The programs": "programs.md",
        "Testing a model": "testing.md",
    },
    "Seeing why": {
        "One prediction explained": "explain.md",
        "Pictures": "pictures.md",
        "A page that runs the model": "page.md",
    },
    "Judging tools": {
        "Ground truth": "ground-truth.md",
        "Train the rest": "partial-training.md",
        "Programs with their weights": "dataset.md",
    },
    "Transformers, worked through": {
        "Attention by numbers": "attention-by-numbers.md",
        "A model laid out by hand": "by-hand.md",
        "Your own PyTorch model": "from-scratch.md",
        "A real GPT-2": "gpt2.md",
        "A real Llama": "llama.md",
    },
    "Proof": {
        "What is proved": "proof.md",
        "One proof by hand": "proof-by-hand.md",
        "The certificate": "certificate.md",
    },
    "Known answers": {
        "A model that looks trained": "disguise.md",
        "Inference engines": "conformance.md",
    },
    "Inside": {
        "Architecture": "architecture.md",
        "The compiler": "compiler.md",
        "Benchmarks": "benchmarks.md",
        "Python API": "api.md",
        "Contributing": "contributing.md",
        "Changes": "changelog.md",
    },
}
"""The sections of the site, their pages, and the file of each."""

MADE = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
"""The pages that come from the root of the repository."""

PACKAGES = {
    "handcraft": "Programs, compiling, models.",
    "handcraft.circuits": "Circuits: a model laid out by hand.",
    "handcraft.model": "GPT-2 and Llama in NumPy.",
    "handcraft.draw": "Pictures.",
    "handcraft.disguise": "Models that look trained, and where everything known of them went.",
    "handcraft.verify": "Checks of a model against its meaning.",
    "handcraft.testing": "Assertions for any model, Hypothesis strategies, a test line for each rule.",
    "handcraft.proofs": "Certificates, and proofs of folders.",
    "handcraft.ground_truth": "What is true of a model, to judge interpretability tools with.",
    "handcraft.torch": "A compiled part that stays frozen while the rest is trained.",
    "handcraft.conformance": "Known answers for inference engines.",
    "handcraft.dataset": "Random programs with their weights, and a baseline that recovers rules.",
}
"""The packages whose public names the API page lists."""

LINK = re.compile(r"(\]\()([^()\s]+)(\))")
FENCE = re.compile(r"^```python\n(?=>>> )", re.MULTILINE)


def source_name(path: Path) -> str:
    """The page of the site that shows a file of the repository."""
    return f"source/{path.relative_to(ROOT).as_posix().replace('/', '-')}.md"


def on_site(target: Path) -> str:
    """Where the site has a file or folder of the repository, from the top of the site."""
    inside = target.relative_to(ROOT).as_posix()
    if inside in MADE:
        return MADE[inside]
    if target.is_relative_to(DOCS):
        return target.relative_to(DOCS).as_posix()
    if target.is_dir():
        return "programs.md" if inside == "programs" else "architecture.md"
    return source_name(target)


def site_text(page: Path, found: set[Path]) -> str:
    """The text of a page as the site shows it; linked files outside docs/ go into `found`."""

    def relinked(match: re.Match[str]) -> str:
        link, _, anchor = match[2].partition("#")
        if not link or "://" in link:
            return match[0]
        target = (page.parent / link).resolve()
        if not target.is_relative_to(ROOT) or not target.exists():
            return match[0]
        if target.is_file() and not target.is_relative_to(DOCS) and target.name not in MADE:
            found.add(target)
        return f"{match[1]}{on_site(target)}{'#' + anchor if anchor else ''}{match[3]}"

    text = LINK.sub(relinked, page.read_text(encoding="utf-8"))
    return FENCE.sub("```pycon\n", text)


def source_page(path: Path) -> str:
    """A page with the text of a file."""
    kind = {".py": "python", ".toml": "toml", ".json": "json"}.get(path.suffix, "text")
    text = path.read_text(encoding="utf-8")
    return f"# {path.relative_to(ROOT).as_posix()}\n\n````{kind}\n{text}\n````\n"


def code(text: str) -> str:
    """Text whose backquotes are set as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", text)


def gallery(pages: Path, names: Sequence[str]) -> str:
    """The gallery: a thumbnail for each program, which opens its live page where there is one."""
    from handcraft.cli.input.shipped import shipped_programs, summary

    programs = shipped_programs()
    entries = []
    for name in names:
        picture = Path("pictures") / "programs" / f"{name}.svg"
        live = Path("live") / f"{name}.html"
        # Without a live page a thumbnail leads to the text about the program.
        target = live.as_posix() if (pages / live).exists() else f"programs.html#{name}"
        shown = (
            f'<a href="{target}"><img alt="Picture of {name}" loading="lazy" src="{picture}"></a>'
            if (DOCS / picture).exists()
            else ""
        )
        caption = f'<a href="{target}"><b>{name}</b></a>: {code(escape(summary(programs[name])))}'
        entries.append(f"<figure>{shown}<figcaption>{caption}</figcaption></figure>")
    return (
        "# Gallery\n\nEach picture opens a page that runs the model in the browser: type a prompt, and "
        "see which rules answer.\n[The programs](programs.md) lists their sizes, and what is proved of "
        "each.\n\n"
        f'<div class="gallery">\n{chr(10).join(entries)}\n</div>\n'
    )


def api() -> str:
    """The API page: a mkdocstrings block for every public name of some packages."""
    lines = ["# Python API", ""]
    for package, purpose in PACKAGES.items():
        module = __import__(package, fromlist=["__all__"])
        lines += [f"## {package}", "", purpose, ""]
        for name in sorted(module.__all__, key=str.lower):
            value = getattr(module, name)
            home = getattr(value, "__module__", package)
            if home.startswith("handcraft") and (isinstance(value, type) or callable(value)):
                qualified = getattr(value, "__qualname__", name)
                lines += [f"::: {home}.{name if '<locals>' in qualified else qualified}", ""]
    return "\n".join(lines)


def live_page(name: str, target: Path) -> None:
    """Write the page that runs a program, by the command that a reader would use."""
    command = [sys.executable, "-m", "handcraft", "page", name, "-o", str(target)]
    subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.DEVNULL)


def write_site(target: Path, *, live: Sequence[str]) -> Path:
    """Write the folder that mkdocs reads.

    Args:
        target: the folder; what is in it is replaced.
        live: the programs that get a page that runs them.

    Returns:
        Its mkdocs.yml.
    """
    from handcraft.cli.input.shipped import shipped_programs

    shutil.rmtree(target, ignore_errors=True)
    pages = target / "pages"
    pages.mkdir(parents=True)
    found: set[Path] = set()
    for path in DOCS.iterdir():
        if path.suffix == ".md":
            (pages / path.name).write_text(site_text(path, found), encoding="utf-8")
        elif path.is_file():
            shutil.copy(path, pages / path.name)
    shutil.copytree(DOCS / "pictures", pages / "pictures")
    for name in ("site.css", "iframe-worker.js"):
        shutil.copy(DOCS / "site" / name, pages / name)
    for source, page in MADE.items():
        (pages / page).write_text(site_text(ROOT / source, found), encoding="utf-8")
    (pages / "source").mkdir()
    for path in found:
        (pages / source_name(path)).write_text(source_page(path), encoding="utf-8")
    (pages / "live").mkdir()
    for name in live:
        live_page(name, pages / "live" / f"{name}.html")
    (pages / "gallery.md").write_text(gallery(pages, list(shipped_programs())), encoding="utf-8")
    (pages / "api.md").write_text(api(), encoding="utf-8")
    config = (DOCS / "site" / "mkdocs.yml").read_text(encoding="utf-8").replace("{root}", str(ROOT))
    lines = ["nav:"]
    for section, entries in NAVIGATION.items():
        kept = {title: page for title, page in entries.items() if (pages / page).exists()}
        if kept:
            lines += [f"  - {section}:", *(f"      - {title}: {page}" for title, page in kept.items())]
    made = target / "mkdocs.yml"
    made.write_text(config + "\n".join(lines) + "\nnot_in_nav: |\n  source/\n", encoding="utf-8")
    return made


def main() -> None:
    """Write the site to build/site/html."""
    from handcraft.cli.input.shipped import shipped_programs

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--target", type=Path, default=ROOT / "build" / "site")
    parser.add_argument("--live", nargs="*", default=list(shipped_programs()), metavar="PROGRAM")
    options = parser.parse_args()
    config = write_site(options.target, live=options.live)
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-f", str(config)]
    subprocess.run(command, check=True, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"})
    html = options.target / "html"
    print(f"open {html / 'index.html'}")


if __name__ == "__main__":
    main()
