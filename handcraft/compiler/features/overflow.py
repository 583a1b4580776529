"""What overflows float16: attention scores, and sums that LayerNorm enlarges.

Before weights are made it is bounded, in every plan; where no plan surely fits, the finished model runs
some texts. What these do not show, `save` finds, which runs more.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from math import ceil, sqrt

import numpy as np
import numpy.typing as npt

from handcraft.dtype import DType, dtype_named
from handcraft.errors import PrecisionError
from handcraft.language import Program
from handcraft.language.graph.domain import Plain, magnitude
from handcraft.model import Model
from handcraft.model.layers.attention import Array
from handcraft.weights import Plan, Sizes, sharpness_for

HEAD_DIM = 96
"""In float16, which ends at 65504, heads are no wider, so that scores of up to 63 gaps fit."""


TEXTS = 256
"""How many texts a finished model runs. Scores of one head hardly depend on the text: those of matching
sources are about equal (`test_what_overflows_is_refused_before_anything_is_written`)."""


PAIRS = 1 << 22
"""About how many pairs of positions these have at most: scores of 16 MB for each head."""


def check_overflow(score: Plain, plan: Plan, dtype: str) -> None:
    """Raise unless a dtype holds every attention score, and every sum that LayerNorm may enlarge.

    Softmax scales scores only after they are rounded.

    Args:
        score: no query, and no score that must be finite, is larger, before it is made sharp.
        plan: decides how sharp that is.
        dtype: of the weights.

    Raises:
        PrecisionError: they are too large for it.
    """
    kind = dtype_named(dtype)
    if not kind.overflows_first:
        return
    largest = {"attention scores": score * sharpness_for(plan, dtype), "pre-activations": _reach(plan)}
    for name, found in largest.items():
        if found > kind.largest:
            raise _too_large(f"{name} reach {ceil(found):,}", kind, plan.circuits.place)


def check_finished(model: Model, program: Program) -> None:
    """Raise where a finished model overflows on some of the texts that are allowed prompts.

    Raises:
        PrecisionError: it does, in a dtype that ends early.
    """
    kind = dtype_named(model.dtype.name)
    if not kind.overflows_first:
        return
    largest: dict[str, float] = {}

    def see(name: str, value: Array) -> None:
        size = float(np.abs(value).max(initial=0))
        if name.endswith(".scores"):
            number = int(name.split(".")[1])
            scale = model.architecture.score_scale(model.shape.head_dim, number)
            size = largest_score(value, causal=model.architecture.causal) / scale
        largest[name] = max(largest.get(name, 0.0), size)

    ids = np.array(model.vocabulary.numbers)
    for texts in _texts(program):
        model.watch(ids[texts], see)
    for name, found in largest.items():
        if found > kind.largest:
            raise _too_large(f"{name} is {found:,.0f}", kind, program.place)


def largest_score(scores: Array, *, causal: bool) -> float:
    """The largest size of those scores that must be finite; others may be minus infinity.

    Args:
        scores: [batch, head, destination, source].
        causal: whether later sources are masked.
    """
    visible = np.ones(scores.shape[-2:], dtype=bool)
    best = np.where(np.tril(visible) if causal else visible, scores, -np.inf).max(axis=-1)
    return max(float(scores.max(initial=0)), -float(best.min(initial=0)))


def _texts(program: Program) -> Iterator[npt.NDArray[np.int64]]:
    """Allowed prompts with what is written after them, as places: [text, position] for each length.

    None where only Python code decides which are allowed.
    """
    prompts = program.prompts
    if prompts.inputs is not None and not isinstance(prompts.inputs, str):
        return
    for texts in prompts.texts.draw(max(1, min(TEXTS, PAIRS // program.context**2))):
        for _ in range(prompts.writes - 1):
            rows = np.arange(len(texts))
            written = program.answers_at(texts, rows, np.full_like(rows, texts.shape[1] - 1))
            texts = np.hstack([texts, written[:, None]])[written >= 0]
        if len(texts):
            yield texts


def _too_large(what: str, kind: DType, where: object) -> PrecisionError:
    return PrecisionError(
        f"{what}, but the largest {kind.name} is {kind.largest:,}",
        where=where,
        fix="use bfloat16 or float32, or a shorter context",
        is_tight=True,
    )


def narrower_heads(score: Plain, plan: Plan, dtype: str, asked: Sizes) -> Sizes | None:
    """Sizes with more heads, so that scores need less sharpness; None if they do not overflow.

    Args:
        score: as for `check_overflow`.
        plan: with the heads that were asked for.
        dtype: of the weights.
        asked: what is asked of the width and the heads.
    """
    kind, layout = dtype_named(dtype), plan.layout
    if not kind.overflows_first or score * sharpness_for(plan, dtype) <= kind.largest:
        return None
    if asked.n_head is not None or asked.head_dim is not None or layout.head_dim <= HEAD_DIM:
        return None
    n_head = 2 * ceil(layout.n_embd / (2 * HEAD_DIM))  # an even number of dimensions can be filled
    return None if asked.n_embd and asked.n_embd % n_head else replace(asked, n_head=n_head)


def _reach(plan: Plan) -> int:
    """No sum that is compared with 0 is larger, on the largest scale that LayerNorm may give it."""
    scale = {norm.name: Fraction(norm.sum_of_squares) / norm.least for norm in plan.norms if norm.least}
    largest = Fraction(0)
    for number, layer in enumerate(plan.layers):
        times = sqrt(scale.get(f"h.{number}.ln_2", 0))
        for unit in layer.units if times else ():
            entries = (n for read in unit.neuron.reads for _, n in read.entries)
            largest = max(largest, sum(map(magnitude, entries)) * unit.gain * Fraction(times))
    return ceil(largest)
