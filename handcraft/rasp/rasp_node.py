"""The base of every RASP object: an immutable node with a name, a place and a published meaning."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from types import FrameType
from typing import Any, Self

from handcraft.errors import DomainError, HandcraftError, ProgramError
from handcraft.language.graph.domain import Value, plain_value, show_value
from handcraft.language.graph.wording import Wording, enclosed, reads
from handcraft.language.written.variable_name import variable_name
from handcraft.language.written.written_place import PACKAGE, written_place
from handcraft.origin import Place

MAKING = ("__init__", "__post_init__")
"""The functions that make a node, once it is called for."""

OPERATORS = ("forward", "backward", "__and__", "__or__", "__invert__")
"""The functions of operators, which are called where the operator is written."""


@dataclass(frozen=True)
class Text:
    """What a program is evaluated on."""

    tokens: tuple[Value, ...]
    causal: bool

    def __len__(self) -> int:
        return len(self.tokens)

    def seen(self, here: int) -> int:
        """How many positions, from the first on, the position `here` sees."""
        return here + 1 if self.causal else len(self.tokens)


def _variable(frame: FrameType) -> str | None:
    """The variable that a node is assigned to, at the call that makes it or at an operator.

    `frame` is one of those that make it.
    """
    made: FrameType | None = frame
    while made is not None and made.f_code.co_name in MAKING:
        made = made.f_back
    is_operator = made is not None and made.f_code.co_name in OPERATORS
    found = variable_name(made.f_back if made is not None and is_operator else made, PACKAGE)
    if found is None or (is_operator and found[1]):  # a partial sum of sum(...)
        return None
    return found[0]


@dataclass(frozen=True, eq=False, repr=False)
class Node(ABC):
    """A sequence or a selector of RASP, independent of vocabulary and length.

    Args:
        name: its name in texts and errors; by default the variable that it is assigned to.
        place: where it was written.
        written: how it is written, without its name.
    """

    name: str | None = field(default=None, kw_only=True)
    place: Place = field(default_factory=written_place, kw_only=True)
    written: Wording = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "written", self._written())
        if self.name is None:
            object.__setattr__(self, "name", _variable(sys._getframe()))

    @abstractmethod
    def _written(self) -> Wording:
        """How it is written, without its name."""

    @abstractmethod
    def _meaning(self, text: Text, *children: list[Any]) -> list[Any]:
        """The published meaning: what it is at every position, given the meaning of each child."""

    @property
    def children(self) -> tuple[Node, ...]:
        """What it is computed from."""
        found = (getattr(self, known.name) for known in fields(self))
        return tuple(child for child in found if isinstance(child, Node))

    @property
    def text(self) -> Wording:
        """How it reads: its name where it has one."""
        return self.written if self.name is None else reads(self.name)

    def operand(self, binding: int) -> Wording:
        """Its text inside that of another, whose operator binds as tightly as `binding`."""
        return enclosed(self, binding)

    def named(self, name: str) -> Self:
        """The same with a name."""
        return replace(self, name=name)

    def __str__(self) -> str:
        return str(self.text)

    def __repr__(self) -> str:
        return str(self.written) if self.name is None else f"{self.name} = {self.written}"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(repr(self))

    @property
    def where(self) -> str:
        """Where it was written, and how, for errors."""
        return f"{self.place}, {self}"

    def __bool__(self) -> bool:
        raise DomainError(
            f"`{self}` has no value before there is a text, so it is neither true nor false",
            where=written_place(),
            fix="use & | ~ for and, or, not; Map and SequenceMap for a choice",
        )

    def __iter__(self) -> Any:
        raise DomainError(
            f"`{self}` has no elements before there is a text",
            where=written_place(),
            fix="use rasp.evaluate for its values",
        )

    def __call__(self, xs: Sequence[object]) -> list[Any]:
        """The same as `evaluate(self, xs)`."""
        return evaluate(self, xs)

    def _shown(self, found: list[Any]) -> list[Any]:
        """The meaning as `evaluate` returns it."""
        return found


def walk(root: Node, turns_back: Callable[[Node], bool] = lambda node: False) -> Iterator[Node]:
    """Every node once, those that are computed first before those that read them."""
    seen: set[int] = set()
    stack = [(root, False)]
    while stack:
        node, done = stack.pop()
        if done:
            yield node
        elif id(node) not in seen:
            seen.add(id(node))
            stack.append((node, True))
            if not turns_back(node):
                stack += [(child, False) for child in reversed(node.children)]


def evaluate(expression: Node, xs: Sequence[object], causal: bool = False) -> list[Any]:
    """The meaning of a program on one input, in plain Python with exact numbers.

    Args:
        expression: a sequence or a selector.
        xs: one value at every position; text is its characters.
        causal: whether a position sees only itself and earlier ones. `length` is then how many it sees.

    Returns:
        The value at every position, None where there is none. Of a selector, for every destination
        whether it selects each source.

    Raises:
        DomainError: a function fails, or values cannot be combined.

    >>> from handcraft.rasp import Aggregate, Comparison, Select, indices, tokens
    >>> before = Aggregate(Select(indices, indices - 1, Comparison.EQ), tokens)
    >>> evaluate(before, "abc")
    [None, 'a', 'b']
    """
    if not isinstance(expression, Node):
        raise ProgramError(
            f"{expression!r}, of type {type(expression).__name__}, is not a RASP expression",
            where=written_place(),
            fix="give a sequence or a selector, and after it the values of the text",
        )
    text = Text(tuple([value_of(x) for x in xs]), causal)
    known: dict[int, list[Any]] = {}
    for node in walk(expression):
        known[id(node)] = node._meaning(text, *[known[id(child)] for child in node.children])
    return expression._shown(known[id(expression)])


_AS_THEY_ARE = frozenset({int, str, bool, type(None)})


def value_of(value: object) -> Value:
    """A value of Python as one of a sequence; a float is the decimal fraction that it is written.

    Raises:
        DomainError: the value cannot be one, such as a list or NaN.
    """
    return value if type(value) in _AS_THEY_ARE else plain_value(value)


def apply(function: Callable[..., object], values: Sequence[Value], node: Node) -> Value:
    """The result of a user's function.

    Raises:
        DomainError: it fails, or answers with what is no value.
    """
    try:
        return value_of(function(*values))
    except Exception as error:
        listed = [show_value(value) for value in values]
        if isinstance(error, TypeError) and "not supported between" in str(error):
            raise DomainError(
                f"`{node}` compares {' with '.join(listed)}, which have no order",
                where=node.where,
                fix="compare values of one kind; Map turns one into the other",
            ) from error
        problem = (
            error.what if isinstance(error, HandcraftError) else f"{type(error).__name__}: {error}"
        )
        raise DomainError(
            f"`{node}` fails for {' and '.join(listed)}: {problem}",
            where=node.where,
            fix="make the function answer for every value",
        ) from error


def name_of(function: object) -> str:
    """A function by its name."""
    name = getattr(function, "__name__", type(function).__name__)
    return "lambda" if name == "<lambda>" else str(name)
