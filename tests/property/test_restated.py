"""Expressions that are stated anew over a shorter context mean what they meant."""

from __future__ import annotations

import os

from hypothesis import given, reject, settings
from hypothesis import strategies as st

from handcraft import Prompts
from handcraft.errors import AssumptionError, HandcraftError
from handcraft.language.restated import with_context
from handcraft.testing import expressions

EXAMPLES = int(os.environ.get("HANDCRAFT_EXAMPLES", "60"))


@given(st.data())
@settings(max_examples=EXAMPLES, deadline=None)
def test_a_shorter_context_keeps_the_values_on_texts_that_fit(data):
    causal = data.draw(st.booleans())
    prompts = Prompts("ab", context=data.draw(st.integers(2, 9)), causal=causal)
    drawn = data.draw(expressions(prompts, depth=5))
    shorter = data.draw(st.integers(1, prompts.context))
    try:
        stated = with_context({"x": drawn}, shorter)["x"]
    except HandcraftError:
        reject()  # something rests on the context
    text = data.draw(st.lists(st.sampled_from("ab"), min_size=1, max_size=shorter))
    try:
        meant = drawn.trace(text)
    except AssumptionError:
        reject()
    assert stated.trace(text) == meant
    assert all(value in stated.domain for value in meant)
