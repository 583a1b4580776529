"""An example prompt to suggest if none was given."""

from __future__ import annotations

import os
from contextlib import suppress

from handcraft.circuits import Circuits
from handcraft.cli.input.expressions import Expressions
from handcraft.cli.input.sources import find
from handcraft.errors import HandcraftError
from handcraft.formats import read_checkpoint
from handcraft.language import Program, Prompts
from handcraft.language.regular.matching import Matching


def example_prompt(name: str) -> str | None:
    """One of the prompts that a program file says it writes after, as `starts`, or a short allowed one.

    Returns:
        None where any prompt would do, or where there is no such program.
    """
    with suppress(HandcraftError):
        if os.path.isdir(name):
            return _short_prompt(read_checkpoint(name).prompts(as_far_as_known=True))
        found = find(name)
        prompts = found.source.prompts if isinstance(found.source, Program | Expressions) else None
        return _start(found.file.get("starts"), found.source) or _short_prompt(prompts)
    return None


def _start(starts: object, source: Program | Circuits | Expressions) -> str | None:
    """One of the prompts that a program writes after, neither the shortest nor the longest."""
    if isinstance(starts, str) and not isinstance(source, Expressions):
        texts = [*Matching(starts, source.vocabulary, source.context).draw(source.context)]
        return source.vocabulary.text(texts[len(texts) // 2][0].tolist()) if texts else None
    if isinstance(starts, list | tuple) and starts:
        return str(starts[len(starts) // 2])
    return None


def _short_prompt(prompts: Prompts | None) -> str | None:
    """The shortest allowed prompt, where not all texts are."""
    if prompts is None or not prompts.refuses_some:
        return None
    return prompts.vocabulary.join(prompts.texts.begun(())[2]) or None
