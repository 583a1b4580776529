"""The names of the values of a program: one for each value, and none for two."""

from __future__ import annotations

import sys
from itertools import count
from types import FrameType
from weakref import WeakKeyDictionary, WeakValueDictionary

from handcraft.language.graph.node import Identity
from handcraft.language.graph.wording import Wording, enclosed, name_for
from handcraft.language.written.variable_name import variable_name
from handcraft.language.written.written_place import PACKAGE, is_read_from_text


class Names:
    """The names of the values that are made from one `Prompts`.

    A variable may be assigned several values, in a loop or in a function: the second of them is called
    `carry#2`. In a notebook a cell that is run again, after it was edited, is another file, and its
    values are called as before. A value that is made again without a name keeps the one that it has.
    """

    def __init__(self) -> None:
        self._known: WeakKeyDictionary[Identity, Wording] = WeakKeyDictionary()
        self._called: dict[tuple[str, str], WeakValueDictionary[int, Identity]] = {}

    def word(
        self, value: Identity, text: Wording, levels_up: int, *, is_operator: bool = False
    ) -> Wording:
        """How a value reads: the name of the variable that it is assigned to, else its text.

        Args:
            value: the identity of its node, or of a selection.
            text: how it reads without a name.
            levels_up: how many frames above the caller the author's code would be; where that is this
                package itself, the value is a step on the way to another, and has no name.
            is_operator: whether an operator makes it, and not a call.
        """
        if is_read_from_text():
            return text
        frame: FrameType | None = sys._getframe(levels_up + 1)
        assert frame is not None
        found = variable_name(frame, PACKAGE)
        if found is None:
            return self._known.get(value, text)
        name, is_call = found
        if is_call and is_operator:  # of sum(...) or reduce(...): the next of its partial sums
            return name_for(name, _without(text, name))
        called = self._called.setdefault((frame.f_code.co_filename, name), WeakValueDictionary())
        number = next(n for n in count(1) if called.setdefault(n, value) is value)
        named = name_for(name if number == 1 else f"{name}#{number}", text)
        self._known[value] = named
        return named


def _without(text: Wording, name: str) -> Wording:
    """A text in which a part of that name is written out."""
    parts = [
        enclosed(part.definition, text.binding - 1)
        if isinstance(part, Wording) and part.definition is not None and part.parts == (name,)
        else part
        for part in text.parts
    ]
    return Wording(tuple(parts), text.binding)
