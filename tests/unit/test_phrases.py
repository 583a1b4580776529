"""Errors advise what their caller can do: arguments in Python, options on a command line."""

from __future__ import annotations

import ast
import pickle
import re
from pathlib import Path

import pytest

from handcraft.errors import DrawError, HandcraftError, PrecisionError
from handcraft.phrase import either, listed, phrase, setting

PACKAGE = Path(__file__).parents[2] / "handcraft"

OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]+")

COMMAND = re.compile(r"`(?:handcraft|python -m handcraft_check) [^`]*`")
"""A whole command, which everybody can type."""


def test_an_error_reads_one_way_in_python_and_another_way_on_a_command_line():
    fix = phrase("leave out ", setting("rule", "predict b"), " or ", either("format", ["npz", "onnx"]))
    error = DrawError(phrase(setting("what", "run"), " is wrong"), where="here", fix=fix)
    assert error.what == "what='run' is wrong"
    assert error.fix == "leave out rule='predict b' or format='npz' or 'onnx'"
    again = pickle.loads(pickle.dumps(error))
    for each in (error, again):
        each.speak_command_line()
        assert str(each) == (
            "DrawError: --what run is wrong\n"
            "  where: here\n"
            "  fix:   leave out --rule 'predict b' or --format npz or onnx"
        )


def test_a_fix_that_is_searched_for_speaks_both_too():
    error = PrecisionError("too coarse")
    error.fix_later(lambda: phrase("use ", setting("dtype", "float64")))
    sent = pickle.loads(pickle.dumps(error))
    assert error.fix == "use dtype='float64'"
    for each in (error, sent):
        each.speak_command_line()
        assert each.fix == "use --dtype float64"


@pytest.mark.parametrize("words", ["a text", None])
def test_a_text_is_the_same_for_everybody(words):
    error = HandcraftError("wrong", fix=words)
    error.speak_command_line()
    assert (error.what, error.fix) == ("wrong", words)


def test_settings_are_listed():
    both = listed([setting("rule"), setting("n_positions", 4)], " and ")
    assert (both.python, both.command) == ("rule= and n_positions=4", "--rule and --n-positions 4")


EXEMPT = ("model_card.py", "card.py", "plugin.py", "rule_cases.py", "__main__.py")
"""Pages for people who have a folder and a command line; options of pytest, not ours; command lines."""

BELOW = [path for path in sorted(PACKAGE.rglob("*.py")) if "cli" not in path.relative_to(PACKAGE).parts]


def texts_of(tree: ast.AST) -> list[str]:
    """The texts of a module that are no docstrings, with those side by side put together."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    docs = set()
    for node in ast.walk(tree):
        for field in ("body", "orelse", "finalbody"):
            for each in getattr(node, field, None) or [] if isinstance(node, documented) else []:
                if isinstance(each, ast.Expr) and isinstance(each.value, ast.Constant):
                    docs.add(each.value)
    inside = {
        part for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values
    }
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts = [part.value if isinstance(part, ast.Constant) else "..." for part in node.values]
            found.append("".join(parts))
        elif isinstance(node, ast.Constant) and node not in docs and node not in inside:
            found += [node.value] if isinstance(node.value, str) else []
    return found


def test_no_text_below_the_command_line_names_an_option_by_itself():
    """Not those of errors, and not those of pictures. A whole command between backticks may."""
    wrong = []
    for path in BELOW:
        if path.name in EXEMPT:
            continue
        for text in texts_of(ast.parse(path.read_text(encoding="utf-8"))):
            wrong += [(path.name, each) for each in OPTION.findall(COMMAND.sub("", text))]
    assert wrong == []
    assert len(BELOW) > 200
