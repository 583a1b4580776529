"""Every named intermediate of one forward pass, and what its axes stand for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from handcraft.display import html_table
from handcraft.errors import ModelError
from handcraft.model.layers.attention import Array
from handcraft.model.stored import Stored
from handcraft.model.tensors.axis_names import AxisNames, BlockNames

if TYPE_CHECKING:
    from handcraft.draw import Picture

SHOWN_UP_TO = 400
"""How many numbers of one intermediate `show` prints at most."""


class NoSuchValueError(ModelError, KeyError):
    """An intermediate that a trace does not have; also a `KeyError`, as for any mapping."""


@dataclass(frozen=True, eq=False)
class Trace(Mapping[str, Array]):
    """The value of every intermediate for one prompt, without a batch axis.

    ``embedding`` and ``h.{i}.after_attention``, ``h.{i}.output`` are the residual stream,
    [position, n_embd]; ``h.{i}.attn.query``, ``.key``, ``.value`` and ``.head_output`` are
    [head, position, head_dim]; ``.scores`` (scaled, before the mask) and ``.pattern`` are
    [head, destination, source]; ``h.{i}.mlp.pre_activation`` and ``.hidden`` are [position, n_inner];
    ``h.{i}.attn.output`` and ``h.{i}.mlp.output`` are what they add to the stream; ``logits`` is
    [position, n_vocab]. With norms there are also ``h.{i}.ln_1``, ``h.{i}.ln_2`` and ``ln_f``, what
    each gives, [position, n_embd]. A Llama has ``h.{i}.mlp.up`` besides, by which the activation of
    ``.pre_activation`` is multiplied; and its ``.key`` and ``.value`` have as many heads as it has of
    those.

    Args:
        tokens: the prompt, with the begin token before it where the model has one.
        values_by_name: the intermediates, in the order in which they came up.
        answers: the tokens that logits are of, [n_vocab].
        names: what the other axes stand for; None for a model that was not compiled here.
        stored: the values of the residual stream; none if only its dimensions are known.
        lead: how many tokens there are before the prompt: 1 for a begin token. Position 0 comes after.
    """

    tokens: tuple[str, ...]
    values_by_name: Mapping[str, Array]
    answers: tuple[str, ...] = field(repr=False)
    names: AxisNames | None = field(default=None, repr=False)
    stored: tuple[Stored, ...] = field(default=(), repr=False)
    lead: int = field(default=0, repr=False)

    @property
    def text(self) -> tuple[str, ...]:
        """The prompt alone."""
        return self.tokens[self.lead :]

    @property
    def position_names(self) -> tuple[str, ...]:
        """The position of every token; "" for the begin token."""
        return (*[""] * self.lead, *map(str, range(len(self.text))))

    @property
    def places(self) -> tuple[str, ...]:
        """Every token with its position before it."""
        named = zip(self.position_names, self.tokens, strict=True)
        return tuple(f"{number} {token}" if number else token for number, token in named)

    def __getitem__(self, name: str) -> Array:
        try:
            return self.values_by_name[name]
        except KeyError:
            raise NoSuchValueError(
                f"the trace has no {name!r}", fix=f"it has: {', '.join(self.values_by_name)}"
            ) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self.values_by_name)

    def __len__(self) -> int:
        return len(self.values_by_name)

    def __contains__(self, name: object) -> bool:
        return name in self.values_by_name

    def __repr__(self) -> str:
        lines = [f"{name} {list(value.shape)}" for name, value in self.items()]
        return "\n".join([f"trace of {' '.join(self.text)}", *lines])

    def axes(self, name: str) -> tuple[tuple[str, ...], ...]:
        """What each place along each axis of an intermediate stands for; else its number."""
        value = self[name]
        positions = self.places
        numbers = [tuple(map(str, range(size))) for size in value.shape]
        if name == "logits":
            return positions, self.answers
        block = None
        if self.names is not None and name.startswith("h."):
            block = self.names.blocks[int(name.split(".")[1])]
        if value.ndim == 3:
            heads = self._heads(block, name) if block else numbers[0]
            shared = len(value) == 1 or name.endswith((".scores", ".pattern"))
            return heads, positions, self._last_axis(name, 0) if shared else numbers[2]
        if self.names is None:
            return positions, numbers[1]
        if block is not None and name.endswith((".pre_activation", ".up", ".hidden")):
            return positions, tuple(block.unit(i) or "unused" for i in range(value.shape[1]))
        return positions, self.names.stream

    def _heads(self, block: BlockNames, name: str) -> tuple[str, ...]:
        """The heads of an intermediate; several where they share a key and a value."""
        count = len(self[name])
        size = self._queries(name) // count
        groups = (block.heads[i * size : (i + 1) * size] for i in range(count))
        return tuple(", ".join(head.name for head in heads) or "unused" for heads in groups)

    def _queries(self, name: str) -> int:
        """How many heads the block of an intermediate has."""
        return len(self[f"{name.rpartition('.')[0]}.query"])

    def _last_axis(self, name: str, number: int) -> tuple[str, ...]:
        """What the sources, or the channels, of one head of an intermediate stand for."""
        if name.endswith((".scores", ".pattern")):
            return self.places
        head = number * (self._queries(name) // len(self[name]))  # the first of those that share it
        heads = self.names.block(int(name.split(".")[1])).heads if self.names is not None else ()
        known: tuple[str, ...] = ()
        if head < len(heads):
            is_value = name.endswith((".value", ".head_output"))
            known = heads[head].carried if is_value else heads[head].matching
        named = {i: channel for i, channel in enumerate(known) if channel}
        return tuple(named.get(i, str(i)) for i in range(self[name].shape[2]))

    def show(self, name: str) -> str:
        """An intermediate as text, its rows and columns under their names; zeros are left out."""
        value, axes = self[name], self.axes(name)
        if value.ndim == 2:
            lines = _rows(value, axes[0], axes[1])
        else:
            lines = []
            for number, (head, part) in enumerate(zip(axes[0], value, strict=True)):
                last = self._last_axis(name, number)
                lines += [f"head {head}", *_rows(part, axes[1], last, indent="  ")]
        return "\n".join([f"{name} {list(value.shape)}", *lines])

    def draw(self, what: str = "run") -> Picture:
        """A picture of the run, which notebooks show.

        Args:
            what: ``run``: values and attention, block by block; ``attention``: the pattern of every
                head; ``stream``: the residual stream.

        Raises:
            DrawError: there is no such picture, or it is too tall.
        """
        from handcraft.draw import draw_trace

        return draw_trace(self, what)

    def _repr_html_(self) -> str:
        """Names and shapes, for notebooks."""
        rows = [(name, list(value.shape)) for name, value in self.items()]
        return html_table(f"trace of {' '.join(self.text)}", rows)


def _rows(value: Array, rows: Sequence[str], columns: Sequence[str], indent: str = "") -> list[str]:
    """A line for each row, with what is not 0 in it: [row, column]."""
    most = max(1, SHOWN_UP_TO // max(1, len(rows)))
    lines = []
    for row, numbers in zip(rows, value.tolist(), strict=True):
        found = [f"{columns[i]} {number:.4g}" for i, number in enumerate(numbers) if number]
        more = f", and {len(found) - most} more" if len(found) > most else ""
        lines.append(f"{indent}{row}: {', '.join(found[:most]) or 'all 0'}{more}")
    return lines
