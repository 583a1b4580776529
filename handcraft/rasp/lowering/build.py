"""Turns a RASP program into expressions over prompts, which the compiler knows."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any

from handcraft.errors import DomainError, ProgramError
from handcraft.language.graph import attend, pointwise
from handcraft.language.graph.domain import Value
from handcraft.language.graph.node import Sources
from handcraft.language.graph.wording import reads
from handcraft.language.sequences import Expression, Prompts
from handcraft.language.written_place import written_at, written_place
from handcraft.origin import Place
from handcraft.rasp.aggregate import Aggregate, SelectorWidth
from handcraft.rasp.linear_sequence_map import LinearSequenceMap
from handcraft.rasp.lowering.alphabet import Alphabet, read_alphabet
from handcraft.rasp.lowering.lower_maps import lower_linear, lower_map, lower_sequence_map
from handcraft.rasp.lowering.lower_means import lower_aggregate, lower_width
from handcraft.rasp.lowering.lower_selectors import lower_combined, lower_select
from handcraft.rasp.lowering.lowered import Lowered, absent, described, is_label
from handcraft.rasp.lowering.selected import Selected, selected_by
from handcraft.rasp.primitives import Indices, Length, Tokens
from handcraft.rasp.rasp_node import Node, walk
from handcraft.rasp.selector import Select, Selector
from handcraft.rasp.sequence import Encoding, Full, Map, SequenceMap, SOp
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
        said = f"`{expression}`" if isinstance(expression, Node) else repr(expression)
        raise ProgramError(
            f"{said} is not a sequence",
            where=place,
            fix="give a sequence; of a selector, SelectorWidth(...) or Aggregate(..., sequence)",
        )
    alphabet = read_alphabet(vocabulary, max_length, causal, place)
    found = _Builder(alphabet).built(expression)
    prompts = alphabet.prompts
    present = None if found.present is None else Expression(prompts, found.present)
    return BuiltSequence(expression, alphabet, Expression(prompts, found.value), present)


class _Builder:
    """Lowers every node once; equal nodes become one."""

    def __init__(self, alphabet: Alphabet) -> None:
        self.alphabet = alphabet
        self.prompts = alphabet.prompts
        self.found: dict[int, Any] = {}
        self.numbers: dict[int, int] = {}
        self.selected: dict[int, Selected] = {}

    def built(self, root: SOp) -> Lowered:
        """The value of a program, and whether it has one."""
        signatures: dict[Hashable, int] = {}
        for node in walk(root):
            number = signatures.setdefault(self._signature(node), len(signatures))
            self.numbers[id(node)] = number
            if number not in self.found:
                self.found[number] = self._lowered(node)
            if isinstance(node, SOp):
                _check_encoding(node, self._of(node))
        answer: Lowered = self._of(root)
        return answer

    def _of(self, node: Node) -> Any:
        return self.found[self.numbers[id(node)]]

    def _signature(self, node: Node) -> Hashable:
        """What a node says, without its name and place."""
        said: list[Hashable] = [type(node), isinstance(node, Aggregate) and node.is_categorical]
        for known in fields(node):
            if known.name not in ("name", "place", "encoding"):
                value = getattr(node, known.name)
                is_node = isinstance(value, Node)
                said.append(
                    (Node, self.numbers[id(value)]) if is_node else (type(value), _hashed(value))
                )
        return tuple(said)

    def _lowered(self, node: Node) -> Lowered | Sources:
        with written_at(node.place):
            if isinstance(node, Selector):
                return self._selector(node)
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
                everything, text, most = attend.everything(), reads("length"), self.prompts.context
                return Lowered(
                    attend.aggregate(everything, "count", None, None, text, most, given=False)
                )
            case Full():
                return absent() if sop.fill is None else Lowered(pointwise.constant(sop.fill))
            case Map():
                return lower_map(sop, self._of(sop.inner))
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
        number = self.numbers[id(selector)]
        if number not in self.selected:
            self.selected[number] = selected_by(selector, self.found[number], self.prompts)
        return self.selected[number]

    def _selector(self, selector: Selector) -> Sources:
        if isinstance(selector, Select):
            return lower_select(selector, self._of(selector.keys), self._of(selector.queries))
        one, other = map(self._of, selector.children)
        return lower_combined(selector, one, other)


def _hashed(value: object) -> Hashable:
    """A plain value or a function as it is; what cannot be hashed by its identity."""
    return value if isinstance(value, Hashable) else id(value)


def _check_encoding(sop: SOp, found: Lowered) -> None:
    if sop.encoding is Encoding.NUMERICAL and is_label(found.value):
        raise DomainError(
            f"`{sop}` is declared numerical, but its values are {found.value.domain}",
            where=sop.where,
            fix="leave numerical() out, or turn them into numbers with Map",
        )
