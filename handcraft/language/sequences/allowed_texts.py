"""The error for a prompt that is not allowed: which token is wrong, and what was expected there."""

from __future__ import annotations

from collections.abc import Sequence

from handcraft.errors import PromptError
from handcraft.language.regular.matching import Matching
from handcraft.vocabulary import shorten

SHOWN = 60
"""The most characters of an allowed prompt that is shown as an example."""


def refused_prompt(
    tokens: Sequence[str],
    texts: Matching,
    context: int,
    *,
    pattern: str | None,
    writes: int = 1,
    begun: int = 0,
) -> PromptError:
    """The error for a text that is not an allowed prompt.

    Args:
        tokens: the text.
        texts: the inputs: allowed prompts of which the program wrote nothing.
        context: the most tokens of an allowed prompt.
        pattern: what inputs match, as it was given; None where any does.
        writes: as of `Prompts`.
        begun: the length of the longest input that the text begins with; 0 if there is none, or if
            nothing may follow it.
    """
    vocabulary, bos = texts.vocabulary, texts.bos
    text = vocabulary.join(tokens)
    rules = [] if pattern is None else [f"match {pattern}"]
    rules += [] if bos is None else [f"begin with {bos!r} and contain it nowhere else"]
    most = "a token" if writes == 2 else f"up to {writes - 1} tokens"
    rules += [] if writes == 1 else [f"go on with {most} that the program writes"]
    allowed = f"allowed prompts {' and '.join(rules)}"
    long = f"allowed prompts have at most {context} tokens, and this one has {len(tokens)}"
    place, following, ending = texts.begun(tokens)
    example = vocabulary.join([*tokens[:place], *ending])
    end = _end_of_writing(tokens, begun, writes, bos)
    if begun and end >= place:
        others = tuple(token for token in vocabulary.tokens if token != bos)
        place, following, ending = end, others if tokens[end] == bos else (), ()
        example = vocabulary.join(tokens[:begun])
    if place == 0 and not following:
        return PromptError(f"no text of up to {texts.longest} tokens is an allowed prompt", fix=allowed)
    fix = f"{allowed}, for example {example!r}" if len(example) <= SHOWN else allowed
    if place == len(tokens):
        is_begun = f"{text!r} is only the beginning of an allowed prompt"
        return PromptError(is_begun if ending else f"{text!r} is not an allowed prompt", fix=fix)
    refused = f"{tokens[place]!r} is not allowed here; expected"
    if place == context:
        what = long
    elif not following:
        what = f"{refused} the end of the prompt"
    elif len(following) == 1:
        what = f"{refused} {following[0]!r}"
    else:
        what = f"{refused} one of {shorten(following)}"
    return PromptError(what, where=f"token {place + 1} of {text!r}", fix=fix)


def _end_of_writing(tokens: Sequence[str], begun: int, writes: int, bos: str | None) -> int:
    """How many tokens at first are an input and what could be written after it."""
    end = min(begun + writes - 1, len(tokens))
    return next((place for place in range(begun, end) if tokens[place] == bos), end)
