"""The sizes of a model, and the tensors that a model of those sizes has."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from handcraft.architecture import BLOCK, Architecture


@dataclass(frozen=True)
class Shape:
    """The sizes of a GPT-2, by the names of its config.

    Args:
        n_vocab: tokens.
        n_positions: positions; the longest context.
        n_embd: the width of the residual stream.
        n_head: heads in each block; each is n_embd / n_head wide.
        n_inner: hidden units of the MLP of each block, in order; 0 where a block has no MLP.
    """

    n_vocab: int
    n_positions: int
    n_embd: int
    n_head: int
    n_inner: tuple[int, ...]

    @property
    def n_layer(self) -> int:
        """The number of blocks."""
        return len(self.n_inner)

    @property
    def head_dim(self) -> int:
        """The width of one head."""
        return self.n_embd // self.n_head

    def parameters(self, architecture: Architecture = BLOCK) -> int:
        """How many numbers the tensors have."""
        return sum(prod(sizes) for sizes in self.tensors(architecture).values())

    def tensors(self, architecture: Architecture = BLOCK) -> dict[str, tuple[int, ...]]:
        """The name and the shape of every tensor, in order.

        Matrices are stored [in, out]; an untied head, as in checkpoints, [out, in].
        """
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
