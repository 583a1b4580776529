"""What compiles can be saved: the search keeps no plan that measuring refuses, while another holds."""

from string import ascii_lowercase

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sweeps import sweep

from handcraft import compile_program, parse_rules
from handcraft.verify.facts import check_facts

RULES = (
    "predict what followed last time otherwise a",
    "predict the first token when position >= 3\npredict what followed last time otherwise a",
    "predict the last token when position >= 2\npredict b otherwise",
)


def compiled(rules: str, tokens: int, context: int):
    names = " ".join(ascii_lowercase[:tokens])
    return compile_program(parse_rules(f"vocabulary {names}\ncontext {context}\n{rules}"))


@pytest.mark.parametrize(
    ("rules", "tokens", "context"), [(RULES[0], 9, 12), (RULES[0], 16, 16), (RULES[1], 12, 6)]
)
def test_what_was_once_refused_by_save(rules: str, tokens: int, context: int) -> None:
    check_facts(compiled(rules, tokens, context))


@settings(max_examples=sweep(24))
@given(st.sampled_from(RULES), st.integers(2, 20), st.integers(4, 20))
def test_what_compiles_can_be_saved(rules: str, tokens: int, context: int) -> None:
    check_facts(compiled(rules, tokens, context))
