"""Programs that say much: each aggregate over any relation, and assumptions that some texts break."""

from __future__ import annotations

import warnings
from fractions import Fraction

from hypothesis import strategies as st

from handcraft import Program, Prompts, predict, select, where
from handcraft.errors import HandcraftWarning
from handcraft.testing import declared_prompts, expressions


@st.composite
def assuming_programs(draw):
    """Programs that some texts break: values that are assumed away, at this position and at others."""
    prompts = draw(declared_prompts(max_context=5, causal=draw(st.booleans())))
    token, position = prompts.token, prompts.position
    number = draw(expressions(prompts, depth=2, kind="number"))
    values = number.domain.values
    kept = draw(st.lists(st.sampled_from(values), min_size=1, unique=True))
    assumed = number.assume(kept)
    few = assumed.map(dict.fromkeys(kept, 1))  # a table with holes, if it were not for the assumption
    seen = select(token, token).latest(where(assumed >= kept[0], 1, 0) + few)
    flag = draw(st.sampled_from([few + position >= 2, seen >= 2, select(assumed, kept[0]).exists()]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", HandcraftWarning)
        rules = [predict("b").when(flag), predict("a").otherwise()]
        return Program(prompts=prompts, rules=rules)


RELATIONS = ["==", "!=", "<", ">=", lambda key, query: (key + query) % 2 == 0]


def aggregating_programs(relation, causal):
    """A program for each aggregate of one selection, also of numbers beyond float64."""
    prompts = Prompts("abc", context=4, causal=causal)
    token, position = prompts.token, prompts.position
    number = token.map({"a": 0, "b": 1, "c": 2})
    chosen = select(number, number + position / 2 if isinstance(relation, str) else position, relation)
    numbers = [
        chosen.latest(number, default=7),
        chosen.earliest(position, default=3),
        chosen.mean(number / 3 + position, default=7),
        chosen.mean(number * 2**70 + 1, default=7) / 2**70,
        chosen.mean(number == 1, default=7),
        chosen.count(),
    ]
    for aggregate in numbers:
        rules = [predict("b").when(aggregate > 1), predict("c").when(aggregate > Fraction(1, 2))]
        yield Program(prompts=prompts, rules=[*rules, predict("a").otherwise()])
    rules = [predict("b").when(chosen.exists()), predict(chosen.latest(token, default="b")).otherwise()]
    yield Program(prompts=prompts, rules=rules)
