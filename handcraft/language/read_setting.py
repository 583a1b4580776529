"""What a program is made from: a vocabulary and a context length, or prompts that have both."""

from __future__ import annotations

from handcraft.errors import HandcraftError, ProgramError
from handcraft.language.sequences import Prompts
from handcraft.limits import CONTEXT, VOCABULARY
from handcraft.origin import Place
from handcraft.vocabulary import Vocabulary


def read_setting(
    vocabulary: object, context: object, prompts: object, place: Place
) -> tuple[Vocabulary, int, list[HandcraftError]]:
    """The vocabulary and the context length of a program, and what is wrong with them.

    Args:
        vocabulary: as it was given, or None.
        context: as it was given, or None.
        prompts: in place of both, or None.
        place: where the program was written.
    """
    misplaced = isinstance(vocabulary, Prompts)
    if prompts is not None or misplaced:
        if isinstance(prompts, Prompts) and vocabulary is None and context is None:
            return prompts.vocabulary, prompts.context, []
        what = "a vocabulary or a context beside its prompts"
        what = f"{prompts!r} for prompts" if not isinstance(prompts, Prompts) else what
        problem = ProgramError(
            f"the program has {'prompts in the place of a vocabulary' if misplaced else what}",
            where=place,
            fix="write Program(prompts=..., rules=[...])",
        )
        return Vocabulary("?"), 1, [problem]
    problems: list[HandcraftError] = []
    known = Vocabulary("?")
    if vocabulary is None:
        problem = ProgramError(
            "the program has no vocabulary",
            where=place,
            fix='write Program("ab", 5, [...]), or Program(prompts=..., rules=[...])',
        )
        return known, 1, [problem]
    try:
        known = vocabulary if isinstance(vocabulary, Vocabulary) else Vocabulary(vocabulary)  # type: ignore[arg-type]
    except HandcraftError as error:
        error.where = error.where or str(place)
        problems.append(error)
    VOCABULARY.check(len(known), where=place)
    if isinstance(context, int) and not isinstance(context, bool) and context >= 1:
        CONTEXT.check(context, where=place)
        return known, context, problems
    problems.append(
        ProgramError(
            f"the context is {context!r}",
            where=place,
            fix="use a whole number of tokens, 1 or more",
        )
    )
    return known, 1, problems
