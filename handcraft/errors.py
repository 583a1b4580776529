"""The form of every error: what is wrong, where in the user's program, and the nearest fix."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from handcraft.phrase import Words, in_python, on_command_line

LONGEST = 2_000
"""The most characters of one part of a message; a longer part is shortened in the middle."""


class HandcraftError(Exception):
    """An error in three parts: what is wrong, where, and the nearest fix.

    Args:
        what: what is wrong, with the numbers that show it.
        where: the place in the user's program, file or command; omitted when there is only one.
        fix: the nearest thing that would make it right.
        in_rules: the same in the words of rule files, where the fix is Python.

    What is wrong and the fix read as in Python, until `speak_command_line` is called.
    """

    def __init__(
        self,
        what: Words,
        *,
        where: object = None,
        fix: Words | None = None,
        in_rules: str | None = None,
    ) -> None:
        super().__init__(in_python(what))
        self._what = what
        self.where = None if where is None else str(where)
        self._fix = fix
        self.in_rules = in_rules

    @property
    def what(self) -> str:
        """What is wrong, with the numbers that show it."""
        return in_python(self._what)

    @what.setter
    def what(self, what: Words) -> None:
        self._what = what

    @property
    def fix(self) -> str | None:
        """The nearest thing that would make it right."""
        return None if self._fix is None else in_python(self._fix)

    @fix.setter
    def fix(self, fix: Words | None) -> None:
        self._fix = fix

    def speak_command_line(self) -> None:
        """From now on, name options of a command in place of arguments of a function."""
        _ = self.fix  # which may be searched for only now
        self._what = on_command_line(self._what)
        self._fix = None if self._fix is None else on_command_line(self._fix)

    def __str__(self) -> str:
        lines = [f"{type(self).__name__}: {within(self.what)}"]
        if self.where is not None:
            lines.append(f"  where: {within(self.where)}")
        if self.fix is not None:
            lines.append(f"  fix:   {within(self.fix)}")
        return "\n".join(lines)


def within(text: str, longest: int = LONGEST) -> str:
    """A text, without its middle where it is too long.

    >>> within("0123456789" * 10, longest=40)
    '01234567890123456789 ... 67890123456789 (100 characters)'
    """
    if len(text) <= longest:
        return text
    return f"{text[: longest // 2]} ... {text[-longest // 3 :]} ({len(text):,} characters)"


SHOWN = 20
"""How many of several errors are shown."""


class SeveralErrors(HandcraftError):
    """Several errors reported at once, so that they can be fixed together."""

    def __init__(self, problems: Sequence[HandcraftError]) -> None:
        super().__init__(f"{len(problems)} problems found")
        self.problems = tuple(problems)

    def __str__(self) -> str:
        shown = [str(problem) for problem in self.problems[:SHOWN]]
        more = len(self.problems) - SHOWN
        return "\n".join([*shown, f"and {more:,} more"] if more > 0 else shown)


class LimitError(HandcraftError):
    """A count exceeds its limit, or more memory is needed than may be used."""


class VocabularyError(HandcraftError):
    """An invalid vocabulary, or a token that is not in it."""


class ProgramError(HandcraftError):
    """A program without a meaning, or with an ambiguous one."""


class DomainError(ProgramError):
    """An expression whose values do not fit what is done with them."""


class AssumptionError(ProgramError):
    """A text that breaks what a program assumes of its prompts."""


class PromptError(ProgramError):
    """A prompt that the program does not allow: it promises no answer."""


class RuleSyntaxError(HandcraftError):
    """Text that is not a rule, a pattern or a rule file."""


class CircuitError(HandcraftError):
    """Circuits that do not fit together."""


class EncodingError(CircuitError):
    """A subspace cannot encode the value, or cannot be read in this way."""


class ArchitectureError(HandcraftError):
    """An architecture that is unknown or contradicts itself."""


class CompileError(HandcraftError):
    """A program that the chosen architecture cannot compute."""


class LayoutError(CompileError):
    """A residual stream or a head that is too small."""


class PrecisionError(CompileError):
    """A number that the chosen dtype cannot represent, or a gap too small for it.

    Where it `is_tight`, a wider dtype, a shorter context or fewer values may help: the compiler tries
    some of these, and the fix names those that do; the one given here is for when none can be tried.
    The error is about an expression, if about any.
    """

    def __init__(
        self,
        what: Words,
        *,
        where: object = None,
        fix: Words | None = None,
        about: object = None,
        is_tight: bool = False,
    ) -> None:
        self._later: Callable[[], Words | None] | None = None
        super().__init__(what, where=where, fix=fix)
        self.about = about
        self.is_tight = is_tight

    @property
    def fix(self) -> str | None:
        """The nearest fix; it is searched for when it is first read."""
        if self._later is not None:
            later, self._later = self._later, None
            self._fix = later() or self._fix
        return super().fix

    @fix.setter
    def fix(self, fix: Words | None) -> None:
        self._later = None
        self._fix = fix

    def fix_later(self, find: Callable[[], Words | None]) -> None:
        """Search for the fix when it is first read.

        Args:
            find: returns the fix; None keeps the one that the error already has.
        """
        self._later = find

    def __reduce__(self) -> tuple[object, ...]:
        """What another process gets: the fix, found before, and no program."""
        _ = self.fix
        found = {"_later": None, "about": None}
        return type(self), (self.what,), {**self.__dict__, **found}


class ModelError(HandcraftError):
    """A prompt or a setting that a model cannot answer."""


class AnswerError(HandcraftError):
    """A model under test that does not answer, or whose answer is not logits of its tokens.

    Args:
        what: what is wrong.
        where: the model and the prompt.
        fix: the nearest thing that would make it right.
        kind: what equal failures have in common, so that a shorter prompt can show the same.
        prompt: the tokens of the prompt after which it fails, as places in the vocabulary; None if the
            failure does not depend on it.
    """

    def __init__(
        self,
        what: str,
        *,
        where: object = None,
        fix: str | None = None,
        kind: object = None,
        prompt: tuple[int, ...] | None = None,
    ) -> None:
        super().__init__(what, where=where, fix=fix)
        self.kind = kind
        self.prompt = prompt

    def __reduce__(self) -> tuple[object, ...]:
        """What another process gets: the text, without the type of an error that it may not know."""
        return type(self), (self.what,), {**self.__dict__, "kind": None}


class CheckpointError(HandcraftError):
    """A folder that cannot be read as a model, or cannot be written."""


class ProofError(HandcraftError):
    """A model about which nothing can be proved, or whose proof was required and not found."""


class GroundTruthError(HandcraftError):
    """A model of which no ground truth of the kind that was asked for is known."""


class ConformanceError(HandcraftError):
    """A pack of known answers, or an engine to be tried with one, cannot be used."""


class DrawError(HandcraftError):
    """A picture that cannot be made."""


class CommandError(HandcraftError):
    """A command line that is wrong, or names something that does not exist."""


class HandcraftWarning(UserWarning):
    """A program that is valid, but most likely not what was meant."""


def raise_all(problems: Sequence[HandcraftError]) -> None:
    """Raise what was collected: nothing, the one problem, or all of them together."""
    if len(problems) == 1:
        raise problems[0]
    if problems:
        raise SeveralErrors(problems)
