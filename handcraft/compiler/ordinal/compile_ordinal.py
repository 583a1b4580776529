"""`optimize`: one answer along a line, with everything that such an answer forgives."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial

import numpy as np

from handcraft.architecture import Architecture
from handcraft.circuits import Circuits
from handcraft.compiler.ordinal.build_circuits import build_circuits
from handcraft.compiler.ordinal.circle import find_circle
from handcraft.compiler.ordinal.codes import Line, line_for, numberings, straight
from handcraft.compiler.ordinal.design import Design
from handcraft.compiler.ordinal.form import Form, Look, Own, all_steps, rewritten
from handcraft.compiler.ordinal.read_form import NotASumError, Reader, nearest_line
from handcraft.compiler.ordinal.relax import relax
from handcraft.compiler.ordinal.share import group_parts, merge_looks
from handcraft.compiler.passes.fold import rebuild
from handcraft.compiler.stage import Pass
from handcraft.dtype import DType, dtype_named
from handcraft.errors import CompileError, HandcraftError, LayoutError, PrecisionError
from handcraft.language import Program, Prompts
from handcraft.language.graph.domain import Finite, Plain, Value, magnitude
from handcraft.language.graph.node import Node
from handcraft.model import Model
from handcraft.model.attention import Array
from handcraft.weights import Plan, Sizes, plan_model

PASSES = ("ordinal", "relax", "share", "angles", "own", "merge")
"""The passes of `optimize`, in order; each builds on `ordinal`."""

OFF_UP_TO = Fraction(7, 16)
"""By how much an answer may be off; at a half the nearest number is another one."""


def passes_named(optimize: bool | Collection[str]) -> tuple[str, ...]:
    """The passes that are asked for, in order; none, all, or `ordinal` and those that are named.

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
) -> tuple[Circuits, tuple[Pass, ...]]:
    """The circuits of a program whose answer is a number along a line, and what each pass did.

    Args:
        program: one rule over expressions that always fires.
        target: the architecture.
        dtype: of the weights.
        sizes: what is asked of the width and the heads.
        passes: those of `PASSES` that are wanted.

    Raises:
        NotASumError: the answer is no sum of looks and steps.
        CompileError: the program or the target is of another kind.
        PrecisionError: the dtype does not hold what is asked of it.
    """
    prompts, answer = program.prompts, _answer_of(program)
    assert isinstance(answer.domain, Finite)
    allowed = Allowed.of(prompts, answer.domain.values)
    if not allowed.ends:
        raise NotASumError("no text is an allowed prompt", where=program.place)
    found: list[tuple[tuple[int, ...], Design, Circuits]] = []
    problem: HandcraftError | None = None
    for numbering in numberings(answer, prompts.vocabulary):
        try:
            kind = dtype_named(dtype)
            designs = list(_designs(answer, numbering, prompts, allowed, kind, passes, target.has_norm))
        except CompileError as error:
            problem = problem or error
            continue
        for design in designs:
            try:
                check_design(design)
                circuits = build_circuits(design, prompts.vocabulary, prompts.context, program.place)
                plan = plan_model(circuits, target, sizes)
            except (CompileError, PrecisionError, LayoutError) as error:
                problem = problem or error
            else:
                found.append((_size(plan), design, circuits))
    if not found:
        raise problem or NotASumError("some positions attend to more tokens than others")
    _, design, circuits = min(found, key=lambda way: way[0])
    return circuits, _notes(design, passes)


