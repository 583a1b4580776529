"""Values that a compiled model stores in its residual stream, and how they are read from it."""

from __future__ import annotations

from dataclasses import dataclass

from handcraft.model.layers.attention import Array


@dataclass(frozen=True, eq=False)
class Stored:
    """One value of the residual stream.

    Args:
        name: what it is called.
        dimensions: the names of its coordinates, [width].
        matrix: [n_embd, width], which reads the coordinates from the stream.
        constant: [width], added to them.
        values: what each coordinate stands for where it is one-hot; else none.
        written: the stages at which it is written: 0 is the embedding, 2 i + 1 the heads and 2 i + 2
            the neurons of block i; None if not known.
        cleared: the stage at which it is set to 0, so that another value takes its dimensions; None if
            there is none.
        is_position: whether it is a function of the position, and stays so.
        is_answer: whether it becomes the logits.
    """

    name: str
    dimensions: tuple[str, ...]
    matrix: Array
    constant: Array
    values: tuple[str, ...] = ()
    written: frozenset[int] | None = None
    cleared: int | None = None
    is_position: bool = False
    is_answer: bool = False

    def is_there(self, stage: int) -> bool:
        """Whether it is stored after a stage; before that and afterwards, another value may be."""
        if self.written is None:
            return True
        begun = min(self.written, default=0) <= stage
        return begun and (self.cleared is None or stage < self.cleared)

    def numbers(self, stream: Array) -> Array:
        """Its coordinates: [position, n_embd] -> [position, width]."""
        found: Array = stream @ self.matrix + self.constant
        return found
