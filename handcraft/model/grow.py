"""A model in a larger shape, padded with zeros; each tensor is made when it is read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from handcraft.architecture import GPT2, Architecture, llama
from handcraft.errors import HandcraftError, LayoutError, raise_all
from handcraft.limits import shown_number
from handcraft.model.layers.attention import Array
from handcraft.model.model import Model
from handcraft.model.tensors.shape import Shape
from handcraft.vocabulary import Vocabulary

PUBLISHED_VOCABULARY = 50257
PUBLISHED_POSITIONS = 1024


def _gpt2(blocks: int, heads: int, width: int) -> Shape:
    """The shape of a published GPT-2; all have heads of 64."""
    return Shape(PUBLISHED_VOCABULARY, PUBLISHED_POSITIONS, width, heads, (4 * width,) * blocks)


PUBLISHED: Mapping[str, tuple[Architecture, Shape]] = {
    "gpt2-small": (GPT2, _gpt2(12, 12, 768)),
    "gpt2-medium": (GPT2, _gpt2(24, 16, 1024)),
    "gpt2-large": (GPT2, _gpt2(36, 20, 1280)),
    "gpt2-xl": (GPT2, _gpt2(48, 25, 1600)),
    "stories260k": (llama(epsilon=1e-5), Shape(512, 512, 64, 8, (172,) * 5, n_kv_head=4)),
    "stories15m": (llama(epsilon=1e-5), Shape(32000, 256, 288, 6, (768,) * 6)),
    "tinyllama": (
        llama(epsilon=1e-5, tied=False),
        Shape(32000, 2048, 2048, 32, (5632,) * 22, n_kv_head=4),
    ),
}
"""Models that engines and tools know: the published GPT-2s, two small Llamas of the llama2.c project,
and TinyLlama 1.1B."""


def published_shape(name: str) -> Shape:
    """The sizes of a published model.

    Raises:
        LayoutError: none has that name.
    """
    return published(name)[1]


def published(name: str) -> tuple[Architecture, Shape]:
    """The architecture and the sizes of a published model.

    Raises:
        LayoutError: none has that name.
    """
    if name not in PUBLISHED:
        raise LayoutError(
            f"there is no published model called {name!r}", fix=f"use one of: {', '.join(PUBLISHED)}"
        )
    return PUBLISHED[name]


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


EMBEDDINGS = ("wte.weight", "embed_tokens.weight", "lm_head.weight")
"""The tensors with a row for each token."""


class _Grown(Mapping[str, Array]):
    """Tensors in their larger shapes, made when they are read and not kept."""

    def __init__(self, small: Model, grown: Model, ids: tuple[int, ...]) -> None:
        self._small = small
        self._ids = ids
        self._shapes = grown.shape.tensors(grown.architecture)

    def __getitem__(self, name: str) -> Array:
        shape, small = self._shapes[name], self._small
        if name in EMBEDDINGS:
            embedding = np.zeros(shape, dtype=small.dtype)
            embedding[list(self._ids)] = small.tensors[name][: len(self._ids)]
            if small.architecture.is_rotary:  # the begin token is the last
                embedding[-1] = small.tensors[name][-1]
            return embedding
        if name in small.tensors:
            found = small.tensors[name]
            if found.shape == shape:
                return found
            units = np.zeros(shape, dtype=small.dtype)  # of an MLP
            units[tuple(map(slice, found.shape))] = found
            return units
        is_gain = len(shape) == 1 and ("ln_" in name or "norm" in name) and name.endswith("weight")
        return np.full(shape, 1 if is_gain else 0, dtype=small.dtype)

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
    sizes, wanted = (
        (each.n_embd, each.n_head, each.kv_heads, each.head_dim, each.n_positions)
        for each in (small, shape)
    )
    if sizes != wanted:
        yield LayoutError(
            f"a model of width {small.n_embd}, {small.n_head} heads and {small.n_positions} positions "
            f"does not fill one of {shape.n_embd}, {shape.n_head} and {shape.n_positions}",
            fix="compile it with the sizes of the shape",
        )
    if model.architecture.is_rotary and max(small.n_inner) > min(shape.n_inner):
        yield LayoutError(
            f"the program needs {max(small.n_inner)} hidden units, but the shape has "
            f"{min(shape.n_inner)}",
            fix="use a larger published shape, or fewer rules",
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
