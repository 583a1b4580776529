"""Texts longer than the context, of which the model sees only the last tokens."""

from __future__ import annotations

from handcraft.language.patterns.parse_pattern import parse_pattern
from handcraft.language.program import Program
from handcraft.language.rule import Rule


def sliding_note(source: object, positions: int, tokens: int) -> str | None:
    """A note for a text that grows past the positions of a model; None if that changes no answer.

    Rules that read the last few tokens, and no position, mean the same in a window that slides.

    Args:
        source: what the model was made from; there is a note for rules only.
        positions: how many positions the model has.
        tokens: how many tokens the model reads at the end.
    """
    if tokens <= positions or not isinstance(source, Program):
        return None
    if not any(rule.has_expressions or _is_anchored(rule, source) for rule in source.rules):
        return None
    return (
        f"the text has {tokens} tokens, but the model sees only the last {positions}, "
        "and positions are counted from the first of those"
    )


def _is_anchored(rule: Rule, program: Program) -> bool:
    return rule.pattern is not None and parse_pattern(rule.pattern, program.vocabulary).anchored
