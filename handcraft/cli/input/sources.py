"""Find what a command line names: a program file, a shipped program, rules, or a compiled folder."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from handcraft.circuits import Circuits
from handcraft.cli.input.expressions import Expressions
from handcraft.cli.input.program_file import MEANS, choose, run_file
from handcraft.cli.input.read_text import STDIN, read_text
from handcraft.cli.input.shipped import shipped_programs
from handcraft.cli.output.progress_bar import shown_progress
from handcraft.compiler import Compiled, compile_program
from handcraft.errors import CommandError, CompileError
from handcraft.language import Program, Prompts
from handcraft.model import Model
from handcraft.phrase import setting
from handcraft.subject import Subject

if TYPE_CHECKING:
    from handcraft.compiler import CompiledSequences
    from handcraft.compiler.values.value_model import ValueModel
    from handcraft.formats import Checkpoint

# What reads folders and rules as text is imported where it is needed, since that takes longest.


@dataclass(frozen=True)
class Found:
    """What a command line names, before it is compiled.

    Args:
        source: the rules, the circuits, or expressions without rules.
        note: a note to print for the user, if something was assumed.
        file: all that its file defines besides, by name, where it is a Python file.
        folder: the compiled folder that it was read from.
        means: what the circuits are to mean, where their file says so.
    """

    source: Program | Circuits | Expressions
    note: str | None = None
    file: Mapping[str, object] = field(default_factory=dict, repr=False)
    folder: Checkpoint | None = None
    means: Program | None = None


@dataclass(frozen=True)
class Loaded:
    """A model and what it means.

    Args:
        model: the model.
        source: the rules or circuits that say what it should answer; None for a foreign model.
        note: a note to print for the user, if something was assumed.
        folder: the folder that it was read from.
        values: how values are read from the model; None where it predicts tokens.
    """

    model: Model
    source: Program | Circuits | Expressions | None
    note: str | None = None
    folder: Checkpoint | None = None
    values: ValueModel | None = None

    @property
    def known_prompts(self) -> Prompts | None:
        """Which texts are allowed prompts, as far as that is known; None where nothing is."""
        if self.folder is not None:
            return self.folder.prompts(as_far_as_known=True)
        return self.source.prompts if isinstance(self.source, Program | Expressions) else None


class Chosen(TypedDict, total=False):
    """What a command line may ask of the compiler; None where it does not."""

    architecture: str | None
    dtype: str | None
    positions: str | None
    tolerance: float | None


def load_model(name: str | None, lines: Sequence[str] = (), **chosen: Unpack[Chosen]) -> Loaded:
    """The model that a command line names, compiled where it is not yet."""
    if name is not None and not lines and os.path.isdir(name):
        from handcraft.formats import is_checkpoint, load, read_checkpoint

        check_not_compiled(name, chosen)
        if not is_checkpoint(Path(name)):
            return Loaded(load(name), None)
        checkpoint = read_checkpoint(name)
        return Loaded(
            checkpoint.model, checkpoint.source, _doubt(checkpoint), checkpoint, checkpoint.values
        )
    found = find(name, lines)
    compiled = compile_found(found.source, **chosen)
    values = None if isinstance(compiled, Compiled) else compiled.values
    return Loaded(compiled.model, found.source, found.note, values=values)


def check_not_compiled(folder: str | Path, chosen: Mapping[str, object]) -> None:
    """Raise if options for the compiler are given for a folder that was compiled.

    Args:
        folder: the folder.
        chosen: the options by the names of their arguments; None for one that is not given.
    """
    given = [setting(name, value).command for name, value in chosen.items() if value is not None]
    if given:
        raise CommandError(
            f"{folder} is already compiled, so these do not apply: {', '.join(given)}",
            where=folder,
            fix="leave out the options, or name the program",
        )


def _doubt(checkpoint: Checkpoint) -> str | None:
    """The note that other tools read another model from a folder than its handcraft.json describes."""
    from handcraft.formats import disagreements

    found = disagreements(checkpoint)
    if not found:
        return None
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    return (
        f"this is the model of handcraft.json, and other tools may read another: {found[0]}{more}; "
        "`handcraft verify` lists all"
    )


def compile_found(
    source: Program | Circuits | Expressions, **chosen: Unpack[Chosen]
) -> Compiled | CompiledSequences:
    """Compile with the options that were chosen, and the defaults for the others.

    Raises:
        CommandError: an option is for programs, and these are expressions, or the other way round.
    """
    options: dict[str, Any] = {key: value for key, value in chosen.items() if value is not None}
    for_the_other = [OF_PROGRAMS] if isinstance(source, Expressions) else [OF_EXPRESSIONS]
    check_options({name: options[name] for name in for_the_other if name in options}, source)
    with shown_progress():
        if isinstance(source, Expressions):
            from handcraft.compiler import compile_sequences

            return compile_sequences(source.outputs, **options)
        return compile_program(source, **options)


def subject_found(found: Found, **chosen: Unpack[Chosen]) -> Subject:
    """All that is known of what a command line names, which is compiled where it is not yet.

    Circuits are to mean what their file says.
    """
    if found.folder is not None:
        return found.folder.subject
    subject = compile_found(found.source, **chosen).subject
    return subject if found.means is None else replace(subject, meaning=found.means.meant)


OF_PROGRAMS, OF_EXPRESSIONS = "positions", "tolerance"
"""Options that say nothing to the other of the two."""


def check_options(given: Mapping[str, object], source: Program | Circuits | Expressions) -> None:
    """Raise where an option is given that says nothing to what is compiled."""
    if not given:
        return
    names = ", ".join("--" + name.replace("_", "-") for name in given)
    if isinstance(source, Expressions):
        why = "only for programs, and this file has expressions without rules"
    else:
        why = "only for expressions in a Python file, and this is a program"
    raise CommandError(f"{names}: {why}", fix=f"leave out {names}")


def find(name: str | None, lines: Sequence[str] = (), *, shipped_first: bool = False) -> Found:
    """The program that a command line names, and what is known of it besides.

    Args:
        name: a path, a path and a name in it, a shipped program, a compiled folder, or ``-`` for rules
            on standard input; None where lines are given.
        lines: rules typed on the command line.
        shipped_first: a name is that of a shipped program, also where there is such a folder.
    """
    if lines:
        if name is not None:
            raise CommandError(
                f"both a program, {name}, and rules are given",
                fix=f"leave out {name}, or the rules after -e",
            )
        from handcraft.language import parse_one_liner

        program, added = parse_one_liner("\n".join(lines))
        remark = f"no rule covers the other contexts: added `{added}`" if added else None
        return Found(program, remark)
    if name is None:
        raise CommandError(
            "no program is named", fix='name a file or a shipped program, or use -e "RULE"'
        )
    if name == STDIN:
        from handcraft.language import parse_rules

        return Found(parse_rules(read_text(STDIN), "<stdin>"))
    path, wanted = _split(name, shipped_first)
    if path.is_dir():
        return _folder(path)
    if not path.is_file():
        raise CommandError(
            f"{path} is not a regular file",
            where=path,
            fix=f"name a file, or give rules on standard input: {STDIN}",
        )
    if path.suffix == ".rules":
        if wanted is not None:
            raise CommandError(
                f"{path} contains one program without a name, but {wanted!r} was requested",
                where=path,
                fix=f"leave out :{wanted}",
            )
        from handcraft.language import parse_rules

        return Found(parse_rules(read_text(path), str(path)))
    if path.suffix == ".py":
        defined = run_file(path)
        source = choose(defined, wanted, path)
        remark = source.note if isinstance(source, Expressions) else None
        means = defined.get(MEANS) if isinstance(source, Circuits) else None
        return Found(source, remark, file=defined, means=means if isinstance(means, Program) else None)
    raise CommandError(
        f"{path} is neither a .py nor a .rules file",
        where=path,
        fix="name a program file, or a folder that `handcraft compile` wrote",
    )


def _folder(path: Path) -> Found:
    from handcraft.formats import is_checkpoint, read_checkpoint
    from handcraft.proofs import CERTIFICATE

    if not is_checkpoint(path):
        if (path / CERTIFICATE).is_file() or (path / "config.json").is_file():
            raise CommandError(
                f"{path} has no handcraft.json, which says what its weights are for",
                where=path,
                fix="compile the program again; without that file there are `handcraft run`, `draw`, "
                f"`page`, `prove`, and `explain {path} --prompt TEXT`",
            )
        raise CommandError(
            f"{path} is a folder, and this command needs a program",
            where=path,
            fix="name a .py or .rules file in it, or a folder that `handcraft compile` wrote",
        )
    checkpoint = read_checkpoint(path)
    return Found(checkpoint.source, folder=checkpoint)


def check_length(source: object, positions: int | None) -> None:
    """Raise if a rule file states another context than the model is to have.

    The compiler checks this too, but its error is about Python, not about a rule file.
    """
    if not isinstance(source, Program) or source.has_only_patterns or source.place is None:
        return
    if Path(source.place.file).suffix == ".rules" and positions not in (None, source.context):
        raise CompileError(
            f"the rules are written for {source.context} positions, but {positions} are requested",
            where=source.place.file,
            fix=f"write `context {positions}` in the file",
        )


def read_token_ids(text: str) -> dict[str, int]:
    """Ids of tokens, written as in ``a=64,b=65``."""
    ids: dict[str, int] = {}
    for part in text.split(","):
        token, equals, number = part.rpartition("=")
        if not equals or not token or not re.fullmatch(" *[0-9]{1,18} *", number):
            raise CommandError(f"{part!r} in --token-ids {text} is not TOKEN=ID", fix="write a=64,b=65")
        ids[token] = int(number)
    return ids


def _split(name: str, shipped_first: bool) -> tuple[Path, str | None]:
    """The file, and the name of a program in it where one is given after a colon."""
    shipped = shipped_programs()
    if name in shipped and not (os.path.isfile if shipped_first else os.path.exists)(name):
        return shipped[name], None
    if os.path.exists(name):
        return Path(name), None
    file, _, wanted = name.rpartition(":")
    if file and os.path.exists(file):
        return Path(file), wanted
    raise CommandError(
        f"there is no file and no shipped program {name!r}", fix=_nearest(name, list(shipped))
    )


def _nearest(name: str, shipped: list[str]) -> str:
    """What may have been meant: a file beside the one that is missing, or a shipped program."""
    path = Path(name)
    if path.parent.is_dir():
        beside = {
            each.stem: each
            for each in sorted(path.parent.iterdir())
            if each.suffix in (".py", ".rules") or each.is_dir()
        }
        if near := get_close_matches(path.stem, beside, n=1):
            return f"did you mean {beside[near[0]]}?"
    if near := get_close_matches(path.stem, shipped, n=1):
        return f"did you mean {near[0]}?"
    if not path.parent.is_dir():
        return f"there is no folder {path.parent} in {Path.cwd()}"
    if name.endswith("/"):
        return f"`handcraft compile PROGRAM -o {name}` writes such a folder"
    if path.suffix:
        return f"no such file is in {path.parent.absolute()}; `handcraft list` names shipped programs"
    return f"shipped programs are: {', '.join(shipped)}"
