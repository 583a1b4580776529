"""Where every named value of a program is stored in the residual stream of its model, and when.

The residual stream has *states*: 0 is the embedding, 2 i + 1 comes after the heads and 2 i + 2 after
the MLP of block i. A value is there from the state in which the last part of it is written, until
something else is written to the same dimensions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

import numpy as np
import numpy.typing as npt

from handcraft.circuits import Subspace
from handcraft.circuits.lifetimes import NEVER, lifetimes
from handcraft.circuits.number import Plain
from handcraft.ground_truth.subject import LaidOut
from handcraft.ground_truth.values.observe import Observed, observe
from handcraft.language.graph.domain import Value
from handcraft.model import Stored
from handcraft.model.layers.attention import Array
from handcraft.origin import Origin
from handcraft.weights import written_at

PART = re.compile(r" \(\d+\)$")
"""Ends the name of a subspace that stores a further number of the same value."""

NUMBERED = re.compile(r", \d+$")
"""Ends the name of a subspace whose value has the name of another."""

Codeword = tuple[Plain, ...]


@dataclass(frozen=True, eq=False)
class Located:
    """A value of the program, and where the model stores it.

    Args:
        name: what the author of the program calls it.
        origin: where it was written; None for parts that the compiler adds.
        encodings: how each subspace of it encodes its part.
        dimensions: the names of the numbers that are stored of it, [width].
        matrix: reads these numbers from the residual stream, [n_embd, width].
        constant: is added to them, [width].
        states: the first and the last state of the stream in which it is complete.
        written: the first state in which any part of it is written.
        read: the last state in which a block reads it; None for a value that nothing reads.
        codewords: for each value that was seen, the exact numbers that are stored for it. If no
            program says what the value is, these are the codewords that the circuits state. None if the
            circuits state none, or if the stored numbers are not a function of the value.
        meant: the expression whose values these are: its name, and its number among the expressions
            with this name.
        seen: at how many positions of texts the program and the ideal circuits were compared.
    """

    name: str
    origin: Origin | None
    encodings: tuple[str, ...]
    dimensions: tuple[str, ...]
    matrix: Array = field(repr=False)
    constant: Array = field(repr=False)
    states: tuple[int, int]
    written: int
    read: int | None
    codewords: Mapping[Value, Codeword] | None = field(default=None, repr=False)
    meant: tuple[str, int] | None = None
    seen: int = 0

    @property
    def cells(self) -> tuple[int, ...]:
        """The dimensions of the residual stream that it is read from."""
        return tuple(np.flatnonzero(self.matrix.any(axis=1)).tolist())

    def numbers(self, stream: Array) -> Array:
        """The numbers that are stored of it: [.., n_embd] -> [.., width]."""
        found: Array = stream.astype(np.float64) @ self.matrix + self.constant
        return found

    def decode(self, stream: Array) -> npt.NDArray[np.object_]:
        """The values with the codeword that is nearest to the stream: [.., n_embd] -> [..].

        Each entry is a tuple of values: several, if no reader distinguishes them, since those have
        the same codeword.
        """
        assert self.codewords is not None
        words = list(dict.fromkeys(self.codewords.values()))
        table = np.array([[float(n) for n in word] for word in words])  # [codeword, width]
        numbers = self.numbers(stream)[..., None, :]  # [.., 1, width]
        nearest = np.square(numbers - table).sum(axis=-1).argmin(axis=-1)
        alike = [tuple(v for v, w in self.codewords.items() if w == word) for word in words]
        found = np.empty(nearest.shape, dtype=object)
        for index in np.ndindex(nearest.shape):
            found[index] = alike[nearest[index]]
        return found


def locate(subject: LaidOut, *, texts: int = 256, seed: int = 0) -> tuple[Located, ...]:
    """Every value that the residual stream stores, in the order of its dimensions.

    The layout of the model says where each value is stored. Its codewords are found by running the
    program and the ideal circuits, both with exact numbers, on the same texts.

    Args:
        subject: what is known of the model.
        texts: about how many texts are run, if there are more.
        seed: of the texts.
    """
    found = [_place(subject, name, parts) for name, parts in _values(subject)]
    observed = observe(subject, texts=texts, seed=seed)
    return tuple(_with_codewords(each, observed, subject) for each in found)


def state_name(subject: LaidOut, state: int) -> str:
    """A state as a trace of the model calls it."""
    if state == 0:
        return "embedding"
    block, is_after_mlp = divmod(state - 1, 2)
    layers = [n for n, layer in enumerate(subject.layers) if layer.block == block]
    done = subject.done(2 * layers[-1] + 2 if is_after_mlp else 2 * layers[0] + 1)
    return f"h.{(done - 1) // 2}.{'output' if is_after_mlp else 'after_attention'}"


def _values(subject: LaidOut) -> Iterator[tuple[str, list[Stored]]]:
    """The values, each with the subspaces that store its numbers."""
    for name, parts in groupby(subject.stored, key=lambda stored: PART.sub("", stored.name)):
        yield name, list(parts)


def _place(subject: LaidOut, name: str, parts: Sequence[Stored]) -> Located:
    circuits = subject.circuits
    by_name = {subspace.name: subspace for subspace in circuits.stream}
    subspaces = [by_name[part.name] for part in parts]
    written, cleared = written_at(circuits)
    known = lifetimes(circuits)
    end = 2 * len(circuits.blocks)
    whole, until, first, read = 0, end, end, NEVER
    for subspace in subspaces:
        states = sorted(written.get(subspace, {0}))
        # What becomes the logits is the token first, until something is added to it.
        complete = states[0] if subspace == circuits.unembedding else states[-1]
        whole, first = max(whole, complete), min(first, states[0])
        later = [state for state in states if state > complete]
        until = min([until, *(state - 1 for state in later)])
        if subspace in cleared:
            until = min(until, cleared[subspace] - 1)
        until = min([until, *_reused(subject, subspace, complete)])
        read = max(read, known[subspace].read if subspace in known else NEVER)
    return Located(
        name,
        _origin(subject, name, parts),
        tuple(subspace.encoding.value for subspace in subspaces),
        tuple(dimension for part in parts for dimension in part.dimensions),
        np.hstack([part.matrix for part in parts]),
        np.concatenate([part.constant for part in parts]),
        (whole, max(whole, until)),
        first,
        None if read == NEVER else read,
    )


def _reused(subject: LaidOut, subspace: Subspace, complete: int) -> Iterator[int]:
    """The last state before another subspace is written to its dimensions."""
    known = lifetimes(subject.circuits)
    for reuse in subject.circuits.reuses:
        if reuse.within == subspace and known[reuse.subspace].born > complete:
            yield known[reuse.subspace].born - 1


def _origin(subject: LaidOut, name: str, parts: Sequence[Stored]) -> Origin | None:
    """Where a value was written: what has its name and is served by what writes to it."""
    names = (name, *(part.name for part in parts), NUMBERED.sub("", name))
    return next((subject.origins[each] for each in names if each in subject.origins), None)


def _with_codewords(value: Located, observed: Observed, subject: LaidOut) -> Located:
    """The value with the numbers that are stored of each of its values.

    Of several expressions with one name it is one of which the numbers are a function: that which has
    a value at the most positions.
    """
    name = value.name if observed.candidates(value.name) else NUMBERED.sub("", value.name)
    found: list[tuple[int, int, dict[Value, Codeword]]] = []
    for candidate in range(observed.candidates(name)):
        pairs = [*observed.of(name, candidate, value.dimensions, value.states[0])]
        words = _function(pairs)
        if words:
            found.append((len(pairs), candidate, words))
    if found:
        seen, candidate, words = max(found, key=lambda each: each[:2])
        return replace(value, codewords=words, meant=(name, candidate), seen=seen)
    if observed.candidates(name) or subject.oracle is not None:
        return value
    return replace(value, codewords=_stated(value, subject))


def _function(pairs: Sequence[tuple[Value, Codeword]]) -> dict[Value, Codeword] | None:
    """The numbers that are stored of each value; None if they are not the same wherever it occurs."""
    words: dict[tuple[bool, Value], Codeword] = {}
    for meant, numbers in pairs:
        if words.setdefault((isinstance(meant, bool), meant), numbers) != numbers:
            return None
    return {meant: words[is_flag, meant] for is_flag, meant in sorted(words)}


def _stated(value: Located, subject: LaidOut) -> Mapping[Value, Codeword] | None:
    """The codewords that the circuits state, for a value of one subspace whose program is not known."""
    found = [s for s in subject.circuits.stream if s.name == value.name and s.values]
    if len(found) != 1 or found[0].width != len(value.dimensions):
        return None
    return {each: found[0].codeword(each) for each in found[0].values}
