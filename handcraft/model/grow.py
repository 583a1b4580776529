"""A model in a larger shape, padded with zeros; each tensor is made when it is read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from handcraft.errors import HandcraftError, LayoutError, raise_all
from handcraft.limits import shown_number
from handcraft.model.attention import Array
from handcraft.model.model import Model
from handcraft.model.shape import Shape
from handcraft.vocabulary import Vocabulary

PUBLISHED = {
    "gpt2-small": (12, 12, 768),
    "gpt2-medium": (24, 16, 1024),
    "gpt2-large": (36, 20, 1280),
    "gpt2-xl": (48, 25, 1600),
}
"""Blocks, heads and width of the published GPT-2 models; all have heads of 64."""

PUBLISHED_VOCABULARY = 50257
PUBLISHED_POSITIONS = 1024


def published_shape(name: str) -> Shape:
    """The sizes of a published GPT-2."""
    if name not in PUBLISHED:
        raise LayoutError(
            f"there is no published GPT-2 called {name!r}", fix=f"use one of: {', '.join(PUBLISHED)}"
        )
    blocks, heads, width = PUBLISHED[name]
    return Shape(PUBLISHED_VOCABULARY, PUBLISHED_POSITIONS, width, heads, (4 * width,) * blocks)


def grow(model: Model, shape: Shape, ids: Sequence[int] | None = None) -> Model:
    """The model in a larger vocabulary and with more blocks; it answers the same.

    A block of zeros adds nothing to the residual stream, and a token with a zero embedding has the
    logit 0.

    The tokens of the vocabulary get the ids `ids`; by default they keep theirs.

    Raises:
        LayoutError: the shape is too small, or an id is outside it or given twice.
    """
    tokens = model.vocabulary.tokens
    chosen = tuple(range(len(tokens))) if ids is None else tuple(ids)
    raise_all([*_problems(model, shape, chosen)])
    vocabulary = Vocabulary(tokens, ids=chosen)
    grown = replace(model, shape=shape, vocabulary=vocabulary, tensors={})
    return replace(grown, tensors=_Grown(model, grown, chosen))


class _Grown(Mapping[str, Array]):
    """Tensors in their larger shapes, made when they are read and not kept."""

    def __init__(self, small: Model, grown: Model, ids: tuple[int, ...]) -> None:
        self._small = small
        self._ids = ids
        self._shapes = grown.shape.tensors(grown.architecture)

    def __getitem__(self, name: str) -> Array:
        shape = self._shapes[name]
        if name in ("wte.weight", "lm_head.weight"):
            embedding = np.zeros(shape, dtype=self._small.dtype)
            embedding[list(self._ids)] = self._small.tensors[name][: len(self._ids)]
            return embedding
        if name in self._small.tensors:
            return self._small.tensors[name]
        is_gain = ".ln_" in name and name.endswith("weight")
        return np.full(shape, 1 if is_gain else 0, dtype=self._small.dtype)

    def __iter__(self) -> Iterator[str]:
        return iter(self._shapes)

    def __len__(self) -> int:
        return len(self._shapes)


def _problems(model: Model, shape: Shape, ids: tuple[int, ...]) -> Iterator[HandcraftError]:
    """Why a model cannot be grown to a shape."""
    small, tokens = model.shape, model.vocabulary.tokens
    if small.n_layer > shape.n_layer:
        yield LayoutError(
            f"the program needs {small.n_layer} blocks, but the shape has {shape.n_layer}",
            fix="use a larger published shape, or fewer rules",
        )
    sizes, wanted = ((each.n_embd, each.n_head, each.n_positions) for each in (small, shape))
    if sizes != wanted:
        yield LayoutError(
            f"a model of width {small.n_embd}, {small.n_head} heads and {small.n_positions} positions "
            f"does not fill one of {shape.n_embd}, {shape.n_head} and {shape.n_positions}",
            fix="compile it with the sizes of the shape",
        )
    if len(ids) != len(tokens):
        yield LayoutError(f"{len(ids)} ids for {len(tokens)} tokens", fix="give each token one id")
    given = Counter(ids)
    for token, number in zip(tokens, ids, strict=False):
        if not 0 <= number < shape.n_vocab:
            yield LayoutError(
                f"the token {token!r} has the id {shown_number(number)}, outside a vocabulary of "
                f"{shape.n_vocab:,}",
                fix=f"use an id from 0 to {shape.n_vocab - 1}",
            )
        elif given[number] > 1:
            yield LayoutError(
                f"the id {number} is given to {given[number]} tokens, {token!r} among them",
                fix="give each token its own",
            )
