"""Names of the published library that are aliases here: types, and plain functions.

With them a program can be moved here by changing its import only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from handcraft.rasp.rasp_node import Node
from handcraft.rasp.selector import Selector
from handcraft.rasp.sequence import Encoding, Indices, Length, SOp, Tokens

NumericValue: TypeAlias = int | float
SelectorValue: TypeAlias = list[list[bool]]
Predicate: TypeAlias = Callable[[Any, Any], bool]

RASPExpr = Node
TokensType, IndicesType, LengthType = Tokens, Indices, Length


def get_encoding(sop: SOp) -> Encoding:
    """The encoding that `numerical` or `categorical` declared; categorical where neither did."""
    return sop.encoding or Encoding.CATEGORICAL


def is_numerical(sop: SOp) -> bool:
    """Whether a sequence was last declared numerical."""
    return get_encoding(sop) is Encoding.NUMERICAL


def is_categorical(sop: SOp) -> bool:
    """Whether a sequence has labels; every sequence does unless `numerical` was used."""
    return get_encoding(sop) is Encoding.CATEGORICAL


def sop_not(sop: SOp) -> SOp:
    """Whether a sequence is not true."""
    return ~sop


def selector_and(fst: Selector, snd: Selector, simplify: bool = True) -> Selector:
    """What both select. `simplify` changes nothing: the compiler simplifies what it can."""
    return fst & snd


def selector_or(fst: Selector, snd: Selector, simplify: bool = True) -> Selector:
    """What one of them selects. `simplify` changes nothing."""
    return fst | snd


def selector_not(inner: Selector, simplify: bool = True) -> Selector:
    """The opposite relation. `simplify` changes nothing."""
    return ~inner
