"""Rule programs as text: reading `.rules` files and one-line rules. `write_rules` writes them again.

The grammar is in `rules.lark`, and what its sentences mean in docs/language-text.md. In short::

    predict X after PATTERN
    predict X when CONDITION
    predict X after PATTERN when CONDITION
    predict X otherwise

X is a token, tokens with their probabilities (``a 1/4 b 3/4``), or where to read one: ``the first
token``, ``the last token``, ``the token 2 back otherwise a``, ``what followed last time otherwise a``.
A condition is made with ``and``, ``or``, ``not`` and parentheses of these::

    position >= 3           the last token's position; also  position % 2 == 0
    token is a              the last token; also  first token is a,  token 2 back is not [ab]
    count of a > 2          how many of the tokens so far
    a came before           whether any of them is

There the border is. Arithmetic, tables, other tokens than these to look for, and `inputs=` of the
prompts need Python.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from lark import Lark, Tree
from lark.exceptions import UnexpectedInput

from handcraft.errors import HandcraftError, ProgramError, RuleSyntaxError, raise_all
from handcraft.language.pattern import unescape
from handcraft.language.program import Program, UncoveredError
from handcraft.language.read_sentence import read_sentence
from handcraft.language.rule import Rule
from handcraft.language.sentence import Sentence
from handcraft.language.sequences import Prompts
from handcraft.language.syntax_error import syntax_error
from handcraft.limits import CONTEXT, RULES, RULES_TEXT
from handcraft.origin import Place
from handcraft.vocabulary import Vocabulary

DEFAULT_CONTEXT = 8
"""The context of rules that do not state one, or the longest pattern where that is longer."""


@dataclass(frozen=True)
class _Statements:
    """What a text states, before anything is concluded from it."""

    file: str
    vocabulary: tuple[str, ...] | None = None
    context: int | None = None
    sentences: tuple[Sentence, ...] = ()
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
    if isinstance(text, str) and "\n" not in text and text.endswith((".rules", ".py")):
        raise RuleSyntaxError(
            f"{text!r} is the name of a file, and the text of rules is expected",
            fix=f"read it first: parse_rules(Path({text!r}).read_text())",
        )
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
        predicted = {token for sentence in stated.sentences for token in sentence.predicted}
        added = Rule(next((t for t in tokens if t not in predicted), tokens[0]))
        return _program(stated, added), added


def _program(stated: _Statements, *added: Rule) -> Program:
    """The program that a text states, with rules added at its end."""
    vocabulary = _vocabulary(stated)
    context = stated.context
    if context is None:
        reached = (sentence.reach(vocabulary.is_characters) for sentence in stated.sentences)
        context = max([DEFAULT_CONTEXT, *reached])
    place = Place(stated.file, 1, 1)
    prompts = Prompts(vocabulary, context, place=place)
    problems: list[HandcraftError] = []
    rules: list[Rule] = []
    for sentence in stated.sentences:
        try:
            rules.append(read_sentence(sentence, prompts))
        except HandcraftError as problem:
            problems += getattr(problem, "problems", (problem,))
    raise_all(problems)
    rules += added
    if any(rule.has_expressions for rule in rules):
        return Program(prompts=prompts, rules=rules, place=place)
    return Program(vocabulary, context, rules, place=place)


def _vocabulary(stated: _Statements) -> Vocabulary:
    if stated.vocabulary is not None:
        try:
            return Vocabulary(stated.vocabulary)
        except HandcraftError as error:
            for problem in getattr(error, "problems", (error,)):
                problem.where = str(stated.vocabulary_place)
            raise
    if not stated.sentences:
        raise ProgramError(
            "the program has no rules",
            where=Place(stated.file, 1, 1),
            fix="add one: predict a otherwise",
        )
    predicted = [token for sentence in stated.sentences for token in sentence.predicted]
    characters = all(len(token) == 1 for token in predicted)
    return Vocabulary(sorted(set().union(*(s.named(characters) for s in stated.sentences))))


@cache
def _parser() -> Lark:
    grammar = files(__package__).joinpath("rules.lark").read_text("utf-8")
    return Lark(grammar, parser="lalr", lexer="contextual", propagate_positions=True)


def _read_statements(text: str, file: str) -> _Statements:
    RULES_TEXT.check(len(text), where=file)
    try:
        tree = _parser().parse(text + "\n")
    except UnexpectedInput as error:
        raise syntax_error(error, text, file) from None
    settings: dict[str, list[str]] = {}
    places: dict[str, Place] = {}
    sentences: list[Sentence] = []
    problems: list[HandcraftError] = []
    for statement in tree.children:
        assert isinstance(statement, Tree)  # the grammar has no bare tokens at this level
        place = Place(file, statement.meta.line, statement.meta.column)
        if statement.data == "rule":
            written = text[statement.meta.start_pos : statement.meta.end_pos]
            sentences.append(Sentence(statement, place, " ".join(written.split())))
        elif statement.data in settings:
            problems.append(_said_twice(statement.data, place))
        else:
            words = settings[statement.data] = [str(word) for word in statement.children]
            places[statement.data] = place
            if statement.data == "context" and not re.fullmatch("0*[1-9][0-9]{0,8}", words[0]):
                problems.append(_no_number(words[0], place))
    raise_all(problems)
    RULES.check(len(sentences), where=file)
    vocabulary = settings.get("vocabulary")
    context = settings.get("context")
    if context is not None:
        CONTEXT.check(int(context[0]), where=places["context"], fix=f"write `context {CONTEXT.most}`")
    return _Statements(
        file,
        None if vocabulary is None else tuple(unescape(word) for word in vocabulary),
        None if context is None else int(context[0]),
        tuple(sentences),
        places.get("vocabulary"),
    )


def _said_twice(statement: str, place: Place) -> RuleSyntaxError:
    return RuleSyntaxError(f"a second `{statement}` line", where=place, fix="state it once")


def _no_number(word: str, place: Place) -> RuleSyntaxError:
    return RuleSyntaxError(
        f"the context is {word!r}", where=place, fix="use a whole number of tokens, 1 or more"
    )
