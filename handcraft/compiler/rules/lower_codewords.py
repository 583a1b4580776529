"""Lower rules to circuits with tokens as signed bits, for vocabularies too large for one-hot tokens.

Ten bits distinguish a thousand tokens. A logit is then the inner product of the codeword of a token
with the stream, so answers cannot be added: each rule that matches replaces the answer of later rules.

- A head that attends to its own position moves the last token to a subspace of its own, and removes it
  from the subspace of the answer. The prediction of the last rule is written there instead, everywhere.
- Further heads fetch earlier tokens. There is one neuron for each replacement; it fires if all bits are
  right, and writes the codeword of its answer minus that of the answer that it replaces.

After any number of neurons the subspace contains one codeword, that of the first match so far. So its
length never changes, LayerNorm stays exact, and neurons may be spread over as many layers as needed.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby, product
from math import prod

from handcraft.circuits import (
    Bias,
    Block,
    Circuits,
    Coefficients,
    Head,
    LinearMap,
    Neuron,
    Subspace,
    copy,
    embed_position,
    embed_token,
    one_hot,
    signed_bits,
)
from handcraft.circuits.number import Plain
from handcraft.compiler.rules.lower_rules import ECHO, Style, common_origins
from handcraft.compiler.rules.positions import Positions, Span, choose_positions
from handcraft.compiler.rules.regions import Class, Region
from handcraft.compiler.rules.replacements import Replacement, find_replacements
from handcraft.errors import CompileError
from handcraft.language.program import Program
from handcraft.language.rule import Clause
from handcraft.origin import Origin

MOST_NEURONS = 4096
"""How many neurons one rule may take."""

ONE = one_hot("constant", (1,))
"""The constant that replaces a threshold: -m times this makes 0 of a sum that should reach m.
LayerNorm does not change a sum of 0, so a neuron that fires does so exactly."""

REST = Origin("at rest: LayerNorm sees the same length before a token is fetched and after")
"""What the codeword serves that subspaces hold before heads write."""

Cube = tuple[tuple[int, int], ...]
"""Dimensions of signed bits, and the sign that each of them must have; all others may have any."""


def lower_codewords(program: Program, positions: str, style: Style) -> Circuits:
    """Circuits that end with the codeword of the token that the first matching rule predicts.

    Args:
        program: the rules.
        positions: the layout of positions: one of `POSITIONS`; ``auto`` stores them as bits too.
        style: how the architecture wants its logits.

    Raises:
        CompileError: there is no such layout, or a rule takes too many neurons.
    """
    clauses, context, tokens = program.live_clauses, program.context, program.vocabulary.tokens
    found = find_replacements(clauses, len(tokens), context)
    readers = _readers(found, len(tokens))
    spans = sorted({each.region.span for each in found} - {Span(0)})
    name = "binary" if positions == "auto" else positions
    layout = choose_positions(name, context, {0, *readers}, ())
    bits = _Bits(signed_bits("token", tokens), style.unit)
    last, fetched = clauses[-1], [bits.back(distance) for distance in sorted(readers)]
    return Circuits(
        program.vocabulary,
        context,
        embedding=(
            *layout.tables,
            *(embed_position(_inside(span), [i in span for i in range(context)]) for span in spans),
            embed_position(ONE, [1] * context),
            embed_token(bits.token),
            *(
                replace(embed_position(feature, [tokens[0]] * context), origins=(REST,))
                for feature in fetched
            ),
        ),
        blocks=[
            Block(
                heads=tuple(_heads(bits, layout, readers)),
                attention_bias=(
                    Bias(bits.answer(last.token), (last.rule.origin,)),
                    *(Bias(bits.rest(feature), (REST,)) for feature in fetched),
                ),
                neurons=tuple(_neurons(bits, found)),
                kept=(bits.token, *fetched) if style.unit == 1 else tuple(fetched),
            )
        ],
        unembedding=bits.token,
        place=program.place,
    )


def _asked(region: Region, size: int) -> Iterator[tuple[int, Class]]:
    """The distances at which a region leaves out any of the tokens, and those that it allows."""
    for distance, allowed in enumerate(region.classes):
        if len(allowed) < size:
            yield distance, allowed


def _readers(found: Iterable[Replacement], size: int) -> dict[int, list[Clause]]:
    """For each distance the rules that ask for the token there."""
    readers: dict[int, list[Clause]] = {}
    for each in found:
        for distance, _ in _asked(each.region, size):
            readers.setdefault(distance, []).append(each.clause)
    return readers


def _heads(bits: _Bits, layout: Positions, readers: dict[int, list[Clause]]) -> Iterator[Head]:
    """Heads that fetch tokens; the one that attends to its own position also removes the token."""
    for distance in sorted({0, *readers}):
        fetched = bits.back(distance)
        writes: list[LinearMap] = [copy(fetched, fetched)] if distance in readers else []
        if distance == 0:
            writes.append(copy(fetched, bits.token, times=-1, origins=(ECHO,)))
        yield Head(
            fetched.name,
            attends=layout.look_back(distance),
            moves=(copy(bits.token, fetched),),
            writes=tuple(writes),
            origins=common_origins(clause.rule.origin for clause in readers.get(distance, ())),
        )


def _neurons(bits: _Bits, found: Iterable[Replacement]) -> Iterator[Neuron]:
    """The neurons of each rule in turn: one for each replacement and each choice of cubes."""
    for number, replacements in groupby(found, key=lambda each: each.number):
        pieces = list(replacements)
        clause = pieces[0].clause
        cases = [(each, bits.conditions(each.region)) for each in pieces]
        count = sum(prod(map(len, conditions)) for _, conditions in cases)
        if count > MOST_NEURONS:
            raise CompileError(
                f"`{clause.rule}` takes {count:,} neurons where tokens are encoded as bits, more than "
                f"{MOST_NEURONS:,}",
                where=clause.rule.place,
                fix="name the tokens of a class one after the other in the vocabulary, or encode "
                "tokens one-hot",
            )
        parts = (
            (reads, bits.answer(clause.token, in_place_of=each.before))
            for each, conditions in cases
            for reads in product(*conditions)
        )
        origins = (clause.rule.origin,)
        for part, (reads, answer) in enumerate(parts, 1):
            name = f"rule {number}" if count == 1 else f"rule {number}, part {part}"
            yield Neuron(name, _less_needed(reads), 0, (answer,), origins)


def _less_needed(reads: Sequence[Coefficients]) -> tuple[Coefficients, ...]:
    """Reads that come to 0 where every sign is right, and to -2 or less where one is not."""
    needed = sum(len(read.entries) for read in reads)
    return (*reads, Coefficients(ONE, ((0, -needed),))) if needed else ()


def _inside(span: Span) -> Subspace:
    """A bit that says whether the position is in a span."""
    return signed_bits(str(span), (False, True))


@dataclass(frozen=True)
class _Bits:
    """How tokens are written and read as signed bits.

    Args:
        token: contains the codeword of the token and, after the heads, that of the answer.
        unit: the size of the numbers in the codeword of an answer.
    """

    token: Subspace
    unit: int

    def back(self, distance: int) -> Subspace:
        """The subspace of the token so far back, after the heads have written."""
        return signed_bits(f"token {distance} back", self.token.values)

    def rest(self, feature: Subspace) -> Coefficients:
        """The write that removes the codeword of the first token, which a subspace contains at rest."""
        return Coefficients(feature, tuple((i, -n) for i, n in enumerate(self._words[0])))

    def answer(self, token: int, in_place_of: int | None = None) -> Coefficients:
        """The codeword of a token, less that of another."""
        word = self._words[token]
        if in_place_of is not None:
            word = tuple(new - old for new, old in zip(word, self._words[in_place_of], strict=True))
        entries = ((i, number * self.unit) for i, number in enumerate(word) if number)
        return Coefficients(self.token, tuple(entries))

    def conditions(self, region: Region) -> list[tuple[Coefficients, ...]]:
        """What must hold for a context to be in a region: of each condition the cases, one of them."""
        tokens = [self._cases(*asked) for asked in _asked(region, len(self.token.values))]
        if region.span == Span(0):
            return tokens
        return [*tokens, (Coefficients(_inside(region.span), ((0, 1),)),)]

    def _cases(self, distance: int, allowed: Class) -> tuple[Coefficients, ...]:
        """Bits to read of the token so far back, for each cube of a class."""
        if (distance, allowed) not in self._known:
            feature = self.back(distance)
            found = cubes(allowed, len(feature.values), feature.width)
            self._known[distance, allowed] = tuple(Coefficients(feature, cube) for cube in found)
        return self._known[distance, allowed]

    @cached_property
    def _words(self) -> list[tuple[Plain, ...]]:
        return [self.token.codeword(value) for value in self.token.values]

    @cached_property
    def _known(self) -> dict[tuple[int, Class], tuple[Coefficients, ...]]:
        return {}


def cubes(allowed: Class, size: int, width: int) -> Iterator[Cube]:
    """A class of tokens as cubes that do not overlap: tokens that share their first bits.

    Args:
        allowed: the class.
        size: how many tokens there are.
        width: how many bits.

    >>> list(cubes(frozenset({2, 3, 4}), 6, 3))
    [((0, -1), (1, 1)), ((0, 1), (1, -1), (2, -1))]
    """
    members = sorted(allowed)

    def within(first: int, bits: int, cube: Cube) -> Iterator[Cube]:
        """The cubes among the 2**bits indices from `first` on, which share the bits of `cube`."""
        end = min(first + (1 << bits), size)
        count = bisect_left(members, end) - bisect_left(members, first)
        if 0 < count == end - first:
            yield cube
        elif count > 0:
            for sign, start in ((-1, first), (1, first + (1 << bits - 1))):
                yield from within(start, bits - 1, (*cube, (width - bits, sign)))

    return within(0, width, ())
