"""What the axes of every tensor count, by its name in the checkpoint of GPT-2 or of Llama."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Counted = Literal["token", "position", "stream", "channels", "query", "key", "value", "output", "unit"]
"""Tokens, positions, dimensions of the residual stream, hidden units; or channels of heads side by
side: of queries, of keys and of values, which several heads may share, of the outputs of all heads, or
of queries, keys and values, which are a third of the ``channels`` each."""

# Matrices of GPT-2 are stored [in, out], those of Llama and embeddings [out, in].
AXES: dict[str, tuple[Counted, ...]] = {
    "wte": ("token", "stream"),
    "wpe": ("position", "stream"),
    "lm_head": ("token", "stream"),
    "embed_tokens": ("token", "stream"),
    "attn.c_attn": ("stream", "channels"),
    "attn.c_proj": ("output", "stream"),
    "mlp.c_fc": ("stream", "unit"),
    "mlp.c_proj": ("unit", "stream"),
    "self_attn.q_proj": ("query", "stream"),
    "self_attn.k_proj": ("key", "stream"),
    "self_attn.v_proj": ("value", "stream"),
    "self_attn.o_proj": ("stream", "output"),
    "mlp.gate_proj": ("unit", "stream"),
    "mlp.up_proj": ("unit", "stream"),
    "mlp.down_proj": ("stream", "unit"),
}
"""Of every matrix; all others are norms."""


@dataclass(frozen=True)
class TensorAxes:
    """The place of a tensor in its model.

    Args:
        block: the number of its block; None outside of blocks.
        counted: what each of its axes counts.
    """

    block: int | None
    counted: tuple[Counted, ...]


def axes_of(tensor: str) -> TensorAxes:
    """What the axes of a tensor count.

    >>> axes_of("h.2.attn.c_attn.bias")
    TensorAxes(block=2, counted=('channels',))
    >>> axes_of("layers.0.self_attn.o_proj.weight").counted
    ('stream', 'output')
    """
    *path, kind = tensor.split(".")
    block = int(path[1]) if len(path) > 1 and path[0] in ("h", "layers") else None
    counted = AXES.get(".".join(path if block is None else path[2:]), ("stream",))
    return TensorAxes(block, counted[-1:] if kind == "bias" else counted)


def is_tensor_name(name: str) -> bool:
    """Whether a GPT-2 or a Llama has a matrix, or the bias of one, of a name.

    >>> is_tensor_name("wte.weight"), is_tensor_name("h.0.mlp.c_fc.bias"), is_tensor_name("wte")
    (True, True, False)
    """
    path, _, kind = name.rpartition(".")
    block = axes_of(name).block
    return kind in ("weight", "bias") and (path if block is None else path.split(".", 2)[2]) in AXES


@dataclass(frozen=True)
class OutputMatrix:
    """The matrix by which heads or hidden units write to the residual stream.

    Args:
        weight: the name of the tensor.
        bias: that of its bias; None where there is none.
        axis: the axis that counts channels or hidden units; the other one is the stream.
    """

    weight: str
    bias: str | None
    axis: int


Writers = Literal["attn", "mlp"]
"""The heads of a block, or its hidden units."""


def output_matrix(block: int, of: Writers, *, rotary: bool) -> OutputMatrix:
    """The matrix by which the heads or the hidden units of a block write, in a Llama or a GPT-2."""
    if rotary:
        name = "self_attn.o_proj" if of == "attn" else "mlp.down_proj"
        return OutputMatrix(f"layers.{block}.{name}.weight", None, 1)
    name = f"h.{block}.{of}.c_proj"
    return OutputMatrix(f"{name}.weight", f"{name}.bias", 0)
