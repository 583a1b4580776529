"""What rules mean, said again with regular expressions."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from handcraft import Program
from handcraft.testing import contexts, rule_programs


def expression(pattern: str | None, characters: bool) -> re.Pattern[str]:
    """A pattern as a regular expression over tokens that each end in a blank."""
    if pattern is None:
        return re.compile(r"\Z")
    anchored = re.match(r"start\s", pattern) is not None
    body = pattern[len("start ") :] if anchored else pattern
    one = r"\\?[^\s\[\]\\]" if characters else r"\\?[^\s\[\]\\]+"
    items = []
    for item in re.findall(rf"\[[^\]]*\]|{one}", body):
        named = re.findall(one, item.strip("[]^"))
        words = "|".join(re.escape(name.removeprefix("\\")) for name in named)
        if item == ".":
            items.append(r"\S+ ")
        elif item.startswith("[^"):
            items.append(rf"(?!(?:{words}) )\S+ ")
        else:
            items.append(rf"(?:{words}) ")
    begin = r"\A" if anchored else r"(?:\A|(?<= ))"
    return re.compile(begin + "".join(items) + r"\Z")


def meant(program: Program, context: tuple[str, ...]) -> str:
    """The token of the first rule whose expression is found at the end of what the program sees."""
    seen = "".join(f"{token} " for token in context[-program.context :])
    characters = program.vocabulary.is_characters
    return next(
        rule.token for rule in program.rules if expression(rule.pattern, characters).search(seen)
    )


@given(rule_programs(max_tokens=10), st.data())
def test_a_program_means_what_regular_expressions_say(program, data):
    for context in data.draw(st.lists(contexts(program, max_length=12), min_size=1, max_size=20)):
        assert program.meaning(context) == meant(program, context)
        assert program.meaning(program.vocabulary.join(context)) == meant(program, context)


@given(rule_programs(), st.data())
def test_only_as_many_tokens_as_the_longest_pattern_and_one_more_can_matter(program, data):
    context = data.draw(contexts(program))
    kept = context[-(program.reach + 1) :]
    assert program.meaning(context) == program.meaning(kept)
