"""Dataclasses to plain JSON data and back, by their types; every symbol is replaced by its value.

cattrs follows the types. This file adds what it cannot know: subspaces and origins are written once
and referred to, numbers are exact, and a value of another type is an error, never converted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from itertools import pairwise
from math import inf, isfinite
from typing import Any, NewType, TypeVar, get_args, get_origin

from cattrs import BaseValidationError, Converter, IterableValidationError
from cattrs.errors import AttributeValidationNote, ForbiddenExtraKeysError, IterableValidationNote
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override

from handcraft.circuits import Circuits, Subspace
from handcraft.circuits.number import Number, Plain, evaluate, plainest
from handcraft.circuits.subspace import Value
from handcraft.errors import HandcraftError
from handcraft.formats.foreign_files import shown, whole
from handcraft.language.graph.domain import VALUES_UP_TO, Finite, Kind, Range, check_number
from handcraft.origin import Origin, Place
from handcraft.vocabulary import Vocabulary

Data = dict[str, Any]
T = TypeVar("T")

StatedSubspace = NewType("StatedSubspace", Subspace)
StatedOrigin = NewType("StatedOrigin", Origin)


@dataclass(frozen=True)
class Stated:
    """The tables as they are written: subspaces by key, and origins in the order of their numbers."""

    subspaces: tuple[tuple[str, StatedSubspace], ...]
    origins: tuple[StatedOrigin, ...]


TABLE_KEYS = ("subspaces", "origins")
"""The keys of the tables in handcraft.json."""


class Tables:
    """The subspaces and the origins of one handcraft.json: written once, and referred to elsewhere.

    So the tables are written last, and read first.
    """

    def __init__(self, values: Mapping[str, Plain] | None = None) -> None:
        self._values = values or {}
        self._subspaces: dict[str, Subspace] = {}
        self._keys: dict[Subspace, str] = {}
        self._numbers: dict[Origin, int] = {}
        self.origins: tuple[Origin, ...] = ()

    def write(self, value: object) -> Any:
        """What a manifest may contain, as data."""
        with _in_use(self):
            return _converter().unstructure(value)

    def write_tables(self) -> Data:
        """The subspaces and the origins that were referred to."""
        subspaces = ((key, StatedSubspace(each)) for key, each in self._subspaces.items())
        written: Data = self.write(Stated(tuple(subspaces), tuple(map(StatedOrigin, self._numbers))))
        return written

    def read(self, data: object, of: type[T]) -> T:
        """What `write` made into data, beside the tables; of an object every key must be known.

        Raises:
            ValueError: the data is malformed; the message names the key.
            HandcraftError: the parts do not fit together.
        """
        if isinstance(data, dict):
            data = {key: value for key, value in data.items() if key not in TABLE_KEYS}
        return self._read(data, of)

    def _read(self, data: object, of: type[T]) -> T:
        try:
            with _in_use(self):
                return _converter().structure(data, of)
        except BaseValidationError as error:
            raise _first_problem(error) from error

    def read_tables(self, data: Data) -> None:
        """The two tables."""
        stated = self._read({key: data[key] for key in TABLE_KEYS if key in data}, Stated)
        self._subspaces.update(stated.subspaces)
        self.origins = tuple(stated.origins)

    def number(self, origin: Origin) -> int:
        """The number by which an origin is referred to."""
        return self._numbers.setdefault(origin, len(self._numbers))

    def key(self, subspace: Subspace) -> str:
        """The key of a subspace; channels of a head may share a name with another subspace."""
        if subspace not in self._keys:
            key = subspace.name
            while key in self._subspaces:
                key += "'"
            self._subspaces[key], self._keys[subspace] = subspace, key
        return self._keys[subspace]

    def subspace(self, key: Any) -> Subspace:
        """The subspace of a key."""
        return self._subspaces[strict(key, str)]

    def plain(self, number: Number) -> int | str:
        """A number, with every symbol replaced, as JSON represents it."""
        return _write_plain(evaluate(number, self._values))


TABLES: ContextVar[Tables] = ContextVar("tables")
"""The tables that the references in what is written or read go to."""


@contextmanager
def _in_use(tables: Tables) -> Iterator[None]:
    token = TABLES.set(tables)
    try:
        yield
    finally:
        TABLES.reset(token)


@cache  # it compiles code for every class
def _converter() -> Converter:
    known = Converter(
        omit_if_default=True, forbid_extra_keys=True, unstruct_collection_overrides={tuple: list}
    )
    readers: dict[Any, Callable[[Any], Any]] = {
        str: _strict_as(str),
        bool: _strict_as(bool),
        int: whole,
        int | str: lambda data: data if type(data) is str else whole(data),
        float: _read_float,
        Value: _read_value,
        Number: read_number,
        Plain: read_number,
        Plain | None: lambda data: None if data is None else read_number(data),
        Fraction: lambda data: Fraction(read_number(data)),
        Place: _read_place,
        Vocabulary: lambda data: Vocabulary(strict(data, list)),
        Finite: _read_finite,
    }
    for type_, reader in readers.items():
        known.register_structure_hook(type_, _ignoring_type(reader))
    known.register_structure_hook_func(lambda of: of == Data, lambda data, _: strict(data, dict))
    known.register_structure_hook_factory(_is_tuple, lambda of: _tuple_reader(of, known))
    writers: dict[Any, Callable[[Any], Any]] = {
        float: lambda number: number if isfinite(number) else None,
        Fraction: _write_plain,
        Number: lambda number: TABLES.get().plain(number),
        Place: lambda place: place.short,
        Vocabulary: lambda vocabulary: list(vocabulary.tokens),
        Finite: _write_finite,
    }
    for type_, writer in writers.items():
        known.register_unstructure_hook(type_, writer)
    strictly: Any = {"_cattrs_forbid_extra_keys": True}
    read_range = make_dict_structure_fn(Range, known, **strictly)
    known.register_structure_hook(Range, lambda data, _: _check_range(read_range(data, Range)))
    for row, type_ in ((StatedSubspace, Subspace), (StatedOrigin, Origin)):
        known.register_structure_hook(row, make_dict_structure_fn(type_, known, **strictly))
        known.register_unstructure_hook(row, make_dict_unstructure_fn(type_, known))
    known.register_structure_hook(Subspace, lambda data, _: TABLES.get().subspace(data))
    known.register_structure_hook(Origin, lambda data, _: TABLES.get().origins[whole(data)])
    known.register_unstructure_hook(Subspace, lambda subspace: TABLES.get().key(subspace))
    known.register_unstructure_hook(Origin, lambda origin: TABLES.get().number(origin))
    # Symbols are replaced by their values, and a folder has no source file.
    omitted: Any = {name: override(omit=True) for name in ("values", "place")}
    known.register_structure_hook(
        Circuits, make_dict_structure_fn(Circuits, known, **strictly, **omitted)
    )
    known.register_unstructure_hook(Circuits, make_dict_unstructure_fn(Circuits, known, **omitted))
    return known


def _ignoring_type(reader: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda data, _: reader(data)


def _is_tuple(of: Any) -> bool:
    return get_origin(of) is tuple


def _tuple_reader(of: Any, known: Converter) -> Callable[[Any, Any], tuple[Any, ...]]:
    """Reads a list as a tuple, and stops at the first item that is wrong."""
    parts = get_args(of)
    readers = [known.get_structure_hook(part) for part in parts if part is not ...]

    def read_row(data: Any, _: Any) -> tuple[Any, ...]:
        if len(strict(data, list)) != len(parts):
            raise ValueError(f"{shown(data)} is not a list of {len(parts)}")
        return tuple([read(each, part) for read, each, part in zip(readers, data, parts, strict=True)])

    def read_all(data: Any, _: Any) -> tuple[Any, ...]:
        read, part, found = readers[0], parts[0], []
        strict(data, list)
        try:
            for each in data:
                found.append(read(each, part))
        except Exception as error:
            error.add_note(IterableValidationNote("", len(found), part))
            raise IterableValidationError("", [error], of) from error
        return tuple(found)

    return read_all if parts[-1] is ... else read_row


def _first_problem(error: Exception) -> Exception:
    """The first thing that is wrong, with the key where: ``source.circuits.blocks[0].heads``."""
    key = ""
    while isinstance(error, BaseValidationError):
        error = error.exceptions[0]
        for note in getattr(error, "__notes__", ()):
            if isinstance(note, AttributeValidationNote):
                key = f"{key}.{note.name}"
            elif isinstance(note, IterableValidationNote):
                key = f"{key}[{note.index}]"
    key = key.removeprefix(".")
    if isinstance(error, HandcraftError):
        return error
    if isinstance(error, ForbiddenExtraKeysError):
        extra = min(error.extra_fields)
        return ValueError(f"{f'{key}.{extra}' if key else extra}: no such key is known")
    if isinstance(error, KeyError):
        return ValueError(
            f"it lacks {key}"
            if key.endswith(str(error.args[0]))
            else f"{key} names {shown(error.args[0])}, which is not there"
        )
    if isinstance(error, TypeError | AttributeError):
        return ValueError(f"{key or 'it'} is not an object")
    return ValueError(f"{key}: {error}")


def strict(data: Any, of: type[T], key: str = "") -> T:
    """Data of one type of JSON.

    `key` is the key of the data, for the error message, if it is not known otherwise.
    """
    if type(data) is not of:
        at = f"{key}: " if key else ""
        raise ValueError(f"{at}expected {NAMES[of]}, not {shown(data)}")
    return data


def _strict_as(of: type) -> Callable[[Any], Any]:
    return lambda data: strict(data, of)


NAMES: dict[type, str] = {
    str: "text",
    bool: "true or false",
    int: "a whole number",
    float: "a number with a decimal point",
    list: "a list",
    dict: "an object",
}


def read_number(data: object) -> Plain:
    """An integer, or a fraction written p/q, that a float can be near to."""
    if isinstance(data, str):
        top, slash, bottom = data.partition("/")
        below = int(bottom) if slash else 1
        if below == 0:
            raise ValueError(f"{shown(data)} divides by 0")
        number: Plain = plainest(Fraction(int(top), below))
    elif type(data) is int:
        number = data
    else:
        raise ValueError(f"{shown(data)} is neither an integer nor a fraction p/q")
    check_number(number)
    float(number)  # raises where no float is near
    return number


def _write_plain(number: Plain) -> int | str:
    return number.numerator if number.denominator == 1 else str(number)


def _read_value(data: Any) -> Value:
    if type(data) not in (str, int, bool):
        raise ValueError(f"{shown(data)} is not a value of a subspace")
    return data  # type: ignore[no-any-return]


def _read_float(data: Any) -> float:
    """An error bound; None where there is none."""
    if data is None:
        return inf
    if type(data) not in (int, float) or not 0 <= data < inf:
        raise ValueError(f"{shown(data)} is not an error bound")
    return float(data)


def _read_place(data: Any) -> Place:
    """A place as `Place.short` writes it."""
    file, line, column = strict(data, str).rsplit(":", 2)
    return Place(file, int(line), int(column))


def _read_finite(data: Any) -> Finite:
    """Values of one kind; numbers are in order."""
    kind, values = Kind(data["kind"]), strict(data["values"], list)
    if not 0 < len(values) <= VALUES_UP_TO:
        raise ValueError(f"{len(values)} values")
    read = {Kind.NUMBER: read_number, Kind.FLAG: _strict_as(bool), Kind.CATEGORY: _strict_as(str)}[kind]
    found = tuple(map(read, values))
    if kind is not Kind.CATEGORY and any(low >= high for low, high in pairwise(found)):
        raise ValueError(f"{kind.value}s out of order: {shown(values)}")
    return Finite(kind, found)


def _write_finite(domain: Finite) -> Data:
    """A flag as it is, a number as JSON has it or p/q, a label as text."""
    values = [
        _write_plain(v) if isinstance(v, Fraction) else v if isinstance(v, int) else str(v)
        for v in domain.values
    ]
    return {"kind": domain.kind.value, "values": values}


def _check_range(domain: Range) -> Range:
    if domain.low > domain.high or domain.unit <= 0 or domain.parts < 1:
        raise ValueError(f"{domain} in parts of {domain.unit} / {domain.parts}")
    return domain
