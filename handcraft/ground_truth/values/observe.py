"""The values of a program and the numbers of its ideal circuits on the same texts, side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from handcraft.circuits import Circuits
from handcraft.circuits.number import Plain
from handcraft.circuits.resolve import resolve
from handcraft.errors import AssumptionError
from handcraft.ground_truth.contexts import drawn_texts, sample_contexts
from handcraft.ground_truth.stream.ideal_states import ideal_states
from handcraft.ground_truth.subject import LaidOut, Values
from handcraft.language.graph.domain import Value
from handcraft.verify.texts.batch import Ids

Exact: TypeAlias = npt.NDArray[np.object_]


@dataclass(frozen=True, eq=False)
class Observed:
    """What was seen on some texts.

    Args:
        values: the values of the program on each text, by name.
        numbers: for each state of the stream the numbers of each text, by the names of the dimensions:
            [position].
    """

    values: tuple[Values, ...]
    numbers: tuple[tuple[dict[str, Exact], ...], ...]

    def candidates(self, name: str) -> int:
        """How many expressions have a name."""
        return max((len(values.get(name, ())) for values in self.values), default=0)

    def of(
        self, name: str, candidate: int, dimensions: Sequence[str], state: int
    ) -> Iterator[tuple[Value, tuple[Plain, ...]]]:
        """A value at every position of every text, with the numbers that a state stores.

        Args:
            name: of the value.
            candidate: which of the expressions with this name.
            dimensions: the names of the numbers.
            state: the number of the state, 0 for the embedding.
        """
        for values, by_state in zip(self.values, self.numbers, strict=True):
            stored = [by_state[state][dimension] for dimension in dimensions]
            pairs = zip(values[name][candidate], zip(*stored, strict=True), strict=True)
            yield from ((value, numbers) for value, numbers in pairs if value is not None)


def observe(subject: LaidOut, *, texts: int, seed: int) -> Observed:
    """Run the program and its ideal circuits on some texts.

    Args:
        subject: what is known of the model.
        texts: about how many texts are run, if there are more.
        seed: of the texts.
    """
    circuits = resolve(subject.circuits)
    values: list[Values] = []
    numbers: list[tuple[dict[str, Exact], ...]] = []
    for rows in _texts(subject, texts, seed):
        kept: list[int] = []
        for row, ids in enumerate(rows.tolist()):
            tokens = [circuits.vocabulary.tokens[place] for place in ids]
            try:
                values.append(known_values(subject, tokens))
            except AssumptionError:  # a text that no prompt begins with
                continue
            kept.append(row)
        if kept:
            numbers += _numbers(circuits, rows[kept])
    return Observed(tuple(values), tuple(numbers))


def known_values(subject: LaidOut, tokens: Sequence[str]) -> Values:
    """What the program says of a text, and what is embedded: the token or the position.

    Raises:
        AssumptionError: the text breaks an assumption of the program.
    """
    tables: dict[str, set[str]] = {}
    for table in subject.circuits.embedding:
        tables.setdefault(table.subspace.name, set()).add(table.of)
    known: dict[str, tuple[Value, ...]] = {"token": tuple(tokens), "position": (*range(len(tokens)),)}
    embedded = {name: (known[of.pop()],) for name, of in tables.items() if len(of) == 1}
    return embedded if subject.oracle is None else {**embedded, **subject.oracle(tokens)}


def _texts(subject: LaidOut, count: int, seed: int) -> list[Ids]:
    """The texts to run: those of the prompts, with what is written in them."""
    if not subject.predicts:
        return drawn_texts(subject, count, seed)
    sampled = sample_contexts(subject, count, seed)
    return [each.texts[:count] for each in sampled.by_length]


def _numbers(circuits: Circuits, ids: Ids) -> Iterator[tuple[dict[str, Exact], ...]]:
    """For each text, the numbers of every state of the ideal stream, by the names of dimensions."""
    found = ideal_states(circuits, ids)
    states = [
        {
            name: column
            for subspace, array in stream.items()
            for name, column in zip(subspace.dimension_names, array.plain.T, strict=True)
        }
        for stream in found.states
    ]
    for row in found.prefixes.of:
        yield tuple({name: column[row] for name, column in state.items()} for state in states)
