"""The weights of a model explained: values, names of rows and columns, and the rules they serve."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np

from handcraft.errors import ModelError
from handcraft.model import AxisNames, Model, axes_of
from handcraft.model.tensors.tensor_axes import is_tensor_name
from handcraft.origin import Origin

NEAR = 3
"""How many tensors or rules an error suggests for one that does not exist."""

Index = tuple[int, ...]


@dataclass(frozen=True)
class Weight:
    """One weight.

    Args:
        tensor: its name.
        index: row and column, or the place in a bias.
        value: its value.
        stands_for: what its row and its column stand for.
        serves: the rules that need it.
    """

    tensor: str
    index: Index
    value: float
    stands_for: tuple[str, ...]
    serves: tuple[str, ...]

    @property
    def place(self) -> str:
        """The tensor and the index."""
        return f"{self.tensor}{list(self.index)}"

    @property
    def axes(self) -> tuple[str, ...]:
        """What each number of the index counts: rows and columns, or places of a bias."""
        return ("row", "column") if len(self.index) == 2 else ("place",)

    def __str__(self) -> str:
        lines = [f"weight: {self.place}", f"value: {self.value}"]
        named = zip(self.axes, self.index, self.stands_for, strict=False)
        lines += [f"{axis}: {i}, {name}" for axis, i, name in named]
        return "\n".join([*lines, f"serves: {', '.join(self.serves) or 'nothing: it is 0'}"])

    def to_json(self) -> dict[str, object]:
        """The weight as plain data."""
        named = dict(zip(self.axes, self.stands_for, strict=False))
        return {"weight": self.place, "value": self.value, **named, "serves": list(self.serves)}


@dataclass(frozen=True)
class Weights:
    """All weights of a model.

    Args:
        model: the model.
        names: what rows and columns stand for.
        origins: for each tensor, what every nonzero weight serves.
        rules: the rules in order, as they are written.
    """

    model: Model
    names: AxisNames
    origins: Mapping[str, Mapping[Index, Sequence[Origin]]]
    rules: tuple[str, ...]

    def weight(self, tensor: str, index: Index) -> Weight:
        """One weight."""
        shape = self.shape(tensor)
        inside = all(0 <= i < size for i, size in zip(index, shape, strict=False))
        if len(index) != len(shape) or not inside:
            raise ModelError(
                f"{tensor} is {list(shape)}, and has no entry {list(index)}",
                fix=f"give {len(shape)} numbers, each from 0 and below its size",
            )
        return self._weight(tensor, index, self.model.tensors[tensor][index].item())

    def nonzero(self, tensor: str) -> Iterator[Weight]:
        """All weights of a tensor that are not 0."""
        self.shape(tensor)
        values = self.model.tensors[tensor]
        for index in np.argwhere(values).tolist():
            yield self._weight(tensor, tuple(index), values[tuple(index)].item())

    def serving(self, rule: str, tensors: Sequence[str]) -> Iterator[Weight]:
        """All weights of some tensors that serve a rule."""
        for tensor in tensors:
            served = [
                i
                for i, o in self.origins.get(tensor, {}).items()
                if any(each.what == rule for each in o)
            ]
            values = self.model.tensors[tensor]
            for index in sorted(served):
                yield self._weight(tensor, index, values[index].item())

    def shape(self, tensor: str) -> tuple[int, ...]:
        """The sizes of a tensor."""
        shapes = self.model.shape.tensors(self.model.architecture)
        if tensor not in shapes:
            raise ModelError(f"there is no tensor {tensor!r}", fix=tensors_like(tensor, self.model))
        return shapes[tensor]

    def describe(self, tensor: str, axis: int, i: int) -> str:
        """What one row or one column stands for."""
        return self.names.describe(tensor, axis, i, self.model.shape, self.model.vocabulary)

    def rule(self, wanted: int | str) -> str:
        """A rule by its number, by its text, or by a part of it that no other has."""
        return named_rule(wanted, self.rules, served_by(self.origins))

    def _weight(self, tensor: str, index: Index, value: float) -> Weight:
        names = tuple(self.describe(tensor, axis, i) for axis, i in enumerate(index))
        served = tuple(map(str, self.origins.get(tensor, {}).get(index, ())))
        return Weight(tensor, index, value, names, served)


def named_rule(wanted: int | str, rules: Sequence[str], served: Sequence[str]) -> str:
    """A rule by its number, by its text, or by a part of it that no other has.

    Args:
        wanted: the number, from 1, or the text.
        rules: the rules in order.
        served: what else weights serve.

    Raises:
        ModelError: there is none, or several.
    """
    wanted = str(wanted)
    if not rules and not served:
        raise ModelError("no rules are known of this model", fix="leave out the rule")
    if wanted.isdecimal() and wanted not in rules:
        number = int(wanted)
        if not 1 <= number <= len(rules):
            raise ModelError(
                f"there is no rule {number}",
                fix=f"give a number from 1 to {len(rules)}"
                if rules
                else f"the program has no rules; give the words of one of: {_few(served)}",
            )
        return rules[number - 1]
    known = list(dict.fromkeys([*rules, *served]))
    found = [rule for rule in known if rule == wanted] or [r for r in known if wanted in r]
    if len(found) == 1:
        return found[0]
    if found:
        raise ModelError(f"{len(found)} rules contain {wanted!r}", fix=f"name one of: {_few(found)}")
    near = get_close_matches(wanted, known, n=1)
    raise ModelError(
        f"there is no rule {wanted!r}",
        fix=f"did you mean {near[0]!r}?" if near else f"there are: {_few(known)}",
    )


def served_by(origins: Mapping[str, Mapping[Index, Sequence[Origin]]]) -> list[str]:
    """What all weights serve, in words and each once."""
    every = {id(o): o for served in origins.values() for o in served.values()}
    return list(dict.fromkeys(origin.what for served in every.values() for origin in served))


def _few(texts: Sequence[str]) -> str:
    more = f" and {len(texts) - NEAR} more" if len(texts) > NEAR else ""
    return ", ".join(map(repr, texts[:NEAR])) + more


def tensors_like(name: str, model: Model) -> str:
    """What to do about a wrong name: tensors with similar names, else all of the first block.

    A name of the other architecture is like none of this one.
    """
    bare = name.removeprefix("transformer.").removeprefix("model.")
    known = list(model.tensors)
    near = [k for k in known if f".{bare}." in f".{k}."]
    if not near and not is_tensor_name(bare):
        near = get_close_matches(bare, known, n=NEAR)
    if near:
        return f"did you mean {' or '.join(near[:NEAR])}?"
    blocks = model.shape.n_layer
    first = [k for k in known if axes_of(k).block in (None, 0)]
    more = f", and so on up to block {blocks - 1}" if blocks > 1 else ""
    return f"there are: {', '.join(first)}{more}"
