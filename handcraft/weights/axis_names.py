"""What every row and column of a tensor stands for, in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from handcraft.model import Shape, TraceNames
from handcraft.vocabulary import Vocabulary
from handcraft.weights.layers import Layer
from handcraft.weights.layout import Layout
from handcraft.weights.plan import Plan

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
    """The heads and the hidden units of one block; those behind the last one are unused."""

    heads: tuple[HeadNames, ...]
    units: tuple[str, ...]


@dataclass(frozen=True)
class AxisNames:
    """What the dimensions, the channels and the hidden units of a model stand for."""

    stream: tuple[str, ...]
    blocks: tuple[BlockNames, ...]

    @classmethod
    def of(cls, plan: Plan) -> AxisNames:
        """The names that a plan gives."""
        return cls(_stream(plan.layout), tuple(_block(each, plan.layout) for each in plan.layers))

    def of_trace(self, shape: Shape, tokens: tuple[str, ...]) -> TraceNames:
        """The names that a trace of the model shows."""
        return TraceNames(
            dimensions=self.stream,
            heads=tuple(_filled((h.name for h in block.heads), shape.n_head) for block in self.blocks),
            units=tuple(
                _filled(block.units, count)
                for block, count in zip(self.blocks, shape.n_inner, strict=True)
            ),
            tokens=tokens,
        )

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


def trace_names(plan: Plan) -> TraceNames:
    """The names that a trace of a planned model shows."""
    return AxisNames.of(plan).of_trace(plan.shape, plan.token_names)


def _filled(names: Iterable[str], count: int) -> tuple[str, ...]:
    known = tuple(names)
    return (*known, *["unused"] * (count - len(known)))


def _stream(layout: Layout) -> tuple[str, ...]:
    stored: list[list[str]] = [[] for _ in layout.dimension_names]
    for subspace in layout.subspaces:
        for i, name in enumerate(subspace.dimension_names):
            known = name.startswith(subspace.name)
            of = name if known else f"{name} of the subspace `{subspace.name}`"
            opposite = layout.opposite(subspace, i)
            stored[layout.start[subspace] + i].append(of)
            if opposite is not None and opposite != layout.balance:
                stored[opposite].append(f"-{of}")
    return tuple(
        ", then ".join(of) or name for name, of in zip(layout.dimension_names, stored, strict=True)
    )


def _block(layer: Layer, layout: Layout) -> BlockNames:
    heads = []
    for head in layer.heads:
        matching, carried = map(layout.channel_names, layout.channel_start(head))
        heads.append(HeadNames(head.name, _in_order(matching), _in_order(carried)))
    return BlockNames(tuple(heads), tuple(unit.name for unit in layer.units))


def _in_order(names: Mapping[int, str]) -> tuple[str, ...]:
    return tuple(names.get(i, "") for i in range(max(names, default=-1) + 1))
