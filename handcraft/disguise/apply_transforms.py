"""Disguise a model: apply transforms, round once, and try every answer that can be tried."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import islice
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from handcraft.compiler import Compiled
from handcraft.disguise.carried import Carried
from handcraft.disguise.draft import Draft, Transform, draft_of, parameters
from handcraft.disguise.judge import ByMeaning, ByOriginal, Judge, Tried
from handcraft.disguise.original import Original, original_of
from handcraft.disguise.radius import radius_of
from handcraft.disguise.record import Record, Step
from handcraft.display import short_repr, shorten_value
from handcraft.dtype import dtype_named
from handcraft.errors import HandcraftError, LayoutError, PrecisionError
from handcraft.formats import Checkpoint
from handcraft.limits import check_memory
from handcraft.model import Model, check_gpt2
from handcraft.phrase import Phrase, Words, phrase, setting
from handcraft.progress import advance

COPIES = 4
"""How many copies of all weights, in float64, are in memory while a transform is applied."""

TRIES = 64
"""How many weaker settings are tried at most, to say which one holds."""

SEEDS = 1 << 63
"""Seeds are below this, so that they are whole numbers in every file."""


@short_repr
@dataclass(frozen=True, eq=False)
class Disguise:
    """A model that answers as the original does, and the exact map from the original.

    Args:
        original: what was disguised.
        model: the disguise.
        carried: where the stream, the heads and the hidden units of `original.model` are in it.
        steps: the transforms that were applied.
        before: the answers of the original that were tried.
        after: the answers of the disguise that were tried.
        measured: numbers that transforms measured, such as the interference of features.
    """

    original: Original = field(repr=False)
    model: Model
    carried: Carried = field(repr=False)
    steps: tuple[Step, ...]
    before: Tried = field(repr=False)
    after: Tried
    measured: dict[str, float]

    @property
    def record(self) -> Record:
        """What disguise.json says: all transforms, those of an earlier disguise included."""
        earlier = self.original.earlier
        judged = {
            "by": "meaning" if self.original.source is not None else "original",
            "tried": self.after.tried,
            "all": self.after.is_all,
            "margin_before": _finite(self.before.margin),
            "margin_after": _finite(self.after.margin),
            "unexercised": list(self.after.unexercised),
        }
        if earlier is None:
            return Record(self.original.files, self.steps, self.carried, judged, self.measured)
        return Record(
            earlier.original,
            (*earlier.steps, *self.steps),
            earlier.carried.then(self.carried),
            judged,
            {**earlier.measured, **self.measured},
        )

    def save(self, folder: str | Path) -> Path:
        """Write it as a folder, with its map in disguise.json and disguise.safetensors.

        Raises:
            CheckpointError: the folder contains something else, or cannot be written.
        """
        from handcraft.disguise.write_folder import write_disguise

        return write_disguise(self, Path(folder))


def disguise(
    what: Model | Compiled | Checkpoint | Path | str,
    transforms: Sequence[Transform],
    *,
    seed: int = 0,
    dtype: str | None = None,
    untie: bool = False,
) -> Disguise:
    """Make a model look like a trained one, without changing an answer.

    The same arguments give the same weights, to the last bit. All transforms are applied in float64,
    and weights are rounded once. Then the result is run: after every context if there are few, else
    after a sample. If an answer is wrong, this is an error.

    Args:
        what: a compiled program, a folder, or a model of which nothing else is known; the answers of
            the disguise are then compared with those of the model on random texts.
        transforms: the transforms, in the order in which they are applied.
        seed: of all random numbers.
        dtype: of the weights; by default that of the original.
        untie: whether the unembedding may become a tensor of its own. It must if the stream is rotated
            and the gains of ln_f differ between dimensions.

    Raises:
        PrecisionError: an answer would be wrong; the error has the prompt, and a setting that changes
            no answer.
        LayoutError, ModelError, ProofError: a transform does not fit the model.
        CheckpointError: a folder cannot be read.
    """
    original = original_of(what)
    _check(transforms, seed)
    model = original.model
    check_gpt2(model, "disguises are made")
    stored = dtype_named(model.dtype.name if dtype is None else dtype).name
    check_memory(COPIES * 8 * model.parameters, f"{COPIES} copies of the weights in float64")
    start = draft_of(
        model,
        stored,
        original.length,
        untie=untie,
        radius=None if original.stated is None else radius_of(original.stated),
    )
    judge = _judge(original, seed)
    before = judge.tried(model)
    if not before.passed:
        raise PrecisionError(
            f"the original itself answers {before.answered!r} after "
            f"{shorten_value(before.context)}, and {before.meant!r} is meant",
            where=original.name,
            fix="disguise a model that passes `handcraft verify`",
        )
    draft = _applied(start, transforms, seed)
    result = rounded(draft)
    after = judge.tried(result)
    if not after.passed:
        raise _refused(original, judge, start, transforms, seed, after)
    return Disguise(
        original,
        result,
        draft.carried,
        tuple(Step(_name(t), parameters(t), t.guarantee, seed) for t in transforms),
        before,
        after,
        dict(draft.measured),
    )


def rounded(draft: Draft) -> Model:
    """The model of a draft in the dtype in which it will be stored.

    Raises:
        PrecisionError: a weight is too large for it.
    """
    kind = dtype_named(draft.dtype)
    tensors: dict[str, Any] = {}
    for name, tensor in draft.model.tensors.items():
        largest = float(np.abs(tensor).max(initial=0))
        if not largest <= kind.largest:
            raise PrecisionError(
                f"{kind.name} has no numbers as large as {largest:g}",
                where=name,
                fix=phrase("use ", setting("dtype", "float32")),
            )
        tensors[name] = tensor.astype(kind.numpy)
    return replace(draft.model, tensors=tensors)


def _check(transforms: Sequence[Transform], seed: object) -> None:
    if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < SEEDS:
        raise LayoutError(f"seed={shorten_value(seed)}", fix="give a whole number from 0")
    if not transforms:
        raise LayoutError("no transform is given", fix="give at least one, such as Rotate()")
    for each in transforms:
        if isinstance(each, type) or not callable(getattr(each, "apply", None)):
            raise LayoutError(
                f"{shorten_value(each)} is not a transform", fix="give objects, such as Rotate()"
            )


def _judge(original: Original, seed: int) -> Judge:
    if original.source is None:
        return ByOriginal(original.model, seed)
    return ByMeaning(original.source, original.prompts, original.model.shape.n_positions)


def _applied(draft: Draft, transforms: Sequence[Transform], seed: int, first: int = 0) -> Draft:
    """The draft after all transforms; each has random numbers of its own, whatever the others draw."""
    for number, transform in enumerate(transforms, first):
        advance("apply transforms", number, first + len(transforms))
        rng = np.random.default_rng([seed, number])
        draft = transform.apply(draft, rng)
        check_memory(COPIES * 8 * draft.model.parameters, f"{COPIES} copies of the weights in float64")
    return draft


def _refused(
    original: Original,
    judge: Judge,
    start: Draft,
    transforms: Sequence[Transform],
    seed: int,
    found: Tried,
) -> PrecisionError:
    """Why a disguise is refused: which transform breaks which answer, and what holds instead."""
    count = next(
        n
        for n in range(1, len(transforms) + 1)
        if n == len(transforms) or not _tried(judge, start, transforms[:n], seed).passed
    )
    breaks = transforms[count - 1]
    if count < len(transforms):
        found = _tried(judge, start, transforms[:count], seed)
    was = judge.margin_after(original.model, found.context)
    before = _applied(start, transforms[: count - 1], seed)
    return PrecisionError(
        f"{_name(breaks)} breaks {found.failed:,} of {found.tried:,} answers: after "
        f"{shorten_value(found.context)} the "
        f"model would answer {found.answered!r}, and {found.meant!r} is right; the margin was "
        f"{was:.4g} "
        f"and would be {found.margin:.4g}",
        where=f"{original.name}: {breaks!r} in {start.dtype}",
        fix=_holds(judge, before, start, transforms, count - 1, seed),
    )


def _holds(
    judge: Judge,
    before: Draft,
    start: Draft,
    transforms: Sequence[Transform],
    at: int,
    seed: int,
) -> Words:
    """What to do instead: the nearest weaker setting that was tried and holds, or to leave it out."""
    right = "every answer that was tried stays right"
    breaks, rest = transforms[at], [*transforms[at + 1 :]]
    weaker = getattr(breaks, "weaker", None)
    for each in islice(weaker(before) if weaker is not None else (), TRIES):
        with suppress(HandcraftError):
            if judge.tried(rounded(_applied(before, [each, *rest], seed, at))).passed:
                return phrase("use ", Phrase(repr(each), each.option), f": {right}")
    if start.dtype not in ("float32", "float64"):
        with suppress(HandcraftError):
            wider = replace(start, dtype="float32")
            if _tried(judge, wider, transforms, seed).passed:
                return phrase("use ", setting("dtype", "float32"), f": {right}")
    with suppress(HandcraftError):
        others = [*transforms[:at], *rest]
        if not others or _tried(judge, start, others, seed).passed:
            return f"leave out {_name(breaks)}; without it {right}"
    return f"leave out {_name(breaks)} and what comes after it"


def _tried(judge: Judge, start: Draft, transforms: Sequence[Transform], seed: int) -> Tried:
    return judge.tried(rounded(_applied(start, transforms, seed)))


def _finite(margin: float) -> float | None:
    return margin if isfinite(margin) else None


def _name(transform: Any) -> str:
    return str(getattr(transform, "name", type(transform).__name__))
