"""What sentences mean: the words of a rule file as expressions.

`rules.lark` has the grammar, docs/language-text.md the meaning.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction

from lark import Token, Tree

from handcraft.errors import RuleSyntaxError
from handcraft.language.patterns.pattern import unescape
from handcraft.language.rules.rule import Answer, Rule
from handcraft.language.sequences import Expression, Prompts
from handcraft.language.text.read_condition import Conditions
from handcraft.language.text.read_place import PLACE_NAMES, Places, RuleTable
from handcraft.language.text.sentence import Sentence, word, words
from handcraft.language.written.written_place import written_at
from handcraft.limits import CONDITION_TEXT


def read_sentence(
    sentence: Sentence, prompts: Prompts, tables: Mapping[str, RuleTable] | None = None
) -> Rule:
    """The rule that a sentence means.

    Raises:
        LimitError: a condition makes it longer than `CONDITION_TEXT`.
        HandcraftError: the first thing that is wrong with it, at its line and column.
    """
    places = Places(prompts, sentence, tables or {})
    if sentence.condition is not None:
        CONDITION_TEXT.check(
            len(sentence.text), where=sentence.place, fix="make it several rules, or write it in Python"
        )
    answer, condition = _answer(places), sentence.condition
    return sentence.rule(answer, None if condition is None else Conditions(places).flag(condition))


def _answer(places: Places) -> Answer:
    """What to predict: a token, a distribution or a place to read it from."""
    tree, default = places.sentence.answer, places.sentence.default
    if tree.data == "token":
        return unescape(word(tree))
    if tree.data == "distribution":
        return _distribution(tree, places.sentence)
    if tree.data == "mapped":
        return _mapped(tree, default, places)
    places.check_default(tree, default)
    token = None if default is None else places.token(default)
    with written_at(places.sentence.place_of(tree)):
        return places.look(tree, token)


def _mapped(tree: Tree[Token], default: Tree[Token] | None, places: Places) -> Expression:
    """What a table gives for the token at a place."""
    if default is not None:
        raise RuleSyntaxError(
            "the result of a table takes no `otherwise`",
            where=places.sentence.at(default),
            fix="after the place, name the token to use where there is none: "
            f"{PLACE_NAMES['back'].format(2)} else {word(default)}",
        )
    with written_at(places.sentence.place_of(tree)):
        seen = places.seen(tree)
    if seen.there_from:
        raise RuleSyntaxError(
            f"`{PLACE_NAMES['back'].format(seen.there_from)}` may not exist",
            where=places.sentence.at(tree),
            fix=f"name the token to read then: {PLACE_NAMES['back'].format(seen.there_from)} else "
            f"{places.prompts.vocabulary.tokens[0]}",
        )
    return seen.value


def _distribution(tree: Tree[Token], sentence: Sentence) -> dict[str, Fraction]:
    probabilities: dict[str, Fraction] = {}
    parts = words(tree)
    for token, probability in zip(map(unescape, parts[::2]), parts[1::2], strict=True):
        if token in probabilities or re.fullmatch("[0-9]+/0+", probability):
            raise RuleSyntaxError(
                f"{token!r} has two probabilities"
                if token in probabilities
                else f"{probability} is not a number",
                where=sentence.at(tree),
                fix="give every token one, such as 1/4 or 0.25",
            )
        probabilities[token] = Fraction(probability)
    return probabilities
