"""The characters that a regular expression names, which are its alphabet where none is given."""

from __future__ import annotations

import re
from re import _constants as ops
from typing import Any

from handcraft.language.regular.parsed import CATEGORIES, names_in
from handcraft.language.regular.read import (
    RegularExpressionError,
    parse,
    shown,
)

NAMED_UP_TO = 1_000
"""The most characters that one range of an alphabet names: an automaton has a column for each."""

ASCII = "".join(map(chr, range(128)))


def mentioned(pattern: str) -> tuple[str, ...]:
    r"""The characters that a regular expression names, in the order of their code points.

    A range names all its members; ``\d``, ``\w`` and ``\s`` name those of ASCII, though they match
    others too. A negated class names those that it leaves out, and so ``.`` names none. How often
    something is repeated names none either. Where case is ignored, a letter names its other case too.

    Raises:
        RegularExpressionError: it is not a regular expression, or names too many.

    >>> mentioned("[a-c]{2,3}|[^x].")
    ('a', 'b', 'c', 'x')
    """
    parsed = parse(pattern)
    named: set[str] = set()
    for _, (operation, value), flags in names_in(parsed, parsed.state.flags):
        members = value if operation is ops.IN else [(operation, value)]
        for kind, each in members:
            named |= _named(kind, each, pattern)
        if flags & re.IGNORECASE:
            cases = {case for letter in named for case in (letter.lower(), letter.upper())}
            named |= {case for case in cases if len(case) == 1}
    return tuple(sorted(named))


def _named(kind: Any, value: Any, pattern: str) -> set[str]:
    if kind is ops.LITERAL or kind is ops.NOT_LITERAL:
        return {chr(value)}
    if kind is ops.RANGE:
        first, last = value
        if last - first >= NAMED_UP_TO:
            raise RegularExpressionError(
                f"{shown(pattern)} names {last - first + 1:,} characters in one range, and "
                f"{NAMED_UP_TO:,} are read",
                fix='name the tokens it reads, as in regex(..., alphabet="ab")',
            )
        return set(map(chr, range(first, last + 1)))
    if kind is ops.CATEGORY:
        return set(re.findall(CATEGORIES[value].lower(), ASCII))
    return set()
