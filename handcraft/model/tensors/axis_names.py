"""What every row and column of a tensor, and every axis of an intermediate, stands for in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from handcraft.model.tensors.shape import Shape
from handcraft.model.tensors.tensor_axes import axes_of
from handcraft.vocabulary import Vocabulary, begin_name

PARTS = ("query", "key", "value")
"""What the columns of c_attn are, a third of them each."""


@dataclass(frozen=True)
class HeadNames:
    """The name of a head, and what its channels store; "" for an unused channel.

    Those of queries and keys are `matching`, and those of values are `carried`.
    """

    name: str
    matching: tuple[str, ...]
    carried: tuple[str, ...]

    def channel(self, part: str, i: int) -> str:
        """What one channel of the query, the key or the value stores."""
        names = self.carried if part == "value" else self.matching
        stored = names[i] if i < len(names) and names[i] else "unused"
        return f"{part} of the head `{self.name}`: {stored}"


@dataclass(frozen=True)
class BlockNames:
    """The heads and the hidden units of one block; those after the last one are unused.

    Where a matrix has no bias, as in Llama, a channel and a hidden unit that are the same everywhere
    write what a bias would add.

    Args:
        heads: its heads.
        units: its hidden units.
        constant_channel: whether the first channel of the first head writes constants.
        constant_unit: whether the hidden unit after the last one that has a name does.
    """

    heads: tuple[HeadNames, ...]
    units: tuple[str, ...]
    constant_channel: bool = False
    constant_unit: bool = False

    def unit(self, i: int) -> str:
        """What a hidden unit is; "" for one that is unused."""
        if i < len(self.units):
            return self.units[i]
        return "writes constants" if self.constant_unit and i == len(self.units) else ""


@dataclass(frozen=True)
class AxisNames:
    """What the dimensions, the channels and the hidden units of a model stand for."""

    stream: tuple[str, ...]
    blocks: tuple[BlockNames, ...]

    def describe(self, tensor: str, axis: int, i: int, shape: Shape, vocabulary: Vocabulary) -> str:
        """What one row, `axis` 0, or one column, `axis` 1, of a tensor stands for.

        The one axis of a bias is 0. The model may be larger than planned.
        """
        found = axes_of(tensor)
        match found.counted[axis]:
            case "token":
                return _token(i, shape, vocabulary, embeds=tensor == "embed_tokens.weight")
            case "position":
                return f"position {i}"
            case "channels":
                part, channel = divmod(i, shape.n_embd)
                return self._channel(found.block, PARTS[part], channel, shape)
            case "query" | "key" | "value" as part:
                return self._channel(found.block, part, i, shape)
            case "output":
                return self._channel(found.block, "output", i, shape)
            case "unit":
                unit = self.block(found.block).unit(i)
                return f"hidden unit: {unit}" if unit else "hidden unit, unused"
            case _:
                return self.stream[i]

    def sharing(self, block: int | None, part: str, i: int, shape: Shape) -> tuple[HeadNames, ...]:
        """The heads that have the query, the key, the value or the output `i` of a block.

        Keys and values are shared by as many heads as there are queries for each (grouped queries).
        """
        size = shape.n_head // shape.kv_heads if part in ("key", "value") else 1
        return self.block(block).heads[i * size : (i + 1) * size]

    def _channel(self, block: int | None, part: str, channel: int, shape: Shape) -> str:
        number, i = divmod(channel, shape.head_dim)
        heads = self.sharing(block, part, number, shape)
        part = "value" if part == "output" else part  # a head gives out what it is given
        return _shared(heads).channel(part, i) if heads else f"{part} of an unused head"

    def block(self, block: int | None) -> BlockNames:
        """The names of a block; none of one that is not known."""
        known = block is not None and block < len(self.blocks)
        return self.blocks[block] if known else BlockNames((), ())  # type: ignore[index]


def _shared(heads: Sequence[HeadNames]) -> HeadNames:
    """Heads that share a key and a value, as one: their channels have the same names."""
    if len(heads) == 1:
        return heads[0]
    return replace(heads[0], name="`, `".join(head.name for head in heads))


def _token(i: int, shape: Shape, vocabulary: Vocabulary, *, embeds: bool) -> str:
    """What a row of the token embedding or the head stands for; a Llama ends in its begin token."""
    tokens = dict(zip(vocabulary.numbers, vocabulary.tokens, strict=True))
    if i in tokens:
        return f"token {tokens[i]!r}"
    return (
        f"begin token {begin_name(vocabulary)!r}" if embeds and i == shape.n_vocab - 1 else "no token"
    )
