"""Tokens as numbers, and their codewords: the nearest number has the highest logit.

Token v has the codeword (v, -v v / 2), and the logit of a stream (x, 1) is

    v x - v v / 2 = x x / 2 - (x - v) (x - v) / 2

so the token whose number is nearest to x has the highest logit. Numbers are at least 1 apart, so the
answer is right if the error of x is less than a half.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from itertools import pairwise

from handcraft.circuits import Subspace, coded
from handcraft.compiler.ordinal.approximate_sum import ApproximateSum
from handcraft.compiler.passes.ir import Nearest
from handcraft.language.graph.domain import Finite, Kind, Plain, Value, as_number, finite, whole
from handcraft.language.graph.node import Assumed, Embedded, Lookup, Node
from handcraft.language.graph.wording import Wording, reads
from handcraft.origin import Place
from handcraft.vocabulary import Vocabulary

BEHIND = 1
"""By about how much a token that is never predicted trails the nearest one: at least 7/8 of this."""


SHRINK = 16
"""By what squares are divided behind LayerNorm, whose scale depends on the largest numbers."""


@dataclass(frozen=True)
class Line:
    """A number for every token.

    Args:
        vocabulary: the tokens.
        numbers: for each token; for one that is never predicted, what weighted sums read.
        predicted: which tokens are.
        lift: what is added to every logit, so that the highest is always above 0, the logit of padding.
        shrink: by what the second number is divided; it is multiplied again at the end.
    """

    vocabulary: Vocabulary
    numbers: tuple[Fraction, ...]
    predicted: tuple[bool, ...]
    lift: int = 0
    shrink: int = 1

    @cached_property
    def squares(self) -> tuple[Fraction, ...]:
        """The second number of each codeword."""
        return tuple(
            (self.lift - n * n / 2 - (0 if known else BEHIND)) / self.shrink
            for n, known in zip(self.numbers, self.predicted, strict=True)
        )

    @property
    def subspace(self) -> Subspace:
        """The codewords of all tokens."""
        words = zip(self.vocabulary.tokens, zip(self.numbers, self.squares, strict=True), strict=True)
        return coded("answer", dict(words), dimensions=("number", "-square/2"))

    def decoded(self, answer: ApproximateSum, text: Wording) -> Nearest:
        """The token that an answer stands for, as a node."""
        known = zip(self.numbers, self.vocabulary.tokens, self.predicted, strict=True)
        values = tuple((number, token) for number, token, is_known in known if is_known)
        domain = finite(token for _, token in values)
        return Nearest(domain, text, answer.node(reads("number of ", text)), values, answer.error)


def by_token(
    vocabulary: Vocabulary,
    numbers: Sequence[Plain | None],
    text: Wording,
    place: Place | None = None,
) -> Lookup:
    """A number of the token, as a node; None for a token that never occurs where it is read."""
    tokens = vocabulary.tokens
    token = Embedded(finite(tokens), reads("token"), "token")
    rows = zip(tokens, numbers, strict=True)
    table: dict[tuple[Value, ...], Value] = {(t,): None if n is None else whole(n) for t, n in rows}
    known = finite(number for number in table.values() if number is not None)
    return Lookup(known, text, (token,), table, place=place)


def numbers_of(node: Node) -> list[Plain | None]:
    """The number of each token in the order of the vocabulary, from a node that `by_token` made."""
    assert isinstance(node, Lookup)
    return [None if number is None else as_number(number) for number in node.table.values()]


def numberings(answer: Node, vocabulary: Vocabulary) -> Iterator[Mapping[Value, Plain]]:
    """Ways to number the tokens that are predicted, from 0 on and 1 or more apart.

    First by the numbers that a table maps to them, if there is one; then in the order of the
    vocabulary.
    """
    assert isinstance(answer.domain, Finite)
    inner = answer
    while isinstance(inner, Assumed):
        inner = inner.value
    if isinstance(inner, Lookup) and len(inner.arguments) == 1:
        (argument,) = inner.arguments
        if isinstance(argument.domain, Finite) and argument.domain.kind is Kind.NUMBER:
            found: dict[Value, Plain] = {}
            for value in argument.domain.values:
                if (value,) in inner.table:
                    found.setdefault(inner.table[(value,)], as_number(value))
            numbers = sorted(found.values())
            if all(b - a >= 1 for a, b in pairwise(numbers)):
                yield {token: number - numbers[0] for token, number in found.items()}
    known = [token for token in vocabulary.tokens if token in answer.domain]
    yield {token: i for i, token in enumerate(known)}


def line_for(
    numbering: Mapping[Value, Plain],
    asked: Sequence[Sequence[Plain | None]],
    vocabulary: Vocabulary,
    *,
    has_norm: bool = False,
) -> Line:
    """The numbers of all tokens; a token that is never predicted gets the number that sums read.

    Args:
        numbering: the number of each token that is predicted.
        asked: for each weighted sum the number of each token; None for a token that it never reads.
        vocabulary: the tokens.
        has_norm: whether there is LayerNorm, which needs small numbers, and padding with a logit of 0.
    """
    numbers: list[Fraction | None] = [
        Fraction(numbering[token]) if token in numbering else None for token in vocabulary.tokens
    ]
    predicted = tuple(number is not None for number in numbers)
    for wanted in asked:
        none_known = all(n is None or w is None for n, w in zip(numbers, wanted, strict=True))
        factor, constant = (1, 0) if none_known else straight(numbers, wanted) or (0, 0)
        if factor:
            numbers = [
                n if n is not None or w is None else (Fraction(w) - constant) / factor
                for n, w in zip(numbers, wanted, strict=True)
            ]
    line = Line(vocabulary, tuple(Fraction(0) if n is None else n for n in numbers), predicted)
    return replace(line, lift=1, shrink=SHRINK) if has_norm else line


def straight(
    numbers: Sequence[Fraction | None], wanted: Sequence[Plain | None]
) -> tuple[Fraction, Fraction] | None:
    """The factor and the constant that map the known numbers to the wanted ones, if there are any."""
    both = zip(numbers, wanted, strict=True)
    pairs = [(n, Fraction(w)) for n, w in both if n is not None and w is not None]
    if not pairs:
        return None
    first, v = pairs[0]
    second, w = next(((n, w) for n, w in pairs if n != first), (first + 1, v))
    factor = (w - v) / (second - first)
    constant = v - factor * first
    return (factor, constant) if all(factor * n + constant == w for n, w in pairs) else None
