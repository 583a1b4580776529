"""Linear maps between named subspaces, of which heads and embeddings are made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from handcraft.circuits.number import Number, exact
from handcraft.circuits.subspace import Coefficients, Encoding, Subspace, Value
from handcraft.display import short_repr
from handcraft.errors import EncodingError
from handcraft.origin import Origin


@short_repr
@dataclass(frozen=True)
class LinearMap:
    """A matrix from one subspace to another, as its nonzero entries.

    Args:
        source: the subspace that is read.
        target: the subspace that is written.
        entries: triples of a source dimension, a target dimension (both counted within their
            subspace) and the coefficient.
        origins: what it serves; empty for a part of the model that serves every rule.
    """

    source: Subspace
    target: Subspace
    entries: tuple[tuple[int, int, Number], ...]
    origins: tuple[Origin, ...] = ()


def copy(
    source: Subspace, target: Subspace, *, times: object = 1, origins: Iterable[Origin] = ()
) -> LinearMap:
    """The map that copies `source` to `target`.

    Raises:
        EncodingError: the two subspaces differ in width or encoding.
    """
    if source.width != target.width or source.encoding is not target.encoding:
        raise EncodingError(
            f"`{source.name}` ({source.encoding.value}, {source.width} dimensions) cannot be copied "
            f"to `{target.name}` ({target.encoding.value}, {target.width})",
            fix="copy between subspaces of the same encoding and width",
        )
    factor = exact(times)
    entries = tuple((i, i, factor) for i in range(source.width)) if factor != 0 else ()
    return LinearMap(source, target, entries, tuple(origins))


def value_map(
    source: Subspace,
    numbers: Mapping[Value, object],
    *,
    into: Subspace,
    origins: Iterable[Origin] = (),
) -> LinearMap:
    """The map that turns each value of a one-hot subspace into a number in a scalar one.

    Values that `numbers` leaves out give 0.

    Raises:
        EncodingError: `source` is not one-hot, lacks a value, or `into` is not a scalar.
    """
    _check_scalar(into)
    read = Coefficients.per_value(source, numbers)
    return LinearMap(source, into, tuple((i, 0, n) for i, n in read.entries), tuple(origins))


def project(
    source: Subspace,
    *,
    into: Subspace,
    numbers: Mapping[Value, object],
    origins: Iterable[Origin] = (),
) -> LinearMap:
    """The map that writes a scalar, times a number for each value, into a one-hot subspace.

    Values that `numbers` leaves out are not written.

    Raises:
        EncodingError: `source` is not a scalar, or `into` is not one-hot or lacks a value.
    """
    _check_scalar(source)
    write = Coefficients.per_value(into, numbers)
    return LinearMap(source, into, tuple((0, i, n) for i, n in write.entries), tuple(origins))


def _check_scalar(subspace: Subspace) -> None:
    if subspace.encoding is not Encoding.SCALAR:
        raise EncodingError(
            f"`{subspace.name}` is {subspace.encoding.value}, not a scalar",
            fix="use scalar(name) for a dimension that stores one number",
        )
