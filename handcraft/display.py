"""How results are shown in a terminal and in a notebook: every repr fits on a screen."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Set
from dataclasses import fields, is_dataclass
from html import escape
from itertools import islice
from typing import Any, TypeVar

Shown = TypeVar("Shown")

ITEMS = 4
"""How many items of a collection are shown."""

CHARACTERS = 80
"""How many characters of one value are shown; tests/unit/test_display.py bounds the whole."""

DEPTH = 2
"""How deep collections inside collections are shown."""

DIGITS = 40
"""How many digits of a whole number are shown."""


def short_repr(cls: type[Shown]) -> type[Shown]:
    """Give a dataclass a repr of bounded length, and an HTML table for notebooks.

    Fields declared with ``repr=False`` are left out. A class that has an HTML form of its own keeps it.

    >>> from dataclasses import dataclass
    >>> @short_repr
    ... @dataclass
    ... class Row:
    ...     numbers: list[int]
    >>> Row(list(range(1000)))
    Row(numbers=[0, 1, 2, 3, ... 1,000 in all])
    """
    cls.__repr__ = _repr  # type: ignore[method-assign]
    if not hasattr(cls, "_repr_html_"):
        cls._repr_html_ = _html  # type: ignore[attr-defined]
    return cls


def _repr(self: Any) -> str:
    return _named(self, DEPTH)


def _named(value: Any, depth: int) -> str:
    shown = ", ".join(f"{name}={text}" for name, text in _shown_fields(value, depth))
    return f"{type(value).__name__}({shown})"


def _html(self: Any) -> str:
    return html_table(type(self).__name__, _shown_fields(self, DEPTH))


def _shown_fields(value: Any, depth: int) -> list[tuple[str, str]]:
    return [(f.name, shorten_value(getattr(value, f.name), depth)) for f in fields(value) if f.repr]


def html_table(caption: str, rows: Iterable[tuple[str, object]]) -> str:
    """Two columns, a name and a fact, for notebooks."""
    body = "".join(
        f"<tr><th>{escape(name)}</th><td>{escape(str(fact))}</td></tr>" for name, fact in rows
    )
    return f"<table><caption>{escape(caption)}</caption>{body}</table>"


def count(number: int, noun: str) -> str:
    """So many of something.

    >>> count(1, "block"), count(2000, "rule")
    ('1 block', '2,000 rules')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def shorten_value(value: object, depth: int = DEPTH) -> str:
    """The repr of a value, cut where it is long; nothing long is ever made on the way.

    >>> shorten_value(["ab", 10**1000])
    "['ab', a number of 3,322 bits]"
    """
    import numpy as np  # late: a command that shows no value starts without it

    if isinstance(value, str | bytes):
        if len(value) <= CHARACTERS:
            return repr(value)
        return f"{value[: CHARACTERS // 2]!r}... {len(value):,} in all"
    if isinstance(value, int) and value.bit_length() > DIGITS * 4:
        return f"{'-' if value < 0 else ''}a number of {value.bit_length():,} bits"
    if isinstance(value, Mapping):
        return _collection("{}", value, depth)
    if isinstance(value, list | tuple | Set):
        brackets = "[]" if isinstance(value, list) else "()" if isinstance(value, tuple) else "{}"
        return _collection(brackets, value, depth)
    if isinstance(value, np.ndarray):
        return f"array {list(value.shape)} of {value.dtype}"
    if is_dataclass(value) and not isinstance(value, type) and not _is_short(type(value)):
        return f"{type(value).__name__}(...)"
    try:
        if type(value).__repr__ is not _repr:
            text = repr(value)
        elif depth:  # results may contain one another, however deep
            text = _named(value, depth - 1)
        else:
            text = f"{type(value).__name__}(...)"
    except ValueError:  # of a fraction with more digits than Python writes out
        return f"a {type(value).__name__} of very many digits"
    return text if len(text) <= CHARACTERS else f"{text[: CHARACTERS - 8]}...{text[-4:]}"


def _collection(brackets: str, value: Collection[Any], depth: int) -> str:
    count = len(value)
    if count and not depth:
        return f"{brackets[0]}... {count:,} in all{brackets[1]}"
    if isinstance(value, Mapping):
        first = [
            f"{shorten_value(key, depth - 1)}: {shorten_value(item, depth - 1)}"
            for key, item in islice(value.items(), ITEMS)
        ]
    else:
        first = [shorten_value(item, depth - 1) for item in islice(value, ITEMS)]
    more = [f"... {count:,} in all"] if count > ITEMS else []
    lone = "," if brackets == "()" and count == 1 else ""
    return f"{brackets[0]}{', '.join([*first, *more])}{lone}{brackets[1]}"


def _is_short(cls: type) -> bool:
    """Whether the repr of a dataclass is written by hand, or made by `short_repr`."""
    return not hasattr(cls.__repr__, "__wrapped__")  # which the one that `dataclass` makes has
