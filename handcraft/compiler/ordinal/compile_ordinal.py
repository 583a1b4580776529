"""`optimize`: a numeric answer as one scalar, without what its error bound makes unnecessary."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from fractions import Fraction
from functools import partial

import numpy as np

from handcraft.architecture import Architecture
from handcraft.circuits import Circuits
from handcraft.compiler.ordinal.approximate import (
    Approximation,
    approximations,
    predicted,
    weighted_sums,
)
from handcraft.compiler.ordinal.approximate_sum import ApproximateSum, is_by_position, rewritten
from handcraft.compiler.ordinal.build_circuits import build_circuits
from handcraft.compiler.ordinal.circle import find_circle
from handcraft.compiler.ordinal.codes import Line, by_token, numbers_of
from handcraft.compiler.ordinal.design import Design
from handcraft.compiler.ordinal.read_sum import NotASumError, nearest_line
from handcraft.compiler.ordinal.share import group_parts, merge_heads
from handcraft.compiler.passes.fold import rebuild
from handcraft.compiler.passes.ir import WeightedSum
from handcraft.compiler.search import Way, smallest
from handcraft.compiler.stage import Pass
from handcraft.dtype import DType, dtype_named
from handcraft.errors import CompileError, PrecisionError
from handcraft.language import Program
from handcraft.language.graph.domain import magnitude
from handcraft.language.graph.node import Lookup
from handcraft.model import Model
from handcraft.model.layers.attention import Array
from handcraft.weights import Plan, Sizes, plan_model

PASSES = ("ordinal", "relax", "share", "angles", "own", "merge")
"""The passes of `optimize`, in order; each builds on `ordinal`."""

OFF_UP_TO = Fraction(7, 16)
"""The largest allowed error of an answer; at a half, another number would be the nearest."""


def passes_named(optimize: bool | Collection[str]) -> tuple[str, ...]:
    """The requested passes in order: none, all, or `ordinal` and those that are named.

    Raises:
        CompileError: there is no such pass.
    """
    if isinstance(optimize, bool):
        return PASSES if optimize else ()
    names = {optimize} if isinstance(optimize, str) else set(optimize)
    unknown = sorted(map(str, names.difference(PASSES)))
    if unknown:
        raise CompileError(
            f"there is no pass {unknown[0]!r} of optimize", fix=f"passes are: {', '.join(PASSES)}"
        )
    return tuple(name for name in PASSES if names and (name == "ordinal" or name in names))


def compile_ordinal(
    program: Program, target: Architecture, dtype: str, sizes: Sizes, passes: Collection[str] = PASSES
) -> tuple[Plan, tuple[Pass, ...]]:
    """The plan of a program whose answer is encoded as one scalar, and what each pass did.

    Args:
        program: one rule over expressions that always fires.
        target: the architecture.
        dtype: of the weights.
        sizes: what is asked of the width and the heads.
        passes: those of `PASSES` that are wanted.

    Raises:
        NotASumError: the answer is no sum of numbers of tokens and of steps.
        CompileError: the program or the target is of another kind.
        PrecisionError: the dtype is not precise enough.
    """
    relaxes, kind = "relax" in passes, dtype_named(dtype)
    (answer,) = rebuild([predicted(program)])
    found = approximations(answer, program.prompts, relaxes=relaxes, has_norm=target.has_norm)
    designs = [d for each in found for d in _designs(each, kind, passes, has_norm=target.has_norm)]
    if not designs:
        raise NotASumError("some positions attend to more tokens than others")
    designed: dict[Plan, Design] = {}

    def way(design: Design) -> Way:
        def planned(sizes: Sizes) -> Plan:
            check_design(design)
            plan = plan_model(build_circuits(design, program.place), target, sizes)
            designed[plan] = design
            return plan

        return planned

    plan = smallest([way(design) for design in designs], sizes)
    return plan, _notes(designed[plan], passes)


def _designs(
    approximation: Approximation, dtype: DType, passes: Collection[str], *, has_norm: bool
) -> Iterator[Design]:
    """Designs with and without the passes that do not always help."""
    answers, line = approximation.answers, approximation.line
    if "own" in passes:
        by_square = partial(_by_square, line=line, zero=answers[0].zero)
        itself = partial(_itself, line=line, zero=answers[0].zero) if has_norm else by_square
        answers += tuple(rewritten(answer, itself, by_square) for answer in answers)
    for answer in answers:
        has_home = not has_norm and len(set(answer.known)) == 1
        groups = tuple(group_parts(answer, shares="share" in passes, has_home=has_home))
        grouped = [groups, tuple(map(merge_heads, groups))] if "merge" in passes else [groups]
        for parts in dict.fromkeys(grouped):
            design = Design(answer, line, parts, dtype, has_norm=has_norm)
            if any(node.total is None for node in design.weighted):
                continue  # some position attends to more than another, and attention adds up to 1
            yield design
            if "angles" in passes and design.weighted:
                circle = find_circle(design.weighted, design.context, dtype, design.noise)
                if circle is not None:
                    yield replace(design, circle=circle)


def check_design(design: Design) -> None:
    """Raise unless the nearest number is the right one, with all errors.

    Errors come from linear fits, echo, attention, and the rounding of steps, answer and two logits.

    Raises:
        PrecisionError: the error bound is too large.
    """
    written = design.scale * (design.reach + max(map(magnitude, design.answer.known))) * 2
    if written > design.dtype.largest:
        raise PrecisionError(
            f"the answer takes numbers of up to {float(written):,.0f}, and the largest of "
            f"{design.dtype.name} is {design.dtype.largest:,}",
            fix="use float32, or compile it without optimize",
        )
    largest = max(number * number / 2 for number in design.line.numbers)
    off = design.off + design.rounding + design.dtype.unit * 4 * largest
    if off > OFF_UP_TO:
        raise PrecisionError(
            f"in {design.dtype.name} the error bound of the answer is {float(off):.3g} of the distance "
            f"to the next token; at most {float(OFF_UP_TO):.3g} is safe",
            fix="use float32, or compile it without optimize",
        )


def check_shares(model: Model, circuits: Circuits) -> None:
    """Raise unless every head has the attention weights that it states, in the finished tensors.

    Raises:
        PrecisionError: which head, and by how much it misses.
    """
    if not any(head.attends.attention_weights for block in circuits.blocks for head in block.heads):
        return  # which saves running the model once over all its positions
    text = np.zeros((1, circuits.context), dtype=np.int64)
    seen: dict[str, Array] = {}
    model.watch(text, lambda name, value: seen.update({name: value.astype(np.float64)}))
    for number, block in enumerate(circuits.blocks):
        for i, head in enumerate(block.heads):
            for here, shares in enumerate(head.attends.attention_weights or ()):
                scores = seen[f"h.{number}.attn.scores"][0, i, here, : here + 1]
                pattern = np.exp(scores - scores.max())
                pattern /= pattern.sum()
                for there, share in shares:
                    pattern[there] -= float(share)
                missed = float(np.abs(pattern).max())
                if shares and missed > head.attends.error_bound:
                    raise PrecisionError(
                        f"an attention weight of `{head.name}` has an error of {missed:.2g} at "
                        f"position {here}; at most {head.attends.error_bound:.2g} is safe",
                        where=f"h.{number}.attn, head {i}",
                        fix="use a wider dtype",
                    )


def _by_square(node: WeightedSum, line: Line, zero: ApproximateSum) -> ApproximateSum | None:
    """The number of the token here, as a linear fit to the square of its number."""
    if not node.is_here or node.total is None:
        return None
    known = [i for i, number in enumerate(numbers_of(node.value)) if number is not None]
    squares, numbers = ([row[i] for i in known] for row in (line.squares, line.numbers))
    if len(set(squares)) < 2:
        return zero.shifted(numbers[0] * node.total)
    slope, constant, error = nearest_line(squares, numbers)
    square = zero.only(by_token(line.vocabulary, line.squares, node.text, node.place))
    return square.times(slope).shifted(constant).blurred(error).times(node.total)


def _itself(node: WeightedSum, line: Line, zero: ApproximateSum) -> ApproximateSum | None:
    """The number of the token here, as it is embedded."""
    if not node.is_here or node.total is None:
        return None
    return zero.only(by_token(line.vocabulary, line.numbers, node.text, node.place)).times(node.total)


def _notes(design: Design, passes: Collection[str]) -> tuple[Pass, ...]:
    """What each pass did to a design, and the numbers that justify it."""
    answer, circle = design.answer, design.circle
    tokens, fits = sum(design.line.predicted), float(answer.error)
    sums, heads = weighted_sums(answer), len(design.weighted)
    apart = sum(bool(group.read_by) and not group.is_home for group in design.groups)
    read = (*answer.terms, *(node for step in design.steps for node in step.children))
    owns = any(isinstance(node, Lookup) and not is_by_position(node) for node in read)
    notes = {
        "ordinal": (
            f"{tokens} tokens encoded as one scalar",
            f"the error bound of the answer is {float(design.off):.3f}, and must be below 0.5",
        ),
        "relax": (
            f"{_count(len(design.steps), 'threshold')} left, linear fits replace the others",
            f"the fits shift the answer by at most {fits:.3f}; every threshold left is exact",
        ),
        "share": (
            f"{_count(apart, 'sum')} stored in a dimension besides the answer's",
            "every reader of two terms of a sum uses them in a fixed ratio",
        ),
        "angles": (
            "positions on a circle" if circle else "not applied: no circle has room",
            f"{max(circle.missed):.1e} of the attention at most goes to wrong sources"
            if circle
            else "unchanged",
        ),
        "own": (
            "the token at the destination is read from its own codeword"
            if owns
            else "not applied: it saves nothing",
            "the error of that fit is in the error bound of the answer" if owns else "unchanged",
        ),
        "merge": (
            f"{_count(len(sums), 'attention pattern')} in {_count(heads, 'head')}",
            "the weights of a head's sources add up to the same total at every position",
        ),
    }
    return tuple(Pass(name, *notes[name]) for name in PASSES if name in passes)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
