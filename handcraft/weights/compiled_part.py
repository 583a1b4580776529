"""Which numbers of a model are its compiled part, and which are free to be trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from handcraft.model import Model
from handcraft.model.layers.attention import Array
from handcraft.model.tensors.tensor_axes import Counted, axes_of

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class CompiledPart:
    """The dimensions, heads and hidden units of a model that compute something.

    They are found in the tensors: a dimension of the residual stream is used where some tensor writes
    it, a head or a hidden unit where it writes anything. So every weight that has an origin is part of
    it, and a model laid out by hand has a compiled part too.

    Args:
        model: the model.
        dimensions: [n_embd].
        heads: for each block, [n_head].
        units: for each block, [n_inner]; empty where a block has no MLP.
    """

    model: Model
    dimensions: Mask
    heads: tuple[Mask, ...]
    units: tuple[Mask, ...]

    @classmethod
    def of(cls, model: Model) -> CompiledPart:
        """The compiled part of a model."""
        tensors, shape = model.tensors, model.shape
        embeddings = ("embed_tokens",) if model.architecture.is_rotary else ("wte", "wpe")
        writes = [tensors[f"{name}.weight"] for name in embeddings]
        heads: list[Mask] = []
        units: list[Mask] = []
        for block in range(shape.n_layer):
            outputs = model.written(block, "attn")  # [n_head * head_dim, n_embd]
            heads.append(np.any(outputs.reshape(shape.n_head, -1) != 0, axis=1))
            writes += [outputs, *_bias(model, block, "attn")]
            if shape.n_inner[block]:
                rows = model.written(block, "mlp")  # [n_inner, n_embd]
                units.append(np.any(rows != 0, axis=1))
                writes += [rows, *_bias(model, block, "mlp")]
            else:
                units.append(np.zeros(0, dtype=bool))
        dimensions = np.any([rows.any(axis=0) for rows in writes], axis=0)
        return cls(model, dimensions, tuple(heads), tuple(units))

    def masks(self, *, isolated: bool = True) -> dict[str, Mask]:
        """For each tensor, which of its numbers are frozen: true where they are.

        All that a compiled head or hidden unit reads and writes is frozen, zeros too: a zero says that
        it does not read a dimension. A norm is frozen in these dimensions if compiled heads or
        hidden units read it, and so is the last one.

        Args:
            isolated: whether nothing else may write into these dimensions, so that the compiled part
                finds there what it would find without the rest. The norm still divides both by one
                length.

        Returns:
            Boolean arrays by the names and with the shapes of the model's tensors.
        """
        shapes = self.model.shape.tensors(self.model.architecture)
        return {name: self._mask(name, sizes, isolated) for name, sizes in shapes.items()}

    def _mask(self, name: str, sizes: tuple[int, ...], isolated: bool) -> Mask:
        """Which numbers of one tensor are frozen."""
        axes, mask = axes_of(name), np.zeros(sizes, dtype=bool)
        if axes.counted == ("stream",) and name.endswith("c_proj.bias"):
            mask[self.dimensions] = isolated | (self.model.tensors[name] != 0)[self.dimensions]
        elif axes.counted == ("stream",):
            mask[self.dimensions] = self._is_read(name, axes.block)
        else:
            for axis, counted in enumerate(axes.counted):
                if counted != "stream":
                    np.moveaxis(mask, axis, 0)[self._compiled(counted, axes.block)] = True
                elif axes.block is None or (isolated and self._writes(name, axes.block)):
                    np.moveaxis(mask, axis, 0)[self.dimensions] = True
        return mask

    def _compiled(self, counted: Counted, block: int | None) -> Mask | slice:
        """Which places along an axis belong to compiled heads and hidden units."""
        if block is None:  # tokens and positions
            return slice(0)
        if counted == "unit":
            return self.units[block]
        heads, shape = self.heads[block], self.model.shape
        shared = heads.reshape(shape.kv_heads, -1).any(axis=1)  # those that compiled heads read
        channels = np.repeat(shared if counted in ("key", "value") else heads, shape.head_dim)
        return np.tile(channels, 3) if counted == "channels" else channels

    def _writes(self, name: str, block: int) -> bool:
        """Whether a matrix of a block writes into the residual stream."""
        return name in (self.model.output_matrix(block, of).weight for of in WRITERS)

    def _is_read(self, norm: str, block: int | None) -> bool:
        """Whether compiled heads or hidden units read a norm; the logits read the last one."""
        if block is None:
            return True
        first = "input_layernorm" in norm or ".ln_1." in norm
        return bool((self.heads if first else self.units)[block].any())


WRITERS: tuple[Literal["attn", "mlp"], ...] = ("attn", "mlp")


def _bias(model: Model, block: int, of: Literal["attn", "mlp"]) -> list[Array]:
    """What is added whatever the heads or the hidden units of a block do: [1, n_embd]."""
    bias = model.output_matrix(block, of).bias
    return [] if bias is None else [model.tensors[bias][None]]
