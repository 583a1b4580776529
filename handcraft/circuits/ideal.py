"""The ideal interpreter: circuits run with hard attention and exact numbers.

Numbers are integers, fractions after a mean, and symbols where the circuits have symbols.
Nothing is rounded. Each distinct prefix of the texts is computed once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from handcraft.circuits.circuits import Bias, Block, Circuits
from handcraft.circuits.exact_array import ExactArray, add, combine, take
from handcraft.circuits.ideal_heads import Numbers, attend
from handcraft.circuits.neuron import Neuron, Ramp
from handcraft.circuits.number import Number
from handcraft.circuits.prefixes import Ids, Prefixes
from handcraft.circuits.resolve import resolve
from handcraft.circuits.subspace import Coefficients, Encoding, Subspace
from handcraft.errors import CircuitError

Exact = npt.NDArray[np.object_]
"""Integers, fractions and symbols."""

UNITS = 1024
"""How many neurons are summed at once."""


@dataclass(frozen=True, eq=False)
class Stream(Mapping[Subspace, Exact]):
    """The residual stream on some texts; of each subspace [text, position, width]."""

    numbers: Numbers
    prefixes: Prefixes
    _plain: dict[Subspace, Exact] = field(default_factory=dict, repr=False)

    def __getitem__(self, subspace: Subspace) -> Exact:
        if subspace not in self._plain:
            self._plain[subspace] = self.numbers[subspace].plain[self.prefixes.of]
        return self._plain[subspace]

    def __iter__(self) -> Iterator[Subspace]:
        return iter(self.numbers)

    def __len__(self) -> int:
        return len(self.numbers)


def ideal_logits(circuits: Circuits, tokens: npt.ArrayLike) -> Exact:
    """The logits of `circuits` with hard attention and exact arithmetic.

    `tokens` is [batch, position]. Symbols stay symbols.

    Returns:
        [batch, position, vocabulary], of integers, fractions or sympy expressions.

    Raises:
        CircuitError: more positions than the context, or scores whose order a symbol leaves open.
    """
    logits, prefixes = logits_of_prefixes(circuits, tokens)
    return logits.plain[prefixes.of]


def logits_of_prefixes(circuits: Circuits, tokens: npt.ArrayLike) -> tuple[ExactArray, Prefixes]:
    """The logits after each distinct prefix of the texts: [prefix, vocabulary]."""
    unembedding = circuits.unembedding
    if unembedding is None:
        _checked(circuits, tokens)
        raise CircuitError("these circuits have no unembedding", fix="use ideal_stream()")
    stream = ideal_stream(circuits, tokens)
    logits = stream.numbers[unembedding]
    tokens_alone = circuits.vocabulary.tokens
    if unembedding.encoding is not Encoding.ONE_HOT:
        entries = [
            (i, token, number)
            for token, value in enumerate(tokens_alone)
            for i, number in unembedding.entries(value)
        ]
        logits = combine([(logits, entries)], len(tokens_alone))
    elif circuits.begin is not None:
        logits = take(logits, (slice(None), list(range(len(tokens_alone)))))
    return logits, stream.prefixes


def ideal_stream(circuits: Circuits, tokens: npt.ArrayLike) -> Stream:
    """The residual stream after the last block, with hard attention and exact arithmetic.

    `tokens` is [batch, position]. Symbols stay symbols.

    Returns:
        For each subspace [batch, position, width]; the begin token is left out.

    Raises:
        CircuitError: more positions than the context, or scores whose order a symbol leaves open.
    """
    width = max((subspace.width for subspace in circuits.stream), default=1)
    ids = _checked(circuits, tokens)
    if circuits.begin is not None:
        ids = np.pad(ids, ((0, 0), (1, 0)), constant_values=len(circuits.vocabulary))
    prefixes = Prefixes.of_texts(ids, causal=circuits.causal, width=width)
    if circuits.begin is not None:
        prefixes = replace(prefixes, of=prefixes.of[:, 1:])
    numbers = embed(circuits, prefixes)
    for block in circuits.blocks:
        numbers = run_block(block, numbers, prefixes)
    return Stream(numbers, prefixes)


def stream_at_begin(circuits: Circuits) -> tuple[dict[Subspace, tuple[Number, ...]], ...]:
    """The residual stream at the begin token, which sees nothing but itself: the same in every text.

    Returns:
        What every subspace stores before each block, and after the last.
    """
    ids = np.full((1, 1), len(circuits.vocabulary))
    prefixes = Prefixes.of_texts(ids, causal=True)
    numbers = embed(circuits, prefixes)
    streams = [numbers]
    for block in circuits.blocks:
        numbers = run_block(block, numbers, prefixes)
        streams.append(numbers)
    return tuple(
        {subspace: tuple(array.plain[0]) for subspace, array in each.items()} for each in streams
    )


def _checked(circuits: Circuits, tokens: npt.ArrayLike) -> Ids:
    ids = np.asarray(tokens, dtype=np.int64)
    if ids.ndim != 2 or ids.shape[1] > circuits.context:
        raise CircuitError(
            f"tokens of shape {ids.shape} for a context of {circuits.context}",
            fix="give [batch, position] with at most that many positions",
        )
    return ids


def ideal_next(circuits: Circuits, tokens: npt.ArrayLike) -> Ids:
    """The id of the highest logit at every position: [batch, position].

    Symbols are given their values first. Where the highest logit is shared the answer is -1: a tie
    is no answer.
    """
    logits, prefixes = logits_of_prefixes(resolve(circuits), tokens)
    best = logits.tops.max(axis=-1, keepdims=True)
    wins = np.asarray(logits.tops == best, dtype=bool)  # [prefix, vocabulary]
    answers = np.where(wins.sum(axis=-1) == 1, wins.argmax(axis=-1), -1)
    return np.asarray(answers[prefixes.of])


def embed(circuits: Circuits, prefixes: Prefixes) -> dict[Subspace, ExactArray]:
    """The residual stream as it enters the first block."""
    numbers: dict[Subspace, ExactArray] = {}
    for table in circuits.embedding:
        rows = ExactArray.of_rows(table.rows, table.subspace.width)
        places = prefixes.tokens if table.of == "token" else prefixes.positions
        found = take(rows, places)
        numbers[table.subspace] = (
            add([numbers[table.subspace], found]) if table.subspace in numbers else found
        )
    for subspace in circuits.stream:
        numbers.setdefault(subspace, combine([], subspace.width, rows=len(prefixes)))
    return {subspace: numbers[subspace] for subspace in circuits.stream}


def run_block(block: Block, stream: Numbers, prefixes: Prefixes) -> dict[Subspace, ExactArray]:
    """The residual stream after the heads and the neurons of one block."""
    moved = [(head, *attend(head, stream, prefixes)) for head in block.heads]
    parts = [
        (
            means,
            [
                (linear.target, columns[linear.source, i], j, number)
                for linear in head.writes
                for i, j, number in linear.entries
                if (linear.source, i) in columns
            ],
        )
        for head, means, columns in moved
    ]
    after_heads = _written(stream, parts, block.attention_bias)
    units: list[tuple[ExactArray, list[Write]]] = []
    for start in range(0, len(block.neurons), UNITS):
        for outputs, neurons in neuron_outputs(block.neurons[start : start + UNITS], after_heads):
            writes = [
                (write.subspace, i, j, number)
                for i, neuron in enumerate(neurons)
                for write in neuron.writes
                for j, number in write.entries
            ]
            units.append((outputs, writes))
    return _written(after_heads, units, block.neuron_bias)


Write = tuple[Subspace, int, int, Number]
"""The subspace that is written to, the column that is read, the dimension written, the number."""


def _written(
    stream: Numbers, parts: Iterable[tuple[ExactArray, list[Write]]], biases: Iterable[Bias]
) -> dict[Subspace, ExactArray]:
    """The residual stream after something is added to it."""
    reads: dict[Subspace, list[tuple[ExactArray, list[tuple[int, int, Number]]]]] = {}
    for array, writes in parts:
        entries: dict[Subspace, list[tuple[int, int, Number]]] = {}
        for subspace, i, j, number in writes:
            entries.setdefault(subspace, []).append((i, j, number))
        for subspace, listed in entries.items():
            reads.setdefault(subspace, []).append((array, listed))
    constants: dict[Subspace, list[tuple[int, Number]]] = {}
    for each in biases:
        constants.setdefault(each.adds.subspace, []).extend(each.adds.entries)
    after = dict(stream)
    for subspace in dict.fromkeys([*reads, *constants]):
        old = stream[subspace]
        added = combine(
            reads.get(subspace, ()), subspace.width, constants.get(subspace, ()), rows=len(old)
        )
        after[subspace] = add([old, added])
    return after


def neuron_outputs(
    neurons: Sequence[Neuron | Ramp], stream: Numbers, rows: int = 1
) -> Iterator[tuple[ExactArray, Sequence[Neuron | Ramp]]]:
    """What neurons multiply their writes with: [prefix, neuron], and which neurons.

    `rows` is how many prefixes there are, where nothing is read.

    Raises:
        CircuitError: a sum is in the gap below the threshold, which must never happen.
    """
    steps = [neuron for neuron in neurons if isinstance(neuron, Neuron)]
    if steps:
        yield _steps(steps, stream, rows), steps
    for ramp in neurons:
        if isinstance(ramp, Ramp):
            number = _sums([ramp.reads], stream, [(0, ramp.constant)], rows)
            gate = _sums([ramp.gate], stream, [(0, ramp.gate_constant)], rows)
            tops = np.where(gate.reaches([1]), number.tops, 0)
            yield ExactArray(tops, number.below, number.most), [ramp]


def _steps(neurons: Sequence[Neuron], stream: Numbers, rows: int) -> ExactArray:
    sums = _sums([neuron.reads for neuron in neurons], stream, (), rows)
    reached = sums.reaches([neuron.at_least for neuron in neurons])
    gapped = [i for i, neuron in enumerate(neurons) if neuron.gap is not None]
    if gapped:
        lowest = [neurons[i].at_least - (neurons[i].gap or 0) for i in gapped]
        columns = take(sums, (slice(None), gapped))
        close = columns.exceeds(lowest) & ~reached[:, gapped]
        if close.any():
            row, column = np.argwhere(close)[0].tolist()
            neuron = neurons[gapped[column]]
            raise CircuitError(
                f"`{neuron.name}` sums to {take(columns, ([row], [column])).plain[0]}, within "
                f"{neuron.gap} of its threshold {neuron.at_least}",
                fix="state the actual gap",
            )
    return ExactArray(reached.astype(np.float64), 1, 1)


def _sums(
    reads: Sequence[Iterable[Coefficients]],
    stream: Numbers,
    constants: Iterable[tuple[int, Number]],
    rows: int,
) -> ExactArray:
    """The sum of each of some neurons: [prefix, neuron]."""
    entries: dict[Subspace, list[tuple[int, int, Number]]] = {}
    for column, each in enumerate(reads):
        for read in each:
            listed = entries.setdefault(read.subspace, [])
            listed += [(i, column, number) for i, number in read.entries]
    parts = [(stream[subspace], listed) for subspace, listed in entries.items()]
    return combine(parts, len(reads), constants, rows=len(next(iter(stream.values()), range(rows))))
