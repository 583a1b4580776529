"""The pass `approximate`: a numeric answer as a sum that may be off by less than half a unit."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import partial

from handcraft.compiler.ordinal.approximate_sum import ApproximateSum, rewritten, step_layers
from handcraft.compiler.ordinal.codes import Line, by_token, line_for, numberings, numbers_of, straight
from handcraft.compiler.ordinal.read_sum import NotASumError, Reader
from handcraft.compiler.ordinal.relax import relax
from handcraft.compiler.passes.fold import rebuild
from handcraft.compiler.passes.ir import Nearest, WeightedSum
from handcraft.errors import CompileError
from handcraft.language import Program, Prompts
from handcraft.language.graph.domain import Finite, Plain, Value
from handcraft.language.graph.node import Node


@dataclass(frozen=True)
class Approximation:
    """An answer as a number, and the numbers of all tokens.

    Args:
        answer: the ways to compute the number, of which the first has the fewest steps.
        line: the number of every token.
    """

    answers: tuple[ApproximateSum, ...]
    line: Line


def approximate(program: Program) -> Nearest:
    """What a program predicts as the token whose number is nearest to a sum.

    Raises:
        CompileError: the answer is no sum of numbers of tokens and of steps.
    """
    answer = predicted(program)
    found, *_ = approximations(answer, program.prompts, relaxes=True, has_norm=False)
    return found.line.decoded(found.answers[0], answer.text)


def approximations(
    answer: Node, prompts: Prompts, *, relaxes: bool, has_norm: bool
) -> list[Approximation]:
    """An answer as sums over numbers of tokens, for each way to number those that it may be.

    Args:
        answer: what is predicted.
        prompts: which texts are allowed.
        relaxes: whether linear fits may stand in for steps.
        has_norm: whether the target has LayerNorm.

    Raises:
        CompileError: it is none.
    """
    found: list[Approximation] = []
    problems: list[CompileError] = []
    for numbering in numberings(answer, prompts.vocabulary):
        try:
            found.append(_approximation(answer, prompts, numbering, relaxes=relaxes, has_norm=has_norm))
        except CompileError as problem:
            problems.append(problem)
    if not found:
        raise problems[0]
    return found


def _approximation(
    answer: Node,
    prompts: Prompts,
    numbering: Mapping[Value, Plain],
    *,
    relaxes: bool,
    has_norm: bool,
) -> Approximation:
    """An answer as sums over numbers of tokens, where those that it may be have these numbers.

    Raises:
        NotASumError: it is none.
    """
    assert isinstance(answer.domain, Finite)
    allowed = Allowed.of(prompts, answer.domain.values)
    if not allowed.ends:
        raise NotASumError("no text is an allowed prompt")
    reader = Reader(prompts, frozenset(allowed.ends), allowed.stands)
    exact = reader.read(answer, numbering)
    asked = [numbers_of(node.value) for node in weighted_sums(exact)]
    line = line_for(numbering, asked, prompts.vocabulary, has_norm=has_norm)
    found = [relax(reader, answer, numbering), exact] if relaxes else [exact]
    along = partial(_along, line=line, zero=exact.zero)
    return Approximation(tuple(rewritten(each, along) for each in found), line)


def predicted(program: Program) -> Node:
    """What is always predicted.

    Raises:
        CompileError: nothing is, or the program is of another kind.
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
    (answer,) = rebuild([first.answer])
    return answer


def weighted_sums(answer: ApproximateSum) -> list[WeightedSum]:
    """All weighted sums, those within steps included, each once: those within steps last."""
    steps = step_layers(answer.terms)
    within = (node for step in steps for _, node in step.thresholds[0].terms)
    nodes = dict.fromkeys((*answer.terms, *within))
    return [node for node in nodes if isinstance(node, WeightedSum)]


def _along(node: WeightedSum, line: Line, zero: ApproximateSum) -> ApproximateSum:
    """A weighted sum of any numbers of tokens as one of those that the answer gives them."""
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


@dataclass(frozen=True)
class Allowed:
    """What is known of allowed prompts.

    Args:
        ends: the positions at which one can end: only what is predicted there counts.
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
