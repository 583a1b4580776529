"""The nodes of a meaning in words, for `--print-program`; and bounds in digits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Context
from fractions import Fraction

from handcraft_check.program.nodes import Match, Node, Value

NAME_UP_TO = 100

BITS_SHOWN = 13_000
"""Python writes numbers of up to 4,300 digits, unless it is told otherwise."""

SIX_DIGITS = Context(prec=6, rounding=ROUND_FLOOR)
SIX_DIGITS_UP = Context(prec=6, rounding=ROUND_CEILING)


def at_least(number: float) -> str:
    """A lower bound in six digits, rounded down so that it stays one.

    >>> at_least(29.10576), at_least(-0.1234567), at_least(float("-inf"))
    ('29.1057', '-0.123457', '-inf')
    """
    return f"{float(SIX_DIGITS.create_decimal_from_float(number)):.6g}"


def at_most(number: float) -> str:
    """An upper bound in six digits, rounded up.

    >>> at_most(6.1352460067e-05)
    '6.13525e-05'
    """
    return f"{float(SIX_DIGITS_UP.create_decimal_from_float(number)):.6g}"


def counted(number: int) -> int | str:
    """A whole number, or in words how large it is where Python writes no number so long.

    >>> counted(10**20), counted(2**20_000)
    (100000000000000000000, 'at least 10^6020')
    """
    if number.bit_length() <= BITS_SHOWN:
        return number
    return f"at least 10^{(number.bit_length() - 1) * 30_102 // 100_000}"  # log10(2) is 0.30102...


def counted_in_words(number: int | str) -> str:
    """The same in words.

    >>> counted_in_words(counted(10**20))
    '100,000,000,000,000,000,000'
    """
    return f"{number:,}" if isinstance(number, int) else number


def shown(values: Iterable[object]) -> str:
    """Some values, all of them: the reader must see everything that is proved."""
    return ", ".join(map(in_words, values))


def in_words(value: object) -> str:
    """One value, or several that belong together."""
    if isinstance(value, tuple):
        return " ".join(map(in_words, value))
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | Fraction) else repr(value)


def node_in_words(number: int, node: Node, name: str | None) -> str:
    """One node as a line; its name comes last, since anybody may have written it."""
    line = f"v{number} = {_definition(node)}"
    return line if name is None else f"{line}   # {printable(name)}"


def printable(name: str) -> str:
    """A name that anybody may have written, on one line and not too long."""
    text = "".join(sign if sign.isprintable() else "?" for sign in name)
    return text if len(text) <= NAME_UP_TO else f"{text[:NAME_UP_TO]} ..."


def _definition(node: Node) -> str:
    of = [f"v{each}" for each in node.of]
    match node.op:
        case "constant":
            return in_words(node.value)
        case "table":
            return _table(node, ", ".join(of))
        case "sum":
            terms = [f"{_factor(f)}{v}" for f, v in zip(node.factors, of, strict=True)]
            return " + ".join([*terms, *([str(node.number)] if node.number or not of else [])])
        case "at_least":
            return f"{of[0]} >= {node.number}"
        case "choice":
            return f"{of[1]} if {of[0]} else {of[2]}"
        case "assumed":
            return f"{of[0]}, assumed to be {_allowed(node)}"
        case "aggregate":
            return _aggregate(node)
    return f"the {node.op}"


def _one_of(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"one of {', '.join(words) or 'nothing'}"


def _factor(factor: int | Fraction) -> str:
    return "" if factor == 1 else f"{factor} * "


def _table(node: Node, of: str) -> str:
    assert node.rows is not None
    if node.kind == "flag" and node.rest is not None:
        listed = [in_words(key) for key, value in node.rows.items() if value != node.rest]
        named = of if len(node.of) == 1 else f"({of})"
        return f"{named} is {'not ' if node.rest else ''}{_one_of(listed)}"
    rows = [(f"{in_words(key)}: ", value) for key, value in node.rows.items()]
    if node.rest is not None:
        rows.append(("else ", node.rest))
    return f"table of {of}: {', '.join(f'{key}{in_words(value)}' for key, value in rows)}"


def _allowed(node: Node) -> str:
    if isinstance(node.allowed, frozenset):
        allowed: list[Value] = sorted(node.allowed, key=_order)
        return _one_of(list(map(in_words, allowed)))
    low, high, unit, parts = node.allowed
    return f"from {low} to {high}, a multiple of {unit} over at most {parts}"


def _order(value: Value) -> tuple[bool, int | Fraction, str]:
    return (False, 0, value) if isinstance(value, str) else (True, value, "")


def _aggregate(node: Node) -> str:
    cases = [" and ".join(map(_match, case)) or "any" for case in node.cases]
    which = " or ".join(f"({case})" if len(cases) > 1 else case for case in cases) or "none"
    if node.how == "count":
        return f"how many positions have {which}"
    if node.how == "exists":
        return f"whether a position has {which}"
    otherwise = "" if node.default is None else f", or {in_words(node.default)} where there is none"
    if node.how == "mean":
        return f"the mean of v{node.read} over the positions with {which}{otherwise}"
    return f"v{node.read} at the {node.how} position with {which}{otherwise}"


def _match(match: Match) -> str:
    """A condition; what stands on the left is read at the other position."""
    if isinstance(match.relation, str):
        return f"v{match.key} there {match.relation} v{match.query}"
    pairs = sorted(match.relation, key=lambda pair: (_order(pair[0]), _order(pair[1])))
    return f"(v{match.key} there, v{match.query}) in {{{shown(pairs)}}}"
