r"""Which letters a class of a regular expression stands for: as Python decides for each.

The letters are those of a vocabulary, so that every class is a finite set. What is not a plain range is
decided by `re` itself, one character at a time, so that `\w`, `(?i)` and `.` mean what they mean there.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable

import numpy as np

from handcraft.limits import REGEX_LETTERS


class TooManyMembersError(Exception):
    """The classes of an expression have more than `REGEX_LETTERS.most` letters together."""


class Letters:
    r"""The letters of some tokens, and the sets of them that an expression distinguishes.

    >>> letters = Letters("0a_é")
    >>> [letters.places_of(letters.matched(each)) for each in (r"\w", "[^0-9]", r"(?a:\w)")]
    [[0, 1, 2, 3], [1, 2, 3], [0, 1, 2]]
    """

    def __init__(self, letters: Iterable[str]) -> None:
        self.text = "".join(sorted(set(letters)))
        self.places = {letter: place for place, letter in enumerate(self.text)}
        self._sets: dict[bytes, int] = {}
        self._arrays: list[np.ndarray[tuple[int], np.dtype[np.bool_]]] = []
        self._matched: dict[tuple[str, int], int] = {}
        self._members = 0

    def __len__(self) -> int:
        return len(self.text)

    def matched(self, source: str, flags: int = 0) -> int:
        """The number of the set of letters that an expression of one character matches.

        Raises:
            TooManyMembersError: there are too many classes with too many letters.
        """
        if (source, flags) not in self._matched:
            places = [found.start() for found in re.compile(source, flags).finditer(self.text)]
            self._matched[source, flags] = self.numbered(places)
        return self._matched[source, flags]

    def between(self, first: str, last: str) -> range:
        """The places of the letters from one to another."""
        return range(bisect_left(self.text, first), bisect_right(self.text, last))

    def places_of(self, number: int) -> list[int]:
        """The places of the letters of a set."""
        return [int(place) for place in np.flatnonzero(self._arrays[number])]

    def others(self, number: int) -> int:
        """The number of the set of all other letters."""
        return self.numbered([int(place) for place in np.flatnonzero(~self._arrays[number])])

    def numbered(self, places: Iterable[int]) -> int:
        """The number of a set of letters, given by their places.

        Raises:
            TooManyMembersError: there are too many classes with too many letters.
        """
        is_member = np.zeros(len(self.text), dtype=bool)
        is_member[[*places]] = True
        key = np.packbits(is_member).tobytes()
        if key not in self._sets:
            self._members += len(self.text)
            if self._members > REGEX_LETTERS.most:
                raise TooManyMembersError
            self._sets[key] = len(self._arrays)
            self._arrays.append(is_member)
        return self._sets[key]

    def kinds(self, *, each: bool) -> tuple[list[int], list[int]]:
        """Letters that no set distinguishes are of one kind.

        Returns:
            For every letter its kind, and for every set its kinds as the bits of a number.
        """
        if each or not self._arrays:
            kind_of = np.arange(len(self.text)) if each else np.zeros(len(self.text), dtype=int)
        else:
            packed = np.packbits(np.stack(self._arrays), axis=0)  # [set / 8, letter]
            _, kind_of = np.unique(packed, axis=1, return_inverse=True)
            kind_of = kind_of.reshape(-1)
        count = int(kind_of.max(initial=-1)) + 1
        bits = []
        for is_member in self._arrays:
            has = np.zeros(count, dtype=np.uint8)
            has[kind_of[is_member]] = 1
            bits.append(int.from_bytes(np.packbits(has, bitorder="little").tobytes(), "little"))
        return kind_of.tolist(), bits
