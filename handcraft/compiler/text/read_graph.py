"""The text of a graph to nodes: the output of `write_graph`, possibly edited."""

from __future__ import annotations

from ast import literal_eval
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from fractions import Fraction
from functools import cache
from importlib.resources import files
from itertools import product
from typing import Any

from lark import Lark, Token, Transformer, v_args
from lark.exceptions import UnexpectedInput, VisitError

from handcraft.compiler.passes.ir import (
    Attend,
    Equal,
    IsBegin,
    IsText,
    Nearest,
    StepFunction,
    Threshold,
    WeightedSum,
    Weights,
)
from handcraft.compiler.text.write_graph import Result, all_fractions
from handcraft.errors import CompileError, HandcraftError, within
from handcraft.language.graph.domain import (
    FLAGS,
    Domain,
    Finite,
    Kind,
    Plain,
    Range,
    Value,
    kind_of,
)
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
    Sources,
)
from handcraft.language.graph.wording import Wording, reads

Making = Callable[[Domain, Wording], Node]
"""An operation over nodes that are known: with a domain and a text it is a node."""


class GraphSyntaxError(CompileError):
    """Text that is not a graph."""


def read_graph(text: str) -> tuple[Result, ...]:
    r"""The results of a graph, over nodes equal to those that were written.

    Args:
        text: as `write_graph` writes it. What follows a ``#`` is a comment.

    Raises:
        GraphSyntaxError: the text is no graph; it says which line.

    >>> (last,) = read_graph("%1 = token : {'a', 'b'}\n'last' = %1")
    >>> last.name, last.answer
    ('last', <Embedded: token>)
    """
    try:
        tree = _parser().parse(text)
        results: tuple[Result, ...] = _ReadGraph().transform(tree)
    except UnexpectedInput as error:
        raise _syntax_error(error, text) from None
    except VisitError as error:
        if isinstance(error.orig_exc, HandcraftError):
            raise error.orig_exc from None
        raise
    return results


@cache
def _parser() -> Lark:
    grammar = files(__package__).joinpath("graph.lark").read_text("utf-8")
    return Lark(grammar, parser="lalr", maybe_placeholders=True)


def _syntax_error(error: UnexpectedInput, text: str) -> GraphSyntaxError:
    lines = text.splitlines() or [""]
    token = getattr(error, "token", None)
    is_end = token is not None and token.type == "$END"
    number = len(lines) if is_end or error.line < 1 else error.line
    line = lines[number - 1]
    found = "its end" if is_end else within(repr(line[error.column - 1 :].split(" ")[0] or "its end"))
    return GraphSyntaxError(
        f"line {number} of the graph cannot continue with {found}",
        where=within(line),
        fix="write a line as `handcraft compile --show` prints it, such as %2 = sum 2*%1 + 1 : {1, 3}",
    )


@dataclass(frozen=True)
class _Sum:
    """Terms and a constant, as far as they are read."""

    terms: tuple[tuple[Plain, Node], ...]
    constant: Plain = 0


@dataclass(frozen=True)
class _Else:
    """The value of all rows of a table that are not listed."""

    value: Value


