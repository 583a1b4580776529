"""Superposition: the features of the residual stream in fewer dimensions than there are features."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import sqrt
from typing import ClassVar

import numpy as np

from handcraft.disguise.activations import random_texts, seen_by_readers
from handcraft.disguise.carried import Carried, Ids, unchanged
from handcraft.disguise.draft import Draft
from handcraft.disguise.fold_norms import fold_norms, readers
from handcraft.disguise.resize import centred_basis, heads_in, used_heads, widest_head
from handcraft.disguise.transforms.checked import check_share, check_whole
from handcraft.errors import LayoutError
from handcraft.model import Model
from handcraft.model.layers.attention import Array
from handcraft.model.layers.norm import layer_norm
from handcraft.phrase import setting

SPANNED = 1e-9
"""Relative to the largest, the singular value from which on a direction is counted as written."""

INTERFERENCE = "interference"
"""What is measured: see `Superpose`."""


@dataclass(frozen=True)
class Superpose:
    """Keep the stream in `n_embd` dimensions, fewer than it has.

    The vectors that are written span a number of directions. With one dimension more than directions,
    for the mean, nothing is lost. With fewer, features share dimensions: their directions are no longer
    orthogonal, and each reader also reads a little of other features. The directions that are kept are
    those in which readers read most on random texts, each reader relative to the largest number that it
    reads.

    The interference is the largest error of what any reader reads on these texts, relative to the
    largest number that it reads on any of them. It is recorded. Whether all answers stay is tried.

    Args:
        n_embd: the width of the new stream.
        interference: the largest interference that is allowed; by default any that changes no answer.
    """

    name: ClassVar[str] = "superpose"
    guarantee: ClassVar[str] = (
        "what readers read is off by the interference that is recorded; 0 up to rounding where "
        "n_embd is "
        "above the number of directions that are written"
    )
    n_embd: int
    interference: float | None = None

    def __post_init__(self) -> None:
        check_whole(self, "n_embd", "the number of dimensions that are left", least=2)
        says = "the largest interference that is allowed"
        check_share(self, "interference", says, may_be_0=True, optional=True)

    def apply(self, draft: Draft, rng: np.random.Generator) -> Draft:
        """The draft in a narrower stream."""
        model = draft.model
        if not model.architecture.has_norm:
            raise LayoutError(
                "superposition is made for models with LayerNorm, and this one has none",
                where="Superpose",
                fix="compile the program for gpt2",
            )
        if self.n_embd >= model.shape.n_embd:
            raise LayoutError(
                f"Superpose(n_embd={self.n_embd}) for a stream of {model.shape.n_embd} dimensions",
                fix=f"give fewer than {model.shape.n_embd}; Pad makes a stream wider",
            )
        model = fold_norms(model, untie=draft.untie)
        seen = _Seen.of(model, random_texts(model, draft.length, rng))
        kept = seen.kept(self.n_embd - 1)  # [old, n_embd - 1]
        found = seen.interference(kept)
        if self.interference is not None and found > self.interference:
            raise LayoutError(
                f"in {self.n_embd} dimensions the interference is {found:.3g}, and "
                f"{self.interference:g} "
                "is allowed",
                where="Superpose",
                fix=f"use n_embd={self._enough(model, seen)}, where it is less",
            )
        factor = sqrt(self.n_embd / model.shape.n_embd)
        basis = centred_basis(self.n_embd)[:, : kept.shape[1]]
        step = replace(_narrower(model, self.n_embd), stream=factor * basis @ kept.T)
        return replace(draft, model=model).then(step).with_measured(INTERFERENCE, found)

    @property
    def option(self) -> str:
        """The same on the command line."""
        return setting("superpose", self.n_embd).command

    def weaker(self, draft: Draft) -> Iterator[Superpose]:
        """The same in more dimensions, one by one."""
        for n_embd in range(self.n_embd + 1, draft.model.shape.n_embd):
            yield replace(self, n_embd=n_embd)

    def _enough(self, model: Model, seen: _Seen) -> int:
        """The fewest dimensions in which the interference is allowed."""
        assert self.interference is not None
        for n_embd in range(self.n_embd + 1, model.shape.n_embd):
            if seen.interference(seen.kept(n_embd - 1)) <= self.interference:
                return n_embd
        return model.shape.n_embd


@dataclass(frozen=True, eq=False)
class _Seen:
    """What all readers read.

    Args:
        written: centred directions that are written, and what LayerNorm gives on texts: [row, n_embd].
        texts: the second of them.
        reading: the columns of all readers, each divided by the largest number that it reads on the
            texts: [n_embd, column].
    """

    written: Array
    texts: Array
    reading: Array

    @classmethod
    def of(cls, model: Model, ids: Ids) -> _Seen:
        """What the readers of a model read on texts."""
        tensors = model.tensors
        seen = seen_by_readers(model, ids)
        texts, reading = [], []
        for norm, reader in readers(model).items():
            texts.append(seen[norm] / tensors[f"{norm}.weight"].mean())
            reading.append(_scaled(texts[-1], tensors[f"{reader}.weight"]))
        last = _last_norm(model, ids)
        head = tensors["wte.weight" if model.architecture.tied else "lm_head.weight"].T
        used = head[:, [*model.vocabulary.numbers]]
        texts.append(last)
        reading.append(_scaled(last, used - used.mean(axis=1, keepdims=True)))
        rows = [
            np.atleast_2d(tensor)
            for name, tensor in tensors.items()
            if name in ("wte.weight", "wpe.weight") or "c_proj" in name
        ]
        written = np.concatenate(rows)
        written = written - written.mean(axis=1, keepdims=True)
        sizes = np.sqrt(np.square(written).sum(axis=1))
        written = written[sizes > 0] / sizes[sizes > 0, None]
        return cls(written, np.concatenate(texts), np.concatenate(reading, axis=1))

    def kept(self, count: int) -> Array:
        """An orthonormal basis of the directions to keep: [n_embd, at most count]."""
        size = np.sqrt(np.square(self.texts).sum(axis=1).mean())
        mean = self.texts.mean(axis=0)
        rows = np.concatenate([self.texts / size, self.written])
        read = rows @ self.reading
        left, sizes, _ = np.linalg.svd(read, full_matrices=False)
        wanted = rows.T @ left[:, sizes > SPANNED * sizes[0]]  # most important first
        unread = np.linalg.svd(rows, full_matrices=False)
        spanned = unread[2][unread[1] > SPANNED * unread[1][0]].T
        chosen: list[Array] = []
        for vector in (mean, *wanted.T, *spanned.T):
            rest = vector / max(float(np.linalg.norm(vector)), 1e-300)
            for _ in range(2):  # Gram-Schmidt, twice for the sake of rounding
                for other in chosen:
                    rest = rest - (rest @ other) * other
            length = float(np.linalg.norm(rest))
            if length > 1e-6 and len(chosen) < count:
                chosen.append(rest / length)
        return np.stack(chosen, axis=1)

    def interference(self, kept: Array) -> float:
        """The largest error of what any reader reads on the texts, as a share of the largest number."""
        inside = self.texts @ kept
        sizes = np.sqrt(np.square(self.texts).sum(axis=1) / np.square(inside).sum(axis=1))
        off = (inside * sizes[:, None]) @ (kept.T @ self.reading) - self.texts @ self.reading
        return float(np.abs(off).max())


def _scaled(texts: Array, columns: Array) -> Array:
    """Columns, each divided by the largest number that it reads; without those that read nothing."""
    largest = np.abs(texts @ columns).max(axis=0)
    sizes = np.sqrt(np.square(columns).sum(axis=0) * np.square(texts).sum(axis=1).max())
    kept = largest > SPANNED * sizes
    return np.asarray(columns[:, kept] / largest[kept])


def _last_norm(model: Model, ids: Ids) -> Array:
    """What ln_f gives, before its gain."""
    found: list[Array] = []

    def keep(name: str, value: Array) -> None:
        if name == last:
            ones = np.ones(model.shape.n_embd)
            normed = layer_norm(value, ones, 0 * ones, model.architecture.norm_epsilon)
            found.append(normed.reshape(-1, value.shape[-1]).copy())

    last = f"h.{model.shape.n_layer - 1}.output" if model.shape.n_layer else "embedding"
    model.watch(ids, keep)
    return found[0]


def _narrower(model: Model, n_embd: int) -> Carried:
    """The map into as many heads as fit into a narrower stream."""
    old = model.shape
    least = max([1, *(len(used_heads(model, b)) for b in range(old.n_layer))])
    widest = widest_head(model)
    fitting = [n for n in range(least, n_embd // widest + 1) if n_embd % n == 0]
    if not fitting:
        enough = next(
            n
            for n in range(n_embd + 1, least * widest * 2 + n_embd)
            if any(n % heads == 0 for heads in range(least, n // widest + 1))
        )
        raise LayoutError(
            f"{n_embd} dimensions do not make {least} or more equal heads of {widest} channels",
            where="Superpose",
            fix=f"use n_embd={enough}",
        )
    n_head = min(fitting, key=lambda n: (abs(n - old.n_head), n))
    shape = replace(old, n_embd=n_embd, n_head=n_head)
    heads = heads_in(model, shape, range(old.n_layer))
    return replace(unchanged(old), new=shape, heads=heads)
