"""A linear program for the weights of a sum along which the levels of a table ascend."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def solve_weights(rows: Ints, levels: Ints) -> Iterator[list[Ints]]:
    """Whole weights for which the sum may order the levels; the caller checks them exactly.

    The program requires that the sum of a row of level l is at least t[l - 1] and at most t[l] - 1,
    with free weights and thresholds t, and minimizes the weights.

    Args:
        rows: for each row of the table, the class of each argument, [row, argument].
        levels: for each row, its level, [row].

    Yields:
        For each argument a weight for each class; several roundings of the solution. Nothing where
        there is none.
    """
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
    found = _least_weights(count, top, at, numbers, bounds)
    if found is None:
        return
    for factor in (1, 2, 3, 4, 6, 12, 60):
        whole = np.rint(found * factor).astype(np.int64)
        yield [whole[starts[k] : starts[k + 1]] for k in range(len(sizes))]


def _least_weights(count: int, top: int, at: Ints, numbers: Floats, bounds: Floats) -> Floats | None:
    """The weights of least sum that satisfy every condition; None if there are none.

    HiGHS works on one thread with its own fixed seed, so the same program has the same solution.

    Args:
        count: how many weights there are, each at least 0.
        top: how many thresholds follow them, free.
        at: which variables a condition adds up, [condition, term].
        numbers: their factors, [condition, term].
        bounds: what each sum may be at most, [condition].
    """
    import highspy

    program = highspy.HighsLp()
    program.num_col_, program.num_row_ = count + top, len(at)
    program.col_cost_ = np.concatenate([np.ones(count), np.zeros(top)])
    program.col_lower_ = np.concatenate([np.zeros(count), np.full(top, -highspy.kHighsInf)])
    program.col_upper_ = np.full(count + top, highspy.kHighsInf)
    program.row_lower_, program.row_upper_ = np.full(len(at), -highspy.kHighsInf), bounds
    program.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    program.a_matrix_.start_ = np.arange(len(at) + 1) * at.shape[1]
    program.a_matrix_.index_, program.a_matrix_.value_ = at.ravel(), numbers.ravel()
    # The solver itself: the class around it prints its licence when it is made.
    solver = highspy._Highs()  # type: ignore[attr-defined]
    solver.setOptionValue("output_flag", False)
    solver.setOptionValue("parallel", "off")
    solver.passModel(program)
    solver.run()
    if solver.getModelStatus() != highspy.HighsModelStatus.kOptimal:
        return None
    return np.array(solver.getSolution().col_value)[:count]
