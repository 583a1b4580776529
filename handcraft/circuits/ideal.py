"""The ideal interpreter: circuits run with hard attention and exact numbers.

Arrays hold Python objects: integers where everything is an integer, fractions where a mean asks for
them, symbols where a symbol was given. Nothing is rounded.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from handcraft.circuits.circuits import Bias, Block, Circuits, Table
from handcraft.circuits.head import AttentionWeights, Head
from handcraft.circuits.linear_map import LinearMap
from handcraft.circuits.neuron import Neuron, Ramp
from handcraft.circuits.resolve import resolve
from handcraft.circuits.subspace import Coefficients, Encoding, Subspace
from handcraft.errors import CircuitError

Exact = npt.NDArray[np.object_]
Stream = dict[Subspace, Exact]
"""For each subspace of the residual stream, what it holds: [batch, position, width].

A subspace that depends on the position alone keeps a batch of 1.
"""


def ideal_logits(circuits: Circuits, tokens: npt.ArrayLike) -> Exact:
    """The logits of `circuits` with hard attention and exact arithmetic.

    Args:
        circuits: the circuits; their symbols stay symbols.
        tokens: token ids, [batch, position].

    Returns:
        [batch, position, vocabulary], of integers, fractions or sympy expressions.

    Raises:
        CircuitError: more positions than the context, or scores whose order a symbol leaves open.
    """
    ids = np.asarray(tokens, dtype=np.int64)
    if circuits.unembedding is None:
        raise CircuitError("these circuits have no unembedding", fix="use ideal_stream()")
    logits = ideal_stream(circuits, ids)[circuits.unembedding]
    if circuits.unembedding.encoding is not Encoding.ONE_HOT:
        words = np.array([*map(circuits.unembedding.codeword, circuits.unembedding.values)], object)
        logits = logits @ words.T  # [.., width] @ [width, vocabulary]
    return np.broadcast_to(logits, (*ids.shape, logits.shape[-1]))


def ideal_stream(circuits: Circuits, tokens: npt.ArrayLike) -> Stream:
    """The residual stream after the last block, with hard attention and exact arithmetic.

    Args:
        circuits: the circuits; their symbols stay symbols.
        tokens: token ids, [batch, position].

    Returns:
        For each subspace [batch, position, width].

    Raises:
        CircuitError: more positions than the context, or scores whose order a symbol leaves open.
    """
    ids = np.asarray(tokens, dtype=np.int64)
    if ids.ndim != 2 or ids.shape[1] > circuits.context:
        raise CircuitError(
            f"tokens of shape {ids.shape} for a context of {circuits.context}",
            fix="give [batch, position] with at most that many positions",
        )
    stream = embed(circuits, ids)
    for block in circuits.blocks:
        stream = run_block(block, stream, causal=circuits.causal)
    return stream


def ideal_next(circuits: Circuits, tokens: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """The id of the highest logit at every position: [batch, position].

    Symbols are given their values first. Where the highest logit is shared the answer is -1: a tie
    is no answer.
    """
    logits = ideal_logits(resolve(circuits), tokens)
    best = logits.max(axis=-1, keepdims=True)
    wins = np.asarray(logits == best, dtype=bool)  # [batch, position, vocabulary]
    answers = wins.argmax(axis=-1)
    return np.where(wins.sum(axis=-1) == 1, answers, -1)


def embed(circuits: Circuits, ids: npt.NDArray[np.int64]) -> Stream:
    """The residual stream as it enters the first block."""
    stream: Stream = {s: _zeros(1, ids.shape[1], s.width) for s in circuits.stream}
    for table in circuits.embedding:
        rows = _dense(table)
        added = rows[ids] if table.of == "token" else rows[None, : ids.shape[1]]
        stream[table.subspace] = stream[table.subspace] + added
    return stream


def run_block(block: Block, stream: Stream, *, causal: bool = True) -> Stream:
    """The residual stream after the heads and the neurons of one block."""
    after_heads = dict(stream)
    for head in block.heads:
        for subspace, written in _apply(head.writes, _attend(head, stream, causal)).items():
            after_heads[subspace] = after_heads[subspace] + written
    _add_bias(block.attention_bias, after_heads)
    after = dict(after_heads)
    for neuron in block.neurons:
        fires = neuron_output(neuron, after_heads)  # [batch, position]
        for write in neuron.writes:
            after[write.subspace] = after[write.subspace] + _outer(fires, write)
    _add_bias(block.neuron_bias, after)
    return after


def hard_pattern(head: Head, stream: Stream, *, causal: bool = True) -> Exact:
    """The attention pattern: 1 shared among the highest scores; [batch, destination, source].

    Where the head states attention weights, those. The sharpness does not matter here: any positive
    number leaves the order of scores as it is.
    """
    scores = _scores(head, stream)
    if head.attends.attention_weights is not None:
        return _shared(head.attends.attention_weights, scores.shape[1])
    try:
        return _hardest(scores, causal)
    except TypeError as error:
        raise CircuitError(
            f"the order of the scores of `{head.name}` depends on a symbol: {error}",
            fix="give the symbol its value, or use it as the sharpness",
        ) from error


def _shared(weights: Sequence[AttentionWeights], length: int) -> Exact:
    """The pattern that is stated for each destination."""
    pattern = _zeros(1, length, length)
    for here in range(length):
        for there, weight in weights[here]:
            pattern[0, here, there] = weight
    return pattern


def _hardest(scores: Exact, causal: bool) -> Exact:
    pattern = _zeros(*scores.shape)
    for here in range(scores.shape[1]):
        seen = here + 1 if causal else scores.shape[2]
        visible = scores[:, here, :seen]  # [batch, source]
        wins = visible == visible.max(axis=1, keepdims=True)
        counts = wins.sum(axis=1)
        for count in set(counts.tolist()):
            rows = counts == count
            shares = np.array([0, 1 if count == 1 else Fraction(1, int(count))], dtype=object)
            pattern[rows, here, :seen] = shares[wins[rows].astype(int)]
    return pattern


def neuron_output(neuron: Neuron | Ramp, stream: Stream) -> Exact:
    """What a neuron multiplies its writes with: [batch, position].

    Raises:
        CircuitError: a sum that lies in the gap below the threshold, which must never be.
    """
    total = _sum(neuron.reads, stream)
    if isinstance(neuron, Ramp):
        gate = np.asarray(_sum(neuron.gate, stream) + neuron.gate_constant)
        return np.asarray(np.where(gate >= 1, total + neuron.constant, 0), dtype=object)
    reached = np.asarray(total >= neuron.at_least, dtype=bool)
    if neuron.gap is not None:
        close = ~reached & np.asarray(total > neuron.at_least - neuron.gap, dtype=bool)
        if close.any():
            raise CircuitError(
                f"`{neuron.name}` sums to {np.asarray(total)[close][0]}, within {neuron.gap} of its "
                f"threshold {neuron.at_least}",
                fix="state the gap as it is",
            )
    ones = np.where(reached, 1, 0).astype(object)
    return ones if ones.ndim else ones.reshape(1, 1)


def _sum(reads: Iterable[Coefficients], stream: Stream) -> Any:
    total: Any = 0
    for read in reads:
        for index, number in read.entries:
            total = total + stream[read.subspace][..., index] * number
    return total


def _attend(head: Head, stream: Stream, causal: bool) -> Stream:
    """The mean of what the head moves, in its carried subspaces, at every destination."""
    pattern = hard_pattern(head, stream, causal=causal)
    carried: Stream = {}
    for subspace, values in _apply(head.moves, stream).items():
        batch = max(len(pattern), len(values))
        means = _zeros(batch, *values.shape[1:])
        for here in range(values.shape[1]):
            for there in range(here + 1 if causal else values.shape[1]):
                weight = pattern[:, here, there, None]  # [batch, 1]
                if len(weight) == 1 and weight[0, 0] == 0:
                    continue
                means[:, here] = means[:, here] + weight * values[:, there]
        carried[subspace] = means
    return carried


def _scores(head: Head, stream: Stream) -> Exact:
    queries = _apply(head.attends.query, stream)
    keys = _apply(head.attends.key, stream)
    shape = next(iter(stream.values())).shape[1]
    for added, constants in (
        (queries, head.attends.query_bias),
        (keys, head.attends.key_bias),
    ):
        for each in constants:
            row = _zeros(each.subspace.width)
            for index, number in each.entries:
                row[index] = number
            added[each.subspace] = added.get(each.subspace, _zeros(1, shape, each.subspace.width)) + row
    total: Any = 0
    for subspace in queries.keys() & keys.keys():
        # [batch, destination, width] @ [batch, width, source] -> [batch, destination, source]
        total = total + queries[subspace] @ keys[subspace].swapaxes(1, 2)
    if np.ndim(total) == 0:
        positions = next(iter(stream.values())).shape[1]
        return _zeros(1, positions, positions)
    return np.asarray(total)


def _apply(maps: Iterable[LinearMap], stream: Stream) -> Stream:
    """What `maps` read from `stream`, added up by target: [batch, position, width]."""
    columns: dict[Subspace, list[Any]] = {}
    shape: dict[Subspace, Sequence[int]] = {}
    for linear in maps:
        source = stream[linear.source]
        into = columns.setdefault(linear.target, [0] * linear.target.width)
        shape.setdefault(linear.target, source.shape[:2])
        if len(source) > shape[linear.target][0]:
            shape[linear.target] = source.shape[:2]
        for i, j, number in linear.entries:
            into[j] = into[j] + source[..., i] * number
    return {
        target: np.stack(
            [np.broadcast_to(np.asarray(c, dtype=object), shape[target]) for c in into], axis=-1
        )
        for target, into in columns.items()
    }


def _outer(fires: Exact, write: Coefficients) -> Exact:
    row = _zeros(write.subspace.width)
    for index, number in write.entries:
        row[index] = number
    # [batch, position, 1] * [width] -> [batch, position, width]
    return np.asarray(fires[..., None] * row)


def _add_bias(biases: Iterable[Bias], stream: Stream) -> None:
    for each in biases:
        subspace = each.adds.subspace
        row = _zeros(subspace.width)
        for index, number in each.adds.entries:
            row[index] = number
        stream[subspace] = stream[subspace] + row


def _dense(table: Table) -> Exact:
    rows = _zeros(len(table.rows), table.subspace.width)
    for i, entries in enumerate(table.rows):
        for j, number in entries:
            rows[i, j] = number
    return rows


def _zeros(*shape: int) -> Exact:
    return np.zeros(shape, dtype=object)
