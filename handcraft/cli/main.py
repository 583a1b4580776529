"""The command line: its commands, and how their errors are printed."""

from __future__ import annotations

import errno
import os
import shlex
import sys
import warnings
from collections.abc import Callable
from functools import cache
from importlib import import_module
from importlib.metadata import version as installed_version
from typing import Annotated, Any, cast

import typer

from handcraft.cli.interrupt import Interrupted, interruptible
from handcraft.cli.output.printing import error_data, print_json
from handcraft.errors import CommandError, HandcraftError, HandcraftWarning

EXIT_CODES = (
    "Exit codes: 0 success; 1 a check failed; 2 the input is wrong, and nothing was written; "
    "3 not proved; 4 refuted; 130 interrupted; 141 the reader of the output closed it."
)
USAGE_ERROR: type[Exception] = typer.BadParameter.__mro__[1]
"""What typer raises for every command line that makes no sense; only this one has a public name."""

COMMANDS = {
    "new": "new",
    "run": "run",
    "compile": "compile_",
    "verify": "verify",
    "prove": "prove",
    "plant": "plant",
    "disguise": "disguise",
    "draw": "draw",
    "page": "page",
    "explain": "explain",
    "ground-truth": "ground_truth",
    "dataset": "dataset",
    "conformance": "conformance",
    "watch": "watch",
    "write-tests": "write_tests",
    "list": "list_",
}
"""The commands in the order of the help, each a module; and the function of it that runs."""


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"handcraft {installed_version('handcraft')}")
        raise typer.Exit


def _handcraft(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Write rules; get a GPT-2 checkpoint in which every weight can be explained."""


def main() -> None:
    """Run the command line. An error of the input exits with 2; under --json it is data."""
    warnings.simplefilter("always", HandcraftWarning)
    warnings.showwarning = _show_warning
    try:
        with interruptible():
            _run_to_the_end()
    except Interrupted:
        print("interrupted: nothing was written", file=sys.stderr)
        sys.exit(130)
    except HandcraftError as error:
        command = shlex.join(["handcraft", *sys.argv[1:]])
        for problem in getattr(error, "problems", (error,)):
            problem.where = problem.where or f"the command {command}"
            problem.speak_command_line()
        if _is_json():
            print_json({"error": error_data(error)})
        else:
            print(error, file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(141)
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # where Python writes the rest when it ends
        full = CommandError(
            f"the output cannot be written: {error.strerror}",
            where="standard output",
            fix="free some space, or write to another place",
        )
        print(full, file=sys.stderr)
        sys.exit(2)


NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""What the operating system says where standard output takes no more."""


def _run_to_the_end() -> None:
    """Run the command line, and write all that it printed."""
    try:
        _run()
    finally:
        if sys.stdout is not None:
            sys.stdout.flush()


def _run() -> None:
    """Run the command that is named; under --json an unknown option is an error like others."""
    command = _commands(_wanted())
    if not _is_json():
        command(prog_name="handcraft")
        return
    try:
        sys.exit(command(prog_name="handcraft", standalone_mode=False))
    except USAGE_ERROR as error:
        path = getattr(getattr(error, "ctx", None), "command_path", "handcraft")
        raise CommandError(
            cast(Any, error).format_message(),
            fix=f"`{path} --help` lists what it takes",
        ) from error


def _wanted() -> tuple[str, ...]:
    """The command that is named; all of them where it is none, as for help and completion."""
    named = sys.argv[1:2]
    return tuple(named) if set(named) & COMMANDS.keys() else tuple(COMMANDS)


@cache
def _commands(names: tuple[str, ...]) -> Callable[..., Any]:
    """Some commands as typer makes them of their functions, which takes as long as many a command.

    No other is imported: each imports what it needs, and most start faster without the rest.
    """
    app = typer.Typer(
        name="handcraft",
        help="Write rules; get a GPT-2 checkpoint in which every weight can be explained.",
        epilog=EXIT_CODES,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_handcraft)
    for name in names:
        module = import_module(f"handcraft.cli.commands.{name.replace('-', '_')}")
        runs = getattr(module, COMMANDS[name])
        app.command(
            name,
            help=paragraphs(runs.__doc__),
            epilog=_epilog(module.EXAMPLES),
            no_args_is_help=name == "run",
        )(runs)
    return typer.main.get_command(app)


def paragraphs(text: str | None) -> str:
    """A docstring with a line for each paragraph: typer keeps the ends of lines after the first."""
    return "\n\n".join(" ".join(part.split()) for part in (text or "").split("\n\n"))


def _epilog(examples: tuple[str, ...]) -> str:
    title = "Example:" if len(examples) == 1 else "Examples:"
    return "\n\n".join([title, *(f"  {example}" for example in examples)])


def _is_json() -> bool:
    """Whether --json is among the options, that is, not after a bare --."""
    words = sys.argv[1:]
    options = words[: words.index("--")] if "--" in words else words
    return "--json" in options


def _show_warning(message: Warning | str, *rest: Any, **more: Any) -> None:
    print(f"warning: {message}", file=sys.stderr)
