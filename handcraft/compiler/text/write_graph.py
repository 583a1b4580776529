"""A graph as text: one line for each node, and one for each rule or output that reads it.

`read_graph` reads it back; the grammar of both is graph.lark, and docs/compiler.md explains it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby, product
from math import ceil, floor, prod

from handcraft.compiler.passes.ir import (
    Attend,
    Equal,
    IsBegin,
    IsText,
    Nearest,
    StepFunction,
    Threshold,
    WeightedSum,
)
from handcraft.errors import within
from handcraft.language.graph.domain import FLAGS, Domain, Finite, Kind, Plain, Value, as_number
from handcraft.language.graph.node import (
    Aggregate,
    Assumed,
    AtLeast,
    Case,
    Choice,
    Comparison,
    Constant,
    Embedded,
    Linear,
    Lookup,
    Match,
    Node,
    walk,
)
from handcraft.language.graph.wording import Wording

NAME = re.compile(r"[^\W\d]\w*")
"""What an author must call an expression for a line to be called the same."""

COMMENT = 60
"""How many characters of an expression are written after its line, if it has no name."""

RUN = 4
"""The fewest whole numbers in a row of which a domain gives only the first and the last."""


@dataclass(frozen=True)
class Result:
    """What a graph computes: an output, or what a rule predicts where it fires.

    Args:
        name: of the output, or the rule as written.
        answer: the node that gives the value or the token, or a distribution over tokens.
        conditions: flags that are all true where the rule fires; none if it always fires.
        height: how much the rule adds to the logit of its token, once rules are ranked.
        has_veto: whether no later rule may fire where it does.
    """

    name: str
    answer: Node | Mapping[str, Plain]
    conditions: tuple[Node, ...] = ()
    height: int | None = None
    has_veto: bool = False

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The nodes that it reads."""
        return (*self.conditions, *((self.answer,) if isinstance(self.answer, Node) else ()))


def write_graph(results: Sequence[Result]) -> str:
    """A graph as text: its nodes, those that are read before those that read them; then the results.

    Args:
        results: what the graph computes; of rules in the order in which they are tried.
    """
    nodes = list(walk(*(node for result in results for node in result.nodes)))
    names = _names(nodes)
    lines = [_line(node, names) for node in nodes]
    return "\n".join([*lines, *(_result(result, names) for result in results)])


def _names(nodes: Sequence[Node]) -> dict[Node, str]:
    """The author's name, or else the number of the line; the last of several nodes has their name."""
    named = {str(node.text): node for node in nodes if _is_name(node.text)}
    authors = {node: name for name, node in named.items()}
    return {node: f"%{authors.get(node, number)}" for number, node in enumerate(nodes, 1)}


def _is_name(text: Wording) -> bool:
    return all(isinstance(part, str) for part in text.parts) and bool(NAME.fullmatch(str(text)))


def _line(node: Node, names: Mapping[Node, str]) -> str:
    text = f"{names[node]} = {_operation(node, names)} : {_domain(node.domain)}"
    comment = "" if isinstance(node, Constant) else _beginning(node.text)
    return f"{text}  # {comment}" if comment and names[node][1:].isdigit() else text


def _beginning(text: Wording) -> str:
    """The beginning of a text on one line, at the same cost however deep the text is."""
    found = ""
    waiting: list[str | Wording] = [text]
    for _ in range(2 * COMMENT):
        if not waiting or len(found) > COMMENT:
            break
        part = waiting.pop()
        if isinstance(part, str):
            found += part
        else:
            waiting += reversed(part.parts)
    found = " ".join(found.split())
    return f"{found[: COMMENT - 3]}..." if found and (waiting or len(found) > COMMENT) else found


def _result(result: Result, names: Mapping[Node, str]) -> str:
    answer = result.answer
    if isinstance(answer, Node):
        gives = names[answer]
    else:
        gives = _braces(f"{_value(token)}: {share}" for token, share in answer.items())
    conditions = " and ".join(names[flag] for flag in result.conditions)
    height = f" height {result.height}" if result.height is not None else ""
    veto = " veto" if result.has_veto else ""
    return f"{_value(result.name)} = {gives}{conditions and f' if {conditions}'}{height}{veto}"


def _operation(node: Node, names: Mapping[Node, str]) -> str:
    match node:
        case Embedded():
            return node.of
        case Constant():
            return f"constant {_value(node.value)}"
        case Lookup():
            return " ".join(["table", ", ".join(map(names.__getitem__, node.arguments)), _table(node)])
        case Linear():
            return f"sum {_sum(node.terms, node.constant, names)}"
        case AtLeast():
            return f"threshold {names[node.number]} >= {node.bound}"
        case Choice():
            return f"choice {names[node.yes]} if {names[node.condition]} else {names[node.no]}"
        case Assumed():
            return f"assume {names[node.value]}"
        case Aggregate():
            cases = " or ".join(_case(case, names) for case in node.sources.cases) or "nothing"
            value = f" value {names[node.value]}" if node.value is not None else ""
            default = f" default {_value(node.default)}" if node.default is not None else ""
            always = " always" if node.sources.always else ""
            return f"select {node.how} {cases}{value}{default}{always}"
        case Attend():
            slack = f" slack {node.slack}" if node.slack else ""
            base = f" base {node.base}" if node.base else ""
            unique = " unique" if node.unique else ""
            case = _case(node.case, names)
            by = f" by {names[node.by]}" if node.by is not None else ""
            begun = " begun" if node.begun else ""
            rest = f"{by}{slack}{base}{unique}{' sunk' if node.sunk else ''}{begun}"
            return f"attend {node.picks} {case} value {names[node.value]}{rest}"
        case Equal():
            return f"equal {names[node.one]}, {names[node.other]}"
        case IsText():
            return "text"
        case IsBegin():
            return "begin"
        case StepFunction():
            return f"steps {_steps(node, names)}"
        case WeightedSum():
            rows = (f"{here}: {_braces(f'{i}: {w}' for i, w in row)}" for here, row in node.rows)
            return f"weigh {names[node.value]} {_braces(rows)}"
        case Nearest():
            values = _braces(f"{number}: {_value(value)}" for number, value in node.values)
            return f"nearest {names[node.number]} error {node.error} {values}"
    raise TypeError(f"a {type(node).__name__} is not a kind of node that the graph text has")


