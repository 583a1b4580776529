"""What stays decided behind a position, and what an attempt learns where it is stuck."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

Way: TypeAlias = Literal["anywhere", "sets", "texts"]
"""How a claim is attempted: with keys that do not depend on where their tokens are, with positions that
stay undecided, or text by text."""


class StuckError(Exception):
    """A case that cannot be shown, however its positions are decided.

    Args:
        why: what cannot be shown.
        case: a context of the case.
        margin: the least margin that is possible.
        position: that of its last token.
        decided: the sources that were decided for it, which did not suffice.
        eager: positions that must be decided earlier, each with the layer that reads it.
    """

    def __init__(
        self,
        why: str,
        case: tuple[str, ...],
        margin: float,
        position: int,
        decided: list[int],
        eager: Mapping[int, int],
    ) -> None:
        super().__init__(why)
        self.why, self.case, self.margin, self.position = why, case, margin, position
        self.decided, self.eager = decided, eager


@dataclass(frozen=True)
class Forgotten:
    """What is not known any more behind a position.

    Args:
        split: the sources that were decided there.
        mixed: the sources that may be there what they are in several cases, whatever the others are.
    """

    split: frozenset[int]
    mixed: frozenset[int]


@dataclass
class Policy:
    """What stays decided. It settles what can be proved and how fast, never what is true.

    Args:
        kept: positions, each with a source that stays decided behind it, maybe itself.
        eager: positions of which keys and values must be known up to rounding, each with the last layer
            where they must.
        is_single: whether no position is ever left undecided, so that each case is one context.
        is_anywhere: whether what is known of a rotated key holds wherever its token stands, so that
            contexts with the same tokens in another order are one case.
        distances: how far behind it a source had to stay decided at two positions or more.
    """

    kept: set[tuple[int, int]] = field(default_factory=set)
    eager: dict[int, int] = field(default_factory=dict)
    is_single: bool = False
    is_anywhere: bool = False
    distances: set[int] = field(default_factory=set)

    def kept_behind(self, position: int) -> list[int]:
        """The sources that stay decided behind a position, itself included."""
        return [source for source in range(position + 1) if (position, source) in self.kept]

    def releases(self, position: int) -> bool:
        """Whether a source was decided in front of a position and is not any more behind it."""
        return not set(self.kept_behind(position - 1)) <= set(self.kept_behind(position))

    def expect(self, position: int, split: Iterable[int]) -> None:
        """Keep decided sources of a position if two other positions needed sources as far back."""
        self.kept |= {(position, source) for source in split if position - source in self.distances}

    def learn(self, stuck: StuckError, forgotten: list[Forgotten]) -> int | None:
        """Keep more tokens decided; returns where to go on, None if nothing is left to try.

        If deciding a source did not suffice, it may have been decided at an earlier position too,
        together with others that must keep their tokens. If it was not, a source may have been merged,
        so that others that depend on it are not known. A position in `eager` is decided together with
        what it read first.

        Args:
            stuck: what could not be shown.
            forgotten: behind each earlier position.
        """

        def since(which: str) -> set[tuple[int, int]]:
            """From where on sources would have to be kept."""
            found: set[tuple[int, int]] = set()
            for source in stuck.decided:
                at = [i for i, each in enumerate(forgotten) if source in getattr(each, which)]
                if at:
                    found.update((i, source) for i in range(at[-1], stuck.position))
            return found - self.kept

        missing = since("split") or since("mixed")
        wide = {at: layer for at, layer in stuck.eager.items() if layer > self.eager.get(at, 0)}
        if wide and missing:
            first = min(source for _, source in missing)
            missing = {(at, source) for at, source in missing if source == first}
        for at, source in missing:
            if any(
                (other, other - at + source) in self.kept
                for other in {at for at, _ in self.kept} - {at}
            ):
                self.distances.add(at - source)
        self.kept |= missing
        self.eager |= wide
        return min([*(at for at, _ in missing), *wide], default=None)
