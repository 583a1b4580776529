"""Errors for Python operators that expressions do not have; each says what to write instead.

Expressions and selections inherit from these classes. An operator that is not defined for them raises a
`DomainError` in three parts, instead of a TypeError or a silent False.
"""

from __future__ import annotations

import operator
from difflib import get_close_matches
from typing import Any, ClassVar, NoReturn

from handcraft.errors import DomainError
from handcraft.language.written_place import written_place


class NoSuchMethodError(DomainError, AttributeError):
    """A missing method; also an `AttributeError`, so that `hasattr` works."""


def refuse(what: str, fix: str) -> NoReturn:
    """Raise for what was written at the innermost place outside this package.

    Raises:
        DomainError: always.
    """
    raise DomainError(what, where=written_place(), fix=fix)


class NoSingleValue:
    """What has a value at every position of a text, and none before there is a text."""

    def __bool__(self) -> bool:
        refuse(
            f"`{self}` has a value at every position, so it is neither true nor false",
            "use & | ~ for and, or, not; where(c, x, y) for a choice; (1 < x) & (x < 3) for 1 < x < 3",
        )

    def __iter__(self) -> Any:
        refuse(f"`{self}` has no elements before there is a text", "use .trace(text) for its values")

    def __len__(self) -> int:
        refuse(
            f"`{self}` has no length before there is a text",
            "use prompts.everything.count() for the number of tokens up to here",
        )

    def __getitem__(self, index: object) -> Any:
        refuse(
            f"`{self}` has no elements before there is a text, so there is no [{index!r}]",
            ".at(-1, default=...) is the value 1 back, .at_position(0) that at the first position",
        )

    def __call__(self, *arguments: object, **options: object) -> Any:
        """Refuse: it is no function."""
        refuse(
            f"`{self}` is an expression, not a function", "use .map(function) or lookup(function, ...)"
        )

    def __float__(self) -> float:
        refuse(
            f"`{self}` is a number at every position, not one number",
            "use .map(function), as in position.map(lambda x: x * x)",
        )

    __int__ = __index__ = __complex__ = __float__

    def __abs__(self) -> Any:
        refuse(f"abs() has no meaning for `{self}`", "use .map(abs)")

    def __round__(self, digits: int | None = None) -> Any:
        refuse(f"round() has no meaning for `{self}`", "use .map(round)")

    def __pow__(self, other: object) -> Any:
        refuse(f"`{self}` has no operator **", f"use .map(lambda x: x ** {other})")

    def __rpow__(self, other: object) -> Any:
        refuse(f"`{self}` has no operator **", f"use .map(lambda x: {other} ** x)")

    def __rmod__(self, other: object) -> Any:
        refuse(f"{other!r} % `{self}` divides by an expression", f"use .map(lambda x: {other} % x)")

    def __rfloordiv__(self, other: object) -> Any:
        refuse(f"{other!r} // `{self}` divides by an expression", f"use .map(lambda x: {other} // x)")

    def __divmod__(self, other: object) -> Any:
        refuse(f"divmod() has no meaning for `{self}`", f"use x // {other} and x % {other}")

    def __xor__(self, other: object) -> Any:
        refuse(f"`{self}` has no operator ^", "use != for either, but not both")

    __rxor__ = __xor__

    def __lshift__(self, other: object) -> Any:
        refuse(
            f"`{self}` has no operator <<",
            f"use * {other} for a product, .at(-1) for an earlier position",
        )

    def __rshift__(self, other: object) -> Any:
        refuse(
            f"`{self}` has no operator >>",
            f"use // {other} for a quotient, .at(-1) for an earlier position",
        )

    def __matmul__(self, other: object) -> Any:
        refuse(f"`{self}` has no operator @", "use * for a product at each position")

    def __rand__(self, other: object) -> Any:
        _refuse_bitwise("&", other, self)

    def __ror__(self, other: object) -> Any:
        _refuse_bitwise("|", other, self)

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
"""NumPy's names for operators that a number of its own may stand beside."""


def _refuse_bitwise(sign: str, other: object, expression: object) -> NoReturn:
    refuse(
        f"`{other!r} {sign} {expression}` joins a plain value and an expression: "
        f"{sign} binds tighter than == and the other comparisons",
        f'put each comparison in brackets, as in (token == "a") {sign} (position > 1)',
    )


def _no_such(value: object, name: str, what: str, fix: str | None = None) -> AttributeError:
    if name.startswith("_") or name in BEFORE_INIT:
        return AttributeError(name)
    known = [method for method in dir(type(value)) if not method.startswith("_")]
    near = get_close_matches(name, known, n=1)
    fix = fix or (f"did you mean .{near[0]}?" if near else f"there are: {', '.join(known)}")
    return NoSuchMethodError(
        f"`{value}` is {what}, which has no .{name}", where=written_place(), fix=fix
    )
