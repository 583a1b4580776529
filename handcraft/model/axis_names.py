"""What every row and column of a tensor, and every axis of an intermediate, stands for in words."""

from __future__ import annotations

from dataclasses import dataclass

from handcraft.model.shape import Shape
from handcraft.vocabulary import Vocabulary

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
    """The heads and the hidden units of one block; those after the last one are unused."""

    heads: tuple[HeadNames, ...]
    units: tuple[str, ...]


@dataclass(frozen=True)
class AxisNames:
    """What the dimensions, the channels and the hidden units of a model stand for."""

    stream: tuple[str, ...]
    blocks: tuple[BlockNames, ...]

    def describe(self, tensor: str, axis: int, i: int, shape: Shape, vocabulary: Vocabulary) -> str:
        """What one row, `axis` 0, or one column, `axis` 1, of a tensor stands for.

        The one axis of a bias is 0. The model may be larger than planned.
        """
        if tensor in ("wte.weight", "lm_head.weight") and axis == 0:
            tokens = dict(zip(vocabulary.numbers, vocabulary.tokens, strict=True))
            return f"token {tokens[i]!r}" if i in tokens else "no token"
        if tensor == "wpe.weight" and axis == 0:
            return f"position {i}"
        names = tensor.split(".")
        block = int(names[1]) if names[0] == "h" else 0
        writes = axis == 1 or names[-1] == "bias"
        match ".".join(names[2:-1]), writes:
            case "attn.c_attn", True:
                part, channel = divmod(i, shape.n_embd)
                return self._channel(block, PARTS[part], channel, shape.head_dim)
            case "attn.c_proj", False:
                return self._channel(block, "value", i, shape.head_dim)
            case ("mlp.c_fc", True) | ("mlp.c_proj", False):
                units = self.blocks[block].units if block < len(self.blocks) else ()
                return f"hidden unit: {units[i]}" if i < len(units) else "hidden unit, unused"
        return self.stream[i]

    def _channel(self, block: int, part: str, channel: int, head_dim: int) -> str:
        heads = self.blocks[block].heads if block < len(self.blocks) else ()
        number, i = divmod(channel, head_dim)
        return heads[number].channel(part, i) if number < len(heads) else f"{part} of an unused head"
