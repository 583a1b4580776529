"""Texts that outgrow a model, which then sees a window of them that slides."""

from __future__ import annotations

from handcraft.language.patterns.parse_pattern import parse_pattern
from handcraft.language.program import Program


def sliding_note(source: object, positions: int, tokens: int) -> str | None:
    """A note for a text that grows past the positions of a model; None if that changes no answer.

    Rules that read the last few tokens, and no position, mean the same in a window that slides.
    """
    if tokens <= positions or not isinstance(source, Program):
        return None
    vocabulary = source.vocabulary
    patterns = (parse_pattern(rule.pattern, vocabulary) for rule in source.rules if rule.pattern)
    if not (any(r.has_expressions for r in source.rules) or any(p.anchored for p in patterns)):
        return None
    return (
        f"the text has {tokens} tokens, but the model sees only the last {positions}, "
        "and positions are counted from the first of those"
    )
