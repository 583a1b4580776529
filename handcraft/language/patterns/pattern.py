"""Patterns: the condition of a rule on the last tokens of a context."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from handcraft.vocabulary import Vocabulary

SPECIAL = ".[]^\\#"
"""Characters with a meaning in patterns, which must be escaped to be tokens."""

ANCHOR = "start"
"""The word that anchors a pattern at the first position."""

RESERVED = (ANCHOR, "when", "otherwise")
"""Words with a meaning in patterns or after them, which must be escaped to be tokens."""


@dataclass(frozen=True)
class Pattern:
    """A suffix of the context, as one token class per position.

    Args:
        classes: for each position, in reading order, the ids of the tokens that match.
        anchored: whether the pattern must begin at the first position of the context.
    """

    classes: tuple[frozenset[int], ...] = ()
    anchored: bool = False

    def __len__(self) -> int:
        return len(self.classes)

    def matches(self, context: Sequence[int]) -> bool:
        """Whether `context`, a sequence of token ids, ends in this pattern."""
        length = len(self.classes)
        if len(context) < length or (self.anchored and len(context) != length):
            return False
        ending = context[len(context) - length :]
        return all(token in allowed for token, allowed in zip(ending, self.classes, strict=True))

    def is_always(self, size: int) -> bool:
        """Whether it matches every context over `size` tokens."""
        if len(self.classes) > 1 or self.anchored:
            return False
        return all(len(allowed) == size for allowed in self.classes)

    def backwards(self, offset: int) -> frozenset[int]:
        """The token class `offset` positions before the last one."""
        return self.classes[-1 - offset]

    def text(self, vocabulary: Vocabulary) -> str:
        """The pattern as it is written in a rule; parsing it gives this pattern back."""
        items = [_class_text(allowed, vocabulary) for allowed in self.classes]
        if items and vocabulary.join(items) in RESERVED:
            items[0] = f"[{items[0]}]"  # the letters s, t, a, r, t are not the anchor
        written = vocabulary.join(items)
        return f"{ANCHOR} {written}" if self.anchored else written


def _class_text(allowed: frozenset[int], vocabulary: Vocabulary) -> str:
    size = len(vocabulary)
    if len(allowed) == size:
        return "."
    if len(allowed) == 1:
        return escape(vocabulary.tokens[min(allowed)])
    missing = sorted(frozenset(range(size)) - allowed)
    listed, sign = (missing, "^") if len(missing) < len(allowed) else (sorted(allowed), "")
    return f"[{sign}{vocabulary.join(escape(vocabulary.tokens[i]) for i in listed)}]"


LINES = {"\n": "n", "\r": "r", "\t": "t"}
"""Characters that are written as a letter after a backslash, so that a rule stays on its line."""


@lru_cache(maxsize=1 << 16)
def escape(token: str) -> str:
    """The token with a backslash before every character that a pattern would misread."""
    escaped = "".join(f"\\{LINES.get(c, c)}" if c in SPECIAL or c.isspace() else c for c in token)
    return f"\\{escaped}" if token in RESERVED else escaped


def unescape(written: str) -> str:
    """The token that `escape` wrote."""
    letters = {letter: character for character, letter in LINES.items()}
    return re.sub(r"\\([\s\S])", lambda found: letters.get(found[1], found[1]), written)
