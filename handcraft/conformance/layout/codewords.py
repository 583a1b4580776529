"""Codewords of +1 and -1 that are far from each other, for tokens and for positions."""

from __future__ import annotations

import numpy as np

from handcraft.model.layers.attention import Array

FIELD = 5
"""The field of 32 elements: in a field of 2**m elements with odd m, the words below differ most."""

REDUCING = 0b100101
"""x**5 + x**2 + 1, by which products of that field are reduced."""


def quadratic_words(count: int) -> Array:
    """Words of 32 signs whose inner products are at most 8: [count, 32].

    Word (b, a) is (-1) ** (trace(b x**3) + a.x) for each x of the field of 32 elements. The words with
    one b are orthogonal, and those of two differ in a quadratic form of full rank, so that their inner
    product is 0 or +-8 (Gold 1968). The second 1,024 words are the first with all signs changed.

    Raises:
        ValueError: more than 2,048 words.

    >>> words = quadratic_words(2048)
    >>> products = words @ words.T - 32 * np.eye(2048)
    >>> int(products.max())
    8
    """
    size = 1 << FIELD
    if count > 2 * size * size:
        raise ValueError(f"{count} words, and there are {2 * size * size}")
    xs = range(size)
    cubes = [_times(x, _times(x, x)) for x in xs]
    quadratic = np.array([[_trace(_times(b, cube)) for cube in cubes] for b in xs])
    words = (1 - 2 * quadratic)[:, None, :] * orthogonal_words(size)[None, :, :]
    half = words.reshape(size * size, size)
    both: Array = np.concatenate([half, -half])[:count].astype(np.float32)
    return both


def orthogonal_words(size: int) -> Array:
    """The rows of Sylvester's Hadamard matrix: [size, size]; `size` is a power of two.

    >>> orthogonal_words(2).tolist()
    [[1.0, 1.0], [1.0, -1.0]]
    """
    index = np.arange(size)
    common = index[:, None] & index[None, :]
    ones = np.array([[int(number).bit_count() for number in row] for row in common])
    words: Array = (1 - 2 * (ones % 2)).astype(np.float32)
    return words


def _times(a: int, b: int) -> int:
    """The product of two elements of the field."""
    product = 0
    for bit in range(FIELD):
        if b >> bit & 1:
            product ^= a << bit
    for bit in range(2 * FIELD - 2, FIELD - 1, -1):
        if product >> bit & 1:
            product ^= REDUCING << (bit - FIELD)
    return product


def _trace(a: int) -> int:
    """The sum of a and its conjugates a**2, a**4, ..., which is 0 or 1."""
    total, power = 0, a
    for _ in range(FIELD):
        total ^= power
        power = _times(power, power)
    return total
