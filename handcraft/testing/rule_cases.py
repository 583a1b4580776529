"""One test case of pytest for each rule of a program, with prompts after which this rule decides."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from handcraft.compiler import Compiled
from handcraft.errors import CommandError, ModelError, PromptError
from handcraft.formats import Checkpoint, read_checkpoint
from handcraft.language import Program, Rule
from handcraft.testing.means.meaning import MeantByProgram
from handcraft.testing.means.trials import Trials
from handcraft.testing.profiles import profile

if TYPE_CHECKING:
    import pytest

LONGEST = 60
"""The most characters of a rule in the name of a test."""

EACH = 500
"""The most prompts of one rule that are kept."""


@dataclass(frozen=True)
class RulePrompts:
    """The prompts after which each rule decides, found when they are first asked for.

    Args:
        program: the program.
    """

    program: Program

    @cached_property
    def found(self) -> tuple[dict[str, tuple[str, tuple[str, ...]]], ...]:
        """For each rule its prompts, the shorter ones first: the token that is meant, and the input."""
        program, chosen = self.program, profile()
        prompts, vocabulary = program.prompts, program.vocabulary
        trials = Trials(
            prompts, prompts.longest_input, chosen.every_up_to, chosen.sample, program=program
        )
        found: list[dict[str, tuple[str, tuple[str, ...]]]] = [{} for _ in program.rules]
        for asked in (each for texts in trials for each in MeantByProgram(program).asked(texts)):
            rows = zip(asked.texts.tolist(), asked.right.tolist(), asked.rules.tolist(), strict=True)
            for text, right, rules in rows:
                for token, rule in zip(right, rules, strict=True):
                    if len(found[rule]) < EACH:
                        tokens = tuple(vocabulary.tokens[place] for place in text)
                        meant = vocabulary.tokens[token]
                        found[rule].setdefault(vocabulary.join(tokens), (meant, tokens[: asked.first]))
        return tuple(found)


@dataclass(frozen=True)
class RuleCase:
    """One rule of a program, for a test.

    Args:
        program: the program.
        number: the number of the rule, from 0.
    """

    program: Program
    number: int
    _shared: RulePrompts = field(repr=False, compare=False)

    @property
    def rule(self) -> Rule:
        """The rule."""
        return self.program.rules[self.number]

    @property
    def prompts(self) -> tuple[str, ...]:
        """Prompts after which the rule decides, the shorter ones first.

        Raises:
            PromptError: none was found.
        """
        return tuple(self._found)

    @property
    def examples(self) -> tuple[tuple[str, str], ...]:
        """These prompts, each with the token that the rule predicts."""
        return tuple((prompt, meant) for prompt, (meant, _) in self._found.items())

    @property
    def is_found(self) -> bool:
        """Whether a prompt was found after which the rule decides."""
        return bool(self._shared.found[self.number])

    @property
    def given(self) -> tuple[Sequence[str], ...]:
        """The inputs of these prompts, as tokens."""
        return tuple(dict.fromkeys(tokens for _, tokens in self._found.values()))

    @property
    def _found(self) -> dict[str, tuple[str, tuple[str, ...]]]:
        found = self._shared.found[self.number]
        if not found:
            raise PromptError(
                f"no prompt was found after which `{self.rule}` decides",
                where=self.rule.where,
                fix="leave the rule out if earlier rules always decide before it; or try more prompts: "
                "pytest --handcraft-profile=deep",
            )
        return found

    def __str__(self) -> str:
        return str(self.rule)


def rule_cases(program: Program) -> tuple[RuleCase, ...]:
    """The rules of a program as cases of a test."""
    shared = RulePrompts(program)
    return tuple(RuleCase(program, number, shared) for number in range(len(program.rules)))


def parametrize(of: object, argument: str = "rule") -> pytest.MarkDecorator:
    """Run a test once for each rule; the text of the rule is the name of the test case.

    The argument of the test has `prompts`, after which the rule decides, and `examples`, which are
    these prompts with the token that is meant; `assert_means(model, rule)` compares a model on them.
    The prompts are found when the test runs, not when it is collected.

    Args:
        of: a `Program`, or a compiled model or folder that has one.
        argument: the name of the argument.

    Raises:
        ModelError: it has no rules.
    """
    try:
        import pytest
    except ImportError:
        raise CommandError(
            "pytest, which runs a test for each rule, is not installed", fix="pip install pytest"
        ) from None
    cases = rule_cases(_program_of(of))
    return pytest.mark.parametrize(argument, cases, ids=ids_of(cases))


def ids_of(cases: Sequence[RuleCase]) -> list[str]:
    """The rules as the names of tests: short, and each different."""
    texts = [" ".join(str(case).split()) for case in cases]
    short = [_shortened(text) for text in texts]
    taken: dict[str, int] = {}
    for text in short:
        taken[text] = taken.get(text, 0) + 1
    return [
        text if taken[text] == 1 else f"{text} (rule {number})" for number, text in enumerate(short, 1)
    ]


def _shortened(text: str) -> str:
    """A text without its middle, where it is too long: rules often differ at both ends."""
    if len(text) <= LONGEST:
        return text
    half = (LONGEST - 5) // 2
    return f"{text[:half]} ... {text[-half:]}"


def _program_of(of: object) -> Program:
    if isinstance(of, str | os.PathLike):
        of = read_checkpoint(Path(of))
    source = of.source if isinstance(of, Compiled | Checkpoint) else of
    if isinstance(source, Program):
        return source
    raise ModelError(
        "there are no rules to test one by one",
        where=f"a {type(source).__name__}",
        fix="give a Program, or what was compiled from one; assert_means tests a model as a whole",
    )
