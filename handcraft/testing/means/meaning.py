"""What a model should answer: said by a program, by circuits, or by a plain Python function."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np

from handcraft.circuits import Circuits, ideal_next
from handcraft.display import shorten_value
from handcraft.errors import VocabularyError
from handcraft.language import Program, Prompts
from handcraft.origin import Place
from handcraft.testing.models.answering import Array, Ids
from handcraft.verify.texts.written_part import following_in, written_from
from handcraft.vocabulary import Vocabulary

Function = Callable[[Any], str | Sequence[str] | None]
"""From a prompt to what follows it: a token or several, as text or as a list; None where nothing is
promised."""

Reads = Literal["text", "tokens"]
"""What a function is called with: the prompt as text, or as a list of tokens."""


@dataclass(frozen=True)
class Asked:
    """Prompts of one length, and what is meant after each, or at each of their positions.

    Args:
        texts: places in the vocabulary, [text, position].
        first: how many tokens of each are the input; what follows is what was meant before.
        right: the token that is meant, [text, place]; -1 if none is.
        rules: the number of the rule that says so, [text, place]; -1 where none is known.
        likely: where probabilities are meant, those of all tokens: [text, place, token].
    """

    texts: Ids
    first: int
    right: Ids
    rules: Ids
    likely: Array | None = None

    @property
    def everywhere(self) -> bool:
        """Whether the places are all positions; if not, it is the last one."""
        return bool(self.right.shape[1] == self.texts.shape[1] > 1)


@dataclass(frozen=True)
class Reason:
    """What says that a token is meant.

    Args:
        what: the rule as it is written, or the name of a function.
        place: where it is written.
    """

    what: str
    place: str | None

    def __str__(self) -> str:
        return self.what if self.place is None else f"{self.place}, {self.what}"


class Meaning(Protocol):
    """What is meant after every prompt."""

    @property
    def vocabulary(self) -> Vocabulary:
        """The tokens of prompts and answers."""

    @property
    def prompts(self) -> Prompts | None:
        """The prompts after which something is meant; None if nothing says which they are."""

    @property
    def rules(self) -> tuple[Reason, ...]:
        """The rules that may say what is meant, by number; none where it is no program."""

    def asked(self, inputs: Ids) -> Iterator[Asked]:
        """The prompts that some inputs make, [text, position], and what is meant after each."""

    def reason(self, rule: int) -> Reason:
        """What says what is meant where a rule of this number decides, -1 for none."""


@dataclass(frozen=True)
class MeantByProgram:
    """What a program means: the first of its rules that matches.

    Args:
        program: the program.
    """

    program: Program

    @property
    def vocabulary(self) -> Vocabulary:
        """The tokens of the program."""
        return self.program.vocabulary

    @property
    def prompts(self) -> Prompts:
        """The prompts of the program."""
        return self.program.prompts

    @property
    def rules(self) -> tuple[Reason, ...]:
        """The rules, with file and line."""
        rules = self.program.rules
        return tuple(Reason(str(rule), str(rule.place) if rule.place else None) for rule in rules)

    def asked(self, inputs: Ids) -> Iterator[Asked]:
        """The inputs, and with `writes=` each of them with what the program writes after it."""
        if not self.prompts.causal:
            yield self._at_every_position(inputs)
            return
        first = inputs.shape[1]
        if self.prompts.writes == 1:
            yield self._at_the_end(inputs, first)
            return
        for written in written_from(self.prompts, iter([inputs]), following_in(self.program)):
            for length in range(first, written.texts.shape[1] + 1):
                yield self._at_the_end(written.texts[:, :length], first)

    def reason(self, rule: int) -> Reason:
        """The rule."""
        return self.rules[rule]

    def _at_the_end(self, texts: Ids, first: int) -> Asked:
        rows = np.arange(len(texts))
        return self._answers(texts, first, rows, np.full(len(texts), texts.shape[1] - 1), 1)

    def _at_every_position(self, texts: Ids) -> Asked:
        count, length = texts.shape
        rows, places = np.divmod(np.arange(count * length), length)
        return self._answers(texts, length, rows, places, length)

    def _answers(self, texts: Ids, first: int, rows: Ids, places: Ids, each: int) -> Asked:
        right = self.program.answers_at(texts, rows, places)
        broken = np.flatnonzero(right < 0)
        if len(broken):  # which names the assumption
            self.program.next_token(texts[rows[broken[0]]].tolist())
        rules = self.program.rules_at(texts, rows, places)
        likely = None
        if any(isinstance(rule.answer, dict) for rule in self.program.rules):
            likely = self.program.probabilities_at(texts, rows, places)
            likely = likely.reshape(len(texts), each, -1)
        shape = (len(texts), each)
        return Asked(texts, first, right.reshape(shape), rules.reshape(shape), likely)


@dataclass(frozen=True)
class MeantByCircuits:
    """What circuits mean, run with exact numbers and hard attention.

    Args:
        circuits: the circuits.
    """

    circuits: Circuits
    rules: tuple[Reason, ...] = ()

    @property
    def vocabulary(self) -> Vocabulary:
        """The tokens of the circuits."""
        return self.circuits.vocabulary

    @property
    def prompts(self) -> Prompts:
        """Every text within the context."""
        circuits = self.circuits
        return Prompts(circuits.vocabulary.tokens, circuits.context, causal=circuits.causal)

    def asked(self, inputs: Ids) -> Iterator[Asked]:
        """The inputs; a tie of the circuits is no answer."""
        right = ideal_next(self.circuits, inputs)
        if self.circuits.causal:
            right = right[:, -1:]
        yield Asked(inputs, inputs.shape[1], right, np.full(right.shape, -1))

    def reason(self, rule: int) -> Reason:
        """The circuits as a whole."""
        return Reason("the ideal circuits", None)


@dataclass(frozen=True)
class MeantByFunction:
    """What a plain function says.

    Args:
        function: from a prompt to what follows it.
        vocabulary: the tokens.
        reads: what the function is called with.
    """

    function: Function
    vocabulary: Vocabulary
    reads: Reads = "text"
    prompts: None = None
    rules: tuple[Reason, ...] = ()

    def asked(self, inputs: Ids) -> Iterator[Asked]:
        """The inputs, and each of them with the beginnings of what the function says."""
        answers: dict[int, list[tuple[int, tuple[int, ...]]]] = {}
        for row, prompt in enumerate(inputs.tolist()):
            answer = self._answer([self.vocabulary.tokens[place] for place in prompt])
            if answer is not None:
                answers.setdefault(len(answer), []).append((row, answer))
        for length, rows in sorted(answers.items()):
            meant = np.array([answer for _, answer in rows], dtype=np.int64)
            texts = np.hstack([inputs[[row for row, _ in rows]], meant])
            for written in range(length):
                end = inputs.shape[1] + written
                right = texts[:, end : end + 1]
                yield Asked(texts[:, :end], inputs.shape[1], right, np.full(right.shape, -1))

    def reason(self, rule: int) -> Reason:
        """The function."""
        code = getattr(self.function, "__code__", None)
        place = None if code is None else Place(code.co_filename, code.co_firstlineno, 1)
        name = getattr(self.function, "__name__", type(self.function).__name__)
        return Reason(name, None if place is None else f"{place.shown_file}:{place.line}")

    def _answer(self, prompt: list[str]) -> tuple[int, ...] | None:
        text = self.vocabulary.join(prompt)
        try:
            said = self.function(text if self.reads == "text" else prompt)
        except Exception as error:
            error.add_note(f"the meaning was called with the prompt {shorten_value(text)}")
            raise
        if said is None:
            return None
        try:
            answer = self.vocabulary.ids(said)
        except VocabularyError as error:
            error.where = (
                f"{self.reason(-1)}, which said {shorten_value(said)} after {shorten_value(text)}"
            )
            raise
        if not answer:
            raise VocabularyError(
                f"{shorten_value(said)} is no token, and a model always predicts one",
                where=f"{self.reason(-1)}, after {shorten_value(text)}",
                fix="return a token or several; or None where nothing is promised",
            )
        return answer


def as_meaning(meaning: object, vocabulary: Vocabulary, reads: Reads = "text") -> Meaning:
    """What is meant, of a program, circuits or a function; `vocabulary` is that of the model."""
    if isinstance(meaning, Program):
        return MeantByProgram(meaning)
    if isinstance(meaning, Circuits):
        return MeantByCircuits(meaning)
    if callable(meaning) and not isinstance(meaning, type):
        return MeantByFunction(meaning, Vocabulary(vocabulary.tokens), reads)
    raise VocabularyError(
        f"{shorten_value(meaning)} says of no prompt what should follow it",
        fix="give a Program, Circuits, or a function from a prompt to the next token",
    )
