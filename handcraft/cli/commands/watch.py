"""`handcraft watch`: verify and draw a program on every save."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from handcraft.architecture import architecture_named
from handcraft.cli.input.options import ARCHITECTURE
from handcraft.cli.input.watching import PAUSE, State, saves, state_of
from handcraft.cli.interrupt import Interrupted
from handcraft.draw import format_of
from handcraft.errors import CommandError

EXAMPLES = ("handcraft watch mine.py", "handcraft watch mine.py -o mine.png --prompt aab")

WRONG_INPUT = 2
"""How a command ends that could not read its input: there is nothing to draw or to explain then."""


def watch(
    program: Annotated[str, typer.Argument(help="A .py or .rules file.", show_default=False)],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="The picture; by default an .svg file beside the program."),
    ] = None,
    prompt: Annotated[
        str | None, typer.Option(help="Explain the answer after this text too.", show_default=False)
    ] = None,
    architecture: Annotated[str | None, ARCHITECTURE] = None,
) -> None:
    """Compile, verify and draw a program now and on every save, until Ctrl-C.

    If a save does not compile, the error is printed and watching goes on. A save
    during a run ends that run and starts a new one. Modules beside the program
    that it imports are watched too. Ctrl-C is its normal end, with exit code 0.
    """
    path = Path(program)
    if not path.exists():
        raise CommandError(
            f"{program} does not exist",
            where=program,
            fix="name a program file that exists; `handcraft new mine` writes mine.py",
        )
    if path.suffix not in (".py", ".rules") or not path.is_file():
        raise CommandError(
            f"{program} is not a .py or .rules file",
            where=program,
            fix="name a program file; `handcraft new mine` writes mine.py",
        )
    picture = output or path.with_suffix(".svg")
    format_of(picture)
    from handcraft.formats import check_place

    check_place(picture)
    steps = [["verify", program], ["draw", program, "-o", str(picture)]]
    if prompt is not None:
        steps.append(["explain", program, "--prompt", prompt])
    if architecture is not None:
        architecture_named(architecture)
        steps = [[*step, "--architecture", architecture] for step in steps]
    try:
        for number, state in enumerate(saves(path)):
            _say(f"{'saved again' if number else 'watching'}: {program}")
            if _run_all(steps, path, state):
                _say("waiting for the next save; Ctrl-C ends")
    except Interrupted:
        _say("stopped watching")


def _run_all(steps: Sequence[Sequence[str]], path: Path, state: State) -> bool:
    """Run commands one after the other, each as a process of its own.

    So nothing that a program does, imports or leaves behind reaches the next run.

    Returns:
        False if the program was saved meanwhile.
    """
    for step in steps:
        process = subprocess.Popen([sys.executable, "-m", "handcraft", *step], start_new_session=True)
        try:
            while process.poll() is None:
                if state_of(path) not in (state, ()):
                    return False
                time.sleep(PAUSE)
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
        if process.returncode == WRONG_INPUT:
            break
    return True


def _say(text: str) -> None:
    print(f"-- {text}", flush=True)
