"""A linear program for the weights of a sum along which the levels of a table follow each other."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]


def solve_weights(rows: Ints, levels: Ints) -> Iterator[list[Ints]]:
    """Whole weights for which the sum may order the levels; the caller tests them exactly.

    The program asks of a row of level l that its sum is at least t[l - 1] and at most t[l] - 1,
    with free weights and thresholds t, and keeps the weights small.

    Args:
        rows: for each row of the table, the class of each argument, [row, argument].
        levels: for each row, its level, [row].

    Yields:
        For each argument a weight for each class; several roundings of the solution. Nothing where
        there is none.
    """
    from scipy.optimize import linprog
    from scipy.sparse import coo_array

    sizes = rows.max(axis=0) + 1
    starts = np.concatenate([[0], np.cumsum(sizes)])
    count, top = int(starts[-1]), int(levels.max())
    columns = rows + starts[:-1]  # [row, argument]
    thresholds = count + np.stack([levels, levels - 1], axis=1)  # [row, 2]
    asked = np.stack(
        [levels < top, levels > 0], axis=1
    )  # sum - t[level] <= -1, t[level - 1] - sum <= 0
    sums = np.repeat(columns[:, None, :], 2, axis=1)[asked]  # [condition, argument]
    sign = np.broadcast_to([1.0, -1.0], asked.shape)[asked][:, None]
    bounds = np.broadcast_to([-1.0, 0.0], asked.shape)[asked]
    at = np.concatenate([sums, thresholds[asked][:, None]], axis=1)
    numbers = np.concatenate([np.tile(sign, (1, len(sizes))), -sign], axis=1)
    i = np.arange(len(at)).repeat(at.shape[1])
    matrix = coo_array((numbers.ravel(), (i, at.ravel())), shape=(len(at), count + top))
    cost = np.concatenate([np.ones(count), np.zeros(top)])
    limits = [(0, None)] * count + [(None, None)] * top
    solution = linprog(cost, A_ub=matrix, b_ub=bounds, bounds=limits, method="highs")
    if solution.status != 0:
        return
    found = solution.x[:count]
    for factor in (1, 2, 3, 4, 6, 12, 60):
        whole = np.rint(found * factor).astype(np.int64)
        yield [whole[starts[k] : starts[k + 1]] for k in range(len(sizes))]