def _designs(
    answer: Node,
    numbering: Mapping[Value, Plain],
    prompts: Prompts,
    allowed: Allowed,
    dtype: DType,
    passes: Collection[str],
    has_norm: bool,
) -> Iterator[Design]:
    """Designs with tokens counted in one way: with and without what a pass may or may not help."""
    places = allowed.ends

    def reader_for(lines: frozenset[Node]) -> Reader:
        return Reader(prompts.vocabulary.tokens, prompts.context, places, allowed.stands, lines)

    def read(reader: Reader) -> Form:
        return reader.read(answer, numbering)

    written = read(reader_for(frozenset()))
    asked = [look.numbers for look in looks_of(written)]
    line = line_for(numbering, asked, prompts.vocabulary, has_norm=has_norm)
    read_as = [relax(reader_for, read), written] if "relax" in passes else [written]
    forms = [rewritten(form, lambda look: _along(look, line)) for form in read_as]
    if "own" in passes:
        by_square = partial(_by_square, line=line, places=places)
        itself = partial(_itself, places=places) if has_norm else by_square
        forms += [rewritten(form, itself, by_square) for form in forms]
    for each in forms:
        groups = group_parts(each, shares="share" in passes, has_home=not has_norm)
        grouped = [tuple(groups)]
        if "merge" in passes:
            grouped.append(tuple(map(merge_looks, groups)))
        for parts in dict.fromkeys(grouped):
            design = Design(each, line, parts, places, dtype, has_norm=has_norm)
            if any(look.total is None for look in design.looks):
                continue  # some position looks at more than another, and attention adds up to 1
            yield design
            if "angles" in passes and design.looks:
                circle = find_circle(design.looks, places, prompts.context, dtype, design.noise)
                if circle is not None:
                    yield replace(design, circle=circle)


@dataclass(frozen=True)
class Allowed:
    """What is known of allowed prompts.

    Args:
        ends: the positions at which one can end: only what is answered there counts.
        stands: for each position the tokens that may stand there, as places in the vocabulary.
    """

    ends: tuple[int, ...]
    stands: tuple[frozenset[int], ...]

    @classmethod
    def of(cls, prompts: Prompts, answers: Collection[Value]) -> Allowed:
        """What a regular expression and a `bos` tell; without either, any token may stand anywhere.

        Args:
            prompts: which texts are allowed.
            answers: the tokens that the program may write.
        """
        tokens, everywhere = prompts.vocabulary.tokens, range(prompts.context)
        any_token = frozenset(range(len(tokens)))
        if not prompts.refuses_some:
            return cls(tuple(everywhere), tuple(any_token for _ in everywhere))
        lengths = [n for n in range(1, prompts.longest_input + 1) if prompts.texts.count_of(n)]
        ends = {n - 1 + written for n in lengths for written in range(prompts.writes)}
        own = frozenset(i for i, token in enumerate(tokens) if token in answers)
        first = min(lengths, default=prompts.context) if prompts.writes > 1 else prompts.context
        there = [*prompts.texts.tokens_at(), *[frozenset[int]()] * (prompts.writes - 1)]
        stands = (each | own if here >= first else each for here, each in enumerate(there))
        return cls(tuple(sorted(ends.intersection(everywhere))), tuple(stands))


def check_design(design: Design) -> None:
    """Raise unless the nearest number is the right one, with everything that puts it off.

    Besides lines, echo and heads that is rounding: of the answer and of two logits.

    Raises:
        PrecisionError: by how much it may be off.
    """
    written = design.scale * (design.reach + max(map(magnitude, design.answer.constants))) * 2
    if written > design.dtype.largest:
        raise PrecisionError(
            f"the answer takes numbers of up to {float(written):,.0f}, and the largest of "
            f"{design.dtype.name} is {design.dtype.largest:,}",
            fix="use float32, or compile it without optimize",
        )
    largest = max(number * number / 2 for number in design.line.numbers)
    off = design.off + design.dtype.unit * (4 * largest + 4 * design.reach)
    if off > OFF_UP_TO:
        raise PrecisionError(
            f"in {design.dtype.name} the error bound of the answer is {float(off):.3g} of the distance "
            f"to the next token; at most {float(OFF_UP_TO):.3g} is safe",
            fix="use float32, or compile it without optimize",
        )


