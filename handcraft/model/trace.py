"""Every named intermediate of one forward pass, and what its axes stand for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from handcraft.display import html_table
from handcraft.errors import ModelError
from handcraft.model.attention import Array
from handcraft.model.axis_names import AxisNames
from handcraft.model.stored import Stored

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
    [position, n_vocab]. With LayerNorm there are also ``h.{i}.ln_1``, ``h.{i}.ln_2`` and ``ln_f``, what
    each norm gives, [position, n_embd].

    Args:
        tokens: the prompt.
        values_by_name: the intermediates, in the order in which they came up.
        answers: the tokens that logits are of, [n_vocab].
        names: what the other axes stand for; None for a model that was not compiled here.
        stored: the values of the residual stream; none if only its dimensions are known.
    """

    tokens: tuple[str, ...]
    values_by_name: Mapping[str, Array]
    answers: tuple[str, ...] = field(repr=False)
    names: AxisNames | None = field(default=None, repr=False)
    stored: tuple[Stored, ...] = field(default=(), repr=False)

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
        return "\n".join([f"trace of {' '.join(self.tokens)}", *lines])

    def axes(self, name: str) -> tuple[tuple[str, ...], ...]:
        """What each place along each axis of an intermediate stands for; else its number."""
        value = self[name]
        positions = tuple(f"{i} {token}" for i, token in enumerate(self.tokens))
        numbers = [tuple(map(str, range(size))) for size in value.shape]
        if name == "logits":
            return positions, self.answers
        block = None
        if self.names is not None and name.startswith("h."):
            block = self.names.blocks[int(name.split(".")[1])]
        if value.ndim == 3:
            heads = _filled([head.name for head in block.heads], len(value)) if block else numbers[0]
            shared = len(value) == 1 or name.endswith((".scores", ".pattern"))
            return heads, positions, self._last_axis(name, 0) if shared else numbers[2]
        if self.names is None:
            return positions, numbers[1]
        if block is not None and name.endswith((".pre_activation", ".hidden")):
            return positions, _filled(block.units, value.shape[1])
        return positions, self.names.stream

    def _last_axis(self, name: str, head: int) -> tuple[str, ...]:
        """What the sources, or the channels, of one head of an intermediate stand for."""
        if name.endswith((".scores", ".pattern")):
            return tuple(f"{i} {token}" for i, token in enumerate(self.tokens))
        heads = self.names.blocks[int(name.split(".")[1])].heads if self.names is not None else ()
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
        return html_table(f"trace of {' '.join(self.tokens)}", rows)


def _filled(names: Sequence[str], count: int) -> tuple[str, ...]:
    return (*names, *["unused"] * (count - len(names)))


def _rows(value: Array, rows: Sequence[str], columns: Sequence[str], indent: str = "") -> list[str]:
    """A line for each row, with what is not 0 in it: [row, column]."""
    most = max(1, SHOWN_UP_TO // max(1, len(rows)))
    lines = []
    for row, numbers in zip(rows, value.tolist(), strict=True):
        found = [f"{columns[i]} {number:.4g}" for i, number in enumerate(numbers) if number]
        more = f", and {len(found) - most} more" if len(found) > most else ""
        lines.append(f"{indent}{row}: {', '.join(found[:most]) or 'all 0'}{more}")
    return lines
