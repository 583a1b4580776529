"""`handcraft write-tests`: a test file for a program or a model, to be read, changed and kept."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from handcraft.cli.input.completion import known_programs
from handcraft.cli.input.options import Json
from handcraft.cli.output.printing import note, print_json
from handcraft.errors import CommandError

if TYPE_CHECKING:
    from handcraft.cli.input.sources import Found
    from handcraft.cli.output.written_tests import Section
    from handcraft.testing import Margin

EXAMPLES = (
    "handcraft write-tests programs/aab.py",
    "handcraft write-tests parity -o test_parity.py",
    "handcraft write-tests aab/ -o test_folder.py",
)

ANSWERS_UP_TO = 12
"""Of how many rules the file lists an answer."""

PROGRAM = typer.Argument(
    help="A .py or .rules file, a shipped program, or a folder with a model.",
    show_default=False,
    autocompletion=known_programs,
)

MEANING = "meaning"
"""A function of this name in a program file says in plain Python what is meant."""


def write_tests(
    program: Annotated[str, PROGRAM],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="The file to write. By default test_NAME.py."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the file if it exists.")
    ] = False,
    json_: Json = False,
) -> None:
    """Write a test file: rule by rule, the whole meaning, thin margins and the cache.

    It runs with `pytest` as it is. Of a folder with a GPT-2 from elsewhere nothing says what it means:
    there a function is left for you to fill in, and its tests fail until you do.
    """
    from handcraft.cli.output.written_tests import written
    from handcraft.formats import check_place

    path = Path(f"test_{_plain(program)}.py") if output is None else output
    if path.exists() and not (overwrite and path.is_file()):
        raise CommandError(
            f"{path} exists already",
            where=path,
            fix="name another file with -o, or give --overwrite to replace it"
            if path.is_file()
            else "name a file with -o",
        )
    check_place(path)
    shown, sections = _sections(program, path)
    text = written(_title(shown, path), sections)
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CommandError(
            f"{path} cannot be written: {error.strerror}",
            where=path,
            fix="name a file in a folder that exists and that you may write to",
        ) from error
    tests = len(re.findall(r"^def test_|^TestCache", text, re.MULTILINE))
    if json_:
        print_json({"file": str(path), "tests": tests})
    else:
        print(f"wrote {path}, {tests} tests; try: pytest {path}")


def _title(shown: str, path: Path) -> str:
    from handcraft.cli.output.written_tests import paragraph

    said = (
        f"Run them with `pytest {path.name}`. With `--handcraft-profile=deep` they try many more "
        "prompts. Written by `handcraft write-tests`."
    )
    return f"Tests of {shown}, to be changed and kept.\n\n{paragraph(said)}\n"


def _plain(name: str) -> str:
    """The name of a program as part of the name of a module."""
    return re.sub(r"\W+", "_", Path(name.partition(":")[0]).stem).strip("_") or "model"


def _sections(name: str, path: Path) -> tuple[str, list[Section]]:
    """How the thing that is tested is called, and the parts of the file."""
    from handcraft.cli.input.sources import find
    from handcraft.formats import is_checkpoint

    if name == "-":
        raise CommandError(
            "a test file reads its program each time, and standard input can be read once",
            fix="save the rules as a .rules file, and name it",
        )
    folder = Path(name)
    if folder.is_dir() and not is_checkpoint(folder):
        return _foreign(folder, path)
    found = find(name)
    note(found.note)
    return _known(name, found, path)


def _foreign(folder: Path, path: Path) -> tuple[str, list[Section]]:
    from handcraft.cli.output import written_tests as parts
    from handcraft.testing import Caching, as_model

    model = as_model(folder)
    load = parts.Section(
        f"{_here(folder, path)}\n\nmodel = as_model(FOLDER)",
        {"pathlib": ("Path",), "handcraft.testing": ("as_model",)},
        is_setting=True,
    )
    cache = [parts.CAUSAL_TEST, parts.CACHE_TEST] if isinstance(model, Caching) else []
    return f"the model in {folder}", [load, *parts.to_fill_in(), *cache]


def _known(name: str, found: Found, path: Path) -> tuple[str, list[Section]]:
    from handcraft.circuits import Circuits
    from handcraft.cli.input.expressions import Expressions
    from handcraft.cli.output import written_tests as parts
    from handcraft.compiler import compile_program
    from handcraft.language import Program
    from handcraft.testing import thinnest_margin
    from handcraft.testing.rule_cases import rule_cases

    folder = found.folder
    if isinstance(found.source, Expressions) or (folder is not None and folder.values is not None):
        raise CommandError(
            f"{name} has expressions without rules, and what is tested is which token follows",
            fix="name a program with rules, circuits or a folder",
        )
    shown, load = _loading(name, found, path)
    model = compile_program(found.source).model if folder is None else folder.model
    meant: Program | Circuits = found.means or found.source
    said = "program" if isinstance(meant, Program) else "circuits"
    thinnest: Margin = thinnest_margin(model, meant)
    has_margin = isfinite(thinnest.margin) and thinnest.margin > 0
    sections = [load]
    if has_margin:
        sections.append(parts.margin_setting(thinnest.margin, thinnest.prompt))
    tests = []
    if isinstance(meant, Program):
        is_sure = all(not isinstance(rule.answer, Mapping) for rule in meant.rules)
        cases = [case for case in rule_cases(meant)[:ANSWERS_UP_TO] if is_sure and case.is_found]
        if cases:
            sections.append(parts.answers((str(case), *case.examples[0]) for case in cases))
            tests.append(parts.ANSWERS_TEST)
        tests.append(parts.RULES_TEST)
    tests.append(parts.whole_test(said, has_margin))
    if callable(found.file.get(MEANING)):
        tests.append(parts.FUNCTION_TEST)
    if has_margin:
        tests.append(parts.margin_test(said))
    if isinstance(meant, Program):
        tests.append(parts.OWN_PROPERTY)
    if model.architecture.causal:
        tests += [parts.CAUSAL_TEST, parts.CACHE_TEST]
    return shown, [*sections, *tests]


def _loading(name: str, found: Found, path: Path) -> tuple[str, Section]:
    """How a program or a folder is called, and the lines that read it."""
    from handcraft.circuits import Circuits
    from handcraft.cli.input.shipped import shipped_programs
    from handcraft.cli.output.written_tests import Section, quoted
    from handcraft.language import Program

    file = Path(name)
    imports: dict[str, tuple[str, ...]] = {"pathlib": ("Path",), "handcraft": ("compile_program",)}
    if found.folder is not None:
        imports["handcraft"] = ("read_checkpoint",)
        source = "program" if isinstance(found.source, Program) else "circuits"
        lines = [_here(file, path), "", "checkpoint = read_checkpoint(FOLDER)"]
        lines += [f"{source} = checkpoint.source", "model = checkpoint.model"]
        return f"the model in {name}", Section("\n".join(lines), imports, is_setting=True)
    shipped = shipped_programs()
    if not file.exists() and name in shipped:
        file, shown = shipped[name], f"the program {name}"
        where = f"FILE = shipped_programs()[{quoted(name)}]"
        del imports["pathlib"]
        imports["handcraft.cli.input.shipped"] = ("shipped_programs",)
    else:
        file = file if file.exists() else Path(name.rpartition(":")[0])
        shown = str(file)
        where = _here(file, path, "FILE")
    if file.suffix == ".rules":
        imports["handcraft"] = ("compile_program", "parse_rules")
        lines = [where, "", 'program = parse_rules(FILE.read_text(encoding="utf-8"), str(FILE))']
        lines.append("model = compile_program(program)")
        return shown, Section("\n".join(lines), imports, is_setting=True)
    imports["runpy"] = ()
    variable = next(key for key, value in found.file.items() if value is found.source)
    lines = [where, "", "defined = runpy.run_path(str(FILE))"]
    if isinstance(found.source, Circuits):
        lines.append(f'circuits = defined["{variable}"]')
        if found.means is not None:
            lines.append('program = defined["means"]  # what the circuits are to mean')
        lines.append("model = compile_program(circuits)")
    else:
        lines += [f'program = defined["{variable}"]', "model = compile_program(program)"]
    if callable(found.file.get(MEANING)):
        lines.append(f'meaning = defined["{MEANING}"]  # the same in plain Python')
    return shown, Section("\n".join(lines), imports, is_setting=True)


def _here(target: Path, path: Path, variable: str = "FOLDER") -> str:
    """The line that names a file or a folder, from the folder of the test file."""
    from handcraft.cli.output.written_tests import quoted

    beside = Path(os.path.relpath(target, path.parent)).as_posix()
    return f"{variable} = Path(__file__).parent / {quoted(beside)}"
