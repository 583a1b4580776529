"""What people call the rules and values of a certificate; handcraft.json stores it.

A certificate names its nodes by texts of up to 100 characters. Which of these are names that the author
gave, what they stand for, and where all that was written, is stored beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from handcraft.language.graph.node import Aggregate, Constant, Embedded, Node
from handcraft.language.meaning import Meaning
from handcraft.origin import Origin
from handcraft.proofs.write_meaning import NAME_UP_TO

LOOSEST = 9
"""How tightly a name or a call binds: such a text needs no parentheses."""


@dataclass(frozen=True)
class NodeWords:
    """How a node of a certificate reads.

    Args:
        node: its number.
        origin: its text, and where it was written.
        definition: what its name stands for; None where it has no name.
        binding: how tightly the outermost operator of the text binds, as of `Wording`.
    """

    node: int
    origin: Origin
    definition: str | None = None
    binding: int = LOOSEST


@dataclass(frozen=True)
class ConditionWords:
    """How a condition of a rule reads.

    Args:
        text: of the flag; another rule may read the same node under another name.
        node: the number of the flag.
        reads: the names and the numbers of what it reads at its own position.
    """

    text: str
    node: int
    reads: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class RuleWords:
    """How a rule of a certificate reads.

    Args:
        number: its place among all rules, from 1.
        conditions: the flags that must all be true where it fires.
    """

    number: int
    conditions: tuple[ConditionWords, ...] = ()


@dataclass(frozen=True)
class Words:
    """How a certificate reads.

    Args:
        program: the hash of its program: these words are about no other.
        written: all rules as they are written, also those that never fire, which it leaves out.
        rules: its rules.
        nodes: those of its nodes that are shown.
        outputs: of a model of values, the node that stands for each output.
    """

    program: str
    written: tuple[Origin, ...] = ()
    rules: tuple[RuleWords, ...] = ()
    nodes: tuple[NodeWords, ...] = ()
    outputs: tuple[int, ...] = ()


def words_of(meaning: Meaning, program: str) -> Words:
    """How the certificate of a meaning reads.

    Args:
        meaning: what `write_meaning` wrote.
        program: the hash of that.
    """
    order = meaning.order
    numbers = {node: number for number, node in enumerate(order)}
    shown = set(_shown(meaning, order))
    return Words(
        program,
        meaning.written,
        tuple(
            RuleWords(
                rule.number,
                tuple(
                    ConditionWords(
                        each.text,
                        numbers[each.node],
                        tuple((name, numbers[node]) for name, node in each.reads.items()),
                    )
                    for each in rule.conditions
                ),
            )
            for rule in meaning.rules
        ),
        tuple(
            NodeWords(
                number,
                node.origin,
                None if node.text.definition is None else str(node.text.definition),
                node.text.binding,
            )
            for number, node in enumerate(order)
            if node in shown
        ),
        tuple(numbers[node] for node in meaning.outputs.values()),
    )


def _shown(meaning: Meaning, order: Sequence[Node]) -> Iterator[Node]:
    """The nodes that explanations and pictures show: named, as conditions, or as what heads read."""
    for rule in meaning.rules:
        yield from rule.nodes
        yield from (condition.node for condition in rule.conditions)
    yield from meaning.outputs.values()
    for node in order:
        is_long = len(str(node)) > NAME_UP_TO
        if node.text.definition is not None or (is_long and not isinstance(node, Embedded | Constant)):
            yield node
        if isinstance(node, Aggregate):
            yield node
            yield from node.sources.children
