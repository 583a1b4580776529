"""Faults of caches and of their pages, of masks, and of generation."""

from __future__ import annotations

import numpy as np

from handcraft.conformance.cases.request import Request
from handcraft.conformance.faults.fault import Fault
from handcraft.conformance.faults.positions import CACHED
from handcraft.conformance.faults.reference import Flags, Ids, Reference, State
from handcraft.model.layers.attention import Array

PAGES = (16, 64, 128, 256, 1024)
"""How many tokens a page of a cache has in engines that are in use."""


class Forgets(Reference):
    """A call sees only its own tokens."""

    def visible(self, real: Flags, past: int) -> Flags:
        seen = super().visible(real, past).copy()
        seen[:, :, :past] = False
        return seen


class LastOverwritten(Reference):
    """The first new token is written over the last one in the cache."""

    def remember(self, state: State, layer: int, key: Array, value: Array) -> tuple[Array, Array]:
        if state.keys[layer].shape[2]:
            state.keys[layer][:, :, -1] = key[:, :, 0]
            state.values[layer][:, :, -1] = value[:, :, 0]
        return super().remember(state, layer, key, value)


class FirstOverwritten(Reference):
    """New tokens are also written to the beginning of the cache."""

    def remember(self, state: State, layer: int, key: Array, value: Array) -> tuple[Array, Array]:
        if state.keys[layer].shape[2]:
            state.keys[layer][:, :, 0] = key[:, :, 0]
            state.values[layer][:, :, 0] = value[:, :, 0]
        return super().remember(state, layer, key, value)


class LayersShared(Reference):
    """Every block reads the keys and values of the first one."""

    def remember(self, state: State, layer: int, key: Array, value: Array) -> tuple[Array, Array]:
        super().remember(state, layer, key, value)
        return state.keys[0], state.values[0]


class RowsShared(Reference):
    """Every row of a batch reads the keys and values of the first one, at its own mask."""

    def remember(self, state: State, layer: int, key: Array, value: Array) -> tuple[Array, Array]:
        keys, values = super().remember(state, layer, key, value)
        return np.repeat(keys[:1], len(keys), axis=0), np.repeat(values[:1], len(values), axis=0)


class ValuesOneLate(Reference):
    """After a cached piece, values are stored one place further than keys."""

    def remember(self, state: State, layer: int, key: Array, value: Array) -> tuple[Array, Array]:
        had = state.values[layer].shape[2]
        keys, values = super().remember(state, layer, key, value)
        if not had:
            return keys, values
        return keys, np.concatenate(
            [values[:, :, :had], np.roll(values[:, :, had:], 1, axis=2)], axis=2
        )


class PieceUnmasked(Reference):
    """Within a later piece, tokens see those after them."""

    def visible(self, real: Flags, past: int) -> Flags:
        seen = super().visible(real, past).copy()
        if past:
            seen[:, :, past:] = real[:, None, past:]
        return seen


class MaskFromTopLeft(Reference):
    """The mask of a later piece is that of the first tokens of the text."""

    def visible(self, real: Flags, past: int) -> Flags:
        new = real.shape[1] - past
        if not past or new == 1:
            return super().visible(real, past)
        earlier = np.arange(real.shape[1])[None, :] <= np.arange(new)[:, None]
        return earlier[None] & real[:, None, :]


class NoMask(Reference):
    """Every token sees all others."""

    def visible(self, real: Flags, past: int) -> Flags:
        seen = super().visible(real, past)
        return np.broadcast_to(real[:, None, :], seen.shape)


class MaskHidesSelf(Reference):
    """A token does not see itself."""

    def visible(self, real: Flags, past: int) -> Flags:
        place = np.arange(real.shape[1])
        return super().visible(real, past) & (place[None, :] < place[past:, None])


class MaskShowsNext(Reference):
    """A token sees the one after it."""

    def visible(self, real: Flags, past: int) -> Flags:
        place = np.arange(real.shape[1])
        following = (place[None, :] == place[past:, None] + 1)[None] & real[:, None, :]
        seen: Flags = super().visible(real, past) | following
        return seen


class WritesTwice(Reference):
    """The first token after the prompt is fed twice."""

    def feed(self, state: State, ids: Ids, real: Flags) -> Array:
        if state.length and ids.shape[1] == 1 and not getattr(self, "fed", False):
            self.fed = True
            super().feed(state, ids, real)
        return super().feed(state, ids, real)


class KeepsBeamCaches(Reference):
    """A beam goes on from the cache of its place, not of its parent."""

    def reorder(self, state: State, parents: Ids) -> None:
        if len(state.real) != len(parents):
            super().reorder(state, parents)


