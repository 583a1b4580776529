"""The layers of a model: the heads of each block, and its neurons as hidden units of an MLP."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, lru_cache
from math import ceil, log2

from handcraft.architecture import Activation, Architecture
from handcraft.circuits import Bias, Block, Circuits, Head, Neuron, Ramp, Subspace
from handcraft.circuits.lifetimes import read_by_heads, read_by_neurons
from handcraft.circuits.number import Plain, plainest
from handcraft.display import short_repr
from handcraft.errors import LayoutError


class SpreadError(LayoutError):
    """Neurons that do not fit in one layer, and cannot be spread over several.

    Attributes:
        n_embd: the smallest width at which they fit in one layer.
    """

    n_embd: int


STEEPNESS = 64
"""The factor of the sum in a GELU unit. Sums are integers and thresholds lie a quarter beside
them, so every pre-activation is at least 16 away from 0, where GELU equals ReLU in every dtype and in
runtimes that tabulate it in half precision within |x| < 10. A power of two costs no precision."""

GATE_STEEPNESS = 512
"""The same for the gate of SwiGLU: SiLU is straight only from 89 away from 0 in bfloat16, 88.75 in
float32. So every gate is at least 128 away."""

NEAREST_TO_ZERO: Mapping[Activation, int] = {
    "relu": 0,
    "gelu_tanh": 10,
    "gelu_erf": 10,
    "silu": 89,
}
"""The least distance of every pre-activation from 0, including the error of the norm: the activation is
linear there, see `STEEPNESS`. `verify/facts.py` measures it before anything is saved."""


@short_repr
@dataclass(frozen=True)
class Unit:
    """One hidden unit: activation(gain * sum + constant) * weight.

    In a gated MLP the activation of a ramp's unit is multiplied by the ramp's number, and that of all
    others by 1.

    Args:
        name: its name in explanations of weights.
        neuron: the neuron that it belongs to; its `reads` make the sum.
        gain: the factor of the sum.
        constant: the constant term.
        weight: the factor of the neuron's `writes`.
        gate_gain: the factor of the sum of a ramp's gate.
        compares_with_0: whether it fires where its sum is 0, and else its sum is negative: no positive
            factor changes that, unless it is much smaller than 1.
    """

    name: str
    neuron: Neuron | Ramp
    gain: Plain
    constant: Plain
    weight: Plain
    gate_gain: Plain = 0
    compares_with_0: bool = False


@short_repr
@dataclass(frozen=True)
class Layer:
    """One block of the model.

    Args:
        heads: its attention heads.
        attention_bias: what attention adds at every position.
        units: the hidden units of its MLP.
        mlp_bias: what the MLP adds at every position.
        settled: the subspaces that contain one of their codewords from the end of this block on.
        kept: the subspaces that contain one of their codewords after its heads and after its units.
        bounds: of some subspaces the largest sum of squares that they can have.
        block: the block of the circuits that it computes, or a part of.
    """

    heads: tuple[Head, ...] = ()
    attention_bias: tuple[Bias, ...] = ()
    units: tuple[Unit, ...] = ()
    mlp_bias: tuple[Bias, ...] = ()
    settled: tuple[Subspace, ...] = ()
    kept: tuple[Subspace, ...] = ()
    bounds: tuple[tuple[Subspace, Plain], ...] = ()
    block: int = 0

    @property
    def has_mlp(self) -> bool:
        """Whether the MLP does anything."""
        return bool(self.units or self.mlp_bias)


def build_layers(
    circuits: Circuits, architecture: Architecture, most_units: int | None = None
) -> tuple[Layer, ...]:
    """The layers of some circuits; the neurons of one block may be spread over several.

    `most_units` is the number of hidden units of one layer; None for as many as it takes.

    Raises:
        SpreadError: neurons that do not fit in one layer read what they write.
    """
    layers: list[Layer] = []
    for number, block in enumerate(circuits.blocks):
        units = [unit for neuron in block.neurons for unit in _units(neuron, architecture)]
        size = len(units) if most_units is None else most_units
        if len(units) > size:
            last_words = frozenset(_last_words(circuits, number))
            units = [
                unit
                for neuron in block.neurons
                for unit in _units(neuron, architecture, last_words.issuperset(_written(neuron)))
            ]
        chunks = [tuple(units[i : i + size]) for i in range(0, len(units), size or 1)] or [()]
        if len(chunks) > 1:
            _check_spread(block, number, len(units), size)
        last = len(chunks) - 1
        for i, chunk in enumerate(chunks):
            layers.append(
                Layer(
                    heads=block.heads if i == 0 else (),
                    attention_bias=block.attention_bias if i == 0 else (),
                    units=chunk,
                    mlp_bias=block.neuron_bias if i == last else (),
                    settled=block.settled if i == last else (),
                    kept=block.kept,
                    bounds=block.bounds,
                    block=number,
                )
            )
    return tuple(layers or [Layer()])


def _last_words(circuits: Circuits, number: int) -> Iterator[Subspace]:
    """The logits, where only the unembedding reads what neurons of a block write there."""
    block, later = circuits.blocks[number], circuits.blocks[number + 1 :]
    read = {subspace for each in (block, *later) for subspace in read_by_neurons(each)}
    read |= {subspace for each in later for subspace in read_by_heads(each)}
    if circuits.unembedding is not None and circuits.unembedding not in read:
        yield circuits.unembedding


def _written(neuron: Neuron | Ramp) -> set[Subspace]:
    return {write.subspace for write in neuron.writes}


def _units(
    neuron: Neuron | Ramp, architecture: Architecture, is_last_word: bool = False
) -> Iterator[Unit]:
    """The hidden units that make one threshold m on a sum s that is never between m - g and m.

    With ReLU and whole numbers, relu(s - m + 1) - relu(s - m) is 1 where s >= m, else 0. Where s never
    exceeds m, relu((s - m)/g + 1) alone is, of fractions too.

    Else a = K (s - m + 3g/4) and b = K (s - m + g/4), and act(a) - act(b) is K g/2 where s >= m,
    else 0. Both terms are on the linear parts of the activation even if s has an error of nearly g/4,
    and the difference does not depend on s: errors are removed here. With GELU, K is `STEEPNESS` / g.

    With SwiGLU the same two are gates of 1, and K is `GATE_STEEPNESS` / g. Where s never exceeds m,
    act(K/2 (s - m + g/2)) alone is K g/4 or 0.

    Where s never exceeds m, and m is 0 as numbers are stored (a flag as -1 or +1), act(K (s - m + g/2))
    alone is K g/2 where s is m, else 0. Errors of s are passed on, but a sum of 0 stays 0 whatever
    LayerNorm multiplies it by. This is safe for neurons that only the unembedding reads.

    The short form is for `is_last_word`: nothing but the unembedding reads what the neuron writes.
    """
    if isinstance(neuron, Ramp):
        yield from _ramp_units(neuron, architecture)
        return
    m, gap = neuron.at_least, 1 if neuron.gap is None else neuron.gap
    is_bounded = neuron.gap is None or neuron.most is not None
    exceeds = not is_bounded or neuron.highest > m
    if architecture.is_gated and not exceeds:
        half = Fraction(GATE_STEEPNESS, 2)
        level = plainest(half / 2 - half / gap * m)
        yield Unit(neuron.name, neuron, plainest(half / gap), level, plainest(2 / half))
        return
    if architecture.activation == "relu" and not (exceeds and neuron.gap):
        share = plainest(Fraction(1) / gap)
        yield Unit(neuron.name, neuron, share, 1 - m * share, 1)
        if exceeds:
            yield Unit(f"{neuron.name}, capped", neuron, 1, -m, -1)
        return
    steepness, quarter, weight = _scale(architecture.activation, gap)
    if is_last_word and not exceeds and m == neuron.at_rest:
        constant = 2 * quarter - steepness * m
        yield Unit(neuron.name, neuron, steepness, constant, weight, compares_with_0=True)
        return
    upper, lower = _constants(architecture.activation, m, neuron.gap)
    yield Unit(neuron.name, neuron, steepness, upper, weight)
    yield Unit(f"{neuron.name}, capped", neuron, steepness, lower, -weight)


@cache
def _scale(activation: Activation, gap: Plain) -> tuple[Plain, Plain, Plain]:
    """K, K g/4, and the weight by which K g/2 becomes 1."""
    steepness = {"relu": 2, "silu": GATE_STEEPNESS}.get(activation, STEEPNESS)
    reach = Fraction(steepness)
    return plainest(reach / gap), plainest(reach / 4), plainest(2 / reach)


@lru_cache(maxsize=10_000)
def _constants(activation: Activation, m: Plain, gap: Plain | None) -> tuple[Plain, Plain]:
    """The constants of the two units of a threshold m, which many neurons of a table share."""
    steepness, quarter, _ = _scale(activation, 1 if gap is None else gap)
    upper, lower = (below * quarter - steepness * m for below in (3, 1))
    if gap is None:
        return upper, lower
    # So that floats represent both constants exactly, and their difference.
    return plainest(Fraction(round(4 * upper), 4)), plainest(Fraction(round(4 * lower), 4))


def _ramp_units(ramp: Ramp, architecture: Architecture) -> Iterator[Unit]:
    """The hidden units that pass a number x on where the gate l is 1; 0 where that is 0.

    With ReLU, relu(x + B (l - 1)), where B is at least as large as x ever is. With GELU both a and
    b lie beyond 16: gelu(a) - gelu(b), a = 16 (x + 1 + B (l - 1)) and b = 16 (1 + B (l - 1)), over
    16.

    With SwiGLU the number is what the gate multiplies: act(K (l - 1/2)) x over K/2.
    """
    if architecture.is_gated:
        steep = Fraction(GATE_STEEPNESS, 2)
        constant = steep * (ramp.gate_constant - Fraction(1, 2))
        yield Unit(ramp.name, ramp, 1, constant, 2 / steep, steep)
        return
    reach = Fraction(2) ** (ceil(log2(float(ramp.most) + 1)) + 1)
    if architecture.activation == "relu":
        constant = ramp.constant + reach * (ramp.gate_constant - 1)
        yield Unit(ramp.name, ramp, 1, constant, 1, reach)
        return
    shift = 16 * (1 + reach * (ramp.gate_constant - 1))
    share = Fraction(1, 16)
    yield Unit(ramp.name, ramp, 16, shift + 16 * ramp.constant, share, 16 * reach)
    yield Unit(f"{ramp.name}, less", ramp, 0, shift, -share, 16 * reach)


def _check_spread(block: Block, number: int, units: int, size: int) -> None:
    """Raise if neurons read what others of them write, because a later layer sees earlier writes."""
    read = {r.subspace for neuron in block.neurons for r in neuron.all_reads}
    written = {w.subspace for neuron in block.neurons for w in neuron.writes}
    both = sorted(s.name for s in read & written)
    if both:
        n_embd = -(-units // 4)
        error = SpreadError(
            f"block {number} needs {units} hidden units, but n_inner={size}, and its neurons cannot "
            f"be spread over several blocks: they read and write `{both[0]}`",
            fix=f"n_embd={n_embd}",
        )
        error.n_embd = n_embd
        raise error
