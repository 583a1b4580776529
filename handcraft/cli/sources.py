"""What a command line names: a program file, a shipped program, or a compiled folder."""

from __future__ import annotations

import ast
import json
import os
import runpy
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TypedDict, Unpack

import handcraft
from handcraft.circuits import Circuits
from handcraft.compiler import Compiled, compile_program
from handcraft.errors import CommandError, CompileError, HandcraftError
from handcraft.formats import Checkpoint, is_checkpoint, load, read_checkpoint
from handcraft.language import Program, Prompts, parse_one_liner, parse_rules
from handcraft.model import Model


@dataclass(frozen=True)
class Loaded:
    """A model and what it means.

    Args:
        model: the model.
        source: the rules or circuits that say what it should answer; None for a foreign model.
        note: something that the user should be told, where anything was assumed.
        folder: the folder that it was read from.
    """

    model: Model
    source: Program | Circuits | None
    note: str | None = None
    folder: Checkpoint | None = None

    @property
    def prompts(self) -> Prompts | None:
        """Which texts are legal prompts of a folder, where not all are."""
        return None if self.folder is None else self.folder.prompts

    @property
    def known_prompts(self) -> Prompts | None:
        """Which texts are legal prompts, as far as that is known; None where nothing is."""
        if self.folder is not None:
            return self.folder.known_prompts
        return self.source.prompts if isinstance(self.source, Program) else None


class Chosen(TypedDict, total=False):
    """What a command line may ask of the compiler; None where it does not."""

    architecture: str | None
    dtype: str | None
    positions: str | None


def load_model(name: str | None, rules: list[str], **chosen: Unpack[Chosen]) -> Loaded:
    """The model that a command line names, compiled where it is not yet.

    Args:
        name: a path or a shipped program; None where rules are given.
        rules: rules typed on the command line, a line each.
        chosen: for `compile_program`.

    Raises:
        HandcraftError: there is no such thing, or it is wrong.
    """
    options = {key: str(value) for key, value in chosen.items() if value is not None}
    if rules:
        program, added = parse_one_liner("\n".join(rules))
        note = f"no rule says what to predict otherwise: added `{added}`" if added else None
        return Loaded(_compile(program, options).model, program, note)
    if name is not None and os.path.isdir(name):
        if options:
            raise CommandError(
                f"{name} is compiled already, and cannot be taken as {', '.join(options.values())}",
                where=name,
                fix="leave the options out, or name the program",
            )
        if not is_checkpoint(Path(name)):
            return Loaded(load(name), None)
        checkpoint = read_checkpoint(name)
        return Loaded(checkpoint.model, checkpoint.source, folder=checkpoint)
    source = load_source(name)
    return Loaded(_compile(source, options).model, source)


def _compile(source: Program | Circuits, options: dict[str, str]) -> Compiled:
    """Compile with the options that were chosen, and the defaults for the others."""
    return compile_program(
        source,
        architecture=options.get("architecture", "gpt2"),
        dtype=options.get("dtype", "float32"),
        positions=options.get("positions", "auto"),
    )


def load_source(name: str | None) -> Program | Circuits:
    """The program that a command line names: a path, a path and a name in it, or a shipped one.

    Raises:
        HandcraftError: there is none, or it is wrong.
    """
    return load_with_file(name)[0]


def load_with_file(name: str | None) -> tuple[Program | Circuits, dict[str, object]]:
    """The same, and all that its file defines besides, by name, where it is a Python file."""
    if name is None:
        raise CommandError(
            "no program is named", fix='name a file or a shipped program, or use -e "RULE"'
        )
    path, wanted = _split(name)
    if path.is_dir() and is_checkpoint(path):
        raise CommandError(
            f"{path} is a compiled folder, and this command needs a program",
            where=path,
            fix="name the program that it was compiled from",
        )
    if path.is_dir():
        raise CommandError(
            f"{path} is a folder, and this command needs a program",
            where=path,
            fix="name a .py or .rules file in it",
        )
    if path.suffix == ".rules":
        if wanted is not None:
            raise CommandError(
                f"{path} holds one program without a name, and {wanted!r} is asked for",
                where=path,
                fix=f"leave out :{wanted}",
            )
        return parse_rules(_read_text(path), str(path)), {}
    if path.suffix == ".py":
        found = _run_file(path)
        return _choose(_programs(found), wanted, path), found
    raise CommandError(
        f"{path} is neither a .py nor a .rules file",
        where=path,
        fix="name a program file, or a folder that `handcraft compile` wrote",
    )


