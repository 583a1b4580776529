"""The ideal interpreter answers the same in float64 and as objects, together and one by one."""

from __future__ import annotations

from time import process_time
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from sweeps import sweep

from handcraft import Program, Prompts, compile_program, predict, select
from handcraft.circuits import exact_array, ideal_logits, ideal_next
from handcraft.circuits.ideal import ideal_stream
from handcraft.circuits.prefixes import Prefixes
from handcraft.errors import HandcraftError
from handcraft.testing import sequence_programs
from handcraft.verify.meant import ideal
from handcraft.verify.texts.contexts import every_context


@pytest.mark.filterwarnings("ignore::handcraft.errors.HandcraftWarning")
@settings(max_examples=sweep(30))
@given(st.data())
def test_random_circuits_agree_in_float64_and_as_objects_and_on_each_text_alone(data):
    program = data.draw(sequence_programs())
    try:
        circuits = compile_program(program, architecture="block").circuits
    except HandcraftError:
        reject()
    length, size = circuits.context, len(circuits.vocabulary)
    texts = np.random.default_rng(data.draw(st.integers(0, 99))).integers(0, size, (5, length))
    logits = ideal_logits(circuits, texts)
    with patch.object(exact_array, "EXACT_UP_TO", 1):
        assert ideal_logits(circuits, texts).tolist() == logits.tolist()
    alone = [ideal_logits(circuits, [text])[0].tolist() for text in texts]
    assert alone == logits.tolist()
    whole, small = ideal_stream(circuits, texts), data.draw(st.integers(1, 50))
    with patch("handcraft.circuits.prefixes.NUMBERS", small):
        again = ideal_stream(circuits, texts)
    assert {s: whole[s].tolist() for s in whole} == {s: again[s].tolist() for s in again}
    answers = ideal_next(circuits, texts)
    for row, column in np.ndindex(answers.shape):
        best = max(logits[row, column])
        winners = [i for i, logit in enumerate(logits[row, column]) if logit == best]
        assert winners == [answers[row, column]] or (len(winners) > 1 and answers[row, column] == -1)


def test_ideal_circuits_run_about_as_fast_as_the_model():
    prompts = Prompts("abcdef", context=5)
    often = select(prompts.token, prompts.token).count() >= 2
    rules = [predict("b").when(often), predict("a").otherwise()]
    made = compile_program(Program(prompts=prompts, rules=rules))
    start = process_time()
    batches = [*every_context(made.model, 5)]
    ran = process_time() - start
    meaning = ideal(made.circuits)
    start = process_time()
    for batch in batches:
        meaning(batch)
    took = process_time() - start
    assert took < 10 * ran, "it is about 1.5, and was 80 with an object for each number"


@given(st.lists(st.lists(st.integers(0, 2), min_size=4, max_size=4), min_size=1), st.booleans())
def test_a_prefix_sees_the_same_sources_in_every_text_that_begins_with_it(texts, causal):
    ids = np.array(texts)
    found = Prefixes.of_texts(ids, causal=causal)
    sources = {
        prefix: sources
        for seen in found.seen
        for prefix, sources in zip(
            range(seen.destinations.start, seen.destinations.stop), seen.sources.tolist(), strict=True
        )
    }
    assert [*sources] == [*range(len(found))]
    for row, text in enumerate(texts):
        for place in range(4):
            here = found.of[row, place]
            seen = text[: place + 1] if causal else text
            assert [found.tokens[i] for i in sources[here]] == seen
            assert [found.positions[i] for i in sources[here]] == [*range(len(seen))]
            assert (found.tokens[here], found.positions[here]) == (text[place], place)
    if causal:
        assert len(found) == len({tuple(text[: n + 1]) for text in texts for n in range(4)})
