"""A tensor as a table on a terminal: the rows and columns that are not 0, with their names."""

from __future__ import annotations

import shutil

import numpy as np

from handcraft.model.layers.attention import Array
from handcraft.weights import Weights

ROWS_UP_TO = 40
"""The most rows of a table that fit one screen."""


def print_table(weights: Weights, tensor: str) -> bool:
    """Print a tensor, of a large one what is not 0, if that fits a screen.

    A table has a line for each row and, before them, one for each column that says what it stands for.

    Returns:
        Whether it fits; else nothing is printed.
    """
    values = np.atleast_2d(weights.model.tensors[tensor])
    is_bias = len(weights.shape(tensor)) == 1
    rows, columns = (np.arange(size) for size in values.shape)
    left_out = ""
    if not _fits(values):
        rows, columns = np.flatnonzero(values.any(axis=1)), np.flatnonzero(values.any(axis=0))
        left_out = "; rows and columns of zeros are left out"
    shown = values[np.ix_(rows, columns)]
    if not _fits(shown):
        return False
    print(f"{tensor} {list(weights.shape(tensor))}{left_out}")
    for column in columns.tolist():
        print(f"  column {column}: {_name(weights, tensor, 0 if is_bias else 1, column)}")
    width = _width(shown)
    labels = (
        [""] if is_bias else [f"row {row}: {_name(weights, tensor, 0, row)}" for row in rows.tolist()]
    )
    print(" " * width + "".join(f"{column:>{width}}" for column in columns.tolist()))
    for label, line in zip([""] if is_bias else labels, shown, strict=True):
        cells = "".join(f"{_cell(value):>{width}}" for value in line.tolist())
        print(f"{'':{width}}{cells}  {label}".rstrip())
    return True


def _name(weights: Weights, tensor: str, axis: int, i: int) -> str:
    return weights.describe(tensor, axis, i) or ""


def _fits(shown: Array) -> bool:
    """Whether a table is no wider than the terminal, and no longer than a screen."""
    rows, columns = shown.shape
    if not rows * columns > 0 or max(rows, columns) > ROWS_UP_TO:
        return False
    return bool((columns + 1) * _width(shown) <= shutil.get_terminal_size().columns)


def _width(shown: Array) -> int:
    return 2 + max((len(_cell(value)) for value in shown.ravel().tolist()), default=1)


def _cell(value: float) -> str:
    return "." if value == 0 else f"{value:g}"
