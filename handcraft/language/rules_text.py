"""Rule programs as text: reading `.rules` files and one-line rules, and writing them again."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files

from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedCharacters, UnexpectedInput, UnexpectedToken

from handcraft.errors import HandcraftError, ProgramError, RuleSyntaxError, raise_all
from handcraft.language.parse_pattern import (
    Item,
    PatternSyntaxError,
    pattern_items,
)
from handcraft.language.pattern import escape, unescape
from handcraft.language.program import Program, UncoveredError
from handcraft.language.rule import Rule
from handcraft.origin import Place
from handcraft.vocabulary import Vocabulary

DEFAULT_CONTEXT = 8
"""The context of rules that do not state one, or the longest pattern where that is longer."""

EXPECTED = {
    "VOCABULARY": "`vocabulary`",
    "CONTEXT": "`context`",
    "PREDICT": "`predict`",
    "AFTER": "`after`",
    "OTHERWISE": "`otherwise`",
    "WORD": "a word",
    "PATTERN": "a pattern",
    "_NEWLINE": "the end of the line",
    "$END": "the end of the file",
}


@dataclass(frozen=True)
class _Statements:
    """What a text states, before anything is concluded from it."""

    file: str
    vocabulary: tuple[str, ...] | None = None
    context: int | None = None
    rules: tuple[Rule, ...] = ()
    vocabulary_place: Place | None = None


def parse_rules(text: str, file: str = "rules") -> Program:
    r"""Read a rule program from text.

    A text without a ``vocabulary`` line speaks the tokens that its rules name, in sorted order: as
    characters where every predicted token is one, else as words. A text without a ``context`` line
    sees `DEFAULT_CONTEXT` tokens, or as many as its longest pattern reads.

    Args:
        text: statements, one a line.
        file: what to call the text in errors.

    Raises:
        RuleSyntaxError: with the line, the column and what was expected there.
        HandcraftError: whatever `Program` finds wrong.

    >>> parse_rules("predict b after aa\npredict a otherwise").meaning("baa")
    'b'
    """
    return _program(_read_statements(text, file))


def parse_one_liner(text: str, file: str = "-e") -> tuple[Program, Rule | None]:
    """Read rules typed at a prompt, and add the ``otherwise`` that they leave unsaid.

    The added rule predicts the first token that no other rule predicts, else the first of all.

    Returns:
        The program, and the added rule where one was needed.

    >>> program, added = parse_one_liner("predict b after aa")
    >>> print(added)
    predict a otherwise
    """
    stated = _read_statements(text, file)
    try:
        return _program(stated), None
    except UncoveredError:
        tokens = _vocabulary(stated).tokens
        predicted = {rule.token for rule in stated.rules}
        added = Rule(next((t for t in tokens if t not in predicted), tokens[0]), None)
        return _program(replace(stated, rules=(*stated.rules, added))), added


def write_rules(program: Program) -> str:
    """The program as text that `parse_rules` reads back to the same program."""
    vocabulary = program.vocabulary
    lines = [
        f"vocabulary {' '.join(escape(token) for token in vocabulary.tokens)}",
        f"context {program.context}",
    ]
    for clause in program.clauses:
        token = escape(vocabulary.tokens[clause.token])
        ending = "otherwise" if clause.is_otherwise else f"after {clause.pattern.text(vocabulary)}"
        lines.append(f"predict {token} {ending}")
    return "\n".join(lines) + "\n"


def _program(stated: _Statements) -> Program:
    vocabulary = _vocabulary(stated)
    context = stated.context
    if context is None:
        context = max(DEFAULT_CONTEXT, _longest_pattern(stated.rules, vocabulary.is_characters))
    return Program(vocabulary, context, stated.rules, place=Place(stated.file, 1, 1))


def _vocabulary(stated: _Statements) -> Vocabulary:
    if stated.vocabulary is not None:
        try:
            return Vocabulary(stated.vocabulary)
        except HandcraftError as error:
            for problem in getattr(error, "problems", (error,)):
                problem.where = str(stated.vocabulary_place)
            raise
    if not stated.rules:
        raise ProgramError(
            "the program has no rules",
            where=Place(stated.file, 1, 1),
            fix="add one: predict a otherwise",
        )
    predicted = [rule.token for rule in stated.rules]
    characters = all(len(token) == 1 for token in predicted)
    named: set[str] = set()
    for rule in stated.rules:
        for _, tokens in _items(rule, characters):
            named.update(tokens)
    return Vocabulary(sorted({*predicted, *named}))


def _longest_pattern(rules: Iterable[Rule], characters: bool) -> int:
    return max((len(_items(rule, characters)) for rule in rules), default=0)


def _items(rule: Rule, characters: bool) -> Sequence[Item]:
    """What the pattern of `rule` asks of each position."""
    if rule.pattern is None:
        return ()
    try:
        return pattern_items(rule.pattern, characters)
    except PatternSyntaxError as error:
        raise error.of(rule) from None


@cache
def _parser() -> Lark:
    grammar = files(__package__).joinpath("rules.lark").read_text("utf-8")
    return Lark(grammar, parser="lalr", lexer="contextual", propagate_positions=True)


def _read_statements(text: str, file: str) -> _Statements:
    try:
        tree = _parser().parse(text + "\n")
    except UnexpectedInput as error:
        raise _syntax_error(error, text, file) from None
    settings: dict[str, list[Token]] = {}
    places: dict[str, Place] = {}
    rules: list[Rule] = []
    problems: list[HandcraftError] = []
    for statement in tree.children:
        assert isinstance(statement, Tree)  # the grammar has no bare tokens at this level
        words = [word for word in statement.children if isinstance(word, Token)]
        words = [word for word in words if word.type in ("WORD", "PATTERN", "OTHERWISE")]
        place = Place(file, statement.meta.line, statement.meta.column)
        if statement.data == "rule":
            rules.append(_rule(words, place))
        elif statement.data in settings:
            problems.append(_said_twice(statement.data, place))
        else:
            settings[statement.data] = words
            places[statement.data] = place
            if statement.data == "context" and not re.fullmatch("0*[1-9][0-9]{0,8}", words[0]):
                problems.append(_no_number(words[0], place))
    raise_all(problems)
    vocabulary = settings.get("vocabulary")
    context = settings.get("context")
    return _Statements(
        file,
        None if vocabulary is None else tuple(unescape(word) for word in vocabulary),
        None if context is None else int(context[0]),
        tuple(rules),
        places.get("vocabulary"),
    )


def _said_twice(statement: str, place: Place) -> RuleSyntaxError:
    return RuleSyntaxError(f"a second `{statement}` line", where=place, fix="state it once")


def _no_number(word: Token, place: Place) -> RuleSyntaxError:
    return RuleSyntaxError(
        f"the context is {str(word)!r}", where=place, fix="use a whole number of tokens, 1 or more"
    )


def _rule(words: list[Token], place: Place) -> Rule:
    token, ending = words
    if ending.type == "OTHERWISE":
        return Rule(unescape(token), None, place)
    pattern = ending.lstrip()
    column = (ending.column or 1) + len(ending) - len(pattern)
    pattern_place = Place(place.file, place.line, column)
    return Rule(unescape(token), _without_trailing_blanks(pattern), place, pattern_place)


def _without_trailing_blanks(pattern: str) -> str:
    """The pattern up to its last character; a blank behind a backslash is one."""
    ends = [found.end() for found in re.finditer(r"\\[\s\S]|[^\s\\]", pattern)]
    return pattern[: max(ends, default=0)]


def _syntax_error(error: UnexpectedInput, text: str, file: str) -> RuleSyntaxError:
    lines = text.split("\n")
    if isinstance(error, UnexpectedToken):
        names, found = error.accepts or error.expected, repr(str(error.token))
        ended = error.token.type in ("$END", "_NEWLINE")
        found = "the line's end" if ended else found
    else:
        assert isinstance(error, UnexpectedCharacters)
        names, found = error.allowed, repr(error.char)
        ended = False
    line, column = error.line, error.column
    if line < 1 or line > len(lines):
        line, column = len(lines), len(lines[-1]) + 1
    expected = sorted(EXPECTED[name] for name in names or () if name in EXPECTED)
    return RuleSyntaxError(
        f"{found} cannot stand here",
        where=f"{Place(file, line, column)}, {lines[line - 1].strip()}",
        fix=f"expected {' or '.join(expected)}",
    )
