"""From the statement of a certificate back to rules over expressions: no code is run.

`write_meaning` writes every node with all that decides its value, so the oracle computes the same
values from what is read. A node has the text of `Words` if there are some, else its name in the
certificate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import product
from math import prod
from typing import cast

from handcraft.errors import HandcraftError
from handcraft.language.graph.attend import mean_domain, with_default
from handcraft.language.graph.domain import (
    FLAGS,
    Domain,
    Finite,
    Kind,
    Range,
    Value,
    finite,
    whole_numbers,
)
from handcraft.language.graph.members import Members
from handcraft.language.graph.node import (
    Aggregate,
    Assumed,
    AtLeast,
    Choice,
    Comparison,
    Embedded,
    How,
    Linear,
    Lookup,
    Match,
    Node,
    Sources,
)
from handcraft.language.graph.pointwise import choice_domain, sum_domain
from handcraft.language.graph.source_counts import is_always
from handcraft.language.graph.table import ROWS_UP_TO, constant
from handcraft.language.graph.wording import Wording, reads
from handcraft.language.meaning import Meaning, MeantRule, NeverFires, Promise
from handcraft.language.rules.conditions import MeantCondition
from handcraft.language.rules.distribution import show_distribution
from handcraft.origin import Origin
from handcraft.proofs.words import ConditionWords, NodeWords, Words
from handcraft.proofs.write_meaning import NotCertified, Statement
from handcraft_check.errors import CheckError
from handcraft_check.program import meaning as checked
from handcraft_check.program import nodes as stated_nodes
from handcraft_check.program.meaning import program_hash


def read_meaning(
    stated: Statement, words: Words | None = None, promise: Promise | None = None
) -> Meaning:
    """What a certificate states, as the oracle and the pictures of this package read it.

    Args:
        stated: as `stated_in` gives it.
        words: how its rules and nodes read; None where that is not known.
        promise: which prompts it is about; None for all.

    Raises:
        NotCertified: it is damaged, too large, or another statement than the words are about.
    """
    contexts, tokens = stated["contexts"], stated["vocabulary"]
    if words is not None and words.program != program_hash(contexts, stated["meaning"]):
        raise NotCertified("the certificate states another program than handcraft.json describes")
    try:
        read = checked.Meaning.read(stated["meaning"], tokens, causal=contexts["causal"])
        reading = _Reading(tokens, contexts["length"], read, words)
        for number, node in enumerate(read.nodes):
            reading.read(number, node)
        return reading.meaning(promise)
    except CheckError as error:
        raise NotCertified(f"the certificate is damaged: {error}") from error
    except HandcraftError as error:
        raise NotCertified(f"the certificate states no program of handcraft: {error.what}") from error
    except (IndexError, ValueError) as error:
        raise NotCertified("handcraft.json names rules or nodes that the certificate lacks") from error


class _Reading:
    """The nodes that were read so far, by their number."""

    def __init__(
        self, tokens: Sequence[str], context: int, read: checked.Meaning, words: Words | None
    ) -> None:
        self._tokens, self._context, self._read = tuple(tokens), context, read
        self._words = words
        self._known: dict[int, NodeWords] = {}
        if words is not None:
            self._known = {each.node: each for each in words.nodes}
        self._nodes: list[Node] = []

    def read(self, number: int, stated: stated_nodes.Node) -> None:
        """Read the next node."""
        node = self._node(stated, self._text(number, stated))
        known = self._known.get(number)
        if known is not None:
            text = Wording((known.origin.what,), known.binding, _optional(known.definition))
            node = node.called(text, known.origin.place)
        self._nodes.append(node)

    def meaning(self, promise: Promise | None) -> Meaning:
        """The rules and the outputs over what was read."""
        rules = [self._rule(number, rule) for number, rule in enumerate(self._read.rules)]
        fire = {rule.number for rule in rules}
        written = () if self._words is None else self._words.written
        outputs = self._read.outputs
        nodes = [each.node for each in outputs] if self._words is None else self._words.outputs
        return Meaning(
            self._tokens,
            self._context,
            self._read.causal,
            tuple(rules),
            tuple(NeverFires(at, each) for at, each in enumerate(written, 1) if at not in fire),
            {each.name: self._nodes[node] for each, node in zip(outputs, nodes, strict=True)},
            promise,
        )

    def _rule(self, number: int, stated: checked.Rule) -> MeantRule:
        condition = None if stated.flag is None else self._nodes[stated.flag]
        if stated.token is not None:
            answer: Node | dict[str, Fraction] = self._nodes[stated.token]
        else:
            shares = self._read.distributions[stated.distribution]
            answer = {self._tokens[place]: share for place, share in shares.items()}
        if self._words is not None:
            words = self._words.rules[number]
            conditions = tuple(map(self._condition, words.conditions))
            origin = self._words.written[words.number - 1]
            return MeantRule(words.number, origin, answer, condition, conditions)
        predicted = answer if isinstance(answer, Node) else show_distribution(answer)
        when = "otherwise" if condition is None else f"when {condition}"
        return MeantRule(number + 1, Origin(f"predict {predicted} {when}"), answer, condition)

    def _condition(self, words: ConditionWords) -> MeantCondition:
        reads = {name: self._nodes[node] for name, node in words.reads}
        return MeantCondition(words.text, self._nodes[words.node], reads)

    def _text(self, number: int, stated: stated_nodes.Node) -> Wording:
        plain = stated.op if stated.op in ("token", "position") else f"v{number}"
        return reads(self._read.names.get(number, plain))

    def _node(self, stated: stated_nodes.Node, text: Wording) -> Node:
        of = [self._nodes[each] for each in stated.of]
        match stated.op:
            case "token":
                return Embedded(Finite(Kind.CATEGORY, self._tokens), text, "token")
            case "position":
                return Embedded(whole_numbers(0, self._context - 1), text, "position")
            case "constant":
                return constant(stated.value)
            case "table":
                table = _table(stated, of)
                return Lookup(finite(table.values()), text, tuple(of), table)
            case "sum":
                terms = tuple(zip(stated.factors, of, strict=True))
                return Linear(sum_domain(terms, stated.number), text, terms, stated.number)
            case "at_least":
                return AtLeast(FLAGS, text, of[0], stated.number)
            case "choice":
                return Choice(_chosen(of[1], of[2]), text, *of)
            case "assumed":
                return Assumed(_assumed(stated, of[0]), text, of[0])
        return self._aggregate(stated, text)

    def _aggregate(self, stated: stated_nodes.Node, text: Wording) -> Aggregate:
        cases = tuple(tuple(map(self._match, case)) for case in stated.cases)
        sources = Sources(cases, reads("a selection"), always=False)
        how = cast("How", stated.how)
        if stated.read is None:
            always = is_always(sources)
            sources = replace(sources, always=always)
            domain: Domain = FLAGS if how == "exists" else whole_numbers(int(always), self._context)
            nothing: Value = False if how == "exists" else 0
            return Aggregate(domain, text, sources, how, None, None if always else nothing)
        value = self._nodes[stated.read]
        domain = mean_domain(value, self._context) if how == "mean" else value.domain
        if stated.default is not None:
            domain = with_default(domain, stated.default, value, text)
        sources = replace(sources, always=stated.default is None)
        return Aggregate(domain, text, sources, how, value, stated.default)

    def _match(self, stated: stated_nodes.Match) -> Match:
        key, query = self._nodes[stated.key], self._nodes[stated.query]
        named = isinstance(stated.relation, str)
        return Match(key, query, Comparison(stated.relation) if named else stated.relation)  # type: ignore[arg-type]


def _optional(text: str | None) -> Wording | None:
    return None if text is None else reads(text)


def _table(stated: stated_nodes.Node, of: Sequence[Node]) -> Mapping[tuple[Value, ...], Value]:
    """The rows of a table, with those that `rest` stands for."""
    rows = cast("dict[tuple[Value, ...], Value]", stated.rows or {})
    if stated.rest is None:
        return rows
    domains = [node.domain for node in of]
    if len(of) == 1 and domains[0].kind is Kind.CATEGORY and isinstance(stated.rest, bool):
        assert isinstance(domains[0], Finite)
        other = {key for (key,), value in rows.items() if value is not stated.rest}
        inside = frozenset(other if not stated.rest else set(domains[0].values) - other)
        return Members(domains[0], inside)
    listed = [domain.values for domain in domains if isinstance(domain, Finite)]
    if len(listed) < len(domains) or prod(map(len, listed)) > ROWS_UP_TO:
        raise NotCertified("a table of the certificate has too many rows to list")
    return {key: rows.get(key, stated.rest) for key in product(*listed)}


def _chosen(yes: Node, no: Node) -> Domain:
    if isinstance(yes.domain, Finite) and isinstance(no.domain, Finite):
        return finite([*yes.domain.values, *no.domain.values])
    return choice_domain(yes, no)


def _assumed(stated: stated_nodes.Node, of: Node) -> Domain:
    """What is assumed of a value, in the order of its values."""
    if isinstance(stated.allowed, frozenset):
        known = of.domain.values if isinstance(of.domain, Finite) else ()
        return finite([value for value in known if value in stated.allowed] or stated.allowed)
    low, high, unit, parts = stated.allowed
    return Range(low, high, Fraction(unit), int(parts))
