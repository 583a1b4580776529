"""The sum of squares at every norm, and whether it is the same for every input (*static*).

In a mirrored layout the mean is always 0. The sum of squares is static if every subspace contains a
codeword of constant length; this is tracked from block to block. If it is not static at a norm whose
result is read, the layout needs ballast, unless all that is read are sums that are compared with 0: it
is enough then that the norm never divides by more than is planned. If it is the same number at all
norms, added constants can make the norms divide by a power of two, so that no dtype rounds a gain.

RMSNorm subtracts no mean, so nothing is stored twice before it; the rest is the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from fractions import Fraction
from math import isqrt

from handcraft.circuits import Circuits, Encoding, Head, LinearMap, Subspace, Table
from handcraft.circuits.number import Plain, evaluate
from handcraft.display import short_repr
from handcraft.weights.layers import Layer
from handcraft.weights.layout import Layout


@short_repr
@dataclass(frozen=True)
class NormInput:
    """The input of one LayerNorm.

    Args:
        name: of the norm, such as ``h.0.ln_1``.
        sum_of_squares: of the part that is static, ballast included.
        varying: the subspaces whose length changes with the input.
        is_read: whether anything depends on the scale of the result.
        least: the smallest sum of squares, where the other is the largest that can occur; all that is
            read then are sums that are compared with 0, which are right on any larger scale too.
    """

    name: str
    sum_of_squares: Plain
    varying: tuple[Subspace, ...]
    is_read: bool
    least: Plain | None = None


def needs_ballast(inputs: tuple[NormInput, ...]) -> bool:
    """Whether the sum of squares is not static at some norm that is read."""
    return any(norm.is_read and norm.varying for norm in inputs)


NAMES = ("h.{}.ln_1", "h.{}.ln_2", "ln_f")
"""What the norms of a GPT-2 are called."""

LLAMA_NAMES = ("layers.{}.input_layernorm", "layers.{}.post_attention_layernorm", "norm")
"""What those of a Llama are called."""


def norm_inputs(circuits: Circuits, layout: Layout, layers: tuple[Layer, ...]) -> tuple[NormInput, ...]:
    """The inputs of all norms, in order: before attention and MLP of each layer, then the last one.

    The scale of the result of the last is not read if only the order of logits matters, because it
    multiplies every logit by the same positive factor.
    """
    sides = 2 if layout.is_mirrored else 1
    is_rotary = not layout.is_mirrored  # constants are read then, in place of biases
    lengths = _Lengths(circuits, sides)
    constant = sum(number**2 for _, number in layout.constants)
    before_heads, before_units, at_last = NAMES if layout.is_mirrored else LLAMA_NAMES
    found: list[NormInput] = []

    def see(name: str, is_read: bool, kept: tuple[Subspace, ...] = (), squares: Plain = 0) -> NormInput:
        varying = tuple(s for s in circuits.stream if lengths.of[s] is None and s not in kept)
        known = (n for s, n in lengths.of.items() if n is not None and s not in kept)
        static = sum(known, start=constant + squares)
        found.append(NormInput(name, static, varying, is_read))
        return found[-1]

    for number, layer in enumerate(layers):
        see(before_heads.format(number), bool(layer.heads or (is_rotary and layer.attention_bias)))
        lengths.after_attention(layer)
        norm = see(before_units.format(number), bool(layer.units or (is_rotary and layer.mlp_bias)))
        bounds = dict(layer.bounds)
        is_bounded = norm.varying and bounds.keys() >= set(norm.varying)
        if is_bounded and all(unit.compares_with_0 for unit in layer.units):
            least = norm.sum_of_squares
            most = least + sides * sum(bounds[subspace] for subspace in norm.varying)
            found[-1] = replace(norm, sum_of_squares=most, is_read=False, least=least)
        lengths.after_mlp(layer)
    if circuits.logit_scale is None or circuits.unembedding is None:
        see(at_last, False)
    else:  # squares count twice where there are opposites
        see(
            at_last,
            True,
            (circuits.unembedding, circuits.logit_scale.rest),
            sides * circuits.logit_scale.squares,
        )
    return tuple(found)


def is_level(inputs: tuple[NormInput, ...]) -> bool:
    """Whether all norms whose scale is read have the same static sum of squares."""
    read = [norm for norm in inputs if norm.is_read]
    return len({norm.sum_of_squares for norm in read}) == 1 and not any(norm.varying for norm in read)


def divides_exactly(inputs: tuple[NormInput, ...], layout: Layout) -> bool:
    """Whether every norm always divides by one and the same power of two."""
    if not is_level(inputs):
        return False
    norm = next(norm for norm in inputs if norm.is_read)
    squares = Fraction(norm.sum_of_squares) / layout.n_embd
    return any(squares == Fraction(4) ** power for power in range(MOST_POWERS + 1))


def level_fill(norm: NormInput, layout: Layout, powers: Iterable[int] | None = None) -> tuple[int, ...]:
    """Constants for spare dimensions that make a norm divide by a power of two.

    The sum of squares becomes 4**k n_embd. The missing part must be a sum of squares, in a mirrored
    layout twice one. Every whole number is the sum of four squares (Lagrange); with fewer spare
    dimensions there may be no solution.

    Args:
        norm: the norm.
        layout: with spare dimensions.
        powers: which k may be; by default small ones.

    Returns:
        The constants; none if nothing is missing, or if there is no solution.
    """
    sides = 2 if layout.is_mirrored else 1
    most = min(4, (layout.n_embd - layout.width) // sides)
    for power in range(POWERS + 1) if powers is None else powers:
        missing = (Fraction(4) ** power * layout.n_embd - norm.sum_of_squares) / sides
        if missing >= 0 and missing.denominator == 1:
            found = _as_squares(int(missing), most)
            if found is not None:
                return found
    return ()


POWERS = 4
"""Norms are made to divide by 1 to 2**4: next to a smaller number, their epsilon would matter."""

MOST_POWERS = 12
"""More is not needed beside any epsilon below 1/2."""


def _as_squares(total: int, most: int) -> tuple[int, ...] | None:
    """At most so many numbers whose squares add up to a total, large ones first; None if none do."""
    if total == 0:
        return ()
    if most == 0:
        return None
    root = isqrt(total)
    if most == 1:
        return (root,) if root**2 == total else None
    for largest in range(root, isqrt((total - 1) // most), -1):  # the others are not larger
        rest = _as_squares(total - largest**2, most - 1)
        if rest is not None:
            return (largest, *rest)
    return None


class _Lengths:
    """The sum of squares of every subspace, its opposites included; None where it varies."""

    def __init__(self, circuits: Circuits, sides: int) -> None:
        self.values = circuits.values
        self.sides = sides
        self.of: dict[Subspace, Plain | None] = {
            s: sides if s.encoding is Encoding.FLAG else 0 for s in circuits.stream
        }
        self.untouched = set(circuits.stream)
        for table in circuits.embedding:
            fresh = table.subspace in self.untouched
            self._set(table.subspace, self._table_length(table) if fresh else None)

    def after_attention(self, layer: Layer) -> None:
        """Update the lengths with what the heads write."""
        writes: dict[Subspace, list[tuple[Head, LinearMap]]] = {}
        for head in layer.heads:
            for linear in head.writes:
                writes.setdefault(linear.target, []).append((head, linear))
        biased = {each.adds.subspace for each in layer.attention_bias}
        written: dict[Subspace, Plain | None] = dict.fromkeys(biased)
        for subspace, writers in writes.items():
            alone = len(writers) == 1 and subspace in self.untouched and subspace not in biased
            written[subspace] = self._moved_length(*writers[0]) if alone else None
        for subspace, length in (written | self._settled_lengths(layer.kept)).items():
            self._set(subspace, length)

    def after_mlp(self, layer: Layer) -> None:
        """Update the lengths with what units write: a flag that one neuron writes stays -1 or +1."""
        settled = self._settled_lengths((*layer.settled, *layer.kept))
        writers: dict[Subspace, set[str]] = {}
        otherwise = {each.adds.subspace for each in layer.mlp_bias}
        for unit in layer.units:
            for write in unit.neuron.writes:
                writers.setdefault(write.subspace, set()).add(unit.neuron.name)
                if write.subspace.encoding is not Encoding.FLAG or write.entries != ((0, 1),):
                    otherwise.add(write.subspace)
        for subspace in writers.keys() | otherwise:
            raised = len(writers.get(subspace, ())) == 1 and subspace not in otherwise
            still = raised and subspace in self.untouched
            length = self.of[subspace] if still else None
            self._set(subspace, settled.get(subspace, length))

    def _settled_lengths(self, subspaces: Iterable[Subspace]) -> dict[Subspace, Plain | None]:
        """The sum of squares of every codeword, its opposites included; None where it varies."""
        lengths: dict[Subspace, Plain | None] = {}
        for subspace in subspaces:
            if subspace.encoding is Encoding.SIGNED_BITS:
                lengths[subspace] = self.sides * subspace.width
            else:
                is_unit = subspace.encoding in (Encoding.ONE_HOT, Encoding.FLAG)
                lengths[subspace] = self.sides if is_unit else None
        return lengths

    def _set(self, subspace: Subspace, length: Plain | None) -> None:
        self.of[subspace] = 0 if subspace.encoding is Encoding.SMALL else length
        self.untouched.discard(subspace)

    def _moved_length(self, head: Head, write: LinearMap) -> Plain | None:
        """The length of what a head that picks one source writes; None where it varies."""
        moves = [m for m in head.moves if m.target == write.source]
        if not head.attends.picks_one or len(moves) != 1 or self.of[moves[0].source] is None:
            return None
        source = moves[0].source
        if source.encoding is Encoding.ONE_HOT:
            rows = self._composed(moves[0], write)
            return _common([self.sides * sum(n * n for n in row.values()) for row in rows])
        if source.encoding is Encoding.SIGNED_BITS and _is_copy(moves[0]) and _is_copy(write):
            return self.sides * source.width
        return None

    def _table_length(self, table: Table) -> Plain | None:
        """The sum of squares that a table puts into its subspace, where all rows have the same."""
        if table.subspace.encoding is Encoding.SCALAR:
            return None
        if table.subspace.encoding is Encoding.FLAG:
            flags = [sum(evaluate(n, self.values) for _, n in row) for row in set(table.rows)]
            return _common([self.sides * (2 * each - 1) ** 2 for each in flags])
        return _common([self.sides * evaluate(each, self.values) for each in table.lengths])

    def _composed(self, first: LinearMap, second: LinearMap) -> list[dict[int, Plain]]:
        """For each dimension of the source of `first`, its numbers in the target of `second`."""
        onward: dict[int, list[tuple[int, Plain]]] = {}
        for i, j, number in second.entries:
            onward.setdefault(i, []).append((j, evaluate(number, self.values)))
        rows: list[dict[int, Plain]] = [{} for _ in range(first.source.width)]
        for i, j, number in first.entries:
            for k, factor in onward.get(j, ()):
                rows[i][k] = rows[i].get(k, 0) + evaluate(number, self.values) * factor
        return rows


def _is_copy(linear: LinearMap) -> bool:
    return sorted(linear.entries) == [(i, i, 1) for i in range(linear.source.width)]


def _common(lengths: list[Plain]) -> Plain | None:
    """The length of all, if they are equal up to the rounding of cosines and sines in float64."""
    low, high = min(lengths), max(lengths)
    return low if low == high or (high - low) * 10**12 < high else None
