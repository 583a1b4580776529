"""The pass `approximate`: a numeric answer as a sum with an error of less than half a unit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial

from handcraft.compiler.ordinal.approximate_sum import ApproximateSum, rewritten, step_layers
from handcraft.compiler.ordinal.codes import Line, by_token, line_for, numberings, numbers_of, straight
from handcraft.compiler.ordinal.read_sum import Counted, NotASumError, Reader
from handcraft.compiler.passes.cases import Setting
from handcraft.compiler.passes.ir import WeightedSum
from handcraft.errors import CompileError
from handcraft.language import Program, Prompts
from handcraft.language.graph.domain import Finite
from handcraft.language.graph.node import Node

WITHIN = Fraction(1, 4)
"""The largest error of an answer due to linear fits: half of what would change it."""


@dataclass(frozen=True)
class Approximation:
    """An answer as a number, and the numbers of all tokens.

    Args:
        answers: the ways to compute the number, of which the first has the fewest steps.
        line: the number of every token.
    """

    answers: tuple[ApproximateSum, ...]
    line: Line


def approximate(nodes: Sequence[Node], setting: Setting) -> list[Node]:
    """Rewrite each answer as the token whose number is nearest to a sum.

    Raises:
        CompileError: an answer is no sum of numbers of tokens and of steps.
    """
    assert setting.prompts is not None
    made: list[Node] = []
    for answer in nodes:
        tokens = setting.prompts.vocabulary.tokens
        if not isinstance(answer.domain, Finite) or not set(answer.domain.values) <= set(tokens):
            raise NotASumError(f"`{answer}` is not always a token", where=answer.place)
        found, *_ = approximations(answer, setting.prompts, relaxes=True, has_norm=False)
        made.append(found.line.decoded(found.answers[0], answer.text))
    return made


def approximations(
    answer: Node, prompts: Prompts, *, relaxes: bool, has_norm: bool
) -> list[Approximation]:
    """An answer as sums over numbers of tokens, one for each way to number the possible answers.

    Args:
        answer: what is predicted.
        prompts: which texts are allowed.
        relaxes: whether linear fits may stand in for steps.
        has_norm: whether the target has LayerNorm.

    Raises:
        CompileError: it is no such sum.
    """
    found: list[Approximation] = []
    problems: list[CompileError] = []
    for numbering in numberings(answer, prompts.vocabulary):
        try:
            reader = Reader.of(prompts, numbering)
            exact = reader.read(answer, numbering)
            asked = [numbers_of(node.value) for node in weighted_sums(exact)]
            line = line_for(numbering, asked, prompts.vocabulary, has_norm=has_norm)
            ways = [_relaxed(reader, answer, numbering), exact] if relaxes else [exact]
            along = partial(_along, line=line, zero=exact.zero)
            found.append(Approximation(tuple(rewritten(each, along) for each in ways), line))
        except CompileError as problem:
            problems.append(problem)
    if not found:
        raise problems[0]
    return found


def _relaxed(reader: Reader, answer: Node, counted: Counted) -> ApproximateSum:
    """The sum with the fewest steps and an error of at most `WITHIN`; linear fits replace other steps.

    Expressions that take steps are tried one by one, operands first. The error of a fit is carried
    through everything computed from it, and every later step must still be distinguishable.

    Args:
        reader: has read the answer.
        answer: the expression.
        counted: the number for each of its values.
    """
    best = reader.read(answer, counted)
    for candidate in reader.bent:
        tried = replace(reader, fitted=reader.fitted | {candidate})
        try:
            found = tried.read(answer, counted)
        except NotASumError:
            continue
        if found.error <= WITHIN and len(step_layers(found.terms)) < len(step_layers(best.terms)):
            best, reader = found, tried
    return best


def predicted(program: Program) -> Node:
    """The answer of a program whose first rule always fires.

    Raises:
        CompileError: no rule always fires, or the rules are patterns or without a causal mask.
    """
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
    return first.answer


def weighted_sums(answer: ApproximateSum) -> list[WeightedSum]:
    """All weighted sums of an answer, each once; those that only steps read come last."""
    steps = step_layers(answer.terms)
    within = (node for step in steps for _, node in step.thresholds[0].terms)
    nodes = dict.fromkeys((*answer.terms, *within))
    return [node for node in nodes if isinstance(node, WeightedSum)]


def _along(node: WeightedSum, line: Line, zero: ApproximateSum) -> ApproximateSum:
    """A weighted sum of any numbers of tokens, rewritten for the numbers that the answer gives them."""
    asked = numbers_of(node.value)
    fit = straight(line.numbers, asked)
    if fit is None:
        raise NotASumError(
            f"`{node}` does not number tokens as the answer does",
            where=node.place,
            fix="compile it without optimize",
        )
    factor, constant = fit
    totals = {here: constant * sum(weight for _, weight in row) for here, row in node.rows}
    constants = ApproximateSum({}, tuple(map(totals.get, range(len(zero.constants)))))
    if not factor:
        return constants
    known = [None if n is None else number for n, number in zip(asked, line.numbers, strict=True)]
    value = by_token(line.vocabulary, known, node.value.text)
    return zero.only(WeightedSum.of(value, node.times(factor).rows, node)).plus(constants)
