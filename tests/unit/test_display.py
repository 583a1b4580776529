"""Every repr fits a screen: of results, of the stages they keep, and of everything inside those."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handcraft import Program, Prompts, compile_program, compile_sequences, predict, select
from handcraft.display import short_repr, shorten_value
from handcraft.verify import measure_facts, verify

SCREEN = 2_000
"""Characters: 25 lines of 80."""


def many_rules():
    random = Random(0)
    words = [f"w{i}" for i in range(200)]
    pairs = {(random.choice(words), random.choice(words)) for _ in range(300)}
    rules = [predict(random.choice(words)).after(" ".join(pair)) for pair in sorted(pairs)]
    return Program(words, 16, [*rules, predict("w0").otherwise()])


def induction():
    prompts = Prompts("abcdef", context=12)
    before = prompts.token.at(-1, default="a")
    followed = select(before, prompts.token) & select(prompts.position, 0, ">")
    return Program(
        prompts=prompts, rules=[predict(followed.latest(prompts.token, default="a")).otherwise()]
    )


@pytest.fixture(scope="module")
def results():
    rules = compile_program(many_rules())
    expressions = compile_program(induction(), architecture="block")
    token = Prompts("abcdef", context=12).token
    values = compile_sequences({"seen": select(token, token).count()})
    return {
        "rules": rules,
        "expressions": expressions,
        "values": values,
        "symbolic": rules.symbolic(),
        "trace": expressions.trace("abc"),
        "report": rules.report(),
        "verified": verify(expressions.model, expressions.source, sample=10, every_up_to=10),
        "facts": measure_facts(expressions),
    }


def inside(root: object) -> Iterator[object]:
    """Every object of this package that can be reached through fields and the first items of lists."""
    seen: set[int] = set()
    waiting = [root]
    kept = []  # so that no id is used twice
    while waiting:
        value = waiting.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        kept.append(value)
        if isinstance(value, Mapping):
            waiting += [*value.keys()][:20]
            waiting += [*value.values()][:20]
        elif isinstance(value, list | tuple | set | frozenset):
            waiting += [*value][:20]
        elif type(value).__module__.startswith("handcraft") and not isinstance(value, type):
            yield value
            if is_dataclass(value):
                waiting += [getattr(value, field.name, None) for field in fields(value)]


def test_every_repr_fits_a_screen_whatever_the_program(results):
    longest = {}
    for root in results.values():
        for value in inside(root):
            text = repr(value)
            if len(text) > SCREEN or text.count("\n") > 40:
                longest[type(value).__name__] = len(text)
    assert not longest


@pytest.mark.parametrize(
    "name", ["rules", "expressions", "values", "symbolic", "trace", "report", "verified", "facts"]
)
def test_every_result_has_a_form_for_notebooks(results, name):
    shown = results[name]._repr_html_()
    assert shown.startswith("<")
    assert len(shown) < 200_000


def test_what_is_no_markup_is_escaped_in_html():
    program = Program("<&", 3, [predict("<").after("&"), predict("&").otherwise()])
    assert "<code><" not in program._repr_html_().replace("<code>&lt;", "")
    assert "&lt;" in compile_program(program, architecture="block").trace("<&")._repr_html_()


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text()
    | st.binary()
    | st.integers(5000, 5001).map(lambda n: 10**n),
    lambda inner: (
        st.lists(inner, max_size=8)
        | st.tuples(inner, inner)
        | st.dictionaries(st.integers(), inner, max_size=8)
        | st.builds(lambda x, n: [x] * n, inner, st.integers(0, 10_000))
    ),
    max_leaves=20,
)


@given(values)
def test_a_shortened_value_is_short_whatever_it_holds(value):
    assert len(shorten_value(value)) < SCREEN


def test_fields_that_are_left_out_of_a_repr_stay_out():
    from dataclasses import field

    @short_repr
    @dataclass
    class Row:
        shown: int
        hidden: int = field(default=2, repr=False)

    assert repr(Row(1)) == "Row(shown=1)"
    assert "hidden" not in Row(1)._repr_html_()
