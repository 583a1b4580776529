"""Allowed prompts as a Hypothesis strategy, which shrinks to short prompts of early tokens."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from handcraft.compiler import Compiled
from handcraft.formats import Checkpoint
from handcraft.language import Program, Prompts
from handcraft.language.regular.matching import Matching
from handcraft.language.regular.token_table import FIRST
from handcraft.testing.means.trials import LONGEST
from handcraft.testing.models.answering import Answering
from handcraft.testing.models.as_model import Tokens, as_model, prompts_of
from handcraft.testing.models.of_handcraft import OfHandcraft
from handcraft.testing.rule_cases import RuleCase
from handcraft.verify.texts.allowed import inputs_of, is_restricted
from handcraft.verify.texts.named import Window, named_by
from handcraft.vocabulary import Vocabulary

if TYPE_CHECKING:
    from hypothesis import strategies as st

    Text = st.SearchStrategy[str]
    Places = st.SearchStrategy[tuple[int, ...]]


def prompts(of: object, *, vocabulary: Tokens | None = None, longest: int | None = None) -> Text:
    """A strategy of prompts, as text, for ``@given``.

    For a program, a compiled model, or `Prompts`, it makes the allowed prompts; for a rule of
    `parametrize`, the prompts after which this rule decides; for any other model, all texts over its
    tokens. Tokens for which rules search occur often. Prompts that fail shrink to short ones, and to
    those that use the first tokens of the vocabulary.

    Args:
        of: a `Program`, `Prompts`, rule, or anything that `as_model` takes.
        vocabulary: the tokens of a model that does not state them.
        longest: the most tokens of a prompt.

    >>> from handcraft import Prompts
    >>> from hypothesis import find
    >>> find(prompts(Prompts("ab=", context=9, inputs="[ab]+=")), lambda prompt: "b" in prompt)
    'b='
    """
    from hypothesis import strategies as st

    if isinstance(of, RuleCase):
        return st.sampled_from(of.prompts)
    source = of.source if isinstance(of, Compiled | Checkpoint) else of
    program = source if isinstance(source, Program) else None
    if isinstance(of, Compiled | Checkpoint):
        known = prompts_of(of)
    elif program is not None:
        known = program.prompts
    elif isinstance(of, Prompts):
        known = of
    else:
        known = _of_model(as_model(of, vocabulary=vocabulary), longest)
    most = known.longest_input if longest is None else min(longest, known.longest_input)
    inputs = inputs_strategy(known, most, program)
    if program is not None and known.writes > 1:
        inputs = _continued(inputs, program)
    tokens = known.vocabulary.tokens
    return inputs.map(lambda places: known.vocabulary.join(tokens[place] for place in places))


def _of_model(model: Answering, longest: int | None) -> Prompts:
    if isinstance(model, OfHandcraft) and model.prompts is not None:
        return model.prompts
    most = longest or min(model.positions or LONGEST, LONGEST)
    return Prompts(Vocabulary(model.vocabulary.tokens), most)


def inputs_strategy(known: Prompts, longest: int, program: Program | None = None) -> Places:
    """Allowed prompts of which nothing is written, as places in the vocabulary.

    Args:
        known: which prompts are allowed.
        longest: the most tokens of a prompt.
        program: whose rules should fire; None if there is none.
    """
    from hypothesis import strategies as st

    matching = inputs_of(known)
    if matching is None:
        assert known.inputs is not None
        assert not isinstance(known.inputs, str)
        return known.inputs.map(lambda text: _places(text, known)).filter(
            lambda places: 0 < len(places) <= longest
        )
    if is_restricted(known):
        return _matching(replace(matching, longest=longest))
    size = len(known.vocabulary)
    plain = st.lists(st.integers(0, size - 1), min_size=1, max_size=longest).map(tuple)
    windows = () if program is None else named_by(program).windows
    fitting = [window for window in windows if len(window.classes) <= longest]
    if not fitting:
        return plain
    return st.one_of(plain, _with_window(tuple(fitting), size, longest))


def _places(text: Any, known: Prompts) -> tuple[int, ...]:
    """What a strategy of one's own makes, as places; with the first token that every prompt has."""
    tokens = known.vocabulary.split(text) if isinstance(text, str) else tuple(text)
    if known.bos is not None and tokens[:1] != (known.bos,):
        tokens = (known.bos, *(token for token in tokens if token != known.bos))
    return known.vocabulary.ids(tokens)


def _matching(matching: Matching) -> Places:
    """The texts that a regular expression matches, one token after the other."""
    from hypothesis import strategies as st

    goes_on = st.sampled_from((False, *[True] * matching.longest))
    place_of = {token: place for place, token in enumerate(matching.vocabulary.tokens)}

    @cache
    def steps(node: int, length: int) -> tuple[dict[str, int], st.SearchStrategy[str]]:
        following = matching.continued(node, length)  # the first are nearest to the end of a match
        return following, st.sampled_from(sorted(following, key=lambda t: matching.far(following[t])))

    @st.composite
    def texts(draw: st.DrawFn) -> tuple[int, ...]:
        node, text = FIRST, list[int]()
        while following := steps(node, len(text))[0]:
            if text and matching.table.final[node] and not draw(goes_on):
                break
            token = draw(steps(node, len(text))[1])
            node = following[token]
            text.append(place_of[token])
        return tuple(text)

    return texts()


def _with_window(windows: tuple[Window, ...], size: int, longest: int) -> Places:
    """Texts that contain what a rule searches for."""
    from hypothesis import strategies as st

    token = st.integers(0, size - 1)
    one_of = cache(lambda classes: st.sampled_from(sorted(classes)) if classes else token)
    some = cache(lambda most: st.lists(token, max_size=most))

    @st.composite
    def texts(draw: st.DrawFn) -> tuple[int, ...]:
        window = draw(st.sampled_from(windows))
        room = longest - len(window.classes)
        before = [] if window.anchored else draw(some(room))
        inside = [draw(one_of(classes)) for classes in window.classes]
        after = draw(some(room - len(before)))
        return (*before, *inside, *after)

    return texts()


def _continued(inputs: Places, program: Program) -> Places:
    """The same, each with some of what the program writes after it."""
    from hypothesis import strategies as st

    known = program.prompts

    @st.composite
    def texts(draw: st.DrawFn) -> tuple[int, ...]:
        text = draw(inputs)
        for _ in range(draw(st.integers(0, known.writes - 1))):
            longer = (*text, program.next_token(text))
            row = np.array([longer], dtype=np.int64)
            if not known.allowed(row)[0] or known.inputs_among(row)[0]:
                break
            text = longer
        return text

    return texts()
