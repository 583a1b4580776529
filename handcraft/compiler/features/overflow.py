"""What overflows float16: attention scores, and sums that LayerNorm enlarges."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from math import ceil, sqrt

from handcraft.dtype import dtype_named
from handcraft.errors import PrecisionError
from handcraft.language.graph.domain import Plain, magnitude
from handcraft.weights import Plan, Sizes, sharpness_for

HEAD_DIM = 96
"""In float16, which ends at 65504, heads are no wider, so that scores of up to 63 gaps fit."""


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
            raise PrecisionError(
                f"{name} reach {ceil(found):,}, but the largest {dtype} is {kind.largest:,}",
                where=plan.circuits.place,
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
