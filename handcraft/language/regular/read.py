r"""From the text of a regular expression to its tree, read as Python's `re` reads it.

Python's own parser reads it, so that escapes, flags and classes are those that users know. Only what an
automaton cannot decide is refused: lookbehinds of more than one letter, atomic groups and possessive
quantifiers. The parser is `re._parser`, which has no public name; it exists since Python 3.11, and
`test_regular.py` compares the result with `re.fullmatch`.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator
from re import _constants as ops
from re import _parser as parser
from typing import Any

from handcraft.errors import ProgramError
from handcraft.language.regular.letters import Letters, TooManyMembersError
from handcraft.language.regular.parsed import CATEGORIES, Parsed, names_in, one_letter, referred_groups
from handcraft.language.regular.tree import (
    NO_GROUPS,
    Again,
    Ahead,
    Behind,
    Capture,
    Captured,
    IfCaptured,
    Letter,
    Next,
    Node,
    choice,
    repeat,
    sequence,
)
from handcraft.limits import REGEX_CASES, REGEX_DEPTH, REGEX_LETTERS, REGEX_NAMED, REGEX_TEXT

COMMENT = r"\(\?#[^)]*\)?"
SIGN = r"\\[\s\S]?|\[\^?\]?(?:\\[\s\S]?|[^\]\\])*\]?|\(\?(?:<=|<!|=|!|>)|[+*?}]\+|[\s\S]"
"""A sign of an expression, and what is none: escapes, classes, and signs of several characters."""


class RegularExpressionError(ProgramError):
    """A text that is not a regular expression, or one that is not supported or too large."""


def parse(pattern: str) -> Parsed:
    """What Python's parser makes of a regular expression.

    Raises:
        RegularExpressionError: it is none, or too long or too deep to be read.
    """
    if len(pattern) > REGEX_TEXT.most:
        raise RegularExpressionError(
            f"a regular expression of {len(pattern):,} characters, and {REGEX_TEXT.most:,} are read",
            fix="write it shorter: [a-z] for letters side by side, {m,n} for repetitions",
        )
    depth = deepest = 0
    for _, piece in pieces(pattern):
        depth += (piece[0] == "(") - (piece == ")")
        deepest = max(deepest, depth)
    if deepest > REGEX_DEPTH.most:
        raise RegularExpressionError(
            f"{shown(pattern)} has groups in groups, {deepest:,} deep, and {REGEX_DEPTH.most} are read",
            fix="remove parentheses that are not needed",
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of sets that a later Python may read otherwise
        try:
            return parser.parse(pattern)
        except re.error as error:
            at = "" if error.pos is None else f", at character {error.pos}"
            raise RegularExpressionError(
                f"{shown(pattern)} is not a regular expression{at}: {error.msg}",
                fix=r"write one as Python's re reads it, such as '[ab]+'; \ before a sign means itself",
            ) from None
        except OverflowError:
            raise RegularExpressionError(
                f"{shown(pattern)} repeats something more often than Python can count",
                fix="repeat it at most as often as the context has tokens, or without end: {2,}",
            ) from None


def read_expression(pattern: str, letters: Letters) -> Node:
    """The tree of a regular expression over some letters.

    Raises:
        RegularExpressionError: it is not a regular expression, or not a supported one.
    """
    parsed = parse(pattern)
    reader = _Reader(pattern, parsed, letters)
    try:
        return reader.sequence(parsed, parsed.state.flags)
    except TooManyMembersError:
        raise RegularExpressionError(
            f"the classes of {shown(pattern)} have more than {REGEX_LETTERS.most:,} letters together",
            fix="name fewer different classes, or use a vocabulary with fewer different letters",
        ) from None


class _Reader:
    """Reads one expression, and keeps count of what it costs."""

    def __init__(self, pattern: str, parsed: Parsed, letters: Letters) -> None:
        self.pattern = pattern
        self.is_verbose = bool(parsed.state.flags & re.VERBOSE)
        self.letters = letters
        self.referred = referred_groups(parsed)
        self.within: tuple[int, ...] = ()
        self.made_within: dict[int, tuple[int, ...]] = {}
        self.lookarounds = 0
        self.ignoring_case = 0
        self.empty = sequence([])
        self.nothing = Letter(letters.numbered([]))
        self.readers: dict[Any, Callable[[Any, int], Node]] = {
            ops.BRANCH: lambda value, flags: choice([self.sequence(each, flags) for each in value[1]]),
            ops.SUBPATTERN: self.group,
            ops.MAX_REPEAT: self.repeat,
            ops.MIN_REPEAT: self.repeat,
            ops.AT: self.edge,
            ops.ASSERT: lambda value, flags: self.look(value, flags, negated=False),
            ops.ASSERT_NOT: lambda value, flags: self.look(value, flags, negated=True),
            ops.GROUPREF: self.again,
            ops.GROUPREF_EXISTS: self.if_captured,
            ops.FAILURE: lambda value, flags: self.nothing,
        }

    def sequence(self, parsed: Parsed, flags: int) -> Node:
        return sequence([self.node(operation, value, flags) for operation, value in parsed])

    def node(self, operation: Any, value: Any, flags: int) -> Node:
        source = one_letter(operation, value)
        if source is not None:
            return Letter(self.matched(source, operation, value, flags))
        if operation not in self.readers:
            raise self.refused(operation)
        return self.readers[operation](value, flags)

    def matched(self, source: str, operation: Any, value: Any, flags: int) -> int:
        """The set of letters of a class, as Python decides it."""
        flags &= re.IGNORECASE | re.ASCII | re.DOTALL
        if operation is not ops.IN:
            return self.letters.matched(source, flags)
        if not flags & re.IGNORECASE:
            return self.in_class(value, flags)
        self.ignoring_case += sum(each[1] - each[0] for kind, each in value if kind is ops.RANGE)
        if self.ignoring_case > REGEX_CASES.most:
            raise RegularExpressionError(
                f"the ranges of {shown(self.pattern)} that ignore case have "
                f"{self.ignoring_case:,} characters or more, and {REGEX_CASES.most:,} are read",
                fix="shorten the ranges, or leave out (?i)",
            )
        return self.letters.matched(source, flags)

    def in_class(self, parts: Parsed, flags: int) -> int:
        """The same where case counts: `re` would walk through all characters of every range."""
        places: set[int] = set()
        for kind, value in parts:
            if kind is ops.LITERAL:
                places.update(self.letters.between(chr(value), chr(value)))
            elif kind is ops.RANGE:
                places.update(self.letters.between(*map(chr, value)))
            elif kind is ops.CATEGORY:
                places.update(self.letters.places_of(self.letters.matched(CATEGORIES[value], flags)))
        number = self.letters.numbered(places)
        return self.letters.others(number) if parts[0][0] is ops.NEGATE else number

    def group(self, value: Any, flags: int) -> Node:
        number, added, removed, inside = value
        if added & (re.ASCII | re.UNICODE):
            flags &= ~(re.ASCII | re.UNICODE)
        item = self.sequence(inside, (flags | added) & ~removed)
        if number is None or number not in self.referred:
            return item
        self.made_within[number] = self.within
        return Capture(
            number,
            item,
            Captured(number, captures=frozenset([number])),
            keeps_text=self.referred[number],
            needs=item.needs,
            captures=item.captures | {number},
            can_be_empty=False,  # whether it matched matters
        )

    def repeat(self, value: Any, flags: int) -> Node:
        least, most, inside = value
        return repeat(self.sequence(inside, flags), least, None if most is ops.MAXREPEAT else most)

    def edge(self, kind: Any, flags: int) -> Node:
        """`^`, `$` and the like, as what stands before this place and after it."""
        ends, lines = self.letters.matched(r"\n"), bool(flags & re.MULTILINE)
        none = self.letters.numbered([])
        if kind is ops.AT_BEGINNING or kind is ops.AT_BEGINNING_STRING:
            return Behind(ends if lines and kind is ops.AT_BEGINNING else none, at_start=True)
        if kind is ops.AT_END:
            return Next(ends, at_end=True, is_last=not lines)
        if kind is ops.AT_END_STRING:
            return Next(none, at_end=True)
        inside, outside = (self.letters.matched(each, flags & re.ASCII) for each in (r"\w", r"\W"))
        before, after = Behind(inside, at_start=False), Behind(outside, at_start=True)
        begins, ends_here = Next(inside, at_end=False), Next(outside, at_end=True)
        is_edge = kind is ops.AT_BOUNDARY
        return choice(
            [
                sequence([before, ends_here if is_edge else begins]),
                sequence([after, begins if is_edge else ends_here]),
            ]
        )

    def look(self, value: Any, flags: int, *, negated: bool) -> Node:
        direction, inside = value
        self.lookarounds += 1
        if direction < 0:
            return self.look_behind(inside, flags, negated=negated)
        outside, self.within = self.within, (*self.within, self.lookarounds)
        item = self.sequence(inside, flags)
        self.within = outside
        return Ahead(item, negated, needs=item.needs)

    def look_behind(self, inside: Parsed, flags: int, *, negated: bool) -> Node:
        source = one_letter(*inside[0]) if len(inside) == 1 else None
        if source is None:
            raise self.refused("a lookbehind of other than one character")
        operation, value = inside[0]
        number = self.matched(source, operation, value, flags)
        if not negated:
            return Behind(number, at_start=False)
        return Behind(self.letters.others(number), at_start=True)

    def again(self, group: int, flags: int) -> Node:
        self.check_reach(group)
        same: list[Letter] = []
        for letter in self.letters.text:
            if flags & re.IGNORECASE:
                alike = re.compile(rf"({re.escape(letter)})\1", flags & (re.IGNORECASE | re.ASCII))
                places = [
                    p for other, p in self.letters.places.items() if alike.fullmatch(letter + other)
                ]
            else:
                places = [self.letters.places[letter]]
            same.append(Letter(self.letters.numbered(places)))
        return Again(group, tuple(same), needs=frozenset([group]))

    def if_captured(self, value: Any, flags: int) -> Node:
        group, then, otherwise = value
        self.check_reach(group)
        branches = [self.sequence(each or [], flags) for each in (then, otherwise)]
        needs = NO_GROUPS.union(*(branch.needs for branch in branches))
        both = branches[0].captures & branches[1].captures
        return IfCaptured(group, *branches, needs=needs | {group}, captures=both)

    def check_reach(self, group: int) -> None:
        """Raise where a group inside of a lookahead is referred to from outside of it."""
        made = self.made_within.get(group, self.within)
        if self.within[: len(made)] != made:
            raise self.refused("a backreference inside a lookahead")

    def refused(self, what: Any) -> RegularExpressionError:
        described, at = self.place_of(what)
        return RegularExpressionError(
            f"{shown(self.pattern)} has {described}{at}, which is not supported",
            fix="write it without, or draw the texts from a Hypothesis strategy, such as "
            "strategies.from_regex(..., fullmatch=True)",
        )

    def place_of(self, what: Any) -> tuple[str, str]:
        """What is refused, in words, and the character at which it stands."""
        signs: tuple[str, ...]
        if what is ops.POSSESSIVE_REPEAT:
            described, signs = "a possessive quantifier", ("++", "*+", "?+", "}+")
        elif what is ops.ATOMIC_GROUP:
            described, signs = "an atomic group", ("(?>",)
        elif isinstance(what, str):
            described, signs = what, ("(?<=", "(?<!", "(?=", "(?!")
        else:
            described, signs = f"the operation {what}", ()
        nth = self.lookarounds if isinstance(what, str) else 1
        found = [at for at, piece in pieces(self.pattern, is_verbose=self.is_verbose) if piece in signs]
        return described, f" at character {found[nth - 1]}" if 0 < nth <= len(found) else ""


def pieces(pattern: str, *, is_verbose: bool = False) -> Iterator[tuple[int, str]]:
    r"""The signs of an expression, each with its place: what is escaped or in a class is one sign.

    >>> [piece for _, piece in pieces(r"a\.b[(]+(?=c)")]
    ['a', '\\.', 'b', '[(]', '+', '(?=', 'c', ')']
    """
    comment = rf"{COMMENT}|#[^\n]*\n?" if is_verbose else COMMENT
    for found in re.finditer(f"(?P<comment>{comment})|{SIGN}", pattern):
        if found["comment"] is None:
            yield found.start(), found[0]


def shown(pattern: str, most: int = 60) -> str:
    """An expression as messages quote it: not all of a long one."""
    return repr(pattern) if len(pattern) <= most else f"{pattern[:most]!r}..."


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
        if last - first >= REGEX_NAMED.most:
            raise RegularExpressionError(
                f"{shown(pattern)} names {last - first + 1:,} characters in one range, and "
                f"{REGEX_NAMED.most:,} are read",
                fix='name the tokens it reads, as in regex(..., alphabet="ab")',
            )
        return set(map(chr, range(first, last + 1)))
    if kind is ops.CATEGORY:
        return set(re.findall(CATEGORIES[value].lower(), ASCII))
    return set()
