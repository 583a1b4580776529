"""Rules to the plan of a rotary model: in several ways, of which the smallest is taken.

An MLP of a Llama is as wide as it must be, and the heads that look back share keys and values. So no
neurons are spread over layers, and all that matters is how tokens are stored, and how positions are
found: by a head for each place where what is read of them changes, or by neurons.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from handcraft.compiler.features.precision import Precision
from handcraft.compiler.rules.ruled import Made, Ruled
from handcraft.compiler.stage import Stage
from handcraft.errors import HandcraftError, LayoutError, LimitError, PrecisionError
from handcraft.weights import Plan, Sizes, plan_model

FEW_STEPS = 8
"""The most steps of a table that are accepted to save a block, in the second try: all MLPs are as wide
as the widest, so many steps in one block may cost more than another block."""


def plan_rotary_rules(ruled: Ruled, sizes: Sizes) -> tuple[Plan, tuple[Stage, ...]]:
    """The smallest plan, and the trees after each pass on the way to it.

    Raises:
        LayoutError, PrecisionError, LimitError: no way fits.
    """
    plans: list[Found] = []
    refused: HandcraftError = LimitError("no way to store the tokens", where=ruled.program.place)
    for found in _plans(ruled, sizes):
        if isinstance(found, HandcraftError):
            refused = found
        else:
            plans.append(found)
    if not plans:
        raise refused
    smallest = min(plans, key=_parameters)
    if _is_mostly_mlp(smallest[0]):
        again = list(_plans(replace(ruled, most_steps=FEW_STEPS), sizes))
        plans += [each for each in again if not isinstance(each, HandcraftError)]
    return min(plans, key=_parameters)


Found = tuple[Plan, tuple[Stage, ...]]


def _parameters(found: Found) -> int:
    plan, _ = found
    return plan.shape.parameters(plan.architecture)


def _is_mostly_mlp(plan: Plan) -> bool:
    """Whether most parameters are in MLPs, though a few layers alone need as many units."""
    units = [len(layer.units) for layer in plan.layers]
    shape = plan.shape
    in_mlps = 3 * shape.n_embd * sum(shape.n_inner)
    return 2 * in_mlps > shape.parameters(plan.architecture) and 2 * sum(units) < sum(shape.n_inner)


def _plans(ruled: Ruled, sizes: Sizes) -> Iterator[Found | HandcraftError]:
    """Every plan that fits, and why others do not."""
    sees_begin = ruled.target.window is None  # its part of the attention tells the position
    for in_bits in _ways(ruled):
        for by_parts in (False, True) if sees_begin and Precision(ruled.dtype).is_wide else (False,):
            try:
                made = _made(ruled, sizes, in_bits=in_bits, by_parts=by_parts)
                plan = plan_model(made.circuits, ruled.target, sizes, dtype=ruled.dtype)
            except (LayoutError, PrecisionError, LimitError) as error:
                if not by_parts:
                    yield error
                continue
            yield plan, ruled.coded_stages if in_bits else ruled.stages
            if not made.steps:
                break


def _ways(ruled: Ruled) -> Iterator[bool]:
    """Whether tokens are stored in bits, for each way that is tried."""
    asked = ruled.encodings.tokens
    if asked != "one-hot" and ruled.coded_rules is not None:
        yield True
    if asked != "binary":
        yield False


def _made(ruled: Ruled, sizes: Sizes, *, in_bits: bool, by_parts: bool) -> Made:
    """The circuits; what is stored besides the token is flags.

    Raises:
        PrecisionError: the dtype does not distinguish what it must.
        LimitError: some rules cannot be decided from the bits of tokens alone.
    """
    if not in_bits:
        made = ruled.one_hot(sizes, direct=False, apart=False, sure=True, flags=True, by_parts=by_parts)
        assert made is not None  # only direct writing may be impossible
        return made
    coded = ruled.coded(direct=False, sure=True, short=False, by_parts=by_parts)
    if isinstance(coded, PrecisionError):
        raise coded
    if coded is None:
        raise LimitError(
            "some rules cannot be decided from the bits of tokens alone", where=ruled.program.place
        )
    return coded
