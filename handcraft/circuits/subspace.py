"""Subspaces: named groups of dimensions of the residual stream, and how they encode a value."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from fractions import Fraction
from functools import cached_property
from itertools import count
from math import cos, pi, sin
from typing import TypeAlias

from handcraft.circuits.number import Number, Plain, evaluate, exact
from handcraft.display import short_repr
from handcraft.errors import CircuitError, EncodingError
from handcraft.vocabulary import shorten

Value: TypeAlias = str | int | bool


class Encoding(Enum):
    """How a subspace encodes its value."""

    ONE_HOT = "one-hot"
    """One dimension per value: 1 for the current value, 0 for the others."""
    SIGNED_BITS = "signed bits"
    """The index of the value in binary, most significant bit first; a bit is +1 or -1."""
    FLAG = "flag"
    """One dimension: 1 where it is true, 0 elsewhere."""
    SINUSOIDAL = "sinusoidal"
    """Cosine and sine of the index of the value, at wavelengths of 4, 16, 64 and so on."""
    SCALAR = "scalar"
    """One dimension, a number."""
    SMALL = "small"
    """One dimension, a number; beside LayerNorm so small a part of it that no length changes."""
    CODED = "coded"
    """A codeword for each value, chosen by the author of the circuits."""


@dataclass(frozen=True)
class Codes:
    """The names of the dimensions of a coded subspace, and the codeword of each value in order."""

    dimensions: tuple[str, ...]
    words: tuple[tuple[Plain, ...], ...]


@short_repr
@dataclass(frozen=True)
class Subspace:
    """A group of dimensions of the residual stream that stores one value.

    Make one with `one_hot`, `signed_bits`, `sinusoidal`, `coded`, `flag` or `scalar`.

    Args:
        name: what the value is, such as ``token`` or ``position``.
        values: its possible values; none for a scalar.
        encoding: how it encodes them.
        codes: of a coded subspace, what its dimensions are called, and the codeword of each value.
    """

    name: str
    values: tuple[Value, ...]
    encoding: Encoding
    codes: Codes | None = None

    def __post_init__(self) -> None:
        if self.encoding is not Encoding.CODED:
            return
        codes = self.codes or Codes((), ())
        if {len(word) for word in codes.words} != {len(codes.dimensions)} or len(codes.words) != len(
            self.values
        ):
            raise CircuitError(
                f"the codewords of `{self.name}` do not fit its {len(self.values)} values and "
                f"{len(codes.dimensions)} dimensions",
                fix="give each value a codeword, with one number for each dimension",
            )

    def __str__(self) -> str:
        return self.name

    def __hash__(self) -> int:
        return hash(self.name)

    @property
    def is_number(self) -> bool:
        """Whether it stores any number, and not one of a list of values."""
        return self.encoding in (Encoding.SCALAR, Encoding.SMALL)

    @cached_property
    def width(self) -> int:
        """The number of dimensions it takes."""
        if self.encoding is Encoding.ONE_HOT:
            return len(self.values)
        if self.encoding is Encoding.SIGNED_BITS:
            return max(1, (len(self.values) - 1).bit_length())
        if self.encoding is Encoding.SINUSOIDAL:
            return 2 * len(self.wavelengths)
        return 1 if self.codes is None else len(self.codes.dimensions)

    @property
    def dimension_names(self) -> tuple[str, ...]:
        """A name for each dimension, in order."""
        if self.encoding is Encoding.ONE_HOT:
            return tuple(f"{self.name} {value}" for value in self.values)
        if self.encoding is Encoding.SIGNED_BITS:
            return tuple(f"{self.name} bit {bit}" for bit in reversed(range(self.width)))
        if self.encoding is Encoding.SINUSOIDAL:
            return tuple(f"{self.name} {f} {w}" for w in self.wavelengths for f in ("cos", "sin"))
        if self.codes is not None:
            return tuple(f"{self.name} {dimension}" for dimension in self.codes.dimensions)
        return (self.name,)

    @property
    def wavelengths(self) -> tuple[int, ...]:
        """Powers of 4, up to the first that is at least twice the number of values.

        Two different indices lie apart by d = 4**m r with r no multiple of 4. At the wavelength
        4**(m + 1) the cosine of their angle is at most 0, so the inner product of their codewords is
        at least 1 less than that of equal ones.
        """
        longest = next(m for m in count(1) if 4**m >= 2 * len(self.values))
        return tuple(4**m for m in range(1, longest + 1))

    def index(self, value: Value) -> int:
        """The place of `value` among the values.

        Raises:
            EncodingError: it is not one of them.
        """
        try:
            return self._indices[value]
        except KeyError:
            raise EncodingError(
                f"`{self.name}` cannot encode {value!r}",
                fix=f"its values are {shorten(self.values)}" if self.values else "it is a scalar",
            ) from None

    def codeword(self, value: Value) -> tuple[Plain, ...]:
        """The numbers in the dimensions for `value`: [width]."""
        place = self.index(value)
        if self.codes is not None:
            return self.codes.words[place]
        if self.encoding is Encoding.ONE_HOT:
            return tuple(int(i == place) for i in range(self.width))
        if self.encoding is Encoding.FLAG:
            return (place,)
        if self.encoding is Encoding.SINUSOIDAL:
            angles = [2 * pi * place / wavelength for wavelength in self.wavelengths]
            return tuple(Fraction(f(angle)) for angle in angles for f in (cos, sin))
        return tuple(1 if place >> bit & 1 else -1 for bit in reversed(range(self.width)))

    def entries(self, value: Value) -> tuple[tuple[int, Plain], ...]:
        """What a codeword has that is not 0: (dimension, number)."""
        if self.encoding is Encoding.ONE_HOT and self.codes is None:
            return ((self.index(value), 1),)
        return tuple((i, n) for i, n in enumerate(self.codeword(value)) if n)

    @cached_property
    def _indices(self) -> dict[Value, int]:
        return {value: i for i, value in enumerate(self.values)}


def one_hot(name: str, values: Iterable[Value]) -> Subspace:
    """A subspace with one dimension per value.

    >>> one_hot("token", "ab").dimension_names
    ('token a', 'token b')
    """
    return _with_values(name, values, Encoding.ONE_HOT)


def signed_bits(name: str, values: Iterable[Value]) -> Subspace:
    """A subspace that stores the index of a value in binary, each bit as +1 or -1.

    >>> signed_bits("position", range(5)).codeword(3)
    (-1, 1, 1)
    """
    return _with_values(name, values, Encoding.SIGNED_BITS)


def sinusoidal(name: str, values: Iterable[Value]) -> Subspace:
    """A subspace that stores cosines and sines of the index of a value (Vaswani et al. 2017, 3.5).

    The wavelengths are powers of 4, so that any two values differ by at least 1 in inner product.

    >>> sinusoidal("position", range(5)).dimension_names
    ('position cos 4', 'position sin 4', 'position cos 16', 'position sin 16')
    """
    return _with_values(name, values, Encoding.SINUSOIDAL)


def coded(name: str, words: Mapping[Value, Iterable[object]], *, dimensions: Iterable[str]) -> Subspace:
    """A subspace that stores each value as a given codeword.

    Raises:
        CircuitError: there are no values, or a codeword has another length than there are dimensions.

    >>> coded("digit", {n: (n, n * n) for n in range(4)}, dimensions=("v", "v*v")).codeword(3)
    (3, 9)
    """
    numbers = tuple(tuple(evaluate(exact(n), {}) for n in word) for word in words.values())
    return _with_values(name, words, Encoding.CODED, Codes(tuple(dimensions), numbers))


def flag(name: str) -> Subspace:
    """A subspace of one dimension that is 1 where a condition is true, and 0 elsewhere."""
    return Subspace(name, (False, True), Encoding.FLAG)


def scalar(name: str) -> Subspace:
    """A subspace of one dimension that stores a number."""
    return Subspace(name, (), Encoding.SCALAR)


def small(name: str) -> Subspace:
    """A scalar that LayerNorm sees as a small part of itself, beside its opposite."""
    return Subspace(name, (), Encoding.SMALL)


def _with_values(
    name: str, values: Iterable[Value], encoding: Encoding, codes: Codes | None = None
) -> Subspace:
    listed = tuple(values)
    if not listed or len(set(listed)) != len(listed):
        raise CircuitError(
            f"the values of `{name}` are {shorten(listed)}", fix="name at least one, each once"
        )
    return Subspace(name, listed, encoding, codes)


@short_repr
@dataclass(frozen=True)
class Coefficients:
    """A number for some dimensions of one subspace: what is read from them, or written to them.

    An entry is the index of a dimension within the subspace, and a number that is not 0.
    """

    subspace: Subspace
    entries: tuple[tuple[int, Number], ...] = field(default=())

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        return hash((self.subspace, self.entries))

    @classmethod
    def per_value(cls, subspace: Subspace, numbers: Mapping[Value, object] | object) -> Coefficients:
        """Coefficients given value by value for one-hot subspaces, or as one number for a scalar.

        Raises:
            EncodingError: the subspace has another encoding.
        """
        if subspace.is_number and not isinstance(numbers, Mapping):
            return cls(subspace, _nonzero([(0, exact(numbers))]))
        if subspace.encoding is not Encoding.ONE_HOT or not isinstance(numbers, Mapping):
            raise EncodingError(
                f"`{subspace.name}` is encoded as {subspace.encoding.value}, which no number "
                "per value can address",
                fix="use a one-hot subspace and a number for each value, or a scalar and one number",
            )
        return cls(subspace, _nonzero([(subspace.index(v), exact(n)) for v, n in numbers.items()]))

    @cached_property
    def highest(self) -> Plain:
        """The largest sum that any value of the subspace gives, where sums are integers.

        Raises:
            CircuitError: they are not known to be.
        """
        subspace = self.subspace
        words = () if subspace.codes is None else subspace.codes.words
        numbers = {i: number for i, number in self.entries if isinstance(number, int)}
        is_whole = all(isinstance(number, int) for word in words for number in word)
        is_known = not subspace.is_number and subspace.encoding is not Encoding.SINUSOIDAL
        if not (is_known and is_whole and len(numbers) == len(self.entries)):
            raise CircuitError(
                f"a neuron reads `{subspace.name}`, whose sums are not known to be integers",
                fix="read one-hot or signed-bit subspaces with integer coefficients",
            )
        if words:
            return max(sum(n * word[i] for i, n in numbers.items()) for word in words)
        if subspace.encoding is Encoding.SIGNED_BITS:
            return sum(map(abs, numbers.values()))
        always_one = subspace.encoding is Encoding.ONE_HOT and len(numbers) == subspace.width
        return max(numbers.values()) if always_one else max([0, *numbers.values()])


def _nonzero(entries: Iterable[tuple[int, Number]]) -> tuple[tuple[int, Number], ...]:
    return tuple(sorted(((i, n) for i, n in entries if n != 0), key=lambda entry: entry[0]))
