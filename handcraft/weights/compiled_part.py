"""Which numbers of a model are its compiled part, and which are free to be trained."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from handcraft.model import Model

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
        writes = [tensors["wte.weight"], tensors["wpe.weight"]]
        heads: list[Mask] = []
        units: list[Mask] = []
        for block in range(shape.n_layer):
            outputs = tensors[f"h.{block}.attn.c_proj.weight"]  # [n_head * head_dim, n_embd]
            heads.append(np.any(outputs.reshape(shape.n_head, -1) != 0, axis=1))
            writes += [outputs, tensors[f"h.{block}.attn.c_proj.bias"][None]]
            if shape.n_inner[block]:
                rows = tensors[f"h.{block}.mlp.c_proj.weight"]  # [n_inner, n_embd]
                units.append(np.any(rows != 0, axis=1))
                writes += [rows, tensors[f"h.{block}.mlp.c_proj.bias"][None]]
            else:
                units.append(np.zeros(0, dtype=bool))
        dimensions = np.any([rows.any(axis=0) for rows in writes], axis=0)
        return cls(model, dimensions, tuple(heads), tuple(units))

    def masks(self, *, isolated: bool = True) -> dict[str, Mask]:
        """For each tensor, which of its numbers are frozen: true where they are.

        All that a compiled head or hidden unit reads and writes is frozen, zeros too: a zero says that
        it does not read a dimension. A LayerNorm is frozen in these dimensions if compiled heads or
        hidden units read it, and so is the last one.

        Args:
            isolated: whether nothing else may write into these dimensions, so that the compiled part
                finds there what it would find without the rest. LayerNorm still divides both by one
                length.

        Returns:
            Boolean arrays by the names and with the shapes of the model's tensors.
        """
        shape, architecture = self.model.shape, self.model.architecture
        frozen: dict[str, Mask] = {}
        for name, sizes in shape.tensors(architecture).items():
            kind = name.split(".", 2)[2] if name.startswith("h.") else name
            block = int(name.split(".")[1]) if name.startswith("h.") else 0
            mask = np.zeros(sizes, dtype=bool)
            if kind.startswith("attn.c_attn"):
                mask[..., np.tile(np.repeat(self.heads[block], shape.head_dim), 3)] = True
            elif kind.startswith("mlp.c_fc"):
                mask[..., self.units[block]] = True
            elif kind.endswith("c_proj.weight"):
                rows = self.units[block]
                if kind.startswith("attn"):
                    rows = np.repeat(self.heads[block], shape.head_dim)
                mask[rows] = True
                mask[:, self.dimensions] |= isolated
            elif kind.endswith("c_proj.bias"):
                mask[self.dimensions] = isolated | (self.model.tensors[name] != 0)[self.dimensions]
            elif kind.startswith("ln_1"):
                mask[self.dimensions] = self.heads[block].any()
            elif kind.startswith("ln_2"):
                mask[self.dimensions] = self.units[block].any()
            else:  # embeddings, ln_f and the unembedding: their last axis is the residual stream
                mask[..., self.dimensions] = True
            frozen[name] = mask
        return frozen
