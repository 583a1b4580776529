"""The distinct prefixes of texts: under a causal mask a position depends only on its own prefix."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.int64]

NUMBERS = 1 << 20
"""About how many numbers of keys, or of values, are processed at once."""


@dataclass(frozen=True, eq=False)
class Seen:
    """Destinations that see equally many sources.

    Args:
        destinations: the prefixes that end at them.
        sources: the prefixes that end at the sources each of them sees: [destination, source].
    """

    destinations: slice
    sources: Ids


@dataclass(frozen=True, eq=False)
class Prefixes:
    """The distinct prefixes of texts; without a causal mask every position of every text has its own.

    Args:
        tokens: the last token of each: [prefix].
        positions: the position of that token: [prefix].
        seen: the sources that they see, in order.
        of: which prefix ends at each position of each text: [text, position].
    """

    tokens: Ids
    positions: Ids
    seen: tuple[Seen, ...]
    of: Ids

    def __len__(self) -> int:
        return len(self.tokens)

    @classmethod
    def of_texts(cls, ids: Ids, *, causal: bool, width: int = 1) -> Prefixes:
        """The distinct prefixes of some texts.

        `ids` is [text, position]; `width` is the most numbers that are read of each source.
        """
        count, length = ids.shape
        if not causal:
            of = np.arange(count * length).reshape(count, length)
            sources = of.repeat(length, axis=0)  # [text * position, position]
            return cls(
                ids.reshape(-1), np.tile(np.arange(length), count), tuple(_split(0, sources, width)), of
            )
        of = np.empty((count, length), dtype=np.int64)
        size = int(ids.max(initial=0)) + 1
        before: Ids = np.zeros(count, dtype=np.int64)  # the index of the prefix so far of each text
        tokens = [np.zeros(0, dtype=np.int64)]
        places = [np.zeros(0, dtype=np.int64)]
        seen: list[Seen] = []
        start = 0
        for place in range(length):
            _, first, before = np.unique(
                before * size + ids[:, place], return_index=True, return_inverse=True
            )
            before = before.reshape(-1)
            of[:, place] = start + before
            tokens.append(ids[first, place])
            places.append(np.full(len(first), place))
            seen += _split(start, of[first, : place + 1], width)
            start += len(first)
        return cls(np.concatenate(tokens), np.concatenate(places), tuple(seen), of)


def _split(start: int, sources: Ids, width: int) -> list[Seen]:
    """Split destinations into as few parts as `NUMBERS` allows."""
    rows = max(1, NUMBERS // (sources.shape[1] * max(1, width)))
    return [
        Seen(slice(start + i, start + min(i + rows, len(sources))), sources[i : i + rows])
        for i in range(0, len(sources), rows)
    ]
