"""Hypothesis strategies: prompts, sequence expressions over all primitives, and programs made of them.

Every expression is valid by construction; none is filtered out. Its printed form is Python that makes
it again: its tables are dictionaries of a few rows, and its functions are builtins.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from hypothesis import strategies as st

from handcraft.errors import HandcraftWarning
from handcraft.language import Expression, Program, Prompts, Rule, predict
from handcraft.testing.making import KINDS, Kind, Making, whole_numbers
from handcraft.testing.strategies import patterns, vocabularies


@st.composite
def declared_prompts(
    draw: st.DrawFn,
    *,
    min_tokens: int = 2,
    max_tokens: int = 4,
    min_context: int = 2,
    max_context: int = 6,
    causal: bool = True,
) -> Prompts:
    """Prompts over a few letters, of which every text is allowed."""
    vocabulary = draw(vocabularies(min_tokens, max_tokens, words=False))
    return Prompts(vocabulary, draw(whole_numbers(min_context, max_context)), causal=causal)


@st.composite
def expressions(
    draw: st.DrawFn,
    prompts: Prompts,
    *,
    depth: int = 3,
    kind: Kind | None = None,
    wide: bool = False,
) -> Expression:
    """Expressions over all primitives but `assume`.

    With `wide`, numbers may have many values, or too many to list. A `depth` of 6 or so is the most.
    """
    making = Making(draw, prompts, wide)
    wanted = draw(st.sampled_from(KINDS)) if kind is None else kind
    return making.expression(wanted, draw(whole_numbers(0, depth)))


@st.composite
def sequence_programs(
    draw: st.DrawFn,
    *,
    max_tokens: int = 4,
    max_context: int = 6,
    max_rules: int = 4,
    depth: int = 3,
    distributions: bool = True,
    causal: bool = True,
) -> Program:
    """Programs over prompts, whose rules read expressions, patterns and flags.

    The last rule fires always; `depth` is that of the expressions.
    """
    prompts = draw(declared_prompts(max_tokens=max_tokens, max_context=max_context, causal=causal))
    answers: list[st.SearchStrategy[Any]] = [
        st.sampled_from(prompts.vocabulary.tokens),
        expressions(prompts, depth=depth, kind="category"),
    ]
    if distributions:
        answers.append(_distributions(prompts))
    flags = expressions(prompts, depth=depth, kind="flag")
    longest = min(3, prompts.context)

    def rule() -> Rule:
        prediction = predict(draw(st.one_of(answers)))
        conditions = draw(st.sampled_from(["pattern", "flag", "both"]))
        if conditions == "flag":
            return prediction.when(draw(flags))
        after = prediction.after(draw(patterns(prompts.vocabulary, longest)))
        return after.when(draw(flags)) if conditions == "both" else after

    rules = [rule() for _ in range(draw(whole_numbers(0, max_rules - 1)))]
    rules.append(predict(draw(st.one_of(answers))).otherwise())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", HandcraftWarning)  # a hidden rule is a fine example too
        return Program(prompts=prompts, rules=rules)


@st.composite
def _distributions(draw: st.DrawFn, prompts: Prompts) -> Mapping[str, Fraction]:
    tokens = draw(st.lists(st.sampled_from(prompts.vocabulary.tokens), min_size=1, unique=True))
    parts = [draw(whole_numbers(1, 4)) for _ in tokens]
    return {token: Fraction(part, sum(parts)) for token, part in zip(tokens, parts, strict=True)}
