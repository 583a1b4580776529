"""A model whose residual stream stores values, and how they are read from it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from handcraft.circuits import Number, Subspace
from handcraft.compiler.values.output import Output
from handcraft.display import short_repr
from handcraft.errors import ModelError
from handcraft.language.graph.domain import Value
from handcraft.model import Model
from handcraft.model.layers.attention import Array
from handcraft.weights.layout import Cells

BATCH = 256
"""How many texts run at once."""

Read = Callable[[Subspace, int, Number], tuple[Cells, Number]]
"""As `Layout.read`: the dimensions of a coordinate, the factors to read it with, and a constant."""


@short_repr
@dataclass(frozen=True, eq=False)
class ValueModel:
    """A model of values: compiled from expressions, or read from a folder.

    Args:
        model: the model.
        outputs: what it computes at every position.
        context: the most tokens of a text.
        read: says where the coordinates of a subspace lie in the residual stream.
    """

    model: Model
    outputs: tuple[Output, ...]
    context: int
    read: Read = field(repr=False)

    def apply(self, texts: Sequence[str | Sequence[str]]) -> dict[str, list[tuple[Value, ...]]]:
        """The value of every output at every position of every text.

        Args:
            texts: texts or sequences of tokens, of one length or of several.

        Raises:
            VocabularyError: an unknown token.
            ModelError: a text that is empty or longer than the context, or one text alone.
        """
        if isinstance(texts, str):
            raise ModelError(f"{texts!r} is one text, not a list of texts", fix=f"apply([{texts!r}])")
        ids = [self.checked(text) for text in texts]
        found: dict[str, list[tuple[Value, ...]]] = {
            output.name: [()] * len(ids) for output in self.outputs
        }
        for length in sorted({len(row) for row in ids}):
            rows = [i for i, row in enumerate(ids) if len(row) == length]
            for start in range(0, len(rows), BATCH):
                some = rows[start : start + BATCH]
                numbers = self.numbers(np.array([ids[i] for i in some]))
                for output in self.outputs:
                    for row, line in zip(some, numbers[output.name].tolist(), strict=True):
                        found[output.name][row] = tuple(map(output.value, line))
        return found

    def numbers(self, ids: npt.NDArray[np.int64]) -> dict[str, Array]:
        """The numbers of every output, read from the final residual stream: [batch, position].

        Args:
            ids: token ids, [batch, position].
        """
        last = f"h.{self.model.shape.n_layer - 1}.output"
        kept: dict[str, Array] = {}

        def keep(name: str, value: Array) -> None:
            if name == last:
                kept[name] = value.astype(np.float64)

        self.model.watch(ids, keep)
        stream = kept[last]  # [batch, position, n_embd]
        found: dict[str, Array] = {}
        for name, (terms, constant) in self.sums.items():
            total = np.full(stream.shape[:2], constant)
            for dimension, factor in terms:
                total += stream[..., dimension] * factor
            found[name] = total
        return found

    def checked(self, text: str | Sequence[str]) -> tuple[int, ...]:
        """The ids of the tokens of a text.

        Raises:
            VocabularyError: an unknown token.
            ModelError: the text is empty, or longer than the context.
        """
        ids = self.model.vocabulary.ids(text)
        if not 0 < len(ids) <= self.context:
            raise ModelError(
                f"a text of {len(ids)} tokens for a context of {self.context}",
                fix=f"give 1 to {self.context} tokens",
            )
        return ids

    @cached_property
    def sums(self) -> dict[str, tuple[list[tuple[int, float]], float]]:
        """For each output, the dimensions that are read, with their factors, and what is added."""
        found = {}
        for output in self.outputs:
            read = [
                self.read(part.subspace, i, number)
                for part in output.reads
                for i, number in part.entries
            ]
            terms = [(dimension, float(factor)) for cells, _ in read for dimension, factor in cells]
            constant = float(output.constant) + sum(float(added) for _, added in read)
            found[output.name] = (terms, constant)
        return found