def _table(node: Lookup) -> str:
    """The rows; of all combinations, in the order of the domains and with the commonest as `else`."""
    known = [a.domain.values for a in node.arguments if isinstance(a.domain, Finite)]
    listable = len(known) == len(node.arguments) and prod(map(len, known)) == len(node.table)
    keys = [*product(*known)] if listable else [*node.table]
    is_whole = listable and all(key in node.table for key in keys)
    keys = keys if is_whole else [*node.table]
    texts = [_value(node.table[key]) for key in keys]
    often, count = next(iter(Counter(texts).most_common(1)), ("", 0))
    has_else = is_whole and len(keys) > 2 and 2 * count >= len(keys)
    rows = [
        f"{_value(key[0] if len(key) == 1 else key)}: {text}"
        for key, text in zip(keys, texts, strict=True)
        if not (has_else and text == often)
    ]
    return _braces([*rows, f"else {often}"] if has_else else rows)


def _sum(terms: Iterable[tuple[Plain, Node]], constant: Plain, names: Mapping[Node, str]) -> str:
    """A sum such as ``2*%3 - %4 + 1``; 0 where nothing is added."""
    parts = [(factor, f"*{names[node]}") for factor, node in terms]
    if constant or not parts:
        parts.append((constant, ""))
    text = ""
    for factor, node in parts:
        sign = ("- " if factor < 0 else "+ ") if text else ("-" if factor < 0 else "")
        size = abs(factor)
        text += f"{' ' if text else ''}{sign}{node[1:] if size == 1 and node else f'{size}{node}'}"
    return text


def _case(case: Case, names: Mapping[Node, str]) -> str:
    return f"[{', '.join(_match(match, names) for match in case)}]"


def _match(match: Match, names: Mapping[Node, str]) -> str:
    key, query = names[match.key], names[match.query]
    if isinstance(match.relation, Comparison):
        return f"key {key} {match.relation.value} query {query}"
    pairs = sorted(map(_value, match.relation))
    return f"key {key}, query {query} in {_braces(pairs)}"


def _steps(node: StepFunction, names: Mapping[Node, str]) -> str:
    text = _value(node.values[0])
    before: Threshold | None = None
    for threshold, value in zip(node.thresholds, node.values[1:], strict=True):
        is_same = before is not None and threshold.terms == before.terms
        terms = "same" if is_same else _sum(threshold.terms, 0, names)
        text += f" [{terms} >= {threshold.at_least} gap {threshold.gap}] {_value(value)}"
        before = threshold
    return text


def _domain(domain: Domain) -> str:
    if not isinstance(domain, Finite):
        by = f" by {domain.unit}" if domain.unit != 1 else ""
        over = f" over {domain.parts}" if domain.parts != 1 else ""
        return f"{domain.low} to {domain.high}{by}{over}"
    if domain == FLAGS:
        return "flag"
    if not domain.values:
        return f"no {domain.kind.value}"
    if domain.kind is not Kind.NUMBER:
        as_flag = domain.kind is Kind.FLAG
        return _braces(_value(bool(value) if as_flag else value) for value in domain.values)
    values = [as_number(value) for value in domain.values]
    if domain.grid is None:
        return _braces(_runs(values))
    unit, parts = domain.grid
    low, high = values[0], values[-1]
    tried = (high - low) / unit * parts * (parts + 1) / 2  # about 0.6 of them are different numbers
    if tried <= 4 * len(values) and values == [*all_fractions(low, high, unit, parts)]:
        return f"all {low} to {high} by {unit} over {parts}"
    return f"{_braces(_runs(values))} by {unit} over {parts}"


def all_fractions(low: Plain, high: Plain, unit: Fraction, parts: int) -> tuple[Plain, ...]:
    """The numbers unit * p/q from `low` to `high`, with whole p and q and q of up to `parts`.

    >>> print(*all_fractions(0, 1, Fraction(1), 3))
    0 1/3 1/2 2/3 1
    """
    found = {
        unit * Fraction(p, q)
        for q in range(1, parts + 1)
        for p in range(ceil(low / unit * q), floor(high / unit * q) + 1)
    }
    return tuple(sorted(found))


def _runs(numbers: Sequence[Plain]) -> Iterator[str]:
    """Numbers, whole ones that follow each other as the first and the last of them."""
    for _, found in groupby(enumerate(numbers), lambda item: item[1] - item[0]):
        run = [number for _, number in found]
        if len(run) < RUN or run[0].denominator != 1:
            yield from map(str, run)
        else:
            yield f"{run[0]} to {run[-1]}"


def _value(value: Value) -> str:
    """A value as Python writes it; fractions as ``1/2``, and objects as their repr in ``<>``."""
    if value is None or isinstance(value, bool):
        return repr(value)
    if isinstance(value, int | Fraction):
        return str(Fraction(value))
    if isinstance(value, str):
        return str.__repr__(value)
    if type(value) is tuple:
        return f"({', '.join(map(_value, value))}{',' if len(value) == 1 else ''})"
    return f"<{within(repr(value))!r}>"


def _braces(parts: Iterable[str]) -> str:
    return f"{{{', '.join(parts)}}}"
