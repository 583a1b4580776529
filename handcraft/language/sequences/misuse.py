"""Errors for Python operators that expressions do not have; each says what to write instead.

Expressions and selections inherit from these classes. An operator that is not defined for them raises a
`DomainError` in three parts, instead of a TypeError or a silent False.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from difflib import get_close_matches
from typing import Any, ClassVar, NoReturn

from handcraft.errors import DomainError
from handcraft.language.written.written_place import written_place


class NoSuchMethodError(DomainError, AttributeError):
    """A missing method; also an `AttributeError`, so that `hasattr` works."""


def refuse(what: str, fix: str) -> NoReturn:
    """Raise for what was written at the innermost place outside this package.

    Raises:
        DomainError: always.
    """
    raise DomainError(what, where=written_place(), fix=fix)


def _refused(what: str, fix: str) -> Callable[..., Any]:
    """A method that refuses: in its words, {self} is the expression and {0} the first argument."""

    def method(self: object, *arguments: object, **options: object) -> Any:
        refuse(what.format(*map(repr, arguments), self=self), fix.format(*arguments, self=self))

    return method


def _refused_bitwise(sign: str) -> Callable[..., Any]:
    return _refused(
        f"`{{0}} {sign} {{self}}` joins a plain value and an expression: "
        f"{sign} binds tighter than == and the other comparisons",
        f'put each comparison in brackets, as in (token == "a") {sign} (position > 1)',
    )


class NoSingleValue:
    """What has a value at every position of a text, and none before there is a text."""

    __bool__ = _refused(
        "`{self}` has a value at every position, so it is neither true nor false",
        "use & | ~ for and, or, not; where(c, x, y) for a choice; (1 < x) & (x < 3) for 1 < x < 3",
    )
    __iter__ = _refused(
        "`{self}` has no elements before there is a text", "use .trace(text) for its values"
    )
    __len__ = _refused(
        "`{self}` has no length before there is a text",
        "use prompts.everything.count() for the number of tokens up to here",
    )
    __getitem__ = _refused(
        "`{self}` has no elements before there is a text, so there is no [{0}]",
        ".at(-1, default=...) is the value 1 back, .at_position(0) that at the first position",
    )
    __call__ = _refused(
        "`{self}` is an expression, not a function", "use .map(function) or lookup(function, ...)"
    )
    __int__ = __index__ = __complex__ = __float__ = _refused(
        "`{self}` is a number at every position, not one number",
        "use .map(function), as in position.map(lambda x: x * x)",
    )
    __abs__ = _refused("abs() has no meaning for `{self}`", "use .map(abs)")
    __round__ = _refused("round() has no meaning for `{self}`", "use .map(round)")
    __pow__ = _refused("`{self}` has no operator **", "use .map(lambda x: x ** {0})")
    __rpow__ = _refused("`{self}` has no operator **", "use .map(lambda x: {0} ** x)")
    __rmod__ = _refused("{0} % `{self}` divides by an expression", "use .map(lambda x: {0} % x)")
    __rfloordiv__ = _refused("{0} // `{self}` divides by an expression", "use .map(lambda x: {0} // x)")
    __divmod__ = _refused("divmod() has no meaning for `{self}`", "use x // {0} and x % {0}")
    __xor__ = __rxor__ = _refused("`{self}` has no operator ^", "use != for either, but not both")
    __lshift__ = _refused(
        "`{self}` has no operator <<", "use * {0} for a product, .at(-1) for an earlier position"
    )
    __rshift__ = _refused(
        "`{self}` has no operator >>", "use // {0} for a quotient, .at(-1) for an earlier position"
    )
    __matmul__ = _refused("`{self}` has no operator @", "use * for a product at each position")
    __rand__ = _refused_bitwise("&")
    __ror__ = _refused_bitwise("|")

    def __array_ufunc__(self, function: Any, method: str, *inputs: Any, **options: Any) -> Any:
        """NumPy: a number beside an operator is a number, and its functions are for arrays."""
        found = getattr(operator, NUMPY_OPERATORS.get(function.__name__, ""), None)
        if (
            found is not None
            and method == "__call__"
            and all(getattr(x, "ndim", 0) == 0 for x in inputs)
        ):
            return found(*(x.item() if hasattr(x, "item") else x for x in inputs))
        refuse(
            f"NumPy's {function.__name__} is for arrays, and `{self}` is an expression",
            f"use .map(numpy.{function.__name__}) or lookup(numpy.{function.__name__}, ...)",
        )

    def __getattr__(self, name: str) -> Any:
        raise _no_such(self, name, "an expression", SELECTION_METHODS.get(name))


class NoValue:
    """What says which positions, and has no value itself."""

    advice: ClassVar[str] = (
        ".count() is how many positions it selects, .exists() whether any, "
        ".latest(x, default=...) the value of x at the latest"
    )

    def _refuse(self, *others: object) -> NoReturn:
        refuse(f"`{self}` selects positions, and has no value of its own", self.advice)

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = _refuse
    __mod__ = __rmod__ = __floordiv__ = __rfloordiv__ = __pow__ = __rpow__ = __neg__ = __abs__ = _refuse
    __lt__ = __le__ = __gt__ = __ge__ = __bool__ = __iter__ = __len__ = __getitem__ = _refuse
    __eq__ = __ne__ = __int__ = __float__ = __index__ = __call__ = _refuse
    __hash__ = None  # type: ignore[assignment]

    def __getattr__(self, name: str) -> Any:
        raise _no_such(self, name, "a selection")


BEFORE_INIT = ("node", "prompts", "sources")
"""Fields that an object lacks while it is made; other names with a _ are what notebooks look for."""

SELECTION_METHODS = {
    "count": 'count what is selected: select(token, "a").count(), or select(flag, True).count()',
    "exists": 'ask whether any is selected: select(token, "a").exists()',
    "mean": 'take it over what is selected: select(token, "a").mean(position, default=0)',
    "latest": 'begin with what is selected: select(token, "a").latest(position, default=-1)',
    "earliest": 'begin with what is selected: select(token, "a").earliest(position, default=-1)',
}
"""What to write when a method of selections is called on an expression."""

NUMPY_OPERATORS = {
    "add": "add",
    "subtract": "sub",
    "multiply": "mul",
    "divide": "truediv",
    "equal": "eq",
    "not_equal": "ne",
    "less": "lt",
    "less_equal": "le",
    "greater": "gt",
    "greater_equal": "ge",
}
"""NumPy's names for operators that one of its numbers may be an operand of."""


def _no_such(value: object, name: str, what: str, fix: str | None = None) -> AttributeError:
    if name.startswith("_") or name in BEFORE_INIT:
        return AttributeError(name)
    known = [method for method in dir(type(value)) if not method.startswith("_")]
    near = get_close_matches(name, known, n=1)
    fix = fix or (f"did you mean .{near[0]}?" if near else f"there are: {', '.join(known)}")
    return NoSuchMethodError(
        f"`{value}` is {what}, which has no .{name}", where=written_place(), fix=fix
    )
