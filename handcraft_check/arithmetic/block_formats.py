"""Formats of GGUF that store the numbers of a row in blocks of 32, each with one scale in float16.

What is computed with them is another question: llama.cpp rounds the other factor of a product to blocks
as well, and keeps keys and values in float16. A regime with one of these formats is about who reads the
weights of such a file as float32 numbers, as transformers does.

Source: ggml, ggml-quants.c (quantize_row_q8_0_ref and quantize_row_q4_0_ref).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.float32]

SIZE = 32
"""How many numbers of a row are a block."""


def q8_0(blocks: Rows) -> Rows:
    """Whole numbers up to 127, half away from zero, of a scale by which the largest is 127.

    Args:
        blocks: [block, 32].
    """
    scale = np.abs(blocks).max(axis=1, keepdims=True) / np.float32(127)
    shares = blocks * _inverse(scale)
    size = np.abs(shares)
    whole = np.floor(size)
    digits = np.sign(shares) * (whole + np.floor(2 * (size - whole)))
    return np.asarray(digits * _stored(scale), dtype=np.float32)


def q4_0(blocks: Rows) -> Rows:
    """Whole numbers from -8 to 7, of a scale by which the first of the largest is -8: [block, 32]."""
    return _q4_0(blocks, lambda inverse: blocks * inverse + np.float32(8.5))


def q4_0_fused(blocks: Rows) -> Rows:
    """The same where product and sum are rounded once, as C compilers may do: [block, 32].

    In float64 the product has all its digits, and the sum is rounded to it long before float32.
    """
    wide = blocks.astype(np.float64)
    return _q4_0(blocks, lambda inverse: (wide * inverse + 8.5).astype(np.float32))


def _q4_0(blocks: Rows, moved: Callable[[Rows], Rows]) -> Rows:
    """With what is made of the blocks and 1 / scale before digits are cut off."""
    first = np.abs(blocks).argmax(axis=1)[:, None]
    scale = np.take_along_axis(blocks, first, axis=1) / np.float32(-8)
    digits = np.clip(np.trunc(moved(_inverse(scale))), 0, 15) - 8
    return np.asarray(digits * _stored(scale), dtype=np.float32)


def _inverse(scale: Rows) -> Rows:
    """What numbers are multiplied by: 1 / scale in float32, and 0 where all are 0."""
    with np.errstate(divide="ignore", over="ignore"):
        return np.where(scale == 0, np.float32(0), np.float32(1) / scale)


def _stored(scale: Rows) -> Rows:
    """The scale in float16; infinite beyond its largest number."""
    with np.errstate(over="ignore"):
        return scale.astype(np.float16).astype(np.float32)


BLOCK_FORMATS: Mapping[str, Sequence[Callable[[Rows], Rows]]] = {
    "q8_0": (q8_0,),
    "q4_0": (q4_0, q4_0_fused),
}
"""What those who write a format may have in place of blocks: the first is that of the gguf package."""


def in_blocks(rows: npt.NDArray[np.float64], name: str) -> list[npt.NDArray[np.float64]]:
    """The numbers that a format has in place of some, by each of those who write it: [row, dimension].

    Args:
        rows: float32 numbers, each row a multiple of `SIZE` long.
        name: of the format.
    """
    blocks = rows.astype(np.float32).reshape(-1, SIZE)
    with np.errstate(invalid="ignore", over="ignore"):  # an infinite scale times 0 is NaN
        found = [written(blocks) for written in BLOCK_FORMATS[name]]
    return [each.astype(np.float64).reshape(rows.shape) for each in found]
