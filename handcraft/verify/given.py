"""The prompts that a user gives, one per line, in place of those that would be tried."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from handcraft.circuits import Circuits
from handcraft.errors import HandcraftError, PromptError, raise_all
from handcraft.language import Program, Prompts
from handcraft.model import Model
from handcraft.verify.texts.batch import SAMPLE_ROWS, Ids, Part, Whole
from handcraft.vocabulary import Vocabulary


def given_parts(
    model: Model, source: Program | Circuits, lines: Iterable[str], prompts: Prompts | None
) -> Iterator[Part]:
    """The prompts of some lines as contexts."""
    reads_patterns = isinstance(source, Program) and source.has_only_patterns
    most = model.context if reads_patterns else source.context
    everywhere = isinstance(source, Circuits) and not source.causal
    for texts in read_prompts(lines, source.vocabulary, most, prompts):
        for start in range(0, len(texts), SAMPLE_ROWS):
            yield Whole(texts[start : start + SAMPLE_ROWS], everywhere)


def read_prompts(
    lines: Iterable[str], vocabulary: Vocabulary, most: int, prompts: Prompts | None
) -> list[Ids]:
    """The prompts of some lines, those of one length together, as places: [text, position].

    Empty lines are skipped. A prompt may have `most` tokens.

    Raises:
        PromptError, VocabularyError: a prompt is too long, unknown or not allowed; each with its line.
    """
    problems = list[HandcraftError]()
    found: dict[int, list[tuple[int, ...]]] = {}
    for number, line in enumerate(lines, 1):
        tokens = vocabulary.split(line.rstrip("\r\n"))
        if not tokens:
            continue
        try:
            ids = vocabulary.ids(tokens)
            if len(ids) > most:
                raise PromptError(
                    f"the prompt has {len(ids)} tokens; the limit is {most}",
                    fix=f"give at most {most} tokens a line",
                )
            if prompts is not None:
                prompts.check_allowed(tokens)
            found.setdefault(len(ids), []).append(ids)
        except HandcraftError as error:
            error.where = f"line {number}" + (f", {error.where}" if error.where else "")
            problems.append(error)
    raise_all(problems)
    if not found:
        raise PromptError("there is no prompt to check", fix="give one prompt per line")
    return [np.array(texts) for _, texts in sorted(found.items())]
