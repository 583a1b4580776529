"""Every subspace's place in the residual stream, and every channel's place in a head."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import ceil

from handcraft.circuits import Circuits, Head, Subspace


@dataclass(frozen=True)
class Layout:
    """Where everything lies.

    Args:
        subspaces: the subspaces of the residual stream, in order, without gaps.
        n_head: heads in each block.
        n_embd: the width of the residual stream; dimensions past the last subspace are spare.
        is_aligned: whether the one head of a block is as wide as the stream and uses the same
            dimensions for the same subspaces; otherwise the channels of a head are packed from 0.
    """

    subspaces: tuple[Subspace, ...]
    n_head: int
    n_embd: int
    is_aligned: bool

    @property
    def head_dim(self) -> int:
        """The width of one head."""
        return self.n_embd // self.n_head

    @cached_property
    def start(self) -> Mapping[Subspace, int]:
        """The first dimension of every subspace."""
        return _starts(self.subspaces)

    @cached_property
    def dimension_names(self) -> tuple[str, ...]:
        """What each dimension of the residual stream holds."""
        names = [name for subspace in self.subspaces for name in subspace.dimension_names]
        return tuple(names + [f"spare {i}" for i in range(self.n_embd - len(names))])

    def channel_start(self, head: Head) -> tuple[Mapping[Subspace, int], Mapping[Subspace, int]]:
        """The first channel of each matching and of each carried subspace of a head."""
        if self.is_aligned:
            return self.start, self.start
        return _starts(head.matching), _starts(head.carried)

    def channel_names(self, channels: Mapping[Subspace, int]) -> dict[int, str]:
        """What each channel of a head holds."""
        return {
            start + i: name
            for subspace, start in channels.items()
            for i, name in enumerate(subspace.dimension_names)
        }


def allocate_layout(circuits: Circuits) -> Layout:
    """The smallest layout that holds the circuits.

    Subspaces lie in the order of the stream. A single head whose channels are all subspaces of the
    stream is aligned with it; otherwise all heads are as wide as the widest one needs.
    """
    subspaces = circuits.stream
    width = sum(subspace.width for subspace in subspaces)
    heads = [head for block in circuits.blocks for head in block.heads]
    known = frozenset(subspaces)
    if circuits.head_count <= 1 and all(
        channel in known for head in heads for channel in (*head.matching, *head.carried)
    ):
        return Layout(subspaces, 1, width, is_aligned=True)
    n_head = max(1, circuits.head_count)
    head_dim = max(ceil(width / n_head), *(head.width for head in heads))
    return Layout(subspaces, n_head, n_head * head_dim, is_aligned=False)


def _starts(subspaces: Iterable[Subspace]) -> dict[Subspace, int]:
    starts: dict[Subspace, int] = {}
    end = 0
    for subspace in subspaces:
        starts[subspace] = end
        end += subspace.width
    return starts
