"""What a certificate says that a model computes: read strictly, computed exactly, and in words."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np

from handcraft_check.arithmetic.regime import Array
from handcraft_check.errors import CheckError
from handcraft_check.program.interpret import Flags, Ids, Interpreter
from handcraft_check.program.nodes import (
    FLAG,
    LABEL,
    NODES_UP_TO,
    Node,
    Reader,
    Value,
    fields,
    items,
    read_number,
)
from handcraft_check.program.values import Output, as_float, read_outputs
from handcraft_check.program.words import node_in_words, shown

RULES_UP_TO = 100_000

CELLS_AT_ONCE = 1 << 22
"""How many pairs of positions, or values of rules, of some texts are in memory at once."""

BROKEN = -2
"""In place of a token, where a text breaks an assumption."""


@dataclass(frozen=True)
class Rule:
    """One rule: of those whose flag is true, the first decides.

    Args:
        flag: the node that says where it fires; None for everywhere.
        token: the node whose value is predicted; None where it predicts probabilities.
        distribution: the number of its distribution; -1 where it predicts a token.
    """

    flag: int | None
    token: int | None
    distribution: int = -1


@dataclass(frozen=True)
class Answers:
    """What is meant after each of some texts.

    Args:
        token: the place of the token in the vocabulary; -1 where a distribution is meant, and `BROKEN`
            where the text breaks an assumption: [text]. Of a model of values 0.
        distribution: the number of the distribution, -1 where there is none: [text].
        distributions: the probability of each token, by its place; tokens left out have 0.
        vocabulary: how many tokens there are.
    """

    token: Ids
    distribution: Ids
    distributions: tuple[Mapping[int, Fraction], ...]
    vocabulary: int

    @property
    def codes(self) -> Ids:
        """Tokens by place, distributions by number behind those, and `BROKEN`: [text]."""
        return np.where(self.distribution >= 0, self.vocabulary + self.distribution, self.token)


@dataclass(frozen=True)
class Meaning:
    """A program as a graph of nodes, and rules over them.

    Args:
        nodes: each reads only earlier ones.
        rules: in the order in which they are tried; the last one always fires.
        distributions: those that rules predict, by place in the vocabulary.
        within: how far the probabilities of a model may be from them, in total variation; None where no
            rule predicts any.
        vocabulary: the tokens.
        names: what people call some nodes, which decides nothing.
        outputs: of a model of values, which has no rules.
        causal: whether a position sees only itself and earlier ones.
    """

    nodes: tuple[Node, ...]
    rules: tuple[Rule, ...]
    distributions: tuple[Mapping[int, Fraction], ...]
    within: Fraction | None
    vocabulary: tuple[str, ...]
    names: Mapping[int, str]
    outputs: tuple[Output, ...] = ()
    causal: bool = True

    @classmethod
    def read(cls, data: object, vocabulary: Sequence[str], *, causal: bool = True) -> Meaning:
        """The meaning in a certificate.

        Raises:
            CheckError: it is not exactly of the form that is documented, or too large.
        """
        given = fields(data, ("nodes", "answer", "?names"), "meaning")
        reader = Reader()
        for number, node in enumerate(items(given["nodes"], "meaning.nodes", most=NODES_UP_TO)):
            reader.read(node, f"meaning.nodes[{number}]")
        if isinstance(given["answer"], dict) and "values" in given["answer"]:
            answer = fields(given["answer"], ("values",), "meaning.answer")
            outputs = read_outputs(answer["values"], reader, "meaning.answer.values")
            names = _names(given.get("names", {}), len(reader.nodes))
            return cls(tuple(reader.nodes), (), (), None, tuple(vocabulary), names, outputs, causal)
        answer = fields(given["answer"], ("rules", "?within"), "meaning.answer")
        listed = items(answer["rules"], "meaning.answer.rules", most=RULES_UP_TO)
        places = {token: place for place, token in enumerate(vocabulary)}
        rules: list[Rule] = []
        distributions: list[Mapping[int, Fraction]] = []
        for number, data_of_rule in enumerate(listed):
            where = f"meaning.answer.rules[{number}]"
            is_shares = isinstance(data_of_rule, dict) and "probabilities" in data_of_rule
            rule = fields(data_of_rule, ("if", "probabilities" if is_shares else "token"), where)
            flag = rule["if"]
            if (flag is None) != (number == len(listed) - 1):
                raise CheckError("the last rule, and no other, must always fire", where)
            flag = None if flag is None else reader.index(flag, f"{where}.if", FLAG)
            if is_shares:
                rules.append(Rule(flag, None, len(distributions)))
                distributions.append(_shares(rule["probabilities"], places, f"{where}.probabilities"))
            else:
                rules.append(Rule(flag, reader.index(rule["token"], f"{where}.token", LABEL)))
        if not rules:
            raise CheckError("there are no rules", "meaning.answer.rules")
        within = _within(answer, "meaning.answer", is_needed=bool(distributions))
        names = _names(given.get("names", {}), len(reader.nodes))
        return cls(
            tuple(reader.nodes),
            tuple(rules),
            tuple(distributions),
            within,
            tuple(vocabulary),
            names,
            causal=causal,
        )

    def answers(self, texts: Ids) -> Answers:
        """What is meant after the last position of each text.

        Args:
            texts: places in the vocabulary, [text, position], at least one position.
        """
        found = self.answers_everywhere(texts)
        return replace(found, token=found.token[:, -1], distribution=found.distribution[:, -1])

    def answers_everywhere(self, texts: Ids) -> Answers:
        """The same at every position, [text, position]; with a causal mask at the last: [text, 1].

        Args:
            texts: places in the vocabulary, [text, position], at least one position.
        """
        count, length = texts.shape
        shape = count, 1 if self.causal else length
        tokens, shares = np.full(shape, BROKEN), np.full(shape, -1)
        step = self._texts_at_once(length)
        for start in range(0, count, step):
            part = slice(start, start + step)
            tokens[part], shares[part] = self._decide(texts[part])
        return Answers(tokens, shares, self.distributions, len(self.vocabulary))

    def values_everywhere(self, texts: Ids) -> Array:
        """The numbers of the outputs at every position; only without a causal mask.

        Args:
            texts: places in the vocabulary, [text, position], at least one position.

        Returns:
            [text, position, output]; NaN where a text breaks an assumption.
        """
        found = np.full((*texts.shape, len(self.outputs)), np.nan)
        step = self._texts_at_once(texts.shape[1])
        for start in range(0, len(texts), step):
            part = found[start : start + step]
            ends, broken = self._interpreter.compute(texts[start : start + step])
            for i, output in enumerate(self.outputs):
                column = ends[output.node]
                numbers = np.array([as_float(number) for number in column.numbers])
                part[:, :, i] = numbers[column.codes]
            part[broken] = np.nan
        return found

    def values(self, text: Ids) -> Sequence[int | Fraction] | None:
        """The numbers of the outputs at the last position; None where the text breaks an assumption.

        Args:
            text: places in the vocabulary: [position].
        """
        ends, broken = self._interpreter.compute(text[None])
        if broken[0]:
            return None
        columns = [ends[output.node] for output in self.outputs]
        return [column.numbers[int(column.codes[0, -1])] for column in columns]

    def __str__(self) -> str:
        used = self._interpreter.last_reader
        lines = [f"vocabulary: {shown(self.vocabulary)}"]
        lines += [
            node_in_words(number, node, self.names.get(number))
            for number, node in enumerate(self.nodes)
            if used[number] >= 0
        ]
        for number, rule in enumerate(self.rules, 1):
            if rule.token is None:
                shares = self.distributions[rule.distribution].items()
                what = ", ".join(f"{self.vocabulary[place]!r} {share}" for place, share in shares)
            else:
                what = f"v{rule.token}"
            when = "otherwise" if rule.flag is None else f"if v{rule.flag}"
            lines.append(f"rule {number}: predict {what} {when}")
        if self.within is not None:
            lines.append(f"probabilities: within {self.within} in total variation")
        lines += [f"output {output.name!r}: {output}" for output in self.outputs]
        return "\n".join(lines)

    @cached_property
    def roots(self) -> tuple[int, ...]:
        """The nodes whose values are wanted."""
        read = [part for rule in self.rules for part in (rule.flag, rule.token)]
        read += [output.node for output in self.outputs]
        return tuple(dict.fromkeys(part for part in read if part is not None))

    def _texts_at_once(self, length: int) -> int:
        """How many texts of a length are computed together."""
        pairs = length * length if any(node.op == "aggregate" for node in self.nodes) else length
        return max(1, CELLS_AT_ONCE // max(pairs, len(self.roots)))

    @cached_property
    def _interpreter(self) -> Interpreter:
        return Interpreter(self.nodes, self.roots, self.vocabulary, causal=self.causal)

    def _decide(self, texts: Ids) -> tuple[Ids, Ids]:
        """The token and the distribution at the end of each text or, without a mask, everywhere."""
        ends, broken = self._interpreter.compute(texts)
        shape = len(texts), 1 if self.causal else texts.shape[1]
        tokens, shares = np.full(shape, BROKEN), np.full(shape, -1)
        is_open: Flags = np.ones(shape, dtype=bool)
        places: dict[Value | None, int] = {token: place for place, token in enumerate(self.vocabulary)}
        for rule in self.rules:
            fires = is_open
            if rule.flag is not None:
                flag = ends[rule.flag]
                is_true = np.array([value is True for value in flag.values])
                fires = is_open & is_true[flag.codes]
            is_open = is_open & ~fires
            if rule.token is None:
                tokens[fires], shares[fires] = -1, rule.distribution
            else:
                answer = ends[rule.token]
                known = np.array([places.get(value, BROKEN) for value in answer.values])
                tokens[fires] = np.broadcast_to(known[answer.codes], shape)[fires]
        if self.outputs:
            tokens[:] = 0
        tokens[broken], shares[broken] = BROKEN, -1
        return tokens, shares


def program_hash(contexts: object, meaning: object) -> str:
    """The sha256 of a program: its contexts and its meaning without names, as canonical JSON.

    Raises:
        CheckError: the meaning is not an object.
    """
    if not isinstance(meaning, dict):
        raise CheckError("not a JSON object", "meaning")
    unnamed = {key: value for key, value in meaning.items() if key != "names"}
    data = {"contexts": contexts, "meaning": unnamed}
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def _shares(data: object, places: Mapping[str, int], where: str) -> Mapping[int, Fraction]:
    """Probabilities of tokens, which sum to 1."""
    if not isinstance(data, dict):
        raise CheckError("not a JSON object", where)
    unknown = sorted(data.keys() - places.keys())
    if unknown:
        raise CheckError(f"{unknown[0]!r} is not in the vocabulary", where)
    found = {places[token]: Fraction(read_number(each, where)) for token, each in data.items()}
    if any(each <= 0 for each in found.values()) or sum(found.values()) != 1:
        raise CheckError("the probabilities are not above 0, or do not sum to 1", where)
    return found


def _within(answer: Mapping[str, Any], where: str, *, is_needed: bool) -> Fraction | None:
    """The total variation distance that is allowed, which is there if rules predict probabilities."""
    if ("within" in answer) != is_needed:
        state = "missing" if is_needed else "of no use: no rule predicts probabilities"
        raise CheckError(f"the field 'within' is {state}", where)
    if not is_needed:
        return None
    found = Fraction(read_number(answer["within"], f"{where}.within"))
    if not 0 < found < 1:
        raise CheckError("not between 0 and 1", f"{where}.within")
    return found


def _names(data: object, count: int) -> Mapping[int, str]:
    if not isinstance(data, dict):
        raise CheckError("not a JSON object", "meaning.names")
    known = {str(number): number for number in range(count)}
    for number, name in data.items():
        if number not in known or not isinstance(name, str):
            raise CheckError(f"{number!r} names no node, or not by a text", "meaning.names")
    return {known[number]: name for number, name in data.items()}
