"""A model in a larger shape, in which every old head, unit and dimension keeps its number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import sqrt

import numpy as np

from handcraft.disguise.carried import NONE, Carried, HeadCopy, Ids, Place
from handcraft.errors import LayoutError
from handcraft.model import Model, Shape
from handcraft.model.layers.attention import Array
from handcraft.phrase import Phrase, phrase, setting

EVEN = 1e-12
"""Relative to its numbers, the largest sum of what writes the stream that counts as rounding."""


def resize(model: Model, shape: Shape, blocks: Sequence[int | None] | None = None) -> Carried:
    """The map into a larger shape: zeros are added, and the stream is scaled for LayerNorm.

    A stream that becomes k times as wide is multiplied by the root of k, so that its variance stays the
    same, also relative to the epsilon that LayerNorm adds to it.

    Args:
        model: the old model, in float64.
        shape: the new sizes. Heads may become narrower, as far as channels are unused.
        blocks: which old block each new one is; None in it for a block of zeros. By default the added
            blocks are the last.

    Raises:
        LayoutError: the shape is too small.
    """
    old = model.shape
    added = [None] * (shape.n_layer - old.n_layer)
    chosen = blocks if blocks is not None else [*range(old.n_layer), *added]
    _check(model, shape, chosen)
    units = [np.full(inner, NONE) for inner in shape.n_inner]
    for numbers, block in zip(units, chosen, strict=True):
        if block is not None:
            numbers[: old.n_inner[block]] = np.arange(old.n_inner[block])
    tokens = np.full(shape.n_vocab, NONE)
    tokens[: old.n_vocab] = np.arange(old.n_vocab)
    return Carried(
        old,
        shape,
        widening(model, shape.n_embd),
        tuple(chosen),
        heads_in(model, shape, chosen),
        tuple(units),
        tuple(np.ones(len(each)) for each in units),
        tokens,
    )


def heads_in(
    model: Model, shape: Shape, blocks: Sequence[int | None]
) -> tuple[tuple[HeadCopy | None, ...], ...]:
    """The heads of a model in another shape, in order; the unused ones only where they fit.

    Args:
        model: the old model.
        shape: the new sizes, which the heads fit into.
        blocks: which old block each new one is.
    """
    old, found = model.shape, []
    for block in blocks:
        copies: list[HeadCopy | None] = [None] * shape.n_head
        if block is not None:
            used = used_heads(model, block)
            numbers = range(old.n_head) if shape.n_head >= old.n_head else used
            for slot, number in enumerate(numbers):
                if number in used or shape.head_dim >= old.head_dim:
                    copies[slot] = _copy(model, Place(block, number), shape.head_dim)
        found.append(tuple(copies))
    return tuple(found)


def with_room(model: Model, heads: int, units: int) -> Carried:
    """The map into the smallest shape with this many heads in each block, and this many hidden units.

    The stream becomes wider only as far as it must: n_embd is a multiple of n_head, and a head is as
    wide as the channels that one uses.
    """
    shape = model.shape
    n_head = max(heads, shape.n_head)
    if n_head == shape.n_head:
        n_embd = shape.n_embd
    else:
        n_embd = n_head * max(widest_head(model), -(-shape.n_embd // n_head))
    n_inner = tuple(max(units, inner) if inner else 0 for inner in shape.n_inner)
    return resize(model, replace(shape, n_embd=n_embd, n_head=n_head, n_inner=n_inner))


def used_heads(model: Model, block: int) -> list[int]:
    """The heads of a block that write something."""
    return [i for i in range(model.shape.n_head) if len(used_channels(model, Place(block, i))[1])]


def used_units(model: Model, block: int) -> Ids:
    """The hidden units of a block that write something."""
    if not model.shape.n_inner[block]:
        return np.zeros(0, dtype=np.int64)
    return np.flatnonzero(np.abs(model.tensors[f"h.{block}.mlp.c_proj.weight"]).sum(axis=1))


def used_channels(model: Model, place: Place) -> tuple[Ids, Ids]:
    """The channels of a head that are not 0: those of queries and keys, and those of values."""
    wide = model.shape.head_dim
    name = f"h.{place.block}.attn"
    weight = np.concatenate(
        [model.tensors[f"{name}.c_attn.weight"], model.tensors[f"{name}.c_attn.bias"][None]]
    )
    query, key, value = (
        np.abs(part[:, place.number * wide : (place.number + 1) * wide]).sum(axis=0)
        for part in np.split(weight, 3, axis=1)
    )
    out = np.abs(model.tensors[f"{name}.c_proj.weight"]).sum(axis=1)
    out = out[place.number * wide : (place.number + 1) * wide]
    return np.flatnonzero(query * key), np.flatnonzero(value * out)


def widest_head(model: Model) -> int:
    """The most channels that any head uses; at least 1."""
    places = [Place(b, i) for b in range(model.shape.n_layer) for i in used_heads(model, b)]
    return max([1, *(len(each) for place in places for each in used_channels(model, place))])


def widening(model: Model, n_embd: int) -> Array:
    """The map of the stream into more dimensions, [n_embd, old n_embd].

    If everything that is written sums to 0, the new dimensions are 0. Otherwise zeros would change the
    mean; then the map rotates the direction of the mean to that of the wider stream, and no weight
    stays 0.
    """
    old = model.shape.n_embd
    if n_embd == old:
        return np.eye(old)
    factor = sqrt(n_embd / old) if model.architecture.has_norm else 1.0
    if not model.architecture.has_norm or is_centred(model):
        return factor * np.eye(n_embd, old)
    kept = np.eye(n_embd - 1, old - 1)
    mean = np.full((n_embd, old), 1 / sqrt(n_embd * old))
    return np.asarray(factor * (centred_basis(n_embd) @ kept @ centred_basis(old).T + mean))


def is_centred(model: Model) -> bool:
    """Whether the dimensions of everything that is written into the stream sum to 0."""
    for name, tensor in model.tensors.items():
        writes = name in ("wte.weight", "wpe.weight") or "c_proj" in name
        if writes and (np.abs(tensor.sum(axis=-1)) > EVEN * np.abs(tensor).sum(axis=-1)).any():
            return False
    return True


def centred_basis(n: int) -> Array:
    """An orthonormal basis of the vectors whose numbers sum to 0: [n, n - 1].

    The columns but the first of the Householder reflection that maps the first axis to the direction in
    which all numbers are equal.
    """
    reflected = np.full(n, 1 / sqrt(n))
    reflected[0] -= 1.0
    size = reflected @ reflected
    reflection = np.eye(n) - (2 / size) * np.outer(reflected, reflected) if size else np.eye(n)
    return np.asarray(reflection[:, 1:])


def _copy(model: Model, source: Place, wide: int) -> HeadCopy:
    """A head with other channels: padded, or without those that it does not use."""
    old = model.shape.head_dim
    if wide >= old:
        same = np.eye(wide, old)
        return HeadCopy(source, same, same, same, same)
    matching, carried = (_chosen(each, wide, old) for each in used_channels(model, source))
    return HeadCopy(source, matching, matching, carried, carried)


def _chosen(channels: Ids, wide: int, old: int) -> Array:
    """The matrix that keeps some channels: [wide, old]."""
    matrix = np.zeros((wide, old))
    matrix[np.arange(len(channels)), channels] = 1.0
    return matrix


def _check(model: Model, shape: Shape, blocks: Sequence[int | None]) -> None:
    """Raise unless the model fits."""
    old = model.shape
    if shape.n_embd % shape.n_head:
        raise LayoutError(
            f"n_embd={shape.n_embd} dimensions do not make n_head={shape.n_head} equal heads",
            fix=_fitting_heads(model, shape),
        )
    sizes = {
        "n_embd": (old.n_embd, shape.n_embd),
        "n_layer": (old.n_layer, shape.n_layer),
        "n_inner": (max(old.n_inner, default=0), max(shape.n_inner, default=0)),
        "n_vocab": (old.n_vocab, shape.n_vocab),
        "n_positions": (old.n_positions, shape.n_positions),
    }
    for name, (has, wanted) in sizes.items():
        if wanted < has:
            raise LayoutError(
                f"{name}={wanted} is less than the model has: {has}", fix=f"use {name}={has} or more"
            )
    for block in (each for each in blocks if each is not None):
        used = used_heads(model, block)
        if len(used) > shape.n_head:
            raise LayoutError(
                f"block {block} uses {len(used)} heads, and n_head={shape.n_head}",
                fix=f"use n_head={len(used)} or more",
            )
        for number in used if shape.head_dim < old.head_dim else ():
            widest = max(map(len, used_channels(model, Place(block, number))))
            if widest > shape.head_dim:
                raise LayoutError(
                    f"head {number} of block {block} uses {widest} channels, and n_embd={shape.n_embd} "
                    f"with n_head={shape.n_head} gives each head {shape.head_dim}",
                    fix=_fitting_heads(model, shape),
                )


def _fitting_heads(model: Model, shape: Shape) -> Phrase:
    """The nearest number of heads, and the nearest width, with room for all that is used."""
    least = max([1, *(len(used_heads(model, block)) for block in range(model.shape.n_layer))])
    widest = widest_head(model)
    n_head = max(least, shape.n_head)
    channels = max(-(-max(shape.n_embd, model.shape.n_embd) // n_head), widest)
    wide = phrase(setting("n_embd", n_head * channels), " with ", setting("n_head", n_head))
    most = shape.n_embd // widest if shape.n_embd >= model.shape.n_embd else 0
    fitting = [n for n in range(least, most + 1) if shape.n_embd % n == 0]
    if not fitting:
        return phrase("use ", wide)
    best = min(fitting, key=lambda n: (abs(n - shape.n_head), n))
    return phrase("use ", setting("n_head", best), ", or ", wide)
