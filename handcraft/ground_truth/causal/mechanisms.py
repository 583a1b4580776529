"""The causal model of a program: its expressions, run on texts, with some of their values set.

The expressions are the nodes of the certificate, so a causal model means what the certificate states. A
value that was set is not computed: everything that reads it is computed from the value that was set.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from handcraft.errors import GroundTruthError
from handcraft.ground_truth.subject import LaidOut
from handcraft.language import Program
from handcraft.language.graph.node import Node
from handcraft.language.meaning import Meaning as Meant
from handcraft.proofs.certificate import CERTIFICATE, stated_in, statement_of
from handcraft.proofs.write_meaning import NotCertified, Statement, write_domains
from handcraft_check.program.interpret import Column, Interpreter, is_allowed
from handcraft_check.program.meaning import Meaning
from handcraft_check.program.nodes import Node as Allowed
from handcraft_check.program.nodes import read_number, read_value

Ids = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

NOTHING = -1
"""In place of an answer, where the program says nothing."""


@dataclass(frozen=True, eq=False)
class Setting:
    """The values that are set at some positions of some texts.

    Args:
        node: the number of the expression.
        where: at which positions of which texts: [text, position].
        values: the values; only those at these positions are used: [text, position].
    """

    node: int
    where: Flags
    values: Column


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a causal model gives on some texts.

    Args:
        columns: the value of every node: [text, position].
        is_defined: where the program defines the answer: [text, position]. It does not if a table has
            no row, if an assumption is broken, or if an expression gets a value that it has in no text;
            nor at later positions that read such a value.
        answers: the place of the token in the vocabulary, or behind the tokens the number of a
            distribution; `NOTHING` where it is not defined: [text, position].
        rules: which rule decides; `NOTHING` where it is not defined: [text, position].
    """

    columns: Mapping[int, Column]
    is_defined: Flags
    answers: Ids
    rules: Ids


