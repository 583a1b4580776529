"""What went wrong, where in the user's work, and the nearest fix: the one form of every error."""

from __future__ import annotations

from collections.abc import Sequence


class HandcraftError(Exception):
    """An error that speaks in three parts.

    Args:
        what: what is wrong, with the numbers that show it.
        where: the place in the user's program, file or command; omitted when there is only one.
        fix: the nearest thing that would make it right.
    """

    def __init__(self, what: str, *, where: object = None, fix: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.where = None if where is None else str(where)
        self.fix = fix

    def __str__(self) -> str:
        lines = [f"{type(self).__name__}: {self.what}"]
        if self.where is not None:
            lines.append(f"  where: {self.where}")
        if self.fix is not None:
            lines.append(f"  fix:   {self.fix}")
        return "\n".join(lines)


class SeveralErrors(HandcraftError):
    """All that is wrong at once, so that nobody mends a program one message at a time."""

    def __init__(self, problems: Sequence[HandcraftError]) -> None:
        super().__init__(f"{len(problems)} things are wrong")
        self.problems = tuple(problems)

    def __str__(self) -> str:
        return "\n".join(str(problem) for problem in self.problems)


class VocabularyError(HandcraftError):
    """A vocabulary that cannot be, or a token that is not in it."""


class ProgramError(HandcraftError):
    """A rule program that means nothing, or not one thing only."""


class DomainError(ProgramError):
    """An expression whose values do not fit what is done with them."""


class AssumptionError(ProgramError):
    """A text that breaks what a program assumes of its prompts."""


class PromptError(ProgramError):
    """A text that is no legal prompt of a program, so that nothing is promised of what follows it."""


class RuleSyntaxError(HandcraftError):
    """Text that is not a rule, a pattern or a rule file."""


class CircuitError(HandcraftError):
    """Circuits that do not fit together."""


class EncodingError(CircuitError):
    """A subspace cannot hold the value, or cannot be read in the way that was asked."""


class ArchitectureError(HandcraftError):
    """An architecture that is unknown or contradicts itself."""


class CompileError(HandcraftError):
    """A program that the chosen architecture cannot hold."""


class LayoutError(CompileError):
    """A residual stream or a head that is too small."""


class PrecisionError(CompileError):
    """A number that the chosen dtype cannot hold, or a gap too small for it."""


class ModelError(HandcraftError):
    """A prompt or a setting that a model cannot answer."""


class CheckpointError(HandcraftError):
    """A folder that cannot be read as a model, or cannot be written."""


class DrawError(HandcraftError):
    """A picture that cannot be made."""


class CommandError(HandcraftError):
    """A command line that asks for something that is not there."""


class HandcraftWarning(UserWarning):
    """Something legal that is most likely not what was meant."""


def raise_all(problems: Sequence[HandcraftError]) -> None:
    """Raise what was collected: nothing, the one problem, or all of them together."""
    if len(problems) == 1:
        raise problems[0]
    if problems:
        raise SeveralErrors(problems)
