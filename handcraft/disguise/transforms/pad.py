"""Pad a model to larger sizes, such as those of a published GPT-2."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import ClassVar

import numpy as np

from handcraft.disguise.draft import Draft
from handcraft.disguise.resize import resize
from handcraft.disguise.transforms.checked import check_whole
from handcraft.errors import LayoutError
from handcraft.limits import BLOCKS
from handcraft.model import Shape
from handcraft.model import published as published_model

LARGEST = 1 << 20
"""The largest size that is accepted for any of them."""


@dataclass(frozen=True)
class Pad:
    """Add dimensions, heads, hidden units, blocks, tokens and positions that are 0.

    Blocks of zeros are put between the others at random. A wider stream is scaled, so that LayerNorm
    divides by the same number as before. Later transforms fill what is 0: `Distract` the blocks,
    `Rotate` the dimensions.

    Sizes that are left out stay as they are. After texts that are longer than the original's
    n_positions no answer is promised.

    Args:
        n_embd: the width of the residual stream.
        n_head: heads of each block; each is n_embd / n_head wide.
        n_inner: hidden units of each MLP.
        n_layer: blocks.
        n_vocab: tokens.
        n_positions: positions.
    """

    name: ClassVar[str] = "pad"
    guarantee: ClassVar[str] = (
        "what is added is 0; a wider stream is scaled by the root of how much wider it is, which is "
        "exact "
        "in exact arithmetic, and rounds each weight once unless it is a power of two"
    )
    n_embd: int | None = None
    n_head: int | None = None
    n_inner: int | None = None
    n_layer: int | None = None
    n_vocab: int | None = None
    n_positions: int | None = None

    def __post_init__(self) -> None:
        for name in asdict(self):
            most = BLOCKS.most if name == "n_layer" else LARGEST
            check_whole(self, name, "a size", least=1, most=most, optional=True)

    @classmethod
    def like(cls, published: str) -> Pad:
        """The sizes of a published GPT-2, such as ``gpt2-small``.

        Raises:
            LayoutError: there is none of that name.
        """
        architecture, shape = published_model(published)
        if architecture.is_rotary:
            raise LayoutError(
                f"{published} is a Llama, and only a GPT-2 can be disguised", fix="use gpt2-small"
            )
        return cls(
            shape.n_embd,
            shape.n_head,
            max(shape.n_inner),
            shape.n_layer,
            shape.n_vocab,
            shape.n_positions,
        )

    def apply(self, draft: Draft, rng: np.random.Generator) -> Draft:
        """The draft in its new sizes."""
        old = draft.model.shape
        n_layer = old.n_layer if self.n_layer is None else self.n_layer
        kept = sorted(rng.choice(n_layer, size=min(old.n_layer, n_layer), replace=False).tolist())
        blocks: list[int | None] = [None] * n_layer
        for old_block, place in enumerate(kept):
            blocks[place] = old_block
        added = self.n_inner or max(old.n_inner, default=0)
        n_inner = tuple(
            self._inner(added if block is None else old.n_inner[block], added) for block in blocks
        )
        shape = Shape(
            self.n_vocab or old.n_vocab,
            self.n_positions or old.n_positions,
            self.n_embd or old.n_embd,
            self.n_head or old.n_head,
            n_inner,
        )
        if n_layer < old.n_layer:
            raise LayoutError(
                f"n_layer={n_layer} is less than the model has: {old.n_layer}",
                fix=f"use n_layer={old.n_layer} or more",
            )
        return draft.then(resize(draft.model, shape, blocks))

    def _inner(self, has: int, wanted: int) -> int:
        """The hidden units of a block; one without an MLP stays without."""
        return (wanted if self.n_inner is not None else has) if has else 0
