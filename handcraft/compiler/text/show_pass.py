"""The text of a program after one of the passes, without compiling it any further."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from fractions import Fraction
from typing import Literal, cast

from handcraft.architecture import Architecture, architecture_named
from handcraft.compiler.features.precision import ADDED_EXACTLY, Precision
from handcraft.compiler.ordinal.approximate import predicted
from handcraft.compiler.ordinal.read_sum import NotASumError
from handcraft.compiler.passes.cases import Setting
from handcraft.compiler.passes.run_passes import (
    AS_WRITTEN,
    BEFORE_TABLES,
    PASSES,
    each_stage,
    passes_to,
)
from handcraft.compiler.passes.tables.split_bits import width_of
from handcraft.compiler.rules.coded_rules import split_rules
from handcraft.compiler.rules.rule_logits import ranks
from handcraft.compiler.rules.rulings import Ruling, are_exact, nodes_of, read_decisions, with_nodes
from handcraft.compiler.text.write_graph import Result, write_graph
from handcraft.errors import CompileError
from handcraft.language import Expression, Program, Prompts
from handcraft.language.graph.node import Node

SPLIT = "split into bits"
"""What a program of rules has besides: the graph in which values of many kinds are flags."""

RANKED = "ranked rules"
"""What a program of rules has besides: the graph as written, with the height of every rule."""

*_, LOWERED = BEFORE_TABLES


def show_pass(
    source: Program | Mapping[str, Expression],
    name: str,
    *,
    architecture: Literal["gpt2", "block", "llama"] | Architecture | None = None,
    dtype: str = "float32",
) -> str:
    """The program after a pass, as text that `read_graph` reads back.

    Rules that have patterns only are shown as expressions too.

    Args:
        source: rules, or expressions by name.
        name: of the pass; ``-`` may replace a blank.
        architecture: the target; by default gpt2 for rules, block for expressions. Where it has no
            LayerNorm, counts use soft attention.
        dtype: of the weights, which bounds the sums that passes make.

    Raises:
        CompileError: there is no such pass, or it refuses the program, as `approximate` does unless
            every answer is a token that is a sum of numbers.

    >>> token = Prompts("ab", context=4).token
    >>> print(show_pass({"seen": token == "a"}, "fold and share"))
    %token = token : {'a', 'b'}
    %2 = table %token {'a': True, 'b': False} : flag  # token == 'a'
    'seen' = %2
    """
    wanted = name.replace("-", " ")
    known = [AS_WRITTEN, *PASSES]
    if isinstance(source, Program):
        known = [AS_WRITTEN, RANKED, *BEFORE_TABLES, SPLIT, *known[known.index(LOWERED) + 1 :]]
    if wanted not in known:
        near = get_close_matches(wanted, known, n=1, cutoff=0.5)
        raise CompileError(
            f"there is no pass {name!r}",
            fix=(f"did you mean {near[0]!r}? " if near else "") + f"passes are: {', '.join(known)}",
        )
    if architecture is None:
        architecture = "gpt2" if isinstance(source, Program) else "block"
    target = architecture_named(architecture) if isinstance(architecture, str) else architecture
    precision = Precision(dtype, target.has_norm)
    if isinstance(source, Program):
        return write_graph(_rules_after(source, wanted, precision))
    prompts = next(iter(source.values())).prompts
    nodes = _nodes_after([output.node for output in source.values()], prompts, wanted, precision)
    return write_graph([Result(name, node) for name, node in zip(source, nodes, strict=True)])


def _nodes_after(
    nodes: list[Node],
    prompts: Prompts,
    wanted: str,
    precision: Precision,
    *,
    in_bits: bool = False,
) -> Sequence[Node]:
    setting = replace(Setting.of(prompts, precision), in_bits=in_bits)
    try:
        *_, last = each_stage(nodes, setting, passes_to(wanted))
    except NotASumError as error:
        raise _instead(error) from None
    return last.nodes


def _rules_after(program: Program, wanted: str, precision: Precision) -> list[Result]:
    prompts = program.prompts
    if wanted == "approximate":
        try:
            answer = predicted(program)
        except CompileError as error:
            raise _instead(error) from None
        (node,) = _nodes_after([answer], prompts, wanted, precision)
        return [Result(program.decisions[0].origin.what, node)]
    rulings = read_decisions(program.decisions, prompts.vocabulary)
    if wanted == RANKED:
        return [
            replace(_result(ruling, prompts), height=rank.height, has_veto=rank.has_veto)
            for ruling, rank in zip(rulings, ranks(rulings, precision.dtype), strict=True)
        ]
    if wanted == SPLIT:
        nodes = _nodes_after(nodes_of(rulings), prompts, LOWERED, precision, in_bits=True)
        return [*_bits_of(with_nodes(rulings, nodes), prompts)]
    nodes = _nodes_after(nodes_of(rulings), prompts, wanted, precision)
    return [_result(ruling, prompts) for ruling in with_nodes(rulings, nodes)]


def _instead(error: CompileError) -> CompileError:
    """The error with another fix: to show what the program has."""
    others = AS_WRITTEN, *(name for name in PASSES if name != "approximate")
    return CompileError(error.what, where=error.where, fix=f"show another pass: {', '.join(others)}")


def _bits_of(rulings: Sequence[Ruling], prompts: Prompts) -> Iterator[Result]:
    """A line for each bit of the id of the token that a rule predicts, the highest first."""
    if are_exact(rulings):
        where = next(each.origin for each in rulings if not isinstance(each.answer, Node))
        what = "the rules predict probabilities, which are not written bit by bit"
        raise _instead(CompileError(what, where=where))
    width = width_of(len(prompts.vocabulary))
    split = split_rules(rulings, prompts.vocabulary, ADDED_EXACTLY, width)
    for ruling, bits in zip(*split, strict=True):
        for k, bit in enumerate(reversed(bits)):
            yield Result(f"{ruling.origin.what}, bit {k}", bit, ruling.literals)


def _result(ruling: Ruling, prompts: Prompts) -> Result:
    if isinstance(ruling.answer, Node):
        return Result(ruling.origin.what, ruling.answer, ruling.literals)
    stated = dict(cast("Iterable[tuple[str, Fraction]]", ruling.contender.answer))
    ordered = {token: stated[token] for token in prompts.vocabulary.tokens if token in stated}
    return Result(ruling.origin.what, ordered, ruling.literals)
