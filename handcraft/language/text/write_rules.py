"""Writing rule programs as text that `parse_rules` reads back."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from handcraft.errors import HandcraftError, ProgramError, raise_all
from handcraft.language.graph.node import Constant
from handcraft.language.patterns.parse_pattern import parse_pattern
from handcraft.language.patterns.pattern import escape
from handcraft.language.program import Program
from handcraft.language.rules.rule import Rule
from handcraft.language.sequences import Expression, Prompts
from handcraft.language.text.phrase import NoWordsError, answer_phrase, flag_phrase
from handcraft.language.text.phrase_number import Tables
from handcraft.vocabulary import Vocabulary


def write_rules(program: Program, *, most: int | None = None) -> str:
    """The program as text that `parse_rules` reads back to one that means the same.

    Args:
        program: the program.
        most: how many of its rules to write, from the first; None for all.

    Raises:
        ProgramError: rule files cannot express something in it; docs/language-text.md lists what they
            can express.

    >>> from handcraft import Prompts, predict
    >>> prompts = Prompts("ab", context=5)
    >>> late = predict("b").when((prompts.position >= 3) & (prompts.token == "a"))
    >>> print(write_rules(Program(prompts=prompts, rules=[late, predict("a").otherwise()])), end="")
    vocabulary a b
    context 5
    predict b when position >= 3 and token is not b
    predict a otherwise
    """
    vocabulary = program.vocabulary
    problems: list[HandcraftError] = [*_prompts_problems(program.prompts)]
    lines = [
        f"vocabulary {' '.join(escape(token) for token in vocabulary.tokens)}",
        f"context {program.context}",
    ]
    lines += _prompts_lines(program.prompts)
    tables, sentences = Tables(), []
    for rule in program.rules[:most]:
        try:
            sentences.append(_sentence(rule, vocabulary, tables))
        except NoWordsError as problem:
            problem.where = rule.where
            problem.fix = (
                "keep the program in Python; docs/language-text.md lists what can be expressed"
            )
            problems.append(problem)
    raise_all(problems)
    return "\n".join([*lines, *tables.lines(), *sentences]) + "\n"


def _sentence(rule: Rule, vocabulary: Vocabulary, tables: Tables) -> str:
    parts = ["predict", _answer(rule, tables)]
    if rule.pattern is not None:
        pattern = parse_pattern(rule.pattern, vocabulary)
        parts.append(f"after {pattern.text(vocabulary)}")
    if rule.flag is not None:
        parts.append(f"when {flag_phrase(rule.flag, tables)}")
    is_read = isinstance(rule.answer, Expression) and not isinstance(rule.answer.node, Constant)
    if rule.pattern is None and rule.flag is None and not is_read:
        parts.append("otherwise")
    return " ".join(parts)


def _answer(rule: Rule, tables: Tables) -> str:
    answer = rule.answer
    if isinstance(answer, Expression):
        return answer_phrase(answer, tables)
    if isinstance(answer, Mapping):
        endings = ("after", "when", "otherwise")  # which would end the distribution
        escaped = {token: f"\\{token}" if token in endings else escape(token) for token in answer}
        return " ".join(f"{escaped[token]} {share}" for token, share in answer.items())
    return escape(answer)


def _prompts_lines(prompts: Prompts) -> Iterator[str]:
    """The lines that state the allowed prompts."""
    if prompts.bos is not None:
        yield f"bos {escape(prompts.bos)}"
    if isinstance(prompts.inputs, str):
        pattern = re.sub(r"(\\.)|#", lambda found: found[1] or r"\#", prompts.inputs, flags=re.DOTALL)
        pattern = pattern.replace("\r", r"\r").replace("\n", r"\n")
        yield f"inputs {pattern if pattern == pattern.strip() and pattern else f'(?:{pattern})'}"
    if prompts.writes != 1:
        yield f"writes {prompts.writes}"


def _prompts_problems(prompts: Prompts) -> Iterator[ProgramError]:
    stated = {
        "inputs= as a Hypothesis strategy": not isinstance(prompts.inputs, str | None),
        "causal=False": not prompts.causal,
    }
    for words, is_stated in stated.items():
        if is_stated:
            yield ProgramError(
                f"`{words}` of the prompts cannot be expressed in a rule file",
                where=prompts.place,
                fix="keep the program in Python; docs/language-text.md lists what can be expressed",
            )
