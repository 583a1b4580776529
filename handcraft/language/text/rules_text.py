"""Rule programs as text: reading `.rules` files and one-line rules. `write_rules` writes them again.

The grammar is in `rules.lark`, and what its sentences mean in docs/language-text.md. A rule is a line
such as ``predict X after PATTERN when CONDITION``; other lines state the vocabulary, the context, which
prompts are allowed, and tables. Means, windows and selections by computed values need Python.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files

from lark import Lark, Tree
from lark.exceptions import UnexpectedInput

from handcraft.errors import HandcraftError, ProgramError, RuleSyntaxError, raise_all
from handcraft.language.patterns.pattern import unescape
from handcraft.language.program import Program
from handcraft.language.rules.read_rules import UncoveredError
from handcraft.language.rules.rule import Rule
from handcraft.language.sequences import Prompts
from handcraft.language.text.read_place import RuleTable
from handcraft.language.text.read_sentence import read_sentence
from handcraft.language.text.sentence import Sentence, check_no_joined_pattern
from handcraft.language.text.syntax_error import syntax_error
from handcraft.limits import CONTEXT, RULES, RULES_TEXT
from handcraft.origin import Place
from handcraft.vocabulary import Vocabulary

WHOLE = re.compile("0*[1-9][0-9]{0,8}")

DEFAULT_CONTEXT = 8
"""The context of rules that do not state one, unless their longest pattern is longer."""


@dataclass(frozen=True)
class _Statements:
    """What a text states, before anything is concluded from it."""

    file: str
    vocabulary: tuple[str, ...] | None = None
    context: int | None = None
    sentences: tuple[Sentence, ...] = ()
    tables: Mapping[str, RuleTable] = field(default_factory=dict)
    inputs: str | None = None
    writes: int = 1
    bos: str | None = None
    places: Mapping[str, Place] = field(default_factory=dict)


def parse_rules(text: str, file: str = "rules") -> Program:
    r"""Read a rule program from text.

    Without a ``vocabulary`` line the tokens are those that the rules name, in sorted order:
    characters if every predicted token is one character, else words. Without a ``context`` line the
    context is `DEFAULT_CONTEXT`, or as long as the longest pattern.

    Raises:
        RuleSyntaxError: with the line, the column and what was expected there.
        HandcraftError: an error that `Program` raises.

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
    """Read rules typed on the command line, and add an ``otherwise`` rule if one is needed.

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
    prompts = _prompts(stated, vocabulary, context)
    problems: list[HandcraftError] = []
    rules: list[Rule] = []
    for sentence in stated.sentences:
        try:
            if vocabulary.is_characters or stated.vocabulary is None:
                check_no_joined_pattern(sentence, vocabulary.is_characters)
            rules.append(read_sentence(sentence, prompts, stated.tables))
        except HandcraftError as problem:
            problems += getattr(problem, "problems", (problem,))
    raise_all([_in_words(problem, stated) for problem in problems])
    rules += added
    place = Place(stated.file, 1, 1)
    says_more = (stated.inputs, stated.bos) != (None, None)
    try:
        if says_more or any(rule.has_expressions for rule in rules):
            return Program(prompts=prompts, rules=rules, place=place)
        return Program(vocabulary, context, rules, place=place)
    except HandcraftError as error:
        last = stated.sentences[-1] if stated.sentences else None
        for each in getattr(error, "problems", (error,)):
            _in_words(each, stated)
            if last is not None and isinstance(each, UncoveredError):
                each.where = f"{last.place}, {last.text}"
        raise


def _prompts(stated: _Statements, vocabulary: Vocabulary, context: int) -> Prompts:
    try:
        return Prompts(
            vocabulary,
            context,
            inputs=stated.inputs,
            bos=stated.bos,
            writes=stated.writes,
            place=Place(stated.file, 1, 1),
        )
    except HandcraftError as error:
        raise_all([_in_words(p, stated) for p in getattr(error, "problems", (error,))])
        raise


def _in_words(problem: HandcraftError, stated: _Statements) -> HandcraftError:
    """The problem with its advice in the words of rule files, and the line that it is about."""
    problem.fix = problem.in_rules or problem.fix
    named = re.match(r"(inputs|writes|bos)[=:]", problem.what)
    setting = named[1] if named else ""
    if setting in stated.places:
        problem.where = str(stated.places[setting])
        problem.what = problem.what.replace("=", " ", 1)
    return problem


def _vocabulary(stated: _Statements) -> Vocabulary:
    if stated.vocabulary is None and not stated.sentences:
        raise ProgramError(
            "the program has no rules",
            where=Place(stated.file, 1, 1),
            fix="add one: predict a otherwise",
        )
    tokens = stated.vocabulary or _named(stated)
    place = stated.places.get("vocabulary") or stated.sentences[0].place
    if not tokens:
        raise ProgramError(
            "the rules name no token, and there is no vocabulary",
            where=f"{place}, {stated.sentences[0].text}",
            fix="name the tokens in a line before the rules, as in `vocabulary a b`",
        )
    try:
        return Vocabulary(tokens)
    except HandcraftError as error:
        for problem in getattr(error, "problems", (error,)):
            problem.where = str(place)
        raise


def _named(stated: _Statements) -> tuple[str, ...]:
    """The tokens that the rules and their tables name, in sorted order."""
    used = {s.table for s in stated.sentences} & stated.tables.keys()
    given = {result for name in used for result in stated.tables[str(name)].results}
    predicted = {token for sentence in stated.sentences for token in sentence.predicted} | given
    characters = all(len(token) == 1 for token in predicted)
    named = set(given).union(*(s.named(characters) for s in stated.sentences))
    named.update(token for table in stated.tables.values() for token in table.rows)
    return tuple(sorted(named | ({stated.bos} if stated.bos is not None else set())))


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
    settings: dict[str, str] = {}
    places: dict[str, Place] = {}
    tables: dict[str, RuleTable] = {}
    vocabulary: tuple[str, ...] | None = None
    sentences: list[Sentence] = []
    problems: list[HandcraftError] = []
    for statement in tree.children:
        assert isinstance(statement, Tree)  # the grammar has no bare tokens at this level
        place = Place(file, statement.meta.line, statement.meta.column)
        if statement.data == "rule":
            written = text[statement.meta.start_pos : statement.meta.end_pos]
            sentences += Sentence(statement, place, " ".join(written.split())).split(text)
        elif statement.data == "table":
            table = RuleTable.read(statement, place)
            if table.name in tables:
                problems.append(_stated_twice(f"table {table.name}", place))
            tables[table.name] = table
        elif statement.data in places:
            problems.append(_stated_twice(statement.data, place))
        else:
            words = [str(word) for word in statement.children]
            places[statement.data] = place
            settings[statement.data] = words[0].strip()
            if statement.data == "vocabulary":
                vocabulary = tuple(unescape(word) for word in words)
            elif statement.data in ("context", "writes") and not WHOLE.fullmatch(words[0]):
                is_context = statement.data == "context"
                what = f"the context is {words[0]!r}" if is_context else f"`writes {words[0]}`"
                fix = "use a whole number of tokens, 1 or more"
                problems.append(RuleSyntaxError(what, where=place, fix=fix))
    raise_all(problems)
    RULES.check(len(sentences), where=file)
    if "context" in settings:
        asked = int(settings["context"])
        CONTEXT.check(asked, where=places["context"], fix=f"write `context {CONTEXT.most}`")
    return _Statements(
        file,
        vocabulary,
        int(settings["context"]) if "context" in settings else None,
        tuple(sentences),
        tables,
        settings.get("inputs"),
        int(settings.get("writes", 1)),
        unescape(settings["bos"]) if "bos" in settings else None,
        places,
    )


def _stated_twice(statement: str, place: Place) -> RuleSyntaxError:
    return RuleSyntaxError(f"a second `{statement}` line", where=place, fix="state it once")
