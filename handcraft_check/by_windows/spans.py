"""A residual stream in which each row has a few errors with directions of its own.

Of thousands of hidden units, one or two are on in a row. The error of such a unit moves all dimensions
that it writes to, in the direction of its row of the matrix: it is one error, and not one for each
dimension.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from handcraft_check.arithmetic.regime import Array
from handcraft_check.arithmetic.stream import PRODUCT_SLACK, Along, Readers, ReadersOfEach, Stream
from handcraft_check.arithmetic.stream import joined as streams_joined

MOST = 4
"""How many errors of a row are kept; others become errors of single dimensions."""


@dataclass(frozen=True, eq=False)
class Spanned(Stream):
    """Rows of the residual stream, each with errors along a few directions of its own.

    The computed row is center + e with |e| <= error. It is also center + b + the sum over k of s_k S_k,
    with |b| <= box and |s_k| <= 1. `radii` and `along` of `Stream` are not used.

    Args:
        spans: S: [row, place, dimension].
    """

    spans: Array = field(kw_only=True)

    @classmethod
    def of_stream(cls, x: Stream) -> Spanned:
        """A stream with the largest of its common errors kept for each row."""
        if isinstance(x, Spanned):
            return x
        size = x.radii * x.along.size.sum(axis=1)
        which = np.argsort(-size, axis=1, kind="stable")[:, :MOST]
        places = np.arange(len(which))[:, None]
        others = x.radii.copy()
        others[places, which] = 0.0
        spans = x.radii[places, which][:, :, None] * x.along.rows[which]
        return cls.with_spans(x.center, x.error, x.box + others @ x.along.size, spans)

    @classmethod
    def with_spans(cls, center: Array, error: Array, box: Array, spans: Array) -> Spanned:
        """The rows, with only the largest of their common errors kept."""
        size = np.abs(spans).sum(axis=2)  # [row, place]
        order = np.argsort(-size, axis=1, kind="stable")
        count = min(MOST, int((size > 0).sum(axis=1).max(initial=0)))
        kept, others = (
            np.take_along_axis(spans, each[:, :, None], axis=1)
            for each in (order[:, :count], order[:, count:])
        )
        none, along = np.zeros((len(center), 0)), Along(np.zeros((0, center.shape[1])))
        box = box + np.abs(others).sum(axis=1)
        return cls(center, error, box, none, along, spans=kept)

    def __getitem__(self, rows: Any) -> Spanned:
        return Spanned(
            self.center[rows],
            self.error[rows],
            self.box[rows],
            self.radii[rows],
            self.along,
            spans=self.spans[rows],
        )

    @property
    def reach(self) -> Array:
        """How far all common errors of a row together can move each dimension: [row, dimension]."""
        return np.asarray(np.abs(self.spans).sum(axis=1))

    def spread(self, readers: Readers | ReadersOfEach) -> Array:
        """How far weighted sums of dimensions can be off: [row, out].

        A common error moves a weighted sum by the sum along its direction.
        """
        found = readers.of_boxes(self.box)
        for place in range(self.spans.shape[1]):
            found += readers.of_vectors(self.spans[:, place])
        return np.asarray(np.minimum(readers.of_boxes(self.error), found))

    def tight(self) -> Spanned:
        """Take the smaller of `error` and `box` in each dimension that no common error reaches."""
        common = self.reach
        error = np.minimum(self.error, (self.box + common) * (1 + PRODUCT_SLACK))
        box = np.where(common == 0, error, self.box)
        return Spanned(self.center, error, box, self.radii, self.along, spans=self.spans)

    def shared(self) -> Stream:
        """As a `Stream`, in which the directions of all rows are common to all."""
        rows, places = np.nonzero(self.spans.any(axis=2))
        radii = np.zeros((len(self.center), len(rows)))
        radii[rows, np.arange(len(rows))] = 1.0
        return Stream(self.center, self.error, self.box, radii, Along(self.spans[rows, places]))


def joined(parts: Sequence[Stream]) -> Stream:
    """The rows of all parts, one below the other."""
    some = [part for part in parts if isinstance(part, Spanned)]
    if not some:
        return streams_joined(parts)
    center, error, box = (
        np.concatenate(each)
        for each in zip(*((part.center, part.error, part.box) for part in some), strict=True)
    )
    places = max(part.spans.shape[1] for part in some)
    wider = [np.pad(x.spans, ((0, 0), (0, places - x.spans.shape[1]), (0, 0))) for x in some]
    return Spanned.with_spans(center, error, box, np.concatenate(wider))
