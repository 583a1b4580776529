"""Random programs of every kind, each with its meaning as a plain Python function of the text.

A pattern is matched, a rule file is understood and a sum of digits is added up here once more, in a few
lines that use nothing of the package. Only RASP programs are judged by `rasp.evaluate`, their published
meaning, which the compiler does not use.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from random import Random
from typing import Any

from drawn_sentences import Fires, Words, pattern
from drawn_values import SIGNS, Column, Drawn, Text, Values

from handcraft import Program, Prompts, parse_rules, predict, rasp
from handcraft.errors import DomainError, HandcraftWarning
from handcraft.language import Rule
from handcraft.rasp import Comparison, Full, Select, SelectorWidth, indices, length, tokens

Meaning = Callable[[Text], Column]
LETTERS = "abcdefghijklmnopqrstuvwxyz"
MOST_TEXTS = 40
"""How many texts of the full length are tried; all of them where there are no more."""


@dataclass(frozen=True)
class Case:
    """A program and what it means.

    Args:
        source: a program, named expressions, or a RASP sequence.
        vocabulary: its tokens.
        context: the most tokens of a text.
        causal: whether a position sees only itself and earlier ones.
        meaning: what there is at every position of a text: a token, shares of tokens, or a value. For
            named expressions, a row of values.
        shortest: the fewest tokens of an allowed prompt.
    """

    source: Any
    vocabulary: tuple[str, ...]
    context: int
    causal: bool
    meaning: Meaning
    shortest: int = 1

    def texts(self, random: Random) -> dict[int, list[Text]]:
        """Texts to try, by length: of the full one, and without a mask some that are shorter."""
        shorter = range(self.shortest, self.context) if not self.causal else ()
        return {n: _texts(self.vocabulary, n, random) for n in (self.context, *shorter)}


def _texts(vocabulary: tuple[str, ...], length: int, random: Random) -> list[Text]:
    if len(vocabulary) ** length <= MOST_TEXTS:
        return list(product(vocabulary, repeat=length))
    return [tuple(random.choices(vocabulary, k=length)) for _ in range(MOST_TEXTS)]


@dataclass(frozen=True)
class DrawnRule:
    """A rule: where it fires, and what it predicts there."""

    rule: Rule
    fires: Fires
    answers: Meaning


def first_that_fires(rules: list[DrawnRule]) -> Meaning:
    """The meaning of a list of rules."""

    def meaning(text: Text) -> Column:
        fires = [each.fires(text) for each in rules]
        answers = [each.answers(text) for each in rules]
        first = [next(i for i, line in enumerate(fires) if line[here]) for here in range(len(text))]
        return [answers[i][here] for here, i in enumerate(first)]

    return meaning


# patterns


def patterns(random: Random) -> Case:
    """Rules with patterns, over letters or words."""
    size, context = random.choice((2, 2, 3, 3, 5, 9, 24)), random.choice((2, 3, 4, 5, 6, 7, 20))
    vocabulary = tuple(LETTERS[:size])
    if size <= 9 and random.random() < 0.2:
        vocabulary = ("the", "cat", "dog", "sat", "ran", "on", "mat", "and", "a")[:size]
    rules = [
        _rule(random.choice(vocabulary), *pattern(random, vocabulary, min(4, context)))
        for _ in range(random.choice((1, 2, 3, 5, 8, 14)))
    ]
    rules.append(_last(random.choice(vocabulary)))
    source = _quiet(lambda: Program(list(vocabulary), context, [each.rule for each in rules]))
    return Case(source, vocabulary, context, True, first_that_fires(rules))


def _rule(answer: Any, shown: str, fires: Fires) -> DrawnRule:
    return DrawnRule(predict(answer).after(shown), fires, lambda text: [answer] * len(text))


def _last(answer: Any) -> DrawnRule:
    return DrawnRule(predict(answer).otherwise(), _always, lambda text: [answer] * len(text))


def _always(text: Text) -> list[bool]:
    return [True] * len(text)


def _quiet(make: Callable[[], Any]) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", HandcraftWarning)  # a hidden rule is a fine example too
        return make()


# rules over expressions


def conditions(random: Random) -> Case:
    """Patterns, conditions on expressions and categories, all in one program."""
    return _mixed(random, depth=1, most=random.choice((2, 4, 8, 16)))


def expressions(random: Random) -> Case:
    """A few rules over nested expressions, with a causal mask or without."""
    return _mixed(random, depth=random.randint(1, 3), most=3, causal=random.random() < 0.75)


def probabilities(random: Random) -> Case:
    """Rules of which some predict probabilities."""
    return _mixed(random, depth=1, most=5, shares=True)


def _mixed(random: Random, *, depth: int, most: int, causal: bool = True, shares: bool = False) -> Case:
    vocabulary = tuple(LETTERS[: random.choice((2, 2, 3, 3, 3, 4, 4, 7, 18))])
    context = random.choice((2, 3, 4, 4, 5, 6, 11) if causal else (2, 3, 4))
    prompts = Prompts(list(vocabulary), context=context, causal=causal)
    values = Values(random, prompts)

    def made(end: Callable[[Any], Rule], fires: Fires) -> DrawnRule:
        kind = random.choice(("token", "token", "category", "shares" if shares else "category"))
        if kind == "category":
            drawn = values.draw("category", depth)
            return DrawnRule(end(predict(drawn.expression)), fires, drawn.values)
        token = random.choice(vocabulary)
        answer: Any = token if kind == "token" else _shares(random, vocabulary)
        return DrawnRule(end(predict(answer)), fires, lambda text: [answer] * len(text))

    def rule() -> DrawnRule:
        kind = random.choice(("pattern", "flag", "both"))
        flag: Drawn | None = values.draw("flag", depth) if kind != "pattern" else None
        if kind == "flag":
            assert flag is not None
            return made(lambda r: r.when(flag.expression), flag.values)
        shown, matches = pattern(random, vocabulary, min(3, context))
        if flag is None:
            return made(lambda r: r.after(shown), matches)
        return made(
            lambda r: r.after(shown).when(flag.expression),
            lambda text: [x and y for x, y in zip(matches(text), flag.values(text), strict=True)],
        )

    rules = [rule() for _ in range(random.randint(0, most - 1))]
    rules.append(made(lambda r: r.otherwise(), _always))
    source = _quiet(lambda: Program(prompts=prompts, rules=[each.rule for each in rules]))
    return Case(source, vocabulary, context, causal, first_that_fires(rules))


def _shares(random: Random, vocabulary: tuple[str, ...]) -> dict[str, Fraction]:
    parts = {token: random.randint(1, 4) for token in random.sample(vocabulary, random.randint(1, 2))}
    return {token: Fraction(part, sum(parts.values())) for token, part in parts.items()}


def numbers(random: Random) -> Case:
    """Sums of digits, with a step and a remainder, for `optimize`."""
    base, context = random.randint(2, 5), random.randint(4, 7)
    vocabulary, shortest = tuple(map(str, range(base))), random.randint(2, context)
    inputs = f"[{''.join(vocabulary)}]{{{shortest},{context}}}"
    prompts = Prompts(list(vocabulary), context, inputs=inputs)
    digit = Drawn(prompts.token.map(int), lambda text: list(map(int, text)))

    def some_sum() -> Drawn:
        offsets = random.sample(range(shortest), random.randint(1, min(3, shortest)))
        factors = {offset: random.choice((1, 1, 1, 2, 3, -1)) for offset in offsets}
        start = random.randint(0, 2)
        made = prompts.constant(start)
        for offset, factor in factors.items():
            made = made + factor * (
                digit.expression.at(-offset, default=0) if offset else digit.expression
            )

        def meaning(text: Text) -> Column:
            found = []
            for here in range(len(text)):
                known = [
                    (here - offset, factor) for offset, factor in factors.items() if offset <= here
                ]
                found.append(start + sum(factor * int(text[there]) for there, factor in known))
            return found

        return Drawn(made, meaning)

    total = some_sum()
    if random.random() < 0.5:
        plain, inner, least = total, some_sum(), random.randint(0, 2 * base)
        total = Drawn(
            plain.expression + (inner.expression >= least),
            lambda text: [
                x + (y >= least) for x, y in zip(plain.values(text), inner.values(text), strict=True)
            ],
        )
    rules = [predict((total.expression % base).map(str)).otherwise()]
    meaning = lambda text: [str(number % base) for number in total.values(text)]  # noqa: E731
    return Case(Program(prompts=prompts, rules=rules), vocabulary, context, True, meaning, shortest)


# rules as text


def rule_file(random: Random) -> Case:
    """Sentences of a rule file."""
    vocabulary, context = tuple("abcd"[: random.randint(2, 4)]), random.randint(2, 6)
    next_of = {token: random.choice(vocabulary) for token in vocabulary}
    worth = {token: random.randint(0, 3) for token in vocabulary}
    lines = [f"vocabulary {' '.join(vocabulary)}", f"context {context}"]
    lines.append(f"table next {' '.join(f'{a} -> {b}' for a, b in next_of.items())}")
    lines.append(f"table worth {' '.join(f'{a} -> {b}' for a, b in worth.items())}")
    words = Words(random, vocabulary, min(3, context - 1), next_of, worth)
    rules: list[tuple[Callable[[Text], bool], Callable[[Text], Any]]] = []
    for _ in range(random.randint(1, 5)):
        (shown, answer), (condition, fires) = words.answer(), words.condition(2)
        if random.random() < 0.4:
            after, matches = pattern(random, vocabulary, min(3, context))
            lines.append(f"predict {shown} after {after} when {condition}")
            rules.append((lambda text, m=matches, f=fires: m(text)[-1] and f(text), answer))
        else:
            lines.append(f"predict {shown} when {condition}")
            rules.append((fires, answer))
    last = random.choice(vocabulary)
    lines.append(f"predict {last} otherwise")

    def meant(context: Text) -> Any:
        return next((answer(context) for fires, answer in rules if fires(context)), last)

    meaning = lambda text: [meant(text[:end]) for end in range(1, len(text) + 1)]  # noqa: E731
    return Case(_quiet(lambda: parse_rules("\n".join(lines))), vocabulary, context, True, meaning)


# models of values


def values(random: Random) -> Case:
    """One to three named expressions, of which the model computes the values."""
    vocabulary = tuple("abc"[: random.randint(2, 3)])
    causal = random.random() < 0.75
    prompts = Prompts(list(vocabulary), context=random.randint(2, 6 if causal else 4), causal=causal)
    drawing = Values(random, prompts)
    kinds = random.choices(("category", "flag", "number"), k=random.choice((1, 1, 2, 3)))
    drawn = [drawing.draw(kind, random.randint(1, 3)) for kind in kinds]
    source = {f"value {i}": each.expression for i, each in enumerate(drawn)}

    def meaning(text: Text) -> Column:
        return list(zip(*(each.values(text) for each in drawn), strict=True))

    return Case(source, vocabulary, prompts.context, causal, meaning)


def rasp_programs(random: Random) -> Case:
    """A RASP sequence."""
    vocabulary, context, causal = tuple("abc"), random.randint(2, 4), random.random() < 0.5
    while True:
        source = _sequence(random, random.choice(("label", "number", "flag")), random.randint(1, 3))
        try:
            rasp.build(source, vocabulary, context, causal)
            break
        except DomainError:
            continue

    def meaning(text: Text) -> Column:
        try:
            return rasp.evaluate(source, text, causal=causal)
        except DomainError:  # different labels have no mean
            return []

    return Case(source, vocabulary, context, causal, meaning)


def _sequence(random: Random, kind: str, depth: int) -> Any:
    """A RASP sequence of a kind: of labels, numbers or flags."""

    def some(kind: str) -> Any:
        return _sequence(random, kind, depth - 1)

    if depth <= 0:
        if kind == "label":
            return tokens
        if kind == "number":
            return random.choice((indices, length, Full(2), Full(None)))
        return random.choice((tokens == "a", tokens != "z", indices > 0))
    chosen = lambda: _selector(random, depth - 1)  # noqa: E731
    if kind == "label":
        table = {"a": "b", "b": random.choice("abc")}
        ways: tuple[Callable[[], Any], ...] = (
            lambda: rasp.Map(table.get, some("label")),
            lambda: rasp.SequenceMap(lambda x, y: x if x == y else None, some("label"), some("label")),
            lambda: rasp.Aggregate(chosen(), some("label"), random.choice((None, "a", "z"))),
        )
    elif kind == "number":
        ways = (
            lambda: rasp.Map({"a": -1, "b": 2}.get, some("label")),
            lambda: SelectorWidth(chosen()),
            lambda: SelectorWidth(chosen()),
            lambda: some("number") + some("number"),
            lambda: (some("number") - 2 * some("number")) % 3,
            lambda: rasp.LinearSequenceMap(some("number"), some("flag"), 2, -0.5),
            lambda: rasp.Aggregate(chosen(), some("number"), random.choice((None, 0, True))),
            lambda: rasp.Aggregate(chosen(), some("flag"), random.choice((None, 0))),
        )
    else:
        sign = random.choice(list(SIGNS))
        ways = (
            lambda: some("label") == some("label"),
            lambda: SIGNS[sign](some("number"), some("number")),
            lambda: SIGNS[sign](some("number"), 1),
            lambda: some("flag") & some("flag"),
            lambda: ~some("flag") | some("flag"),
        )
    return random.choice(ways)()


def _selector(random: Random, depth: int) -> Any:
    shape = random.choice(("one", "one", "one", "and", "or", "not")) if depth > 0 else "one"
    if shape == "and":
        return _selector(random, depth - 1) & _selector(random, depth - 1)
    if shape == "or":
        return _selector(random, depth - 1) | _selector(random, depth - 1)
    if shape == "not":
        return ~_selector(random, depth - 1)
    kind = random.choice(("label", "number", "flag"))
    relation = random.choice(list(Comparison) if kind == "number" else [Comparison.EQ, Comparison.NEQ])
    return Select(_sequence(random, kind, depth - 1), _sequence(random, kind, depth - 1), relation)


KINDS: dict[str, Callable[[Random], Case]] = {
    "patterns": patterns,
    "patterns and conditions": conditions,
    "rules over expressions": expressions,
    "probabilities": probabilities,
    "sums of digits": numbers,
    "rule files": rule_file,
    "values": values,
    "RASP": rasp_programs,
}
"""How to draw each kind of program."""
