"""The plan of a rotary model: a stream of one length, heads of one width, and scores by distance."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache
from math import ceil, log2

from handcraft.architecture import Architecture
from handcraft.circuits import (
    ByContent,
    Circuits,
    Encoding,
    Head,
    LookBack,
    Number,
    Subspace,
    stream_at_begin,
)
from handcraft.display import short_repr
from handcraft.dtype import dtype_named
from handcraft.errors import LayoutError, PrecisionError
from handcraft.limits import WIDTH
from handcraft.phrase import phrase, setting
from handcraft.rotary import look_back, select
from handcraft.rotary.rotation import Rotation
from handcraft.rotary.score import RotaryScore
from handcraft.rotary.select import ContentScore
from handcraft.weights.layers import Layer, build_layers
from handcraft.weights.layout import SMALL_ROTARY, Layout, Sizes
from handcraft.weights.norms import NormInput, divides_exactly, is_level, level_fill, norm_inputs
from handcraft.weights.rotary.packing import Packing, channels_of, pack

CONSTANT = 8
"""What the constant dimension stores: there are no biases, so constants are read from it."""

EPSILON_COUNTS_FROM = 1 << 25
"""A mean square so many times the epsilon of RMSNorm is one to which the epsilon adds nothing in
float32."""

HEAD_DIMS = (2, 4, 8, 16, 32, 64, 128, 256)
"""The widths of heads that are tried: the more, the further apart scores are."""


Selection = LookBack | tuple[ByContent, int]
"""A distance, or which of the sources that match by how many channels: what scores follow from."""


def selection_of(head: Head) -> Selection:
    """How a head selects its sources."""
    attends = head.attends
    if attends.distance is not None:
        return attends.distance
    assert attends.content is not None
    return attends.content, len(channels_of(head))


@short_repr
@dataclass(frozen=True)
class Rotary:
    """What is decided of a rotary model besides what every model has.

    Args:
        packing: which heads share keys and values.
        scores: for each way of selecting sources the queries and keys of its heads.
        at_begin: what every subspace stores at the begin token before each block of the circuits.
    """

    packing: Packing
    scores: Mapping[Selection, RotaryScore | ContentScore]
    at_begin: Sequence[Mapping[Subspace, tuple[Number, ...]]]

    def score(self, head: Head) -> RotaryScore | ContentScore:
        """The queries and keys of a head."""
        return self.scores[selection_of(head)]


@dataclass(frozen=True)
class Stream:
    """The stream of a rotary model."""

    layout: Layout
    layers: tuple[Layer, ...]
    norms: tuple[NormInput, ...]


def plan_stream(circuits: Circuits, architecture: Architecture, sizes: Sizes) -> Stream:
    """A stream for which every norm but the last divides by the same power of two.

    Its width is a power of two, so that no runtime rounds a mean.

    Raises:
        PrecisionError: a norm would divide by what depends on the text.
        LayoutError: the circuits do not fit the requested width.
    """
    _check_begin(circuits)
    layers = build_layers(circuits, architecture)
    draft = Layout(circuits.stream, 1, 1, False, False, constant=CONSTANT)
    norms = norm_inputs(circuits, draft, layers)
    _check_level(circuits, norms)
    level = next((norm for norm in norms[:-1] if norm.is_read), norms[0])
    for n_embd in _widths(draft.width, sizes):
        layout = replace(draft, n_embd=n_embd)
        layout = replace(layout, fill=level_fill(level, layout, _powers(architecture, layout)))
        norms = norm_inputs(circuits, layout, layers)
        if not any(norm.is_read for norm in norms[:-1]) or divides_exactly(norms[:-1], layout):
            return Stream(layout, layers, norms)
    raise LayoutError(
        f"the residual stream needs more than {sizes.n_embd} dimensions, or a power of two of them",
        where=circuits.place,
        fix=phrase("leave out ", setting("n_embd", sizes.n_embd)),
    )


def _widths(needed: int, sizes: Sizes) -> Iterator[int]:
    """The widths to try: powers of two, or what is asked for."""
    if sizes.n_embd is not None:
        if sizes.n_embd >= needed:
            yield sizes.n_embd
        return
    n_embd = 1 << ceil(log2(needed))
    while n_embd <= 8 * needed:
        WIDTH.check(n_embd)
        yield n_embd
        n_embd *= 2


def _powers(architecture: Architecture, layout: Layout) -> Iterable[int]:
    """The k for which 4**k is a mean square next to which epsilon and small numbers count for nothing.

    Each small number adds at most 2^-16 to a sum of squares, which float32 rounds to 23 digits after
    the first: all of them must be less than half of the last.
    """
    added = len(layout.small_dimensions) * SMALL_ROTARY**2 / layout.n_embd
    counts = max(Fraction(architecture.norm_epsilon), added) * EPSILON_COUNTS_FROM
    least = next(k for k in range(64) if 4**k > counts)
    return range(least, least + 3)


def _check_begin(circuits: Circuits) -> None:
    """Raise unless every flag is 0 or 1 at the begin token too.

    The begin token sees nothing but itself, so its stream is the same in every text.

    Raises:
        PrecisionError: one is neither, and its square would change what norms divide by.
    """
    for subspace, (stored, *_) in stream_at_begin(circuits)[-1].items():
        if subspace.encoding is Encoding.FLAG and stored not in (0, 1):
            raise PrecisionError(
                f"`{subspace}` is {stored} at the begin token, and a flag must be 0 or 1",
                where=circuits.place,
                fix="compile for gpt2",
            )


def _check_level(circuits: Circuits, norms: tuple[NormInput, ...]) -> None:
    """Raise unless every norm before a block divides by the same, and the last by one number.

    Raises:
        PrecisionError: one does not.
    """
    for norm in norms:
        if norm.is_read and norm.varying:
            raise PrecisionError(
                f"{norm.name} would divide by what depends on `{norm.varying[0]}`, and RMSNorm has no "
                "ballast beside it",
                where=circuits.place,
                fix="compile for gpt2, or compute it from flags and tokens alone",
            )
    if not is_level(norms[:-1]) and any(norm.is_read for norm in norms[:-1]):
        raise PrecisionError(
            "the norms of the model would divide by different numbers",
            where=circuits.place,
            fix="compile for gpt2, or write every value as a flag",
        )


def plan_heads(
    circuits: Circuits,
    architecture: Architecture,
    stream: Stream,
    sizes: Sizes,
    dtype: str,
) -> Rotary:
    """The narrowest heads that tell all distances apart, in as few groups as possible.

    Raises:
        PrecisionError: no head tells some distance apart in the dtype.
        LayoutError: the heads do not fit the requested sizes.
    """
    ways: set[Selection] = {selection_of(head) for layer in stream.layers for head in layer.heads}
    if any(layer.attention_bias and not layer.heads for layer in stream.layers):
        ways.add(LookBack(0))
    hardest = sorted(ways, key=_hardest_first)
    refused: LayoutError | None = None
    missing: tuple[Selection, Rotation] | None = None
    for head_dim in HEAD_DIMS if sizes.head_dim is None else (sizes.head_dim,):
        try:
            rotation = Rotation(
                head_dim, architecture.theta or 0.0, circuits.context + 1, architecture.window
            )
            packing = pack(stream.layers, stream.layout.n_embd, head_dim, sizes)
        except LayoutError as error:
            refused = error
            continue
        scores: dict[Selection, RotaryScore | ContentScore] = {}
        for way in hardest:
            _check_window(way, rotation)
            score = _longest_lead(way, rotation, dtype)
            if score is None or score.gap < dtype_named(dtype).underflow:
                missing = way, rotation
                break
            scores[way] = score
        else:
            return Rotary(packing, scores, stream_at_begin(circuits))
    if missing is not None:
        _refuse(*missing, dtype)
    assert refused is not None
    raise refused


@cache
def _longest_lead(way: Selection, rotation: Rotation, dtype: str) -> RotaryScore | ContentScore | None:
    """The queries and keys of a head that lead most, up to what is needed; None if none lead."""
    kind = dtype_named(dtype)
    if isinstance(way, LookBack):
        return look_back.longest_lead(way.back, rotation, kind, kind.underflow)
    content, channels = way
    return select.longest_lead(content.picks, channels, rotation, kind, kind.underflow)


def _check_window(way: Selection, rotation: Rotation) -> None:
    """Raise unless a head sees all that it may attend to.

    Raises:
        CompileError: the window is too short.
    """
    if isinstance(way, LookBack):
        look_back.check_window(way.back, rotation)
    else:
        select.check_begin(rotation)


def _refuse(way: Selection, rotation: Rotation, dtype: str) -> None:
    """Raise for a head that does not lead enough, with what would do.

    Raises:
        PrecisionError: always.
    """
    kind = dtype_named(dtype)
    if isinstance(way, LookBack):
        look_back.look_back(way.back, rotation, kind, kind.underflow)
    else:
        content, channels = way
        select.select(content.picks, channels, rotation, kind, kind.underflow)


def _hardest_first(way: Selection) -> tuple[int, int, str]:
    """An order in which what needs wide heads comes first."""
    if isinstance(way, LookBack):
        return 1, -way.back, ""
    content, channels = way
    return 0, -channels, content.picks