class GreedyBeams(Reference):
    """One beam, whatever is asked for."""

    def search(self, prompt: tuple[int, ...], new_tokens: int, beams: int) -> tuple[int, ...]:
        return super().search(prompt, new_tokens, 1)


class EndsAtFirstId(Reference):
    """Id 0 ends a text."""

    def ends(self, request: Request) -> list[int]:
        return [*super().ends(request), 0]


class EndsAtSecondId(Reference):
    """Id 1 ends a text."""

    def ends(self, request: Request) -> list[int]:
        return [*super().ends(request), 1]


class EndsAtThirdId(Reference):
    """Id 2 ends a text."""

    def ends(self, request: Request) -> list[int]:
        return [*super().ends(request), 2]


class EndsAtLastId(Reference):
    """The last id that a token has ends a text."""

    def ends(self, request: Request) -> list[int]:
        return [*super().ends(request), max(self.model.vocabulary.numbers)]


class NeverEnds(Reference):
    """No id ends a text."""

    def ends(self, request: Request) -> list[int]:
        return []


def page_edge(page: int) -> Fault:
    """The last token of every full page is not written: what was in the place before it stays there."""

    class PageEdge(Reference):
        def remember(self, state: State, layer: int, key: Array, value: Array) -> tuple[Array, Array]:
            keys, values = (part.copy() for part in super().remember(state, layer, key, value))
            edges = np.arange(page - 1, keys.shape[2], page)
            keys[:, :, edges], values[:, :, edges] = keys[:, :, edges - 1], values[:, :, edges - 1]
            return keys, values

    return Fault(f"page-{page}-edge", f"loses the last token of every page of {page}", PageEdge)


def page_repeats(page: int) -> Fault:
    """The second page is read from where the first one is."""

    class PageRepeats(Reference):
        def remember(self, state: State, layer: int, key: Array, value: Array) -> tuple[Array, Array]:
            keys, values = super().remember(state, layer, key, value)
            place = np.arange(keys.shape[2])
            place = np.where((place >= page) & (place < 2 * page), place - page, place)
            return keys, values[:, :, place]

    return Fault(
        f"page-{page}-repeats", f"reads the first page of {page} in place of the second", PageRepeats
    )


CACHE_FAULTS = (
    Fault("cache-forgotten", "does not attend to what is in its cache", Forgets, CACHED),
    Fault(
        "cache-last-overwritten",
        "writes the first new token over the last one in the cache",
        LastOverwritten,
        CACHED,
    ),
    Fault(
        "cache-first-overwritten",
        "writes new tokens over the first one in the cache",
        FirstOverwritten,
        CACHED,
    ),
    Fault("cache-of-first-block", "reads the cache of the first block in every block", LayersShared),
    Fault(
        "cache-of-first-row",
        "reads the keys and values of the first row in every row of a batch",
        RowsShared,
        ("batch", "generate"),
    ),
    Fault(
        "cache-values-shifted",
        "stores values after a cached piece one place off",
        ValuesOneLate,
        CACHED,
    ),
    Fault(
        "piece-unmasked",
        "lets tokens of a later piece see those after them",
        PieceUnmasked,
        ("pieces",),
    ),
    Fault(
        "piece-mask-top-left",
        "aligns the causal mask of a later piece with the beginning of the text",
        MaskFromTopLeft,
        ("pieces",),
    ),
    Fault("first-token-twice", "feeds the first new token twice", WritesTwice, CACHED),
    *(page_edge(page) for page in PAGES),
    *(page_repeats(page) for page in PAGES if page < PAGES[-1]),
)

MASK_FAULTS = (
    Fault("no-mask", "has no causal mask", NoMask),
    Fault("mask-hides-self", "hides a token from itself", MaskHidesSelf),
    Fault("mask-shows-next", "shows a token the one after it", MaskShowsNext),
)

GENERATION_FAULTS = (
    Fault("ends-at-0", "ends a text at id 0, though no id ends it", EndsAtFirstId, ("generate",)),
    Fault("ends-at-1", "ends a text at id 1, though no id ends it", EndsAtSecondId, ("generate",)),
    Fault("ends-at-2", "ends a text at id 2, though no id ends it", EndsAtThirdId, ("generate",)),
    Fault(
        "ends-at-last", "ends a text at the last id, though no id ends it", EndsAtLastId, ("generate",)
    ),
    Fault("never-ends", "goes on after the id that ends a text", NeverEnds, ("generate",)),
    Fault(
        "beams-greedy", "searches with one beam, however many are asked for", GreedyBeams, ("beams",)
    ),
    Fault(
        "beams-keep-caches", "does not reorder the cache with its beams", KeepsBeamCaches, ("beams",)
    ),
)