class Mechanisms:
    """The causal model of a program.

    Args:
        meaning: the expressions and the rules.
        nodes: the expressions as the program has them.
        statement: the part of the certificate that was read.
        domains: the values that each expression can have, as an assumption states them.
    """

    def __init__(
        self,
        meaning: Meaning,
        nodes: Sequence[Node],
        statement: Statement,
        domains: Sequence[Any],
    ) -> None:
        self.meaning, self.nodes, self.statement = meaning, nodes, statement
        self.domains = domains
        self._allowed = [_allowed(domain) for domain in domains]
        self._interpreter = _Everywhere(
            meaning.nodes, meaning.roots, meaning.vocabulary, causal=meaning.causal
        )

    def run(self, texts: Ids, setting: Setting | None = None) -> Outcome:
        """The values of all expressions, and the answers after every position.

        Args:
            texts: places in the vocabulary, [text, position].
            setting: the values that are set; None for those of the texts.
        """
        columns = self._interpreter.columns(texts, setting)
        missing: Flags = np.zeros(texts.shape, dtype=bool)
        for number, column in columns.items():
            known = [value for value in column.values if value is not None]
            if setting is not None:
                allowed = self._allowed[number]
                lost = np.array([True, *(not is_allowed(allowed, value) for value in known)])
            else:
                lost = np.array([True, *(False for _ in known)])
            if not lost[column.codes].any():
                continue
            found = np.broadcast_to(lost[column.codes], texts.shape)
            if number in self._spread:
                found = np.logical_or.accumulate(found, axis=1)
            missing = missing | found
        if not self.meaning.causal:
            missing = np.broadcast_to(missing.any(axis=1, keepdims=True), texts.shape)
        return Outcome(columns, ~missing, *self._decide(columns, ~missing))

    def answers_without(self, outcome: Outcome, rule: int) -> Ids:
        """What the other rules would answer: `NOTHING` where none of them fires: [text, position]."""
        answers, _ = self._decide(outcome.columns, outcome.is_defined, left_out=rule)
        return answers

    @classmethod
    def of_subject(cls, subject: LaidOut) -> Mechanisms:
        """The causal model of a program, or of the program that the certificate of a folder states.

        Raises:
            GroundTruthError: no program is known, or it is too large to be written down.
        """
        if isinstance(subject.source, Program):
            return cls.of(subject.source)
        if subject.folder is None or subject.meaning is None or not subject.meaning.rules:
            raise GroundTruthError(
                f"of {subject.name} only circuits are known, and no program that they are for",
                where=subject.folder,
                fix="name the program; circuits laid out by hand have no causal model",
            )
        statement = stated_in(subject.folder / CERTIFICATE)
        return cls.stated(statement, subject.meaning, write_domains(subject.meaning))

    @classmethod
    def of(cls, program: Program) -> Mechanisms:
        """The causal model of a program.

        Raises:
            GroundTruthError: the program is too large to be written down as a certificate.
        """
        try:
            return cls.stated(statement_of(program), program.meant, write_domains(program.meant))
        except NotCertified as error:
            raise GroundTruthError(
                f"there is no causal model of the program: {error}",
                where=program.place,
                fix="ask for other parts, without `causal`; or write a shorter program",
            ) from error

    @classmethod
    def stated(cls, statement: Statement, meant: Meant, domains: Sequence[Any]) -> Mechanisms:
        """The causal model that a certificate states.

        Args:
            statement: the statement.
            meant: the same as expressions.
            domains: the values that each expression can have.
        """
        causal = statement["contexts"]["causal"]
        meaning = Meaning.read(statement["meaning"], statement["vocabulary"], causal=causal)
        return cls(meaning, meant.order, statement, domains)

    @cached_property
    def _spread(self) -> frozenset[int]:
        """The expressions that are read at other positions, and what these are computed from."""
        nodes = self.meaning.nodes
        found = {number for number, node in enumerate(nodes) if node.op == "assumed"}
        for number in reversed(range(len(nodes))):
            found |= nodes[number].elsewhere
            if number in found:
                found |= nodes[number].here
        return frozenset(found)

    def _decide(
        self, columns: Mapping[int, Column], is_defined: Flags, left_out: int | None = None
    ) -> tuple[Ids, Ids]:
        """The answers, and which rule decides each: [text, position]."""
        shape = is_defined.shape
        answers, rules, is_open = np.full(shape, NOTHING), np.full(shape, NOTHING), is_defined.copy()
        tokens: dict[object, int] = {token: i for i, token in enumerate(self.meaning.vocabulary)}
        for number, rule in enumerate(self.meaning.rules):
            if number == left_out:
                continue
            fires = is_open
            if rule.flag is not None:
                flag = columns[rule.flag]
                is_true = np.array([value is True for value in flag.values])
                fires = is_open & is_true[flag.codes]
            is_open = is_open & ~fires
            rules[fires] = number
            if rule.token is None:
                answers[fires] = len(tokens) + rule.distribution
            else:
                answer = columns[rule.token]
                places = np.array([tokens.get(value, NOTHING) for value in answer.values])
                answers[fires] = np.broadcast_to(places[answer.codes], shape)[fires]
        return answers, rules


def _allowed(domain: Any) -> Allowed:
    """The values of an expression, read as those of an assumption."""
    if isinstance(domain, list):
        values = frozenset(read_value(value, "domain") for value in domain)
        return Allowed("assumed", "", allowed=values)
    bounds = (domain["low"], domain["high"], domain["unit"], domain["parts"])
    return Allowed("assumed", "", allowed=tuple(read_number(bound, "domain") for bound in bounds))


class _Everywhere(Interpreter):
    """Computes every node at every position, also those that only the last answer reads."""

    def columns(self, texts: Ids, setting: Setting | None) -> dict[int, Column]:
        """The values of all nodes, with some of them set."""
        self.everywhere = [True] * len(self.nodes)
        known: dict[int, Column] = {}
        for number, node in enumerate(self.nodes):
            found = self._column(number, node, known, texts)
            if setting is not None and setting.node == number:
                found = _set(found, setting)
            known[number] = found
        return known


def _set(found: Column, setting: Setting) -> Column:
    """A column with some of its values replaced."""
    own = np.broadcast_to(found.codes, setting.where.shape)
    given = np.broadcast_to(setting.values.codes, setting.where.shape)
    keys = np.where(setting.where, given + len(found.values), own)
    return Column.of(keys, [*found.values, *setting.values.values])