def check_shares(model: Model, circuits: Circuits) -> None:
    """Raise unless every head gives its sources the shares that it states, in the finished tensors.

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


def looks_of(answer: Form) -> list[Look]:
    """All looks of a form, those of its steps included, each once."""
    forms = [answer, *(step.form for step in all_steps(answer))]
    found = dict.fromkeys(atom for form in forms for atom in form.terms if isinstance(atom, Look))
    return list(found)


def _answer_of(program: Program) -> Node:
    """The tree of what is always predicted."""
    if program.has_only_patterns or not program.prompts.causal:
        raise CompileError(
            "optimize is for causal programs of rules over expressions",
            where=program.place,
            fix="compile it without optimize",
        )
    first = program.decisions[0]
    if first.condition is not None or not isinstance(first.answer, Node):
        raise NotASumError(
            f"`{first.rule}` does not always predict one token",
            where=first.rule.place,
            fix="write one rule with .otherwise(), or compile without optimize",
        )
    (answer,) = rebuild([first.answer])
    return answer


def _along(look: Look, line: Line) -> Form:
    """A look for any number of tokens as one for their numbers along the line."""
    fit = straight(line.numbers, look.numbers)
    zeros = tuple(0 for _ in look.sources)
    if fit is None:
        raise NotASumError(
            f"`{look.origins[0].what}` does not number tokens as the answer does",
            where=look.origins[0].place,
            fix="compile it without optimize",
        )
    factor, constant = fit
    constants = tuple(constant * sum(weight for _, weight in sources) for sources in look.sources)
    if not factor:
        return Form({}, constants)
    numbers = tuple(
        None if asked is None else n for asked, n in zip(look.numbers, line.numbers, strict=True)
    )
    return Form({replace(look.times(factor), numbers=numbers): 1}, zeros).plus(Form({}, constants))


def _by_square(look: Look, line: Line, places: tuple[int, ...]) -> Form | None:
    """The token here, read from the square of its number by the nearest line."""
    if not look.is_here(places) or look.total is None:
        return None
    known = [i for i, number in enumerate(look.numbers) if number is not None]
    squares, numbers = ([row[i] for i in known] for row in (line.squares, line.numbers))
    if len(set(squares)) < 2:
        return Form({}, tuple(numbers[0] * look.total for _ in places))
    slope, constant, error = nearest_line(squares, numbers)
    form = Form({Own(True, look.origins): slope}, tuple(constant for _ in places))
    return form.blurred(-error, error).times(look.total)


def _itself(look: Look, places: tuple[int, ...]) -> Form | None:
    """The token here, as it is."""
    if not look.is_here(places) or look.total is None:
        return None
    return Form({Own(False, look.origins): look.total}, tuple(0 for _ in places))


def _size(plan: Plan) -> tuple[int, ...]:
    """Parameters, then layers and heads."""
    parameters = plan.shape.parameters(plan.architecture)
    return parameters, len(plan.layers), plan.layout.n_head


def _notes(design: Design, passes: Collection[str]) -> tuple[Pass, ...]:
    """What each pass did to a design, and the numbers that discharge its obligation."""
    answer, circle = design.answer, design.circle
    tokens, steps, lines = sum(design.line.predicted), len(all_steps(answer)), float(answer.error)
    looks, heads = len(looks_of(answer)), len(design.looks)
    apart = sum(group.is_read and not group.is_home for group in design.groups)
    forms = [answer, *(step.form for step in all_steps(answer))]
    owns = any(isinstance(atom, Own) for form in forms for atom in form.terms)
    notes = {
        "ordinal": (
            f"{tokens} tokens encoded as one scalar",
            f"the error bound of the answer is {float(design.off):.3f}, and must be below 0.5",
        ),
        "relax": (
            f"{_count(steps, 'threshold')} left, linear fits replace the others",
            f"the fits shift the answer by at most {lines:.3f}; every threshold left is exact",
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
            f"{_count(looks, 'attention pattern')} in {_count(heads, 'head')}",
            "the weights of a head's sources add up to the same total at every position",
        ),
    }
    return tuple(Pass(name, *notes[name]) for name in PASSES if name in passes)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
