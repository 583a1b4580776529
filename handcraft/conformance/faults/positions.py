"""Faults of positions and of padding."""

from __future__ import annotations

import numpy as np

from handcraft.conformance.cases.request import Kind
from handcraft.conformance.faults.fault import Fault
from handcraft.conformance.faults.reference import Flags, Ids, Reference, State
from handcraft.model.layers.attention import Array


class PaddingCounted(Reference):
    """Positions are counted from the first column of the batch."""

    def positions(self, real: Flags, past: int) -> Ids:
        return np.broadcast_to(np.arange(real.shape[1])[past:], real[:, past:].shape).astype(np.int64)


class PaddingSeen(Reference):
    """The mask does not hide padding."""

    def visible(self, real: Flags, past: int) -> Flags:
        return super().visible(np.ones_like(real), past)


class PaddingCountedLater(Reference):
    """The prompt has the right positions; a generated token has its column in the batch."""

    def positions(self, real: Flags, past: int) -> Ids:
        right = super().positions(real, past)
        return right if past == 0 else right * 0 + np.arange(real.shape[1])[past:]


class PaddingSeenLater(Reference):
    """The prompt does not see padding; a generated token does."""

    def visible(self, real: Flags, past: int) -> Flags:
        return super().visible(real if past == 0 else np.ones_like(real), past)


class OneLate(Reference):
    """Positions are counted from 1."""

    def positions(self, real: Flags, past: int) -> Ids:
        return super().positions(real, past) + 1


class RestartsAfterCache(Reference):
    """Every call counts its tokens from 0."""

    def positions(self, real: Flags, past: int) -> Ids:
        return super().positions(real[:, past:], 0)


class OneShortAfterCache(Reference):
    """The first token after the cache has the last position in it."""

    def positions(self, real: Flags, past: int) -> Ids:
        return super().positions(real, past) - int(past > 0)


class OneLongAfterCache(Reference):
    """A position is left out after the cache."""

    def positions(self, real: Flags, past: int) -> Ids:
        return super().positions(real, past) + int(past > 0)


class SamePositionInPiece(Reference):
    """All tokens of a later piece have the position of its first token."""

    def positions(self, real: Flags, past: int) -> Ids:
        right = super().positions(real, past)
        return right if past == 0 else np.repeat(right[:, :1], right.shape[1], axis=1)


class Wraps(Reference):
    """Positions are counted modulo 256, as in a byte."""

    def positions(self, real: Flags, past: int) -> Ids:
        return super().positions(real, past) % 256


class NoPositions(Reference):
    """Every token has position 0."""

    def positions(self, real: Flags, past: int) -> Ids:
        return super().positions(real, past) * 0


class PaddingIsLast(Reference):
    """The logits of a batch are those after the last column when it is padded on the right."""

    def pad(self, prompts: tuple[tuple[int, ...], ...]) -> tuple[Ids, Flags]:
        ids, real = super().pad(prompts)
        for row, prompt in enumerate(prompts):
            ids[row] = np.roll(ids[row], len(prompt))
            real[row] = np.roll(real[row], len(prompt))
        return ids, np.ones_like(real)


class RowsShareFirst(Reference):
    """Every row of a batch has the positions of its first row."""

    def positions(self, real: Flags, past: int) -> Ids:
        right = super().positions(real, past)
        return np.broadcast_to(right[:1], right.shape)


class RowsShareMask(Reference):
    """Every row of a batch has the mask of its first row."""

    def visible(self, real: Flags, past: int) -> Flags:
        seen = super().visible(real, past)
        return np.broadcast_to(seen[:1], seen.shape)


class LaterRowsEmpty(Reference):
    """Only the first row of a batch is run; the others repeat it."""

    def feed(self, state: State, ids: Ids, real: Flags) -> Array:
        return super().feed(
            state, np.broadcast_to(ids[:1], ids.shape), np.broadcast_to(real[:1], real.shape)
        )


class RowsReversed(Reference):
    """The answers of a batch come in reverse order."""

    def rows_in_order(self, rows: list[int]) -> list[int]:
        return rows[::-1]


class RowsShifted(Reference):
    """Every row of a batch has the answer of the row before it."""

    def rows_in_order(self, rows: list[int]) -> list[int]:
        return rows[-1:] + rows[:-1]


BATCHES: tuple[Kind, ...] = ("batch", "generate")
CACHED: tuple[Kind, ...] = ("pieces", "generate", "beams")

POSITION_FAULTS = (
    Fault("padding-counted", "counts left padding as positions", PaddingCounted, BATCHES),
    Fault(
        "padding-counted-later",
        "counts left padding as positions once it generates",
        PaddingCountedLater,
        BATCHES,
    ),
    Fault("positions-one-late", "counts positions from 1, not from 0", OneLate),
    Fault(
        "positions-restart",
        "counts positions from 0 again after a cached piece",
        RestartsAfterCache,
        CACHED,
    ),
    Fault(
        "positions-one-short",
        "gives the first token after a cache the position of the last one in it",
        OneShortAfterCache,
        CACHED,
    ),
    Fault(
        "positions-one-long", "leaves out a position after a cached piece", OneLongAfterCache, CACHED
    ),
    Fault(
        "positions-of-piece",
        "gives all tokens of a later piece the position of its first token",
        SamePositionInPiece,
        ("pieces",),
    ),
    Fault("positions-wrap", "counts positions modulo 256", Wraps),
    Fault("no-positions", "gives every token position 0", NoPositions),
    Fault(
        "positions-of-first-row",
        "gives every row of a batch the positions of its first row",
        RowsShareFirst,
        BATCHES,
    ),
)

PADDING_FAULTS = (
    Fault("padding-seen", "attends to padding", PaddingSeen, BATCHES),
    Fault(
        "padding-seen-later", "attends to padding once it generates", PaddingSeenLater, ("generate",)
    ),
    Fault(
        "padding-answered",
        "pads on the right and answers after the padding",
        PaddingIsLast,
        BATCHES,
    ),
    Fault(
        "mask-of-first-row",
        "gives every row of a batch the mask of its first row",
        RowsShareMask,
        BATCHES,
    ),
    Fault("only-first-row", "runs only the first row of a batch", LaterRowsEmpty, (*BATCHES, "beams")),
    Fault("rows-reversed", "gives back the rows of a batch in reverse order", RowsReversed, BATCHES),
    Fault("rows-shifted", "gives every row of a batch the answer of another row", RowsShifted, BATCHES),
)
