"""Which numbers a dtype distinguishes, and what LayerNorm adds to them: limits, and refusals."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, NoReturn

from handcraft.dtype import dtype_named
from handcraft.errors import PrecisionError
from handcraft.language.graph.domain import Plain, magnitude
from handcraft.language.graph.node import Node
from handcraft.origin import Origin, Place
from handcraft.weights.layers import GATE_STEEPNESS, NEAREST_TO_ZERO, STEEPNESS
from handcraft.weights.layout import BALLAST

if TYPE_CHECKING:
    from handcraft.compiler.features.feature import Reading

NOISE = Fraction(1, 1 << 16)
"""What LayerNorm adds to a number in float32, where a ballast of 1024 dominates: 1.5e-5 as measured.

That is no bound. For sums in any order 4.2e-5 can be proved and no less, 2.8 times as much, and streams
of fewer than 8 dimensions were seen to reach 3.1e-5. Thresholds leave room for four times what is
counted here. What `.apply` reads is bounded without this number (`error_bound.py`). With the proved one
less would fit behind LayerNorm: it decides how long a context may be, so it stays for now."""

LEVEL_NOISE = Fraction(1, 1 << 20)
"""The same where the stream has one length at every position, and needs no ballast: four times the
2.4e-7 that were measured in float32. Narrower dtypes round what is that near to 1 or -1 to just that,
if norms divide by a power of two."""

ROUNDINGS = 4
"""How often a narrow dtype rounds a number on its way: when a head writes it, when it is added to the
stream, when LayerNorm gives it and its opposite."""

LEAST_SQUARES = 2
"""No stream of one length has a smaller sum of squares: the token takes a bit and its opposite."""

ADDED_EXACTLY = 1 << 20
"""Sums up to so many times their gap are added exactly in float32, in which matrices are multiplied."""

TIE = Fraction(1, 8)
"""Scores no further apart than this over the number of positions, in nats, count as equal: the
attention weights of so many sources are so even then that one still tells how many there are. Too
large a number fails test_without_mask.py, too small a one test_refused_precision.py."""

SHARPNESS = 1024
"""By so many times their gap scores are multiplied before they are scaled, in heads of up to
`HEAD_DIM` dimensions: it becomes 104 nats or more, from which softmax gives exactly 0."""

SCALE_WITHIN = Fraction(1, 1000)
"""How far the scale of a LayerNorm may be from the planned one: `NORM_TOLERANCE` of verify/facts.py."""

SHIFT = Fraction(1, 4)
"""By which part of its gap LayerNorm may shift a sum: a threshold lies that far from both sides."""

SURE_SHIFT = SHIFT - Fraction(NEAREST_TO_ZERO["gelu_tanh"]) / STEEPNESS
"""The same where every pre-activation surely stays where GELU is straight. What may be shifted by more
holds or does not: `save` measures it, and refuses (`test_what_compiles_can_be_saved`)."""

GATES_REACH = 1 << 13
"""By how many of its gaps a sum with fractions may exceed a threshold in a Llama. Both gates grow with
the sum, by 512 a gap, and their difference, 256, is off by what float32 rounds: 512 * 2^13 * 2^-24 each
is a thousandth in all. So far a flag may be from -1 or +1 (test_llama_counts.py)."""


@dataclass(frozen=True)
class Precision:
    """The limits that a dtype sets.

    Args:
        dtype: its name.
        normed: whether LayerNorm stands before everything that is read.
        level: whether it always divides by the same, in narrow dtypes by a power of two.
        sure: whether what is only found by measuring is refused.
        gated: whether neurons are gates, and sources that share the attention tie exactly: in a Llama.
    """

    dtype: str
    normed: bool = False
    level: bool = False
    sure: bool = False
    gated: bool = False

    @property
    def bits(self) -> int:
        """The binary digits that are counted on."""
        return dtype_named(self.dtype).bits

    @property
    def whole(self) -> int:
        """All whole numbers up to it are exact."""
        return 1 << self.bits

    @property
    def steady(self) -> int:
        """How much larger than its gap an attention score may be.

        LayerNorm scales each source by itself, by about 1e-5 more or less than it should.
        """
        bits = self.bits - (6 if self.is_wide else 1)
        steady = 1 << (min(bits, 14) if self.normed and not self.level else bits)
        return min(steady, self._range) if self.is_rounded else steady

    @property
    def _range(self) -> int:
        """How many times its gap a score of a narrow head may be, so that the dtype represents it."""
        kind = dtype_named(self.dtype)
        return kind.largest // SHARPNESS if kind.overflows_first else self.whole

    @property
    def positions(self) -> int:
        """How many positions a score distinguishes that grows with the position.

        Where the range of scores is small, half of it: sources that fail lie below all that match.
        """
        if not self.is_rounded:
            return self.whole
        return min(self.steady, (self._range + 1) // 2)

    @property
    def steps(self) -> int:
        """How much larger than its gap the sum that a neuron reads may be."""
        return 1 << (self.bits - 2)

    @property
    def is_rounded(self) -> bool:
        """Whether numbers near whole ones are rounded to just these, and so are exact."""
        return self.level and not self.is_wide

    @property
    def is_wide(self) -> bool:
        """Whether a fraction and a whole number add up with an error that counts for nothing."""
        return self.bits > 16

    def check_sum(self, node: Node | Origin, reading: Reading, level: Plain, gap: Plain) -> None:
        """Raise unless a neuron tells its sums apart.

        Where numbers are rounded to whole ones, floats add them exactly and round the sum: then only
        sums near the threshold count.

        Args:
            node: what the neuron serves, an expression or a rule.
            reading: the sum.
            level: the threshold, less the constant with which numbers are stored.
            gap: the smallest difference that counts.

        Raises:
            PrecisionError: the sum is too large for its gap, or a factor has too many digits.
        """
        is_rounded = self.is_rounded and not any(reading.small)
        self._check_reach(node, reading, level, gap)
        self._check_gate(node, reading, level, gap)
        size = magnitude(level) if is_rounded else reading.size + magnitude(reading.constant)
        if size > gap * self.steps:
            raise _refusal(
                node,
                f"`{_text(node)}` must distinguish numbers that differ by {_shown(gap)}, in sums of up "
                f"to {_shown(size)}; {self.dtype} is safe for sums of up to "
                f"{_shown(gap * self.steps)}",
            )
        if is_rounded and (reading.digits > self.bits or reading.size > gap * ADDED_EXACTLY):
            raise _refusal(
                node,
                f"`{_text(node)}` is decided by a sum of up to {_shown(reading.size)} with weights of "
                f"{reading.digits} binary digits; {self.dtype} holds {self.bits}",
            )

    def check_parts(self, node: Node) -> None:
        """Raise unless the dtype holds the parts of the attention that sources of a Llama share.

        Raises:
            PrecisionError: it is too coarse for what gates make of them, see `GATES_REACH`.
        """
        if not self.is_wide:
            raise PrecisionError(
                f"`{node}` is a fraction, and {self.dtype} holds too few digits of what the gates of a "
                "Llama make of one",
                where=node.place,
                fix="use float32, or a shorter context",
                about=node,
                is_tight=True,
            )

    def _check_gate(self, node: Node | Origin, reading: Reading, level: Plain, gap: Plain) -> None:
        """Raise unless the two gates of a threshold cancel where a sum exceeds it.

        In half precision they do as long as both are exact: for a sum of k gaps above the threshold
        they are 128 (4 k + 3) and 128 (4 k + 1).

        Raises:
            PrecisionError: the sum exceeds it by too much.
        """
        if not self.gated or (self.is_wide and not any(reading.small)):
            return
        (low, high), at_least = reading.span, level + reading.rest
        above = min(high - at_least, at_least - gap - low)
        reach = GATES_REACH if self.is_wide else (1 << (self.bits - 2)) - 1
        if above > gap * reach:
            raise _refusal(
                node,
                f"`{_text(node)}` must distinguish numbers that differ by {_shown(gap)}, in sums of up "
                f"to {_shown(above)} beyond their threshold; gates are safe up to "
                f"{_shown(gap * reach)} in {self.dtype}",
            )

    def _check_reach(self, node: Node | Origin, reading: Reading, level: Plain, gap: Plain) -> None:
        """Raise unless the dtype represents the pre-activations of a neuron, wherever its sum is.

        Raises:
            PrecisionError: one may be too large.
        """
        if not (self.normed and dtype_named(self.dtype).overflows_first):
            return
        far = max(magnitude(end - level - reading.rest) for end in reading.span)
        if far > gap * self.reach:
            raise _refusal(
                node,
                f"`{_text(node)}` is decided by a sum that can be {_shown(far)} from its threshold; "
                f"{self.dtype} is safe up to {_shown(gap * self.reach)}",
            )

    @property
    def reach(self) -> int:
        """How many gaps a sum may be from its threshold, so that GELU units represent it.

        In float16, which ends at 65504, they also do so exactly: up to 32768 it represents all
        multiples of 16, which is a quarter of a gap.
        """
        if self.gated:
            return dtype_named(self.dtype).largest // GATE_STEEPNESS
        return dtype_named(self.dtype).largest // (2 * STEEPNESS)

    def check_noise(
        self,
        node: Node | Origin,
        reading: Reading,
        level: Plain,
        gap: Plain,
        varying: Plain,
        times: int = 1,
    ) -> None:
        """Raise unless a threshold on a sum holds behind LayerNorm.

        LayerNorm adds a little noise to each number. It also divides by a scale that depends on the sum
        of squares of what is stored, and a static gain undoes only a constant scale. What remains is a
        relative error of half the squares that vary over those of the ballast.

        Args:
            node: what reads the sum, an expression or a rule.
            reading: the sum.
            level: the sum at the threshold.
            gap: how far below the threshold the sum stays where it does not reach it.
            varying: no sum of squares of stored numbers is larger, the ballast left out.
            times: what noise is multiplied with.

        Raises:
            PrecisionError: the difference is too small.
        """
        if not self.normed:
            return
        off = times * (self._noise * reading.weight + self._small_noise(reading, level, gap))
        off += magnitude(level) * self._scale_error(varying)
        most = gap * (SURE_SHIFT if self.sure else SHIFT)
        if off > most:
            raise _refusal(
                node,
                f"`{_text(node)}` must distinguish numbers that differ by {_shown(gap)}, but LayerNorm "
                f"can shift their sum by up to {_shown(off)}; at most {_shown(most)} is safe",
            )

    def check_tie(self, node: Node, context: int, varying: Plain, times: Plain = 1) -> None:
        """Raise unless position 0, given slack, ties with the sources that meet every condition.

        Its score is the difference of two large ones, of which LayerNorm changes one.

        Args:
            node: what is decided by the attention weight.
            context: the largest number of sources that share.
            varying: as for `check_noise`.
            times: how many times their gap those are.

        Raises:
            PrecisionError: it would not.
        """
        off = times * dtype_named(self.dtype).underflow * self._scale_error(varying)
        if self.normed and off * context > TIE:
            raise _refusal(
                node,
                f"`{node}` depends on {context} sources with the same attention weight, but LayerNorm "
                f"can shift their scores by up to {_shown(off)} nats; at most "
                f"{_shown(TIE / context)} is safe",
            )

    def check_scale(self, varying: Plain, where: Place | None) -> None:
        """Raise unless LayerNorm surely divides by what was planned, as `verify/facts.py` asks.

        Args:
            varying: as for `check_noise`.
            where: the program.

        Raises:
            PrecisionError: it may not.
        """
        off = Fraction(varying) / (4 * BALLAST**2)
        if self.normed and off > SCALE_WITHIN:
            raise PrecisionError(
                f"LayerNorm may divide by up to {float(off):.2%} more than is planned; at most "
                f"{float(SCALE_WITHIN):.2%} is safe",
                where=where,
                fix="a shorter context, or fewer tokens",
                is_tight=True,
            )

    @property
    def _noise(self) -> Fraction:
        if not self.level:
            return NOISE
        return LEVEL_NOISE if self.is_wide else Fraction(0)

    def _small_noise(self, reading: Reading, level: Plain, gap: Plain) -> Plain:
        """By how much small numbers may shift a sum that is near its threshold.

        Each has an error in proportion to itself. Near the threshold what they add and what they take
        off are nearly equal, so both together are hardly more than twice the smaller.
        """
        adds, takes = reading.small
        if not (adds or takes):
            return 0
        near = magnitude(level) + gap + reading.size_of_others
        if self.gated and reading.has_one_small:  # it makes up what others lack
            return self._part * min(adds + takes, near)
        return self._part * min(adds + takes, near + 2 * min(adds, takes))

    @property
    def _part(self) -> Fraction:
        """By which part of it a small number may be off: every step from head to neuron rounds it."""
        return LEVEL_NOISE if self.is_wide else ROUNDINGS * dtype_named(self.dtype).unit

    def _scale_error(self, varying: Plain) -> Fraction:
        """By which part LayerNorm and its gain, rounded to the dtype, may make numbers too large."""
        if self.level:
            unit = dtype_named(self.dtype).unit if self.is_wide else 0
            return Fraction(varying) / (2 * LEAST_SQUARES) + unit
        return Fraction(varying) / (4 * BALLAST**2) + dtype_named(self.dtype).unit

    def refuse_ties(self, node: Node) -> NoReturn:
        """Raise where a head may find no source that fits, and rounded scores could tie then.

        Raises:
            PrecisionError: always.
        """
        raise PrecisionError(
            f"where no source matches, {self.dtype} may round several scores of `{node}` to one number",
            where=node.place,
            fix="use float32, or select by a value that position 0 never has",
            about=node,
            is_tight=True,
        )

    def check_score(self, node: Node, size: Plain, gap: Plain) -> None:
        """Raise unless a head tells its scores apart.

        Raises:
            PrecisionError: the scores are too large for their gap.
        """
        if size > gap * self.steady:
            raise _refusal(
                node,
                f"the head of `{node}` must distinguish attention scores that differ by {_shown(gap)}, "
                f"in scores of up to {_shown(size)}; {self.dtype} is safe up to "
                f"{_shown(gap * self.steady)}",
            )


def _refusal(node: Node | Origin, what: str) -> PrecisionError:
    """A gap that is too small; `advice.py` replaces the fix by one that was tried."""
    return PrecisionError(
        what,
        where=node.place,
        fix="a shorter context, or .assume() the values that occur",
        about=node if isinstance(node, Node) else None,
        is_tight=True,
    )


def _text(node: Node | Origin) -> str:
    return node.what if isinstance(node, Origin) else str(node)


def _shown(number: Plain) -> str:
    return f"{float(Fraction(number)):g}"
