"""The tensors of a GPT-2, or of another model made of its parts, as a regime uses them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import lcm

import numpy as np

from handcraft_check.arithmetic.block_formats import SIZE, in_blocks
from handcraft_check.arithmetic.exact import exactly
from handcraft_check.arithmetic.regime import Array, Regime
from handcraft_check.arithmetic.rounding import Bounded
from handcraft_check.errors import CheckError
from handcraft_check.folder.config import Config
from handcraft_check.layers.blocks import Block, matrix_in_use, weights_in_use
from handcraft_check.layers.matrix import Ids, Matrix
from handcraft_check.layers.zeros import Heads, units_in_use

FILE, HEAD = "model.safetensors", "lm_head.weight"


class Tensors:
    """The tensors of a file that are not taken yet.

    Args:
        config: the sizes of the model.
        tensors: as the file has them; they are rounded to the steps of the regime.
        prefix: of the names in the file, but for the unembedding.
        regime: in which the model runs.
        is_exact: whether bounds are computed in `Exact` numbers in place of float64.

    Raises:
        CheckError: a tensor has no prefix where others have it, or the unembedding has one.
    """

    def __init__(
        self,
        config: Config,
        tensors: Mapping[str, Array],
        prefix: str,
        regime: Regime,
        *,
        is_exact: bool = False,
    ) -> None:
        self.config, self.regime, self.is_exact = config, regime, is_exact
        self.given: dict[str, Array] = {}
        for name, tensor in tensors.items():
            if name != HEAD and (not name.startswith(prefix) or name == prefix + HEAD):
                raise CheckError(
                    f"{name!r} is there beside tensors whose names begin with {prefix!r}", where=FILE
                )
            self.given[name.removeprefix(prefix)] = tensor
        self.left = set(self.given)

    def take(self, name: str, *shape: int) -> Bounded:
        """One tensor, as the regime uses it.

        Raises:
            CheckError: it is missing or has another shape, a number is too large for the regime, or a
                row cannot be divided into its blocks.
        """
        if name not in self.left:
            raise CheckError(f"there is no tensor {name!r}", where=FILE)
        self.left.remove(name)
        tensor = self.given[name]
        if tensor.shape != shape:
            raise CheckError(f"{name} has the shape {tensor.shape}, not {shape}", where=FILE)
        if self.regime.blocks:
            step = lcm(SIZE, self.config.n_head)
            is_out_first = self.config.is_rotary or name == "wte.weight"
            tensor = _in_blocks(name, tensor, self.regime.blocks, step, is_out_first=is_out_first)
        found = weights_in_use(tensor, self.regime)
        if not np.isfinite(found.error).all():
            raise CheckError(
                f"{name} has a number that is too large for {self.regime.steps.name}", where=FILE
            )
        if self.is_exact:
            return Bounded(exactly(found.center), exactly(found.error))
        return found

    def check_tied(self, name: str) -> None:
        """Raise where the file has an unembedding other than the embedding of this name.

        Raises:
            CheckError: they differ.
        """
        if HEAD in self.left and not np.array_equal(self.given[HEAD], self.given[name]):
            raise CheckError(f"{HEAD} is not {name}", where=FILE)
        self.left.discard(HEAD)

    def check_all_taken(self) -> None:
        """Raise where the file has more tensors than the model.

        Raises:
            CheckError: it has.
        """
        if self.left:
            raise CheckError(
                f"there is a tensor {min(self.left)!r}, which the model has not", where=FILE
            )


@dataclass(frozen=True, eq=False)
class Weights:
    """All of them.

    Args:
        wte: the embeddings of tokens: [vocab_size, n_embd].
        wpe: those of positions: [n_positions, n_embd].
        blocks: of attention and MLP.
        ln_f: gain and bias of the last LayerNorm.
        unembedding: what makes logits.
    """

    wte: Bounded
    wpe: Bounded
    blocks: list[Block]
    ln_f: tuple[Bounded, Bounded]
    unembedding: Matrix

    @classmethod
    def read(
        cls, config: Config, tensors: Mapping[str, Array], regime: Regime, *, is_exact: bool
    ) -> Weights:
        """The tensors of a file.

        Args:
            config: the sizes of the model.
            tensors: as the file has them; they are rounded to the steps of the regime.
            regime: in which it runs.
            is_exact: whether bounds are computed in `Exact` numbers in place of float64.

        Raises:
            CheckError: a tensor is missing or has another shape, or a number is too large for the
                regime, or a row cannot be divided into its blocks.
        """
        prefix = "transformer." if "transformer.wte.weight" in tensors else ""
        left = Tensors(config, tensors, prefix, regime, is_exact=is_exact)
        width, take = config.n_embd, left.take

        def norm(name: str) -> tuple[Bounded, Bounded]:
            if not config.has_norm:
                one = np.ones(width)
                return Bounded(one, 0 * one), Bounded(0 * one, 0 * one)
            return take(f"{name}.weight", width), take(f"{name}.bias", width)

        def matrix(name: str, rows: int, columns: int) -> Matrix:
            return matrix_in_use(
                take(f"{name}.weight", rows, columns), take(f"{name}.bias", columns), regime
            )

        def units(layer: int) -> tuple[Matrix, Matrix, Ids]:
            if not config.units(layer):  # the same as one unit of which all weights are 0
                return (
                    Matrix(np.zeros((width, 1)), np.zeros(1)),
                    Matrix(np.zeros((1, width)), np.zeros(width)),
                    np.zeros(1, dtype=np.int64),
                )
            up = matrix(f"h.{layer}.mlp.c_fc", width, config.units(layer))
            down, used = matrix(f"h.{layer}.mlp.c_proj", config.units(layer), width), units_in_use(up)
            return up.of_columns(used), down.of_rows(used), used

        wte = take("wte.weight", config.vocab_size, width)
        if config.is_tied:
            left.check_tied("wte.weight")
        head = wte if config.is_tied else take(HEAD, config.vocab_size, width)
        wpe = take("wpe.weight", config.n_positions, width)
        blocks = [
            Block(
                norm(f"h.{i}.ln_1"),
                Heads.of(
                    matrix(f"h.{i}.attn.c_attn", width, 3 * width),
                    matrix(f"h.{i}.attn.c_proj", width, width),
                    config.n_head,
                ),
                norm(f"h.{i}.ln_2"),
                *units(i),
            )
            for i in range(config.n_layer)
        ]
        ln_f = norm("ln_f")
        left.check_all_taken()
        return cls(wte, wpe, blocks, ln_f, without_bias(head, regime))


def without_bias(rows: Bounded, regime: Regime) -> Matrix:
    """The product with each row of a tensor, as a matrix without bias: [out, in]."""
    none = np.zeros(len(rows.center))
    transposed = Bounded(rows.center.T.copy(), rows.error.T.copy())
    return matrix_in_use(transposed, Bounded(none, none), regime)


def _in_blocks(name: str, tensor: Array, format: str, step: int, *, is_out_first: bool) -> Array:
    """A tensor as a file with blocks has it.

    In GGUF a row is what one number of the product reads, as matrices of Llama and embeddings of tokens
    have it, and those of GPT-2 transposed. Embeddings of positions, and what is no matrix, stay in
    float32.

    Args:
        name: of the tensor.
        tensor: of any shape.
        format: of the blocks.
        step: of widths that can be divided into blocks and into heads.
        is_out_first: whether its rows are those of the blocks.

    Raises:
        CheckError: its rows cannot be divided into blocks, or a number becomes one or another in them,
            by who writes the file.
    """
    if tensor.ndim < 2 or name == "wpe.weight":
        return tensor
    rows = tensor if is_out_first else tensor.T
    if rows.shape[1] % SIZE:
        raise CheckError(
            f"{name} has {rows.shape[1]} numbers a row, and {format} has blocks of {SIZE}",
            where=FILE,
            fix=f"compile it with --n-embd {-(-rows.shape[1] // step) * step}",
        )
    found, *others = in_blocks(rows, format)
    if not np.isfinite(found).all():
        raise CheckError(f"{name} has a number that is too large for {format}", where=FILE)
    if any((found != other).any() for other in others):
        raise CheckError(
            f"{name} has a number that {format} rounds up or down: a product and a sum decide "
            "it, which some compilers round once and others twice",
            where=FILE,
            fix="prove it in q8_0, which has no such numbers",
        )
    return found if is_out_first else np.ascontiguousarray(found.T)
