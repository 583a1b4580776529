"""The test file that `handcraft write-tests` writes: sections of Python, joined with their imports."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from sys import stdlib_module_names
from textwrap import wrap

WIDTH = 88
"""The most characters of a line: what ruff and black allow where nothing else is said."""


@dataclass(frozen=True)
class Section:
    """A part of a test file.

    Args:
        text: its lines of Python, without imports.
        imports: the names that it uses, by module; a module alone has no names.
        is_setting: whether it defines what tests use, and is not a test itself.
    """

    text: str
    imports: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    is_setting: bool = False


def written(title: str, sections: Sequence[Section]) -> str:
    """The text of a test file.

    Args:
        title: the text of its docstring.
        sections: the parts, in order.
    """
    names: dict[str, set[str]] = {}
    for section in sections:
        for module, used in section.imports.items():
            names.setdefault(module, set()).update(used)
    text = f'"""{title}"""\n\n{_imports(names)}\n'
    for before, section in zip([None, *sections], sections, strict=False):
        is_close = before is None or (before.is_setting and section.is_setting)
        text += ("\n" if is_close else "\n\n") + section.text.strip("\n") + "\n"
    return text


def comment(text: str) -> str:
    """A text as the lines of a comment."""
    return "\n".join(f"# {line}" for line in wrap(text, WIDTH - 2))


def paragraph(text: str) -> str:
    """A text as the lines of a docstring."""
    return "\n".join(wrap(text, WIDTH, break_long_words=False, break_on_hyphens=False))


def quoted(text: str) -> str:
    """A text as a literal of Python, in double quotes where that needs no escapes."""
    plain = repr(text)
    return plain if '"' in text or plain[0] == '"' else f'"{plain[1:-1]}"'


def answers(examples: Iterable[tuple[str, str, str]]) -> Section:
    """One prompt for each rule, with the answer, for a person to read.

    Args:
        examples: the rule, the prompt and the answer.
    """
    lines = []
    for rule, prompt, answer in examples:
        shown = " ".join(rule.split())
        shown = shown if len(shown) <= WIDTH - 6 else f"{shown[: WIDTH - 10]} ..."
        lines += [f"    # {shown}", f"    {quoted(prompt)}: {quoted(answer)},"]
    listed = "\n".join(lines)
    said = comment("What is answered where each rule decides. Read it: is it what you mean?")
    return Section(f"{said}\nANSWERS = {{\n{listed}\n}}", is_setting=True)


ANSWERS_TEST = Section(
    """\
@pytest.mark.parametrize(("prompt", "answer"), ANSWERS.items())
def test_an_answer_is_the_one_that_was_read(prompt, answer):
    assert_means(model, lambda _: answer, [prompt])
""",
    {"pytest": (), "handcraft.testing": ("assert_means",)},
)

RULES_TEST = Section(
    """\
@parametrize(program)
def test_the_model_answers_as_the_rule_says_where_it_decides(rule):
    assert_means(model, rule)
""",
    {"handcraft.testing": ("assert_means", "parametrize")},
)

OWN_PROPERTY = Section(
    '''\
@given(prompt=prompts(program))
def test_a_property_of_the_rules(prompt):
    """Any property may stand here: this one only shows the form."""
    assert program.meaning(prompt) in program.vocabulary
''',
    {"hypothesis": ("given",), "handcraft.testing": ("prompts",)},
)

CAUSAL_TEST = Section(
    """\
def test_later_tokens_change_no_earlier_answer():
    assert_causal(model)
""",
    {"handcraft.testing": ("assert_causal",)},
)

CACHE_TEST = Section(
    comment(
        "Texts are read piece by piece with a cache, some tokens are forgotten, and texts change "
        "places; every answer must be that of a run without a cache."
    )
    + "\nTestCache = cache_machine(model).TestCase\n",
    {"handcraft.testing": ("cache_machine",)},
)

FUNCTION_TEST = Section(
    """\
def test_the_model_answers_what_the_function_says():
    assert_means(model, meaning)
""",
    {"handcraft.testing": ("assert_means",)},
)


def whole_test(meaning: str, has_margin: bool) -> Section:
    """The test of all prompts against what is meant."""
    more = ", least_margin=LEAST_MARGIN" if has_margin else ""
    return Section(
        f"def test_the_model_answers_what_is_meant():\n    assert_means(model, {meaning}{more})\n",
        {"handcraft.testing": ("assert_means",)},
    )


def margin_setting(margin: float, prompt: str) -> Section:
    """The least margin that is asked for: half of what it is."""
    least = float(f"{margin / 2:.2g}")
    said = comment(
        "By how much the logit of the right token must exceed all others. When this file was written "
        f"the thinnest margin that was found was {margin:.4g}, after {quoted(prompt)}."
    )
    number = f"{least:g}" if abs(least) >= 1e-4 else f"{least!r}"
    return Section(f"{said}\nLEAST_MARGIN = {number}", is_setting=True)


def margin_test(meaning: str, more: str = "") -> Section:
    """The test that hunts for thin margins."""
    return Section(
        f"""\
def test_no_margin_is_thin():
    found = thinnest_margin(model, {meaning}{more})
    assert found.margin >= LEAST_MARGIN, str(found)
""",
        {"handcraft.testing": ("thinnest_margin",)},
    )


def to_fill_in() -> tuple[Section, ...]:
    """What is said of a model that says nothing of what it means, for the user to fill in."""
    said = comment("The most tokens of a prompt, and by how much a right token must lead.")
    return (
        Section(f"{said}\nLONGEST = 3\nLEAST_MARGIN = 0.1", is_setting=True),
        Section(
            '''\
def meaning(prompt: str) -> str | None:
    """What should follow a prompt: a token, or several; None where that is open."""
    pytest.fail("say in `meaning` what should follow a prompt")
''',
            {"pytest": ()},
        ),
        Section(
            """\
def test_the_model_answers_what_is_meant():
    assert_means(model, meaning, longest=LONGEST)
""",
            {"handcraft.testing": ("assert_means",)},
        ),
        margin_test("meaning", ", longest=LONGEST"),
    )


def _imports(names: Mapping[str, set[str]]) -> str:
    """Imports in the order that ruff wants: those of the standard library, then all others."""
    blocks: dict[bool, list[str]] = {}
    for module in sorted(names, key=lambda module: (bool(names[module]), module)):
        used = sorted(names[module], key=lambda name: (not name[0].isupper(), name))
        line = f"from {module} import {', '.join(used)}" if used else f"import {module}"
        if len(line) > WIDTH:
            line = f"from {module} import (\n" + "".join(f"    {name},\n" for name in used) + ")"
        is_installed = module.partition(".")[0] not in stdlib_module_names
        blocks.setdefault(is_installed, []).append(line)
    return "\n\n".join("\n".join(lines) for _, lines in sorted(blocks.items()))
