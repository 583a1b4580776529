"""Hypothesis strategies: vocabularies, contexts, patterns and whole rule programs."""

from __future__ import annotations

from hypothesis import strategies as st

from handcraft.language import Program
from handcraft.random_programs import make_pattern, make_pattern_program, make_vocabulary
from handcraft.testing.drawn import Drawn
from handcraft.vocabulary import Vocabulary


@st.composite
def vocabularies(
    draw: st.DrawFn, min_size: int = 2, max_size: int = 6, *, words: bool = True
) -> Vocabulary:
    """Vocabularies of letters, and of words unless `words` is false."""
    return make_vocabulary(Drawn(draw), min_size, max_size, words=words)


def contexts(program: Program, *, max_length: int | None = None) -> st.SearchStrategy[tuple[str, ...]]:
    """Contexts of a program, as tokens: at least one, and at most its context length."""
    longest = program.context if max_length is None else max_length
    token = st.sampled_from(program.vocabulary.tokens)
    return st.lists(token, min_size=1, max_size=longest).map(tuple)


@st.composite
def patterns(draw: st.DrawFn, vocabulary: Vocabulary, max_length: int = 4) -> str:
    """The text of a pattern: tokens, classes, any token, now and then anchored at the start."""
    return make_pattern(Drawn(draw), vocabulary, max_length)


@st.composite
def rule_programs(
    draw: st.DrawFn,
    *,
    min_tokens: int = 2,
    max_tokens: int = 6,
    min_context: int = 3,
    max_context: int = 8,
    max_rules: int = 6,
    max_pattern: int = 4,
) -> Program:
    """Rule programs that cover every context; the last rule is an `otherwise`."""
    return make_pattern_program(
        Drawn(draw),
        tokens=(min_tokens, max_tokens),
        context=(min_context, max_context),
        max_rules=max_rules,
        max_pattern=max_pattern,
    )
