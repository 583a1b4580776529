"""The sizes of a model, and the tensors that a model of those sizes has."""

from __future__ import annotations

from dataclasses import dataclass, fields
from math import prod

from handcraft.architecture import BLOCK, Architecture


@dataclass(frozen=True, repr=False)
class Shape:
    """The sizes of a model, by the names of the config of GPT-2.

    Args:
        n_vocab: tokens.
        n_positions: positions; the longest context. In a rotary model the begin token takes one.
        n_embd: the width of the residual stream.
        n_head: heads in each block.
        n_inner: hidden units of the MLP of each block, in order; 0 where a block has no MLP.
        n_kv_head: heads with keys and values of their own, each for n_head / n_kv_head queries in a
            row; None for as many as there are heads.
        own_head_dim: the width of a head where it is not n_embd / n_head.
    """

    n_vocab: int
    n_positions: int
    n_embd: int
    n_head: int
    n_inner: tuple[int, ...]
    n_kv_head: int | None = None
    own_head_dim: int | None = None

    def __post_init__(self) -> None:
        """Forget what follows from the other sizes, so that equal sizes are equal shapes."""
        if self.n_kv_head == self.n_head:
            object.__setattr__(self, "n_kv_head", None)
        if self.n_head > 0 and self.own_head_dim == self.n_embd / self.n_head:
            object.__setattr__(self, "own_head_dim", None)

    def __repr__(self) -> str:
        """The sizes, without those that are not given."""
        sizes = ((each.name, getattr(self, each.name)) for each in fields(self))
        return f"Shape({', '.join(f'{name}={n}' for name, n in sizes if n is not None)})"

    @property
    def n_layer(self) -> int:
        """The number of blocks."""
        return len(self.n_inner)

    @property
    def head_dim(self) -> int:
        """The width of one head."""
        return self.own_head_dim or self.n_embd // self.n_head

    @property
    def kv_heads(self) -> int:
        """How many heads have keys and values of their own."""
        return self.n_kv_head or self.n_head

    def parameters(self, architecture: Architecture = BLOCK) -> int:
        """How many numbers the tensors have."""
        return sum(prod(sizes) for sizes in self.tensors(architecture).values())

    def tensors(self, architecture: Architecture = BLOCK) -> dict[str, tuple[int, ...]]:
        """The name and the shape of every tensor, in order.

        Matrices of GPT-2 are stored [in, out], those of Llama and an untied head [out, in], as in
        checkpoints.
        """
        return self._of_llama(architecture) if architecture.is_rotary else self._of_gpt2(architecture)

    def _of_llama(self, architecture: Architecture) -> dict[str, tuple[int, ...]]:
        d, queries, keys = self.n_embd, self.n_head * self.head_dim, self.kv_heads * self.head_dim
        shapes: dict[str, tuple[int, ...]] = {"embed_tokens.weight": (self.n_vocab, d)}
        for layer, inner in enumerate(self.n_inner):
            block = f"layers.{layer}"
            shapes |= {
                f"{block}.input_layernorm.weight": (d,),
                f"{block}.self_attn.q_proj.weight": (queries, d),
                f"{block}.self_attn.k_proj.weight": (keys, d),
                f"{block}.self_attn.v_proj.weight": (keys, d),
                f"{block}.self_attn.o_proj.weight": (d, queries),
                f"{block}.post_attention_layernorm.weight": (d,),
                f"{block}.mlp.gate_proj.weight": (inner, d),
                f"{block}.mlp.up_proj.weight": (inner, d),
                f"{block}.mlp.down_proj.weight": (d, inner),
            }
        shapes["norm.weight"] = (d,)
        if not architecture.tied:
            shapes["lm_head.weight"] = (self.n_vocab, d)
        return shapes

    def _of_gpt2(self, architecture: Architecture) -> dict[str, tuple[int, ...]]:
        d = self.n_embd
        shapes: dict[str, tuple[int, ...]] = {
            "wte.weight": (self.n_vocab, d),
            "wpe.weight": (self.n_positions, d),
        }
        for layer, inner in enumerate(self.n_inner):
            block = f"h.{layer}"
            if architecture.has_norm:
                shapes[f"{block}.ln_1.weight"] = (d,)
                shapes[f"{block}.ln_1.bias"] = (d,)
            shapes[f"{block}.attn.c_attn.weight"] = (d, 3 * d)
            shapes[f"{block}.attn.c_attn.bias"] = (3 * d,)
            shapes[f"{block}.attn.c_proj.weight"] = (d, d)
            shapes[f"{block}.attn.c_proj.bias"] = (d,)
            if inner and architecture.has_norm:
                shapes[f"{block}.ln_2.weight"] = (d,)
                shapes[f"{block}.ln_2.bias"] = (d,)
            if inner:
                shapes[f"{block}.mlp.c_fc.weight"] = (d, inner)
                shapes[f"{block}.mlp.c_fc.bias"] = (inner,)
                shapes[f"{block}.mlp.c_proj.weight"] = (inner, d)
                shapes[f"{block}.mlp.c_proj.bias"] = (d,)
        if architecture.has_norm:
            shapes["ln_f.weight"] = (d,)
            shapes["ln_f.bias"] = (d,)
        if not architecture.tied:
            shapes["lm_head.weight"] = (self.n_vocab, d)
        return shapes
