"""Turns a RASP program into expressions over prompts, which can be compiled."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from handcraft.errors import DomainError, ProgramError
from handcraft.language.graph import attend, pointwise
from handcraft.language.graph.domain import Value
from handcraft.language.graph.node import Sources
from handcraft.language.sequences import Expression, Prompts
from handcraft.language.written.written_place import written_at, written_place
from handcraft.origin import Place
from handcraft.rasp.aggregate import Aggregate, SelectorWidth
from handcraft.rasp.lowering.alphabet import Alphabet, read_alphabet
from handcraft.rasp.lowering.lower_maps import lower_linear, lower_sequence_map, tabulate
from handcraft.rasp.lowering.lower_means import Selected, lower_aggregate, lower_width
from handcraft.rasp.lowering.lowered import Lowered, absent, described, is_label, lower_select
from handcraft.rasp.rasp_node import Node, walk
from handcraft.rasp.selector import Select, Selector, SelectorOr
from handcraft.rasp.sequence import (
    Encoding,
    Full,
    Indices,
    Length,
    LinearSequenceMap,
    Map,
    SequenceMap,
    SOp,
    Tokens,
)
from handcraft.vocabulary import Vocabulary


@dataclass(frozen=True, eq=False)
class BuiltSequence:
    """A RASP program over one vocabulary, as expressions.

    Args:
        sop: the program.
        alphabet: its tokens.
        value: its value at every position; where it has none, any of its values.
        present: a flag, whether it has a value; None where it always has.
    """

    sop: SOp
    alphabet: Alphabet
    value: Expression
    present: Expression | None

    @property
    def prompts(self) -> Prompts:
        """The prompts that it is built over."""
        return self.alphabet.prompts

    @property
    def outputs(self) -> dict[str, Expression]:
        """The expressions by name."""
        return {"value": self.value} | ({} if self.present is None else {"present": self.present})

    def trace(self, inputs: Sequence[object]) -> list[Value]:
        """What the expressions mean on one input: a value at every position, or None.

        Raises:
            HandcraftError: a token that is not in the vocabulary, none, or too many.
        """
        text = self.alphabet.spell(inputs)
        present = None if self.present is None else self.present.trace(text)
        return merged(self.value.trace(text), present)


def merged(values: Sequence[Value], present: Sequence[Value] | None) -> list[Value]:
    """Values, and None where there is none."""
    if present is None:
        return list(values)
    return [value if there else None for value, there in zip(values, present, strict=True)]


def build(
    expression: SOp,
    vocabulary: Vocabulary | Iterable[object],
    max_length: int,
    causal: bool = False,
    *,
    place: Place | None = None,
) -> BuiltSequence:
    """A RASP program as expressions over `Prompts(vocabulary, context=max_length, causal=causal)`.

    Args:
        expression: the sequence.
        vocabulary: the tokens, all strings or all numbers.
        max_length: the most tokens of an input.
        causal: whether a position sees only itself and earlier ones.
        place: where the call was written; by default the place of this call.

    Raises:
        HandcraftError: an invalid vocabulary or length, or values that cannot be combined.

    >>> from handcraft.rasp import indices, tokens
    >>> build(tokens * 10 + indices, [1, 2, 3], max_length=5).trace([3, 1, 2])
    [30, 11, 22]
    """
    place = place or written_place()
    if not isinstance(expression, SOp):
        shown = f"`{expression}`" if isinstance(expression, Node) else repr(expression)
        raise ProgramError(
            f"{shown} is not a sequence",
            where=place,
            fix="give a sequence; of a selector, SelectorWidth(...) or Aggregate(..., sequence)",
        )
    alphabet = read_alphabet(vocabulary, max_length, causal, place)
    found = _Builder(alphabet).built(expression)
    prompts = alphabet.prompts
    present = None if found.present is None else Expression(prompts, found.present)
    return BuiltSequence(expression, alphabet, Expression(prompts, found.value), present)


class _Builder:
    """Lowers every node once."""

    def __init__(self, alphabet: Alphabet) -> None:
        self.alphabet = alphabet
        self.prompts = alphabet.prompts
        self.found: dict[int, Any] = {}
        self.selected: dict[int, Selected] = {}

    def built(self, root: SOp) -> Lowered:
        """The value of a program, and whether it has one."""
        for node in walk(root):
            self.found[id(node)] = self._lowered(node)
            if isinstance(node, SOp) and node.encoding is Encoding.NUMERICAL:
                known = self._of(node).value
                if is_label(known):
                    raise DomainError(
                        f"`{node}` is declared numerical, but its values are {known.domain}",
                        where=node.where,
                        fix="leave numerical() out, or turn them into numbers with Map",
                    )
        answer: Lowered = self._of(root)
        return answer

    def _of(self, node: Node) -> Any:
        return self.found[id(node)]

    def _lowered(self, node: Node) -> Lowered | Sources:
        with written_at(node.place):
            if isinstance(node, Selector):
                return replace(self._selector(node), text=node.text)
            assert isinstance(node, SOp)
            children = [self._of(child) for child in node.children if isinstance(child, SOp)]
            return described(self._sequence(node), children, node)

    def _sequence(self, sop: SOp) -> Lowered:
        match sop:
            case Tokens():
                return Lowered(self.alphabet.tokens.node)
            case Indices():
                return Lowered(self.prompts.position.node)
            case Length():
                return Lowered(self.prompts.everything.count().node.called(sop.text, None))
            case Full():
                return absent() if sop.fill is None else Lowered(pointwise.constant(sop.fill))
            case Map():
                return tabulate(sop.f, [self._of(sop.inner)], sop)
            case SequenceMap():
                return lower_sequence_map(sop, self._of(sop.fst), self._of(sop.snd))
            case LinearSequenceMap():
                return lower_linear(sop, self._of(sop.fst), self._of(sop.snd))
            case SelectorWidth():
                return lower_width(self._selected(sop.selector))
            case Aggregate():
                return lower_aggregate(sop, self._selected(sop.selector), self._of(sop.sop))
        raise TypeError(f"{type(sop).__name__} cannot be lowered")

    def _selected(self, selector: Selector) -> Selected:
        if id(selector) not in self.selected:
            self.selected[id(selector)] = Selected.of(selector, self._of(selector), self.prompts)
        return self.selected[id(selector)]

    def _selector(self, selector: Selector) -> Sources:
        if isinstance(selector, Select):
            return lower_select(selector, self._of(selector.keys), self._of(selector.queries))
        combine = attend.union if isinstance(selector, SelectorOr) else attend.intersection
        return combine(*map(self._of, selector.children))
