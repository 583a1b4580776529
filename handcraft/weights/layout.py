"""The dimensions of every subspace in the residual stream, and of every channel in a head."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from math import ceil

from handcraft.architecture import BLOCK, Architecture
from handcraft.circuits import Circuits, Encoding, Head, Number, Reuse, Subspace
from handcraft.display import short_repr, shorten_value
from handcraft.errors import LayoutError
from handcraft.limits import HEADS, WIDTH

UNMIRRORED = (Encoding.SCALAR, Encoding.CODED)
"""The encodings that share the balance dimension in a mirrored layout: their length is not constant,
so opposites would not make LayerNorm exact."""


BALLAST = 1024
"""The two ballast dimensions are this constant and its negative. More loses precision in float32."""


SMALL = Fraction(1, 1 << 12)
"""The factor with which small numbers are stored before LayerNorm. A number of 1 and its opposite add
2**-23 to a sum of squares of 2 or more, so results shrink by 2**-25 at most: float32 rounds by more."""

SMALL_ROTARY = Fraction(1, 1 << 8)
"""The same before RMSNorm, whose gain undoes it. `plan_stream` makes the sum of squares so large that
float32 rounds away what small numbers add. float16 still represents a sixty-fourth of this in full."""

Cells = tuple[tuple[int, Number], ...]
"""Dimensions of the residual stream, each with a factor."""


@dataclass(frozen=True)
class Sizes:
    """The sizes that a user requests; None leaves a size to the compiler.

    Raises:
        LayoutError: a size is not a whole number, or is below 1.
        LimitError: one is larger than any model is wide.
    """

    n_embd: int | None = None
    n_head: int | None = None
    head_dim: int | None = None
    n_kv_head: int | None = None

    def __post_init__(self) -> None:
        limits = ("n_embd", WIDTH), ("n_head", HEADS), ("head_dim", WIDTH), ("n_kv_head", HEADS)
        for name, limit in limits:
            size = getattr(self, name)
            if size is None:
                continue
            if not isinstance(size, int) or isinstance(size, bool) or size < 1:
                raise LayoutError(f"{name}={shorten_value(size)}", fix="use a whole number, 1 or more")
            limit.check(size, where=f"{name} of the sizes asked for")


@short_repr
@dataclass(frozen=True)
class Layout:
    """Which dimensions of the residual stream store what.

    A plain layout gives a coordinate one dimension. A mirrored one, for LayerNorm, gives it two that
    store x and -x, so that the mean is always 0. A flag is then stored as -1 or +1, so that its square
    is always 1. A small number is stored times `SMALL`, in a rotary layout times `SMALL_ROTARY`.
    Scalars and coded subspaces share one *balance* dimension, which stores minus their sum.

    Args:
        subspaces: the subspaces of the residual stream, in order, without gaps.
        n_head: heads in each block.
        n_embd: the width of the residual stream; dimensions past the last subspace are spare.
        is_aligned: whether the one head of a block is as wide as the stream and uses the same
            dimensions for the same subspaces; otherwise the channels of a head are packed from 0.
        is_mirrored: whether every coordinate has an opposite.
        has_ballast: whether two constant dimensions dominate the variance.
        fill: constants that complete the sum of squares to a chosen number; each takes two dimensions,
            which store it and its negative, and in a rotary layout one.
        constant: in a rotary layout, what a dimension stores at every position, in place of biases; 0
            where there is no such dimension. Flags are stored as in a mirrored layout.
        own_head_dim: the width of a head where it is not n_embd / n_head.
        reuses: the subspaces that reuse dimensions of others. In a mirrored layout only scalars do.
    """

    subspaces: tuple[Subspace, ...]
    n_head: int
    n_embd: int
    is_aligned: bool
    is_mirrored: bool
    has_ballast: bool = False
    fill: tuple[int, ...] = ()
    reuses: tuple[Reuse, ...] = ()
    constant: int = 0
    own_head_dim: int | None = None

    @property
    def head_dim(self) -> int:
        """The width of one head."""
        return self.own_head_dim or self.n_embd // self.n_head

    @property
    def constants(self) -> tuple[tuple[int, int], ...]:
        """The dimensions that store the same at every position, and what: not those of subspaces."""
        extras = self._extras
        cells = [(extras["constant"], self.constant)] if self.constant else []
        if self.has_ballast:
            cells += [(extras["+ballast"], BALLAST), (extras["-ballast"], -BALLAST)]
        for i, number in enumerate(self.fill):
            if self.is_mirrored:
                cells += [(extras[f"+fill {i}"], number), (extras[f"-fill {i}"], -number)]
            else:
                cells += [(extras[f"fill {i}"], number)]
        return tuple(cells)

    @cached_property
    def start(self) -> Mapping[Subspace, int]:
        """The first dimension of every subspace."""
        starts = _starts(self._own, self.is_mirrored)
        for reuse in self._honoured:
            starts[reuse.subspace] = starts[reuse.within] + reuse.at
        return starts

    @property
    def balance(self) -> int | None:
        """The dimension that stores minus the sum of all scalars, if there is one."""
        return self._extras.get("balance")

    @cached_property
    def dimension_names(self) -> tuple[str, ...]:
        """What each dimension of the residual stream stores."""
        names: list[str] = []
        for subspace in self._own:
            names += subspace.dimension_names
            if _has_opposites(subspace, self.is_mirrored):
                names += [f"-{name}" for name in subspace.dimension_names]
        for reuse in self._honoured:
            for i, name in enumerate(reuse.subspace.dimension_names, self.start[reuse.subspace]):
                names[i] = f"{names[i]}, then {name}"
        names += list(self._extras)
        return tuple(names + [f"spare {i}" for i in range(self.n_embd - len(names))])

    def opposite(self, subspace: Subspace, i: int) -> int | None:
        """The dimension that stores minus coordinate `i`, if there is one."""
        if _has_opposites(subspace, self.is_mirrored):
            return self.start[subspace] + subspace.width + i
        return self.balance

    def write(self, subspace: Subspace, i: int, number: Number) -> Cells:
        """What is added to which dimensions so that coordinate `i` grows by `number`."""
        scaled = number * 2 if self._is_signed(subspace) else number
        if subspace.encoding is Encoding.SMALL and self.constant:
            scaled = scaled * SMALL_ROTARY
        elif self._is_small(subspace):
            scaled = scaled * SMALL
        opposite = self.opposite(subspace, i)
        here = ((self.start[subspace] + i, scaled),)
        return here if opposite is None else (*here, (opposite, -scaled))

    def read(
        self,
        subspace: Subspace,
        i: int,
        number: Number,
        *,
        cancels_mean: bool = False,
        blank: int | None = None,
    ) -> tuple[Cells, Number]:
        """Dimensions, the factors with which to read them, and a constant.

        The sum of factors times dimensions plus the constant is `number` times coordinate `i`.

        Args:
            subspace: what is read.
            i: one of its coordinates.
            number: by which it is multiplied.
            cancels_mean: whether to read half of the difference of a dimension and its opposite beside
                ballast. LayerNorm subtracts the mean, which is 0, but for what it errs by when large
                numbers are added up; this is the same in both, and a score of a million shows it.
            blank: a dimension that stores 0, to subtract from one that has no opposite: it shows the
                same error. None to subtract nothing.
        """
        dimension = self.start[subspace] + i
        constant: Number = 0
        if self._is_signed(subspace):  # the dimension stores 2 f - 1, so f is half of it plus a half
            number = constant = _half(number)
        if self._is_small(subspace):
            number = number * (1 / SMALL)
        is_halved = self._is_small(subspace) or (cancels_mean and self.has_ballast)
        if not _has_opposites(subspace, self.is_mirrored):
            subtracted = () if blank is None else ((blank, -number),)
            return ((dimension, number), *subtracted), constant
        if not is_halved:
            return ((dimension, number),), constant
        half, opposite = _half(number), self.start[subspace] + subspace.width + i
        return ((dimension, half), (opposite, -half)), constant

    def rest(self, subspace: Subspace) -> tuple[tuple[int, Number], ...]:
        """The numbers in the dimensions of a subspace while its value is 0."""
        if not self._is_signed(subspace):
            return ()
        start = self.start[subspace]
        return ((start, -1), (start + 1, 1)) if self.is_mirrored else ((start, -1),)

    @cached_property
    def small_dimensions(self) -> frozenset[int]:
        """In a rotary layout, the dimensions of small numbers, which the gains of norms make large."""
        small = [s for s in self._own if self.constant and s.encoding is Encoding.SMALL]
        return frozenset(self.start[subspace] + i for subspace in small for i in range(subspace.width))

    def channel_start(self, head: Head) -> tuple[Mapping[Subspace, int], Mapping[Subspace, int]]:
        """The first channel of each matching and of each carried subspace of a head."""
        if self.is_aligned:
            return self.start, self.start
        return _starts(head.matching, False), _starts(head.carried, False)

    def channel_names(self, channels: Mapping[Subspace, int]) -> dict[int, str]:
        """What each channel of a head stores."""
        return {
            start + i: name
            for subspace, start in channels.items()
            for i, name in enumerate(subspace.dimension_names)
        }

    def _is_signed(self, subspace: Subspace) -> bool:
        has_norm = self.is_mirrored or self.constant
        return bool(has_norm) and subspace.encoding is Encoding.FLAG

    def _is_small(self, subspace: Subspace) -> bool:
        return self.is_mirrored and subspace.encoding is Encoding.SMALL

    @property
    def reused(self) -> int:
        """How many dimensions are reused."""
        return sum(reuse.subspace.width for reuse in self._honoured)

    @cached_property
    def _honoured(self) -> tuple[Reuse, ...]:
        """The subspaces that reuse dimensions, each after the one whose dimensions it reuses."""
        return tuple(
            reuse
            for reuse in self.reuses
            if not self.is_mirrored
            or reuse.subspace.encoding is reuse.within.encoding is Encoding.SCALAR
        )

    @cached_property
    def _own(self) -> tuple[Subspace, ...]:
        """The subspaces that have dimensions of their own."""
        elsewhere = {reuse.subspace for reuse in self._honoured}
        return tuple(subspace for subspace in self.subspaces if subspace not in elsewhere)

    @property
    def width(self) -> int:
        """How many dimensions are in use."""
        return sum(_stride(s, self.is_mirrored) for s in self._own) + len(_extra_names(self))

    @cached_property
    def _extras(self) -> dict[str, int]:
        """The dimensions that belong to no subspace, by name."""
        end = sum(_stride(subspace, self.is_mirrored) for subspace in self._own)
        return {name: end + i for i, name in enumerate(_extra_names(self))}


def allocate_layout(
    circuits: Circuits,
    architecture: Architecture = BLOCK,
    sizes: Sizes = Sizes(),
    *,
    has_ballast: bool = False,
) -> Layout:
    """The smallest layout for the circuits that has the requested sizes.

    Subspaces lie in the order of the stream. Without LayerNorm, a single head whose channels are all
    subspaces of the stream is aligned with it; otherwise all heads are as wide as the widest one
    needs.

    Raises:
        LayoutError: a requested size is too small; the message says by how much.
    """
    is_mirrored = architecture.is_mirrored
    draft = Layout(circuits.stream, 1, 1, False, is_mirrored, has_ballast, reuses=circuits.reuses)
    width = draft.width
    heads = [head for block in circuits.blocks for head in block.heads]
    if not is_mirrored and sizes == Sizes() and _can_align(circuits, heads):
        return replace(draft, n_embd=width, is_aligned=True)
    n_head, n_embd = _granted(sizes, width, heads, circuits.head_count)
    return replace(draft, n_head=n_head, n_embd=n_embd)


def _granted(sizes: Sizes, width: int, heads: list[Head], most: int) -> tuple[int, int]:
    """The number of heads and the width of the stream."""
    widest = max(heads, key=lambda head: head.width, default=None)
    needed = 1 if widest is None else widest.width
    n_head = max(1, most) if sizes.n_head is None else sizes.n_head
    fix = _enough(sizes, width, needed, most)
    if n_head < most:
        raise LayoutError(f"a block needs {most} heads, but n_head={n_head}", fix=fix)
    if sizes.n_embd is not None and sizes.head_dim is not None:
        n_head = sizes.n_embd // sizes.head_dim
    elif sizes.head_dim is not None and sizes.n_head is None:
        n_head = max(n_head, ceil(width / sizes.head_dim))
    head_dim = sizes.head_dim or max(ceil(width / n_head), needed)
    n_embd = sizes.n_embd or n_head * head_dim
    WIDTH.check(n_embd)
    if n_embd % n_head or (sizes.head_dim and n_embd != n_head * sizes.head_dim):
        raise LayoutError(
            f"{n_head} heads do not make n_embd={n_embd}"
            + (f" at head_dim={sizes.head_dim}" if sizes.head_dim else ""),
            fix=fix,
        )
    if n_head < most:
        raise LayoutError(
            f"a block needs {most} heads, but n_embd={n_embd} has space for {n_head} of head_dim="
            f"{sizes.head_dim}",
            fix=fix,
        )
    if n_embd < width:
        raise LayoutError(
            f"the residual stream needs {width} dimensions, but n_embd={n_embd}",
            fix=fix,
        )
    if widest is not None and n_embd // n_head < needed:
        raise LayoutError(
            f"`{widest.name}` needs a head {needed} wide, but n_embd={n_embd} over {n_head} heads "
            f"makes them {n_embd // n_head}",
            where=", ".join(str(origin) for origin in widest.origins) or None,
            fix=fix,
        )
    return n_head, n_embd


def _enough(sizes: Sizes, width: int, needed: int, most: int) -> str:
    """The sizes that must be larger than requested, in words: those that are enough and agree.

    Args:
        sizes: what was requested.
        width: the dimensions that the stream needs.
        needed: those that a head needs.
        most: the heads that a block needs.
    """
    n_head, least = max(1, most, sizes.n_head or 0), max(width, sizes.n_embd or 0)
    head_dim = max(needed, sizes.head_dim or 0)
    if sizes.head_dim is not None and sizes.n_head is None:
        n_head = max(n_head, ceil(least / head_dim))
    head_dim = max(head_dim, ceil(least / n_head))
    found = {"n_embd": n_head * head_dim, "n_head": n_head, "head_dim": head_dim}
    asked = {name: getattr(sizes, name) for name in found}
    changed = [f"{name}={n}" for name, n in found.items() if asked[name] not in (None, n)]
    return " and ".join(changed)


def _can_align(circuits: Circuits, heads: list[Head]) -> bool:
    known = frozenset(circuits.stream)
    channels = [channel for head in heads for channel in (*head.matching, *head.carried)]
    is_single = circuits.head_count <= 1 and not circuits.reuses
    return is_single and all(channel in known for channel in channels)


def _has_opposites(subspace: Subspace, is_mirrored: bool) -> bool:
    return is_mirrored and subspace.encoding not in UNMIRRORED


def _stride(subspace: Subspace, is_mirrored: bool) -> int:
    return subspace.width * (2 if _has_opposites(subspace, is_mirrored) else 1)


def _starts(subspaces: Iterable[Subspace], is_mirrored: bool) -> dict[Subspace, int]:
    starts: dict[Subspace, int] = {}
    end = 0
    for subspace in subspaces:
        starts[subspace] = end
        end += _stride(subspace, is_mirrored)
    return starts


def _extra_names(layout: Layout) -> tuple[str, ...]:
    scalars = any(s.encoding in UNMIRRORED for s in layout.subspaces)
    if layout.constant:
        return ("constant", *(f"fill {i}" for i in range(len(layout.fill))))
    names = ("balance",) if layout.is_mirrored and scalars else ()
    if layout.has_ballast:
        names = (*names, "+ballast", "-ballast")
    return (*names, *(f"{sign}fill {i}" for i in range(len(layout.fill)) for sign in "+-"))


def _half(number: Number) -> Number:
    return number * Fraction(1, 2)
