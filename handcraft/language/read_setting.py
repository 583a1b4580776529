"""What a program is made from: a vocabulary and a context length, or prompts that have both."""

from __future__ import annotations

from handcraft.errors import HandcraftError, LimitError, ProgramError
from handcraft.language.sequences import Prompts
from handcraft.origin import Place


def read_setting(
    vocabulary: object, context: object, prompts: object, place: Place
) -> tuple[Prompts, list[HandcraftError]]:
    """The prompts of a program, and what is wrong with its arguments.

    Args:
        vocabulary: as it was given, or None.
        context: as it was given, or None.
        prompts: in place of both, or None.
        place: where the program was written.
    """
    unknown = Prompts("?", 1, place=place)
    misplaced = isinstance(vocabulary, Prompts)
    if prompts is not None or misplaced:
        if isinstance(prompts, Prompts) and vocabulary is None and context is None:
            return prompts, []
        what = "a vocabulary or a context besides its prompts"
        what = f"{prompts!r} for prompts" if not isinstance(prompts, Prompts) else what
        problem = ProgramError(
            f"the program has {'prompts in place of a vocabulary' if misplaced else what}",
            where=place,
            fix="write Program(prompts=..., rules=[...])",
        )
        return unknown, [problem]
    if vocabulary is None:
        problem = ProgramError(
            "the program has no vocabulary",
            where=place,
            fix='write Program("ab", 5, [...]), or Program(prompts=..., rules=[...])',
        )
        return unknown, [problem]
    try:
        return Prompts(vocabulary, context, place=place), []  # type: ignore[arg-type]
    except LimitError:
        raise
    except HandcraftError as error:
        return unknown, [*getattr(error, "problems", (error,))]