@v_args(inline=True)
class _ReadGraph(Transformer[Token, Any]):
    """Makes nodes line by line; every line reads those above it."""

    def __init__(self) -> None:
        super().__init__()
        self._known: dict[str, Node] = {}

    def start(self, *results: Result | None) -> tuple[Result, ...]:
        return tuple(result for result in results if result is not None)

    def node(self, name: Token, make: Making, domain: Domain) -> None:
        if name in self._known:
            raise _error(name, f"{name} is listed twice", "give each node a name of its own")
        self._known[str(name)] = make(domain, reads(name if name[1:].isdigit() else name[1:]))

    def ref(self, name: Token) -> Node:
        if name not in self._known:
            fix = "write its line above the lines that read it"
            if near := get_close_matches(name, self._known, n=1):
                fix = f"did you mean {near[0]}?"
            raise _error(name, f"no line above defines {name}", fix)
        return self._known[name]

    def result(
        self,
        name: Token,
        answer: Node | Mapping[str, Plain],
        conditions: tuple[Node, ...] | None,
        height: int | None,
        veto: bool | None,
    ) -> Result:
        return Result(literal_eval(name), answer, conditions or (), height, bool(veto))

    def distribution(self, *probabilities: tuple[Value, Plain]) -> Mapping[Value, Plain]:
        return dict(probabilities)

    # operations

    def embedded(self, of: Token) -> Making:
        return lambda domain, _: Embedded(domain, reads(of), str(of))  # type: ignore[arg-type]

    def constant(self, value: Value) -> Making:
        return lambda domain, text: Constant(domain, text, value)

    def table(
        self, arguments: tuple[Node, ...], brace: Token, *rows: tuple[Value, Value] | _Else
    ) -> Making:
        table: dict[tuple[Value, ...], Value] = {}
        for row in rows:
            if isinstance(row, _Else):
                table |= {key: row.value for key in _combinations(brace, arguments) if key not in table}
                continue
            key = (row[0],) if len(arguments) == 1 else row[0]
            if not isinstance(key, tuple) or len(key) != len(arguments):
                what = f"{within(repr(row[0]))} is not a row of a table of {len(arguments)} nodes"
                raise _error(brace, what, "give a value for each: (value, value): value")
            table[key] = row[1]
        return lambda domain, text: Lookup(domain, text, arguments, table)

    def rest(self, value: Value) -> _Else:
        return _Else(value)

    def linear(self, total: _Sum) -> Making:
        return lambda domain, text: Linear(domain, text, total.terms, total.constant)

    def threshold(self, number: Node, _: Token, bound: Plain) -> Making:
        return lambda domain, text: AtLeast(domain, text, number, bound)

    def choice(self, yes: Node, condition: Node, no: Node) -> Making:
        return lambda domain, text: Choice(domain, text, condition, yes, no)

    def assumed(self, value: Node) -> Making:
        return lambda domain, text: Assumed(domain, text, value)

    def select(
        self,
        how: Token,
        cases: tuple[Case, ...],
        value: Node | None,
        default: Value | None,
        always: bool | None,
    ) -> Making:
        def make(domain: Domain, text: Wording) -> Node:
            sources = Sources(cases, text, bool(always))
            return Aggregate(domain, text, sources, str(how), value, default)  # type: ignore[arg-type]

        return make

    def attend(
        self,
        picks: Token,
        case: Case,
        value: Node,
        by: Node | None,
        slack: int | None,
        base: int | None,
        unique: bool | None,
        sunk: bool | None,
        begun: bool | None,
    ) -> Making:
        rest = str(picks), slack or 0, bool(unique), base or 0, by, bool(sunk), bool(begun)
        return lambda domain, text: Attend(domain, text, case, value, *rest)  # type: ignore[arg-type]

    def equal(self, one: Node, other: Node) -> Making:
        return lambda domain, text: Equal(domain, text, one, other)

    def is_text(self) -> Making:
        return IsText

    def is_begin(self) -> Making:
        return IsBegin

    def steps(self, first: Value, *steps: tuple[_Sum | Token, Token, Plain, Plain, Value]) -> Making:
        thresholds: list[Threshold] = []
        for total, _, bound, gap, _ in steps:
            if isinstance(total, _Sum):
                thresholds.append(Threshold(total.terms, bound - total.constant, gap))
            elif thresholds:
                thresholds.append(Threshold(thresholds[-1].terms, bound, gap))
            else:
                raise _error(total, "the first step has no step before it", "write its sum")
        values = (first, *(step[-1] for step in steps))
        return lambda domain, text: StepFunction(domain, text, tuple(thresholds), values)

    def weigh(self, value: Node, *rows: tuple[int, Weights]) -> Making:
        return lambda domain, text: WeightedSum(domain, text, value, rows)

    def weights(self, here: int, *row: tuple[int, Plain]) -> tuple[int, Weights]:
        return here, row

    def nearest(self, number: Node, error: Plain, *values: tuple[Plain, Value]) -> Making:
        return lambda domain, text: Nearest(domain, text, number, values, error)

    # conditions on pairs of positions

    def compared(self, key: Node, relation: Token, query: Node) -> Match:
        return Match(key, query, Comparison(str(relation)))

    def paired(self, key: Node, query: Node, *pairs: tuple[Value, Value]) -> Match:
        return Match(key, query, frozenset(pairs))

    # sums

    def total(self, *parts: _Sum) -> _Sum:
        terms = tuple(term for part in parts for term in part.terms)
        return _Sum(terms, sum(part.constant for part in parts))

    def term(self, number: Plain, node: Node | None) -> _Sum:
        return _Sum((), number) if node is None else _Sum(((number, node),))

    def single(self, node: Node) -> _Sum:
        return _Sum(((1, node),))

    def minus(self, part: _Sum) -> _Sum:
        return _Sum(tuple((-factor, node) for factor, node in part.terms), -part.constant)

    # domains and values

    def flags(self) -> Domain:
        return FLAGS

    def finite(self, brace: Token, values: tuple[Value, ...], *grid: Plain | None) -> Domain:
        kinds = {kind_of(value) for value in values}
        if len(kinds) != 1:
            what = f"the domain has values of {len(kinds)} kinds"
            raise _error(brace, what, "list only labels, only flags or only numbers, at least one")
        unit, parts = grid
        return Finite(kinds.pop(), values, None if unit is None else (Fraction(unit), int(parts or 1)))

    def empty(self, kind: Token) -> Domain:
        return Finite(Kind(str(kind)), ())

    def fractions(self, low: Plain, high: Plain, unit: Plain, parts: int) -> Domain:
        values = all_fractions(low, high, Fraction(unit), parts)
        return Finite(Kind.NUMBER, values, (Fraction(unit), parts))

    def interval(self, low: Plain, high: Plain, unit: Plain | None, parts: int | None) -> Domain:
        return Range(low, high, Fraction(1 if unit is None else unit), 1 if parts is None else parts)

    def members(self, *members: Value | range) -> tuple[Value, ...]:
        return tuple(v for m in members for v in (m if isinstance(m, range) else (m,)))

    def run(self, low: int, high: int) -> range:
        return range(low, high + 1)

    def number(self, text: Token) -> Plain:
        found = Fraction(text)
        return found.numerator if found.denominator == 1 else found

    def text(self, text: Token) -> str:
        return str(literal_eval(text))

    def flag(self, text: Token) -> bool:
        return str(text) == "True"

    def none(self) -> None:
        return None

    def thing(self, text: Token) -> None:
        what = f"{within(literal_eval(text))} is a Python object, which cannot be read from text"
        raise _error(text, what, "use strings, numbers, flags or tuples of them as values")

    def _only(self, value: Any) -> Any:
        return value

    def _all(self, *values: Any) -> tuple[Any, ...]:
        return values

    def _true(self) -> bool:
        return True

    plus = height = read = order = default = slack = base = unit = parts = _only
    conditions = refs = cases = case = several = row = share = step = weight = numbered = _all
    veto = always = unique = sunk = begun = _true


def _combinations(brace: Token, arguments: Sequence[Node]) -> Iterable[tuple[Value, ...]]:
    domains = [argument.domain for argument in arguments]
    listed = [domain.values for domain in domains if isinstance(domain, Finite)]
    if len(listed) < len(domains):
        raise _error(
            brace, "`else` stands for rows that cannot be listed", "list all rows of the table"
        )
    return product(*listed)


def _error(token: Token, what: str, fix: str) -> GraphSyntaxError:
    return GraphSyntaxError(what, where=f"line {token.line}, column {token.column}", fix=fix)
