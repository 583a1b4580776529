"""Models and programs as bytes, for other processes.

Pickle alone follows a graph of expressions as deep as it is, and cannot send what programs keep for
later: names, automata, and whatever is computed when it is first asked for. So nodes are a list here,
each after those that it reads, and of a dataclass only its fields are sent.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from io import BytesIO
from typing import Any

from handcraft.display import shorten_value
from handcraft.errors import ModelError
from handcraft.language import Prompts
from handcraft.language.graph.node import Node, walk
from handcraft.language.graph.wording import Wording

Fields = dict[str, Any]


class Strategy:
    """Stands for a Hypothesis strategy, which draws prompts in the process that has it."""


def as_bytes(thing: object) -> bytes:
    """Anything that consists of data, models, programs and circuits, for `from_bytes`.

    Raises:
        ModelError: there is something in it that Python cannot send, such as a local class.
    """
    met: dict[Node, int] = {}
    file = BytesIO()
    try:
        _Writer(BytesIO(), lambda node: met.setdefault(node, len(met))).dump(thing)
        order = {node: number for number, node in enumerate(walk(*met))}
        writer = _Writer(file, order.__getitem__)
        writer.dump(len(order))
        for node in order:
            writer.dump((type(node), _sent_fields(node)))
        writer.dump(thing)
    except (pickle.PicklingError, TypeError, AttributeError) as error:
        raise ModelError(
            f"{shorten_value(thing)} cannot be sent to another process: {error}",
            fix="use values that can be pickled; or compute in this process, without an executor",
        ) from None
    return file.getvalue()


def from_bytes(data: bytes) -> Any:
    """What `as_bytes` was given; nodes that are equal to known ones are the same objects as they."""
    reader = _Reader(BytesIO(data))
    for _ in range(reader.load()):
        node = _made(*reader.load())
        node.__post_init__()
        reader.nodes.append(node)
    return reader.load()


class _Writer(pickle.Pickler):
    """Writes numbers for nodes, and the fields of dataclasses."""

    def __init__(self, file: BytesIO, number: Callable[[Node], int]) -> None:
        super().__init__(file, protocol=5)
        self.number = number

    def persistent_id(self, obj: object) -> int | None:
        """The number of a node; None for anything else."""
        return self.number(obj) if isinstance(obj, Node) else None

    def reducer_override(self, obj: Any) -> Any:
        """How to make a dataclass again: a text in one piece, anything else from its fields."""
        if isinstance(obj, Wording):
            return Wording, ((str(obj),), obj.binding)
        if is_dataclass(obj) and not isinstance(obj, type):
            return _made, (type(obj), _sent_fields(obj))
        return NotImplemented


class _Reader(pickle.Unpickler):
    """Reads numbers as the nodes that were read before."""

    def __init__(self, file: BytesIO) -> None:
        super().__init__(file)
        self.nodes: list[Node] = []

    def persistent_load(self, pid: int) -> Node:
        """The node with this number."""
        return self.nodes[pid]


def _sent_fields(obj: Any) -> Fields:
    """The fields that make an object: without what a node is known by in this process."""
    own = (each.name for each in fields(obj) if each.name != "identity")
    found = {name: getattr(obj, name) for name in own}
    if isinstance(obj, Prompts) and not isinstance(obj.inputs, str | None):
        found["inputs"] = Strategy()
    return found


def _made(kind: type[Any], known: Fields) -> Any:
    made = object.__new__(kind)
    for name, value in known.items():
        object.__setattr__(made, name, value)
    return made