def check_length(source: Program | Circuits, positions: int | None) -> None:
    """Raise where a rule file speaks about another number of positions than the model shall have.

    The compiler says so too, but in Python, which is not where the context of a rule file is stated.

    Args:
        source: the program.
        positions: how many the model shall have; None where the program decides.

    Raises:
        CompileError: its conditions and places are made for another number.
    """
    if not isinstance(source, Program) or source.prompts is None or source.place is None:
        return
    if Path(source.place.file).suffix == ".rules" and positions not in (None, source.context):
        raise CompileError(
            f"the rules speak about {source.context} positions, and the model shall have {positions}",
            where=source.place.file,
            fix=f"write `context {positions}` in the file",
        )


def read_token_ids(text: str) -> dict[str, int]:
    """Ids of tokens, written as in ``a=64,b=65``.

    Raises:
        CommandError: the text is not of that form.
    """
    ids: dict[str, int] = {}
    for part in text.split(","):
        token, equals, number = part.rpartition("=")
        if not equals or not token or not number.strip().isdecimal():
            raise CommandError(
                f"{part!r} of --token-ids {text} gives no token an id", fix="write a=64,b=65"
            )
        ids[token] = int(number)
    return ids


def shipped_programs() -> dict[str, Path]:
    """The programs that come with the package, by name."""
    package = Path(handcraft.__file__).parent
    for folder in (package / "programs", package.parent / "programs"):
        if folder.is_dir():
            files = sorted([*folder.glob("*.py"), *folder.glob("*.rules")])
            return {path.stem: path for path in files}
    return {}


def shipped_sizes() -> dict[str, dict[str, int]]:
    """Blocks, width, heads and parameters of each shipped program as a GPT-2, as they were measured."""
    for path in shipped_programs().values():
        sizes = path.parent / "sizes.json"
        return json.loads(sizes.read_text(encoding="utf-8")) if sizes.is_file() else {}
    return {}


def summary(path: Path) -> str:
    """What a program file says it is, in one line; the file is read, not run."""
    text = _read_text(path)
    if path.suffix == ".rules":
        first = next((line for line in text.splitlines() if line.strip()), "")
        return first.lstrip("# ").strip() if first.startswith("#") else ""
    docstring = ast.get_docstring(ast.parse(text))
    return docstring.splitlines()[0] if docstring else ""


def _split(name: str) -> tuple[Path, str | None]:
    """The file, and the name of a program in it where one is given after a colon."""
    shipped = shipped_programs()
    if name in shipped and not os.path.isfile(name):
        return shipped[name], None
    if os.path.exists(name):
        return Path(name), None
    file, _, wanted = name.rpartition(":")
    if file and os.path.exists(file):
        return Path(file), wanted
    near = get_close_matches(Path(name).stem, shipped, n=1)
    raise CommandError(
        f"there is no file and no shipped program {name!r}",
        fix=f"did you mean {near[0]}?" if near else f"shipped programs are: {', '.join(shipped)}",
    )


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(
            f"{path} cannot be read: {error}", where=path, fix="name a text file"
        ) from error


@contextmanager
def _folder_importable(folder: Path) -> Iterator[None]:
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        with suppress(ValueError):  # the program may have tidied it away
            sys.path.remove(str(folder))


def _run_file(path: Path) -> dict[str, object]:
    """What a Python file defines, by name."""
    _read_text(path)
    try:
        with _folder_importable(path.resolve().parent):
            return runpy.run_path(str(path))
    except HandcraftError:
        raise
    except (Exception, SystemExit) as error:
        frames = traceback.extract_tb(error.__traceback__)
        inside = [frame.lineno for frame in frames if frame.filename == str(path)]
        line = next(reversed(inside), None)
        where = f"{path}:{line}" if line else str(path)
        if isinstance(error, SyntaxError):
            where = f"{error.filename or path}:{error.lineno}" if error.lineno else str(path)
        said = f": {error}" if str(error) else ""
        raise CommandError(
            f"{path.name} raised {type(error).__name__}{said}",
            where=where,
            fix="a program file runs from top to bottom without an error",
        ) from error


def _programs(found: dict[str, object]) -> dict[str, Program | Circuits]:
    """The programs among what a Python file defines."""
    return {
        name: value
        for name, value in found.items()
        if isinstance(value, Program | Circuits) and not name.startswith("_")
    }


def _choose(found: dict[str, Program | Circuits], wanted: str | None, path: Path) -> Program | Circuits:
    if wanted is not None:
        if wanted in found:
            return found[wanted]
        raise CommandError(
            f"{path} has no program {wanted!r}", fix=f"it has: {', '.join(found) or 'none'}"
        )
    distinct = {id(value): value for value in found.values()}
    if not distinct:
        raise CommandError(
            f"{path} holds no program",
            where=path,
            fix="assign one to a name: program = Program(...), or circuits = Circuits(...)",
        )
    if len(distinct) > 1:
        first = next(iter(found))
        raise CommandError(
            f"{path} holds {len(distinct)} programs: {', '.join(found)}",
            where=path,
            fix=f"say which, as in {path}:{first}",
        )
    return next(iter(distinct.values()))
