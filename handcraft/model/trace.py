"""Every named intermediate of one forward pass."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from handcraft.errors import ModelError
from handcraft.model.attention import Array


class NoSuchValueError(ModelError, KeyError):
    """A trace that is asked for what it does not hold; also a `KeyError`, as of any mapping."""


@dataclass(frozen=True, eq=False)
class Trace(Mapping[str, Array]):
    """What a prompt made of every part of the model, without a batch axis.

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
    """

    tokens: tuple[str, ...]
    values_by_name: Mapping[str, Array]

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
