"""Which heads of a rotary model share a key/value head: the grouped queries of Llama.

Heads that attend by distance have the same keys, so they may share one key/value head, and the values
that several of them move take one channel there (Ainslie et al. 2023).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import inf

from handcraft.circuits import Bias, Head, LookBack, Number, Relation, Subspace
from handcraft.display import count, short_repr
from handcraft.errors import LayoutError
from handcraft.phrase import Words, listed, phrase, setting
from handcraft.weights.layers import Layer
from handcraft.weights.layout import Sizes

NEAR = 16
"""How many other numbers of heads are tried in place of one that does not fit."""

Column = tuple[tuple[Subspace, int, Number], ...]
"""What one channel of a value reads: subspaces, dimensions in them, factors. None of it for a 1."""

ONE: Column = ()
"""The channel that is 1 at every source, for what a head adds whatever it attends to."""


@short_repr
@dataclass(frozen=True)
class Group:
    """Heads that share keys and values.

    Args:
        heads: the heads, each with queries of its own.
        columns: what the channels of the values read, in order.
    """

    heads: tuple[Head, ...]
    columns: tuple[Column, ...]

    def channel(self, head: Head, subspace: Subspace, i: int) -> int:
        """The channel in which one of its heads carries dimension `i` of a carried subspace."""
        return self.columns.index(columns_of(head)[subspace, i])


@short_repr
@dataclass(frozen=True)
class Packing:
    """The heads of every layer in groups of one size.

    Args:
        n_kv_head: groups in each layer.
        group_size: heads in each group; some may do nothing.
        head_dim: the width of a head.
        layers: the groups of each layer that do something, all full but the last.
    """

    n_kv_head: int
    group_size: int
    head_dim: int
    layers: tuple[tuple[Group, ...], ...]

    @property
    def n_head(self) -> int:
        """Heads in each layer."""
        return self.n_kv_head * self.group_size

    def numbered(self, layer: int) -> Iterator[tuple[int, Group, tuple[tuple[int, Head], ...]]]:
        """The groups of a layer with their numbers, and their heads with theirs."""
        for number, group in enumerate(self.layers[layer]):
            first = number * self.group_size
            yield number, group, tuple(enumerate(group.heads, first))


def columns_of(head: Head) -> dict[tuple[Subspace, int], Column]:
    """What each dimension of what a head carries reads at the source."""
    found: dict[tuple[Subspace, int], list[tuple[Subspace, int, Number]]] = {}
    for linear in head.moves:
        for i, j, number in linear.entries:
            found.setdefault((linear.target, j), []).append((linear.source, i, number))
    return {place: tuple(read) for place, read in found.items()}


def channels_of(head: Head) -> tuple[Subspace, ...]:
    """The channels by which a head selects sources, in the order of its keys."""
    attends = head.attends
    constants = (each.subspace for each in attends.key_bias)
    return tuple(dict.fromkeys([*(linear.target for linear in attends.key), *constants]))


def pack(layers: Sequence[Layer], n_embd: int, head_dim: int, sizes: Sizes) -> Packing:
    """The groups with the fewest parameters.

    A layer has head_dim * n_embd parameters for each head, twice, and the same for each group. The
    number of heads must divide n_embd.

    Args:
        layers: with the heads to pack.
        n_embd: the width of the stream.
        head_dim: the width of a head.
        sizes: what is asked of the number of heads and groups.

    Raises:
        LayoutError: the heads do not fit the requested sizes.
    """
    best = _smallest(layers, n_embd, head_dim, sizes)
    if best is not None:
        return best
    widest = max((len(layer.heads) for layer in layers), default=1)
    heads = {"n_head": sizes.n_head, "n_kv_head": sizes.n_kv_head}
    asked = [f"{name}={number}" for name, number in heads.items() if number is not None]
    raise LayoutError(
        f"a block of {count(widest, 'head')} in a stream of {n_embd} dimensions "
        f"{'cannot have ' + ' and '.join(asked) if asked else 'has no place'}: "
        "the number of heads must divide the dimensions, and be a multiple of n_kv_head",
        fix=_what_would_do(layers, n_embd, head_dim, sizes),
    )


def _smallest(layers: Sequence[Layer], n_embd: int, head_dim: int, sizes: Sizes) -> Packing | None:
    """The groups with the fewest parameters; None where no groups fit the requested sizes."""
    best: Packing | None = None
    best_size = inf
    widest = max((len(layer.heads) for layer in layers), default=1)
    for group_size in range(1, max(widest, sizes.n_head or 1) + 1):
        groups = [_groups(layer, group_size, head_dim) for layer in layers]
        if any(each is None for each in groups):
            continue
        found = tuple(each for each in groups if each is not None)
        needed = max((len(each) for each in found), default=1)
        number = _count(needed, group_size, n_embd, sizes)
        if number is not None and number * (group_size + 1) < best_size:
            best, best_size = Packing(number, group_size, head_dim, found), number * (group_size + 1)
    return best


def _what_would_do(layers: Sequence[Layer], n_embd: int, head_dim: int, sizes: Sizes) -> Words:
    """The nearest number of groups or of heads that fits, else the settings to leave out."""
    asked = {name: getattr(sizes, name) for name in ("n_kv_head", "n_head")}
    for name, number in asked.items():
        if number is None:
            continue
        near = sorted(range(1, n_embd + 1), key=lambda n: abs(n - number))
        for other in near[:NEAR]:
            if _smallest(layers, n_embd, head_dim, replace(sizes, **{name: other})):
                return phrase("use ", setting(name, other))
    given = [setting(name, number) for name, number in asked.items() if number is not None]
    if given and _smallest(layers, n_embd, head_dim, Sizes(n_embd=sizes.n_embd)):
        return phrase("leave out ", listed(given, " and "))
    return "compile for gpt2"


def _count(needed: int, group_size: int, n_embd: int, sizes: Sizes) -> int | None:
    """The smallest allowed number of groups; None if there is none."""
    for number in range(max(1, needed), n_embd // group_size + 1):
        n_head = number * group_size
        is_asked = sizes.n_kv_head in (None, number) and sizes.n_head in (None, n_head)
        if is_asked and n_embd % n_head == 0:
            return number
    return None


def _groups(layer: Layer, group_size: int, head_dim: int) -> tuple[Group, ...] | None:
    """The heads of a layer in groups, in order; None if a group carries more than a head is wide."""
    heads = layer.heads or _idle(layer.attention_bias)
    groups: list[Group] = []
    for start in range(0, len(heads), group_size):
        some = heads[start : start + group_size]
        columns = [ONE] if layer.attention_bias and not start else []
        columns += [column for head in some for column in columns_of(head).values()]
        group = Group(some, tuple(dict.fromkeys(columns)))
        if len(group.columns) > head_dim or not all(_agree(some[0], head) for head in some):
            return None
        groups.append(group)
    return tuple(groups)


def _idle(biases: Sequence[Bias]) -> tuple[Head, ...]:
    """A head that attends to anything, if there is something to add and no head adds it."""
    here = Relation("this position", (), (), picks_one=True, distance=LookBack(0))
    return (Head("adds constants", here, (), ()),) if biases else ()


def _agree(one: Head, other: Head) -> bool:
    """Whether two heads have the same keys."""
    if one.attends.distance is not None or other.attends.distance is not None:
        return one.attends.distance is not None and other.attends.distance is not None
    ways = [each.attends.content for each in (one, other)]
    if any(way is not None and way.is_shared for way in ways) and ways[0] != ways[1]:
        return False  # then constants are 0, or only the begin token has them
    return one.attends.key == other.attends.key and one.attends.key_bias == other.attends.key_bias
