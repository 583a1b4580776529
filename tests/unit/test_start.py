"""What is imported, and what is not, before anything is asked for."""

from __future__ import annotations

import subprocess
import sys

import pytest

import handcraft

LATE = (
    "cattrs",
    "highspy",
    "hypothesis",
    "lark",
    "numpy",
    "rich",
    "sympy",
    "handcraft.compiler.compile_program",
    "handcraft.formats.checkpoint",
    "handcraft.language.program",
    "handcraft.verify.verify_model",
)
"""Modules that `import handcraft` does without."""

LATE_FOR_RULES = (
    "cattrs",
    "highspy",
    "hypothesis",
    "lark",
    "rich",
    "sympy",
    "handcraft.compiler.ordinal",
    "handcraft.compiler.text",
    "handcraft.formats",
    "handcraft.language.text",
    "handcraft.rasp",
    "handcraft.verify.verify_model",
)
"""Modules that compiling rules does without."""

RULES = """
from handcraft import Program, compile_program, predict
program = Program("ab", 5, [predict("b").after("aa"), predict("a").otherwise()])
compile_program(program).complete("aab")
"""

RUN = """
import sys
from pathlib import Path
from handcraft.cli.main import main
sys.argv = ["handcraft", {arguments}]
try:
    main()
except SystemExit as ended:
    assert not ended.code
"""

LATE_FOR_THE_COMMANDS = {
    '"list"': ("numpy", "handcraft.language", "handcraft.compiler", "handcraft.formats"),
    '"run", "aab", "aab"': tuple(name for name in LATE_FOR_RULES if name != "handcraft.verify"),
}
"""Modules that commands do without."""

PUBLIC_NAMES = """
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType
packages = ("testing", "verify", "compiler", "language")
for name in (*(f"handcraft.{each}" for each in packages), "handcraft"):
    package = import_module(name)
    assert set(package.__all__) <= set(dir(package)), name
    for module in iter_modules(package.__path__, f"{name}."):
        if module.name != "handcraft.__main__":
            import_module(module.name)
    for public in package.__all__:
        assert not isinstance(getattr(package, public), ModuleType), (name, public)
"""


def imported_by(code: str) -> set[str]:
    """The modules that a fresh process has imported once it has run some code."""
    code += "\nimport sys\nprint('\\n'.join(['modules', *sys.modules]))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(run.stdout.partition("modules\n")[2].split())


def test_importing_the_package_imports_nothing_that_takes_long():
    assert imported_by("import handcraft").isdisjoint(LATE)


def test_rules_are_compiled_without_what_only_others_need():
    assert imported_by(RULES).isdisjoint(LATE_FOR_RULES)


@pytest.mark.parametrize("arguments", LATE_FOR_THE_COMMANDS)
def test_a_command_imports_only_what_it_needs(arguments):
    found = imported_by(RUN.format(arguments=arguments))
    assert found.isdisjoint(LATE_FOR_THE_COMMANDS[arguments])


def test_every_public_name_is_listed_and_no_module_takes_its_place():
    subprocess.run([sys.executable, "-c", PUBLIC_NAMES], check=True)


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'handcraft' has no attribute 'verfy'"):
        handcraft.verfy  # noqa: B018
