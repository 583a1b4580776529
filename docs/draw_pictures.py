"""Draw the pictures of README and docs anew: `make pictures`.

The pictures of docs/pictures.md are what its commands write, and those of the gallery what
`handcraft draw` writes of each program. tests/acceptance/test_pictures.py compares the files with what
is drawn now.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from handcraft import Prompts, compile_program, select
from handcraft.cli.input.program_file import choose, run_file
from handcraft.compiler import compile_sequences
from handcraft.draw import circuits_svg, draw_picture
from handcraft.language import Program
from handcraft.subject import Subject

ROOT = Path(__file__).resolve().parents[1]
PICTURES = ROOT / "docs" / "pictures"
PAGE = ROOT / "docs" / "pictures.md"
COMMAND = re.compile(r"^\$ (handcraft draw .*)$", re.MULTILINE)


def gallery() -> Iterator[tuple[Path, str]]:
    """The picture of each program, as `handcraft draw programs/NAME.py` writes it."""
    for path in sorted((ROOT / "programs").glob("*.py")):
        source = choose(run_file(path), None, path)
        if isinstance(source, Program):
            picture = draw_picture(Subject(path.stem, source.meant), "program")
        else:
            picture = draw_picture(Subject(path.stem, circuits=source), "circuit")
        yield PICTURES / "programs" / f"{path.stem}.svg", picture.svg
        if path.stem == "aab":
            yield PICTURES / "aab.svg", picture.svg


def circuits() -> Iterator[tuple[Path, str]]:
    """The pictures of docs/compiler.md and of README: how things are compiled."""
    prompts = Prompts("abc", context=6)
    token, position = prompts.token, prompts.position
    late = ~(position < 2)
    often = select(token, "a").count() >= 2
    answer = late & often
    yield (
        PICTURES / "two-as.svg",
        circuits_svg(compile_sequences({"answer": answer}, reuse=False).circuits),
    )
    path = ROOT / "programs" / "add.py"
    adder = compile_program(run_file(path)["program"], architecture="block", optimize=True)
    yield PICTURES / "adding-block.svg", circuits_svg(adder.circuits)


def commands() -> list[str]:
    """The commands of docs/pictures.md that write a picture which the page shows."""
    page = PAGE.read_text(encoding="utf-8")
    shown = set(re.findall(r"pictures/kinds/(\S+)\)", page))
    return [c for c in COMMAND.findall(page) if shlex.split(c)[-1] in shown]


def draw_page() -> None:
    """Run the commands of docs/pictures.md, and write there what each of them prints.

    Each writes a file of docs/pictures/kinds.
    """
    text = PAGE.read_text(encoding="utf-8")
    (PICTURES / "kinds").mkdir(exist_ok=True)
    for command in commands():
        arguments = shlex.split(command)
        name = arguments[arguments.index("-o") + 1]
        arguments[arguments.index("-o") + 1] = str(PICTURES / "kinds" / name)
        subprocess.run(
            [sys.executable, "-m", *arguments], cwd=ROOT, check=True, stdout=subprocess.DEVNULL
        )
        shown = f"$ {command}\nwrote {name}\n"
        text = re.sub(rf"\$ {re.escape(command)}\n(wrote .*\n)?", lambda _: shown, text)  # noqa: B023
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    for drawn in (gallery(), circuits()):
        for file, svg in drawn:
            file.write_text(svg, encoding="utf-8")
            print(f"wrote {file.relative_to(ROOT)}")
    draw_page()
