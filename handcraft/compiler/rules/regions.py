"""Sets of contexts: those whose last tokens are of given classes, at given positions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import zip_longest

from handcraft.compiler.rules.positions import Span
from handcraft.language.patterns.pattern import Pattern

Class = frozenset[int]
"""The ids of the tokens that may stand at some place."""


@dataclass(frozen=True)
class Region:
    """The contexts that end at some positions in tokens of some classes.

    Args:
        classes: the tokens that may stand at each distance from the end, that of the last token
            first; further back any token may.
        span: where the last token may stand. Every distance of `classes` reaches back to a token there.
    """

    classes: tuple[Class, ...]
    span: Span

    @classmethod
    def of(cls, pattern: Pattern, context: int) -> Region:
        """The contexts of up to `context` tokens that match a pattern."""
        first = max(0, len(pattern) - 1)
        only = pattern.anchored and first < context - 1
        return cls(tuple(reversed(pattern.classes)), Span(first, first if only else None))

    def __and__(self, other: Region) -> Region | None:
        """The contexts of both; None where there are none."""
        span = self.span & other.span
        if span is None:
            return None
        classes: list[Class] = []
        for one, two in zip_longest(self.classes, other.classes):
            both = two if one is None else one if two is None else one & two
            if not both:
                return None
            classes.append(both)
        return Region(tuple(classes), span)

    def without(self, other: Region, everything: Class) -> Iterator[Region]:
        """The contexts that are not in `other`, as regions that do not overlap.

        First the contexts at other positions. Of those left, the ones whose last token is not of the
        class of `other`; of those left, the ones whose token before it is not; and so on.

        Args:
            other: what is taken away.
            everything: all tokens.
        """
        inside = self & other
        if inside is None:
            yield self
            return
        first, last = inside.span.first, inside.span.last
        if self.span.first < first:
            yield replace(self, span=Span(self.span.first, first - 1))
        if last is not None and last != self.span.last:
            yield replace(self, span=Span(last + 1, self.span.last))
        for distance, taken in enumerate(other.classes):
            own = self.classes[distance] if distance < len(self.classes) else everything
            if not own <= taken:
                nearer, further = inside.classes[:distance], self.classes[distance + 1 :]
                yield Region((*nearer, own - taken, *further), inside.span)
