"""What a proof by cases knows: the cases of a position, and the least margin so far."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from handcraft_check.by_cases.alternatives import Blamed
from handcraft_check.judged import Judged

Ids = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Level:
    """The cases of one length.

    Args:
        entries: of each position: [case, position].
        states: of the automaton; -1 where no input is possible any more: [case].
        written: how many tokens the program has written; -1 where the text is not a context: [case].
        answers: what is predicted; -1 where it does not matter: [case].
    """

    entries: Ids
    states: Ids
    written: Ids
    answers: Ids


@dataclass(frozen=True, eq=False)
class Decided:
    """What was shown of some cases: an array each, [case].

    Args:
        finished: whether nothing is left to show.
        assumed: whether the assumptions of the program surely hold.
        meant: whether it is known what is meant, where something is.
        judged: what surely holds of the logits.
        blame: the source to decide where it is not finished; none where that would not help.
        numbers: what later positions read of this one (`Entries.decided`): [case, store + node].
        answers: what is meant, where the program goes on writing; else -1.
    """

    finished: Flags
    assumed: Flags
    meant: Flags
    judged: Judged
    blame: Blamed
    numbers: Ids
    answers: Ids


class BudgetError(Exception):
    """An attempt took more cases than it may."""


@dataclass
class Found:
    """What was shown so far.

    Args:
        margin: the least by which a right logit surely is above all others.
        worst: a context of the case in which it is.
        cases: how many cases there were.
        distance: how far probabilities may be from those meant, at most, in total variation; or values,
            of what is allowed.
        farthest: a context of the case in which they may be.
    """

    margin: float = np.inf
    worst: tuple[str, ...] = ()
    cases: int = 0
    distance: float = 0.0
    farthest: tuple[str, ...] = ()

    def of_context(self, context: tuple[str, ...], margin: float, distance: float) -> Found:
        """This, and what was shown of the worst context of more cases."""
        found = self
        if margin < self.margin:
            found = replace(found, margin=margin, worst=context)
        if distance > self.distance:
            found = replace(found, distance=distance, farthest=context)
        return found
