"""Sentences: the rules of a rule file, before there is a vocabulary.

The tokens that a sentence names are known without one, so a text need not state its vocabulary.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from lark import Token, Tree

from handcraft.errors import LimitError, RuleSyntaxError
from handcraft.language.patterns.parse_pattern import Item, PatternSyntaxError, pattern_items
from handcraft.language.patterns.pattern import unescape
from handcraft.language.rules.rule import Answer, Rule
from handcraft.language.sequences import Expression
from handcraft.origin import Place

READ_ANSWERS = ("first", "last", "back", "followed", "mapped")
"""Answers that are read from the context."""


LONGEST = 1024
"""The longest context that is inferred from the distances and positions that a rule names."""


@dataclass(frozen=True)
class Sentence:
    """A rule as it was read, before there is a vocabulary."""

    tree: Tree[Token]
    place: Place
    text: str

    @property
    def reads_context(self) -> bool:
        """Whether it needs expressions, and is more than a token or a distribution after a pattern."""
        return self.answer.data in READ_ANSWERS or self.condition is not None

    @property
    def predicted(self) -> tuple[str, ...]:
        """The tokens that it may predict, of those that it names."""
        is_mapped = self.answer.data == "mapped"  # its first word is the name of a table
        named = [p for p in self.answer.children if isinstance(p, Token) and not is_mapped]
        if self.default is not None:
            named.append(self.default.children[0])  # type: ignore[arg-type]
        return tuple(unescape(part) for part in named if part.type == "WORD")

    def named(self, characters: bool) -> set[str]:
        """All tokens that it names, read as single characters or as words."""
        found = set(self.predicted)
        found.update(unescape(word(tree)) for tree in self.tree.find_data("missing"))
        for items in (self._items(characters), *self._class_items(characters)):
            found.update(token for _, tokens in items for token in tokens)
        return found

    def reach(self, characters: bool) -> int:
        """The context that it needs for its pattern, its distances and its positions."""
        reached = [0]
        for tree in self.tree.iter_subtrees():
            if tree.data == "back":
                reached.append(int(word(tree)) + 1)
            elif tree.data == "compared":
                reached.append(_position_named(tree))
        return max(len(self._items(characters)), min(max(reached), LONGEST))

    @property
    def table(self) -> str | None:
        """The table that gives what it predicts, where one does."""
        return str(self.answer.children[0]) if self.answer.data == "mapped" else None

    def split(self, text: str) -> Iterator[Sentence]:
        """The sentence without its `otherwise` part, and that part as a sentence of its own."""
        *parts, last = self.tree.children
        if not isinstance(last, Tree) or last.data != "alternative":
            yield self
            return
        end = text.rindex("otherwise", 0, last.meta.start_pos)
        first = _joined(text[self.tree.meta.start_pos : end])
        yield replace(self, tree=Tree("rule", parts, self.tree.meta), text=first)
        answer = last.children[0]
        assert isinstance(answer, Tree)
        ending = "" if answer.data in READ_ANSWERS else " otherwise"
        words = f"predict {_joined(text[last.meta.start_pos : last.meta.end_pos])}{ending}"
        yield Sentence(Tree("rule", last.children, last.meta), self.place_of(last), words)

    def rule(self, answer: Answer, flag: Expression | None = None) -> Rule:
        """The rule that it is, once its answer and its condition are known."""
        written = None if self.answer.data == "token" and not self.reads_context else self.text
        return Rule(answer, self.pattern, self.place, self._pattern_place, flag=flag, written=written)

    def place_of(self, tree: Tree[Token]) -> Place:
        """The place of one of its parts."""
        if tree.meta.empty:
            return self.place
        return replace(self.place, line=tree.meta.line, column=tree.meta.column)

    def at(self, tree: Tree[Token]) -> str:
        """The place of one of its parts, and the text of the sentence, for errors."""
        return f"{self.place_of(tree)}, {self.text}"

    def class_error(self, tree: Tree[Token], error: PatternSyntaxError) -> RuleSyntaxError:
        """The error of a class, with its place in the sentence."""
        place = self.place_of(tree)
        place = replace(place, column=place.column + error.column - 1)
        return RuleSyntaxError(error.what, where=f"{place}, {self.text}", fix=error.fix)

    @property
    def answer(self) -> Tree[Token]:
        """What it predicts."""
        answer = self.tree.children[0]
        assert isinstance(answer, Tree)
        return answer

    @property
    def default(self) -> Tree[Token] | None:
        """The token to predict where the answer is not there."""
        return next((part for part in self._later_trees if part.data == "default"), None)

    @property
    def condition(self) -> Tree[Token] | None:
        """The condition besides the pattern."""
        return next((part for part in self._later_trees if part.data != "default"), None)

    @property
    def _later_trees(self) -> list[Tree[Token]]:
        return [part for part in self.tree.children[1:] if isinstance(part, Tree)]

    @property
    def _pattern_token(self) -> Token | None:
        return next((part for part in self.tree.children if isinstance(part, Token)), None)

    @property
    def pattern(self) -> str | None:
        """The text after `after`, without blanks around it."""
        found = self._pattern_token
        if found is None:
            return None
        pattern = found.lstrip()  # up to its last character; a blank after a backslash is one
        ends = [character.end() for character in re.finditer(r"\\[\s\S]|[^\s\\]", pattern)]
        return pattern[: max(ends, default=0)]

    @property
    def _pattern_place(self) -> Place | None:
        found = self._pattern_token
        if found is None:
            return None
        leading = len(found) - len(found.lstrip())
        return replace(self.place, line=found.line or 1, column=(found.column or 1) + leading)

    def _items(self, characters: bool) -> Sequence[Item]:
        """The class of tokens at each position of the pattern."""
        if self.pattern is None:
            return ()
        try:
            return pattern_items(self.pattern, characters)
        except PatternSyntaxError as error:
            raise error.of(self.rule("".join(self.predicted[:1]))) from None
        except LimitError as error:
            error.where = str(self.place)
            raise

    def _class_items(self, characters: bool) -> Iterator[Sequence[Item]]:
        """The classes that the condition names, each as the items of a pattern."""
        for tree in self.tree.find_data("class"):
            try:
                yield pattern_items(word(tree), characters)
            except PatternSyntaxError as error:
                raise self.class_error(tree, error) from None


def words(tree: Token | Tree[Token]) -> list[str]:
    """The words that a part of a sentence consists of."""
    return [str(part) for part in tree.children] if isinstance(tree, Tree) else [str(tree)]


def word(tree: Tree[Token]) -> str:
    """The first of them."""
    return words(tree)[0]


def _joined(text: str) -> str:
    """A text with single blanks."""
    return " ".join(text.split())


def _position_named(compared: Tree[Token]) -> int:
    """How long a context is in which there is a position, where it is compared with a number."""
    left, _, right = compared.children
    match left, right:
        case (
            Tree(data="left", children=[Tree(data="term", children=[Tree(data="position")])]),
            Tree(data="sum", children=[Tree(data="number", children=[bound])]),
        ):
            return int(str(bound)) + 1
    return 0


JOINING = ("and", "or", "if", "but", "unless", "while")
"""Words that are refused as tokens after a space; `[a]nd` still spells the tokens."""

CONDITION = re.compile(
    r"(not\s+)?(the\s+)?((first|last)\s+)?(token\s(.*\s)?is|position\s(is|[<>=!%]+)|count\sof)\s"
)
"""What is surely a condition, where tokens are words and `and the` may well be two of them."""

CONDITIONS = ("position", "token", "first", "last", "count", "not", "the")
"""How a condition begins that was meant to follow such a word."""


def check_no_joined_pattern(sentence: Sentence, characters: bool) -> None:
    """Refuse `predict b after aa and token is a`, whose pattern would be a a a n d t o k e n i s a.

    Raises:
        RuleSyntaxError: a part of the pattern, between blanks, is a word that joins conditions. Where
            tokens are words, a condition must follow it.
    """
    pattern = sentence.pattern
    if pattern is None:
        return
    found = re.search(rf"(?<=\S)(?<!\\)\s+({'|'.join(JOINING)})(?=\s|$)", pattern)
    if found is None or pattern[: found.start()].strip() == "start":
        return
    if not characters and not CONDITION.match(pattern[found.end() :].strip()):
        return
    raise RuleSyntaxError(
        f"`{found[1]}` in a pattern is read as the tokens {' '.join(found[1])}"
        if characters
        else f"`{found[1]}` in a pattern is read as a token",
        where=f"{sentence.place}, {sentence.text}",
        fix=_fix(sentence, found[1], pattern[: found.start()], pattern[found.end() :].strip())
        + (f"; [{found[1][0]}]{found[1][1:]} spells those tokens" if characters else ""),
    )


def _fix(sentence: Sentence, word: str, first: str, rest: str) -> str:
    before, _, _ = sentence.text.partition(" after ")
    has_more = sentence.condition is not None or not rest
    if has_more or (word != "or" and rest.split()[0] not in CONDITIONS):
        return "conditions follow `when`, as in `after a when b came before`"
    if rest.split()[0] not in CONDITIONS:
        return f"write two rules: `{before} after {first}` and `{before} after {rest}`"
    if word == "or":
        return f"write two rules: `{before} after {first}` and `{before} when {rest}`"
    condition = f"not ({rest})" if word == "unless" else rest
    return f"write `{before} after {first} when {condition}`"
