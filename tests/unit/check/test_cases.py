"""What is computed of sets of texts contains the logits of each of them."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from float32_steps import assert_inside
from hypothesis import given
from hypothesis import strategies as st
from random_layers import random_block, random_model, run, seeds

from handcraft_check.by_cases.cases import Entries, Runner
from handcraft_check.layers.model import Model


@pytest.mark.parametrize("made", [random_model, random_block])
@given(seeds, st.booleans())
def test_of_positions_with_several_alternatives(made, rng, is_ordered):
    config, tensors = made(rng)
    entries = Entries(config.n_layer, [])
    runner = Runner(Model(config, tensors), np.arange(config.vocab_size), entries)
    length = int(rng.integers(1, 5))
    sources = np.empty(0, dtype=np.int64)
    alternatives = []
    for position in range(length):
        most = min(config.vocab_size, 2)
        tokens = rng.permutation(config.vocab_size)[: rng.integers(1, most + 1)]
        alternatives.append(tokens)
        rows = np.tile(rng.permutation(sources), (len(tokens), 1))  # the order never matters
        ran = runner.run(tokens, position, rows)
        own = entries.decided(ran.numbers, tokens, position if is_ordered else None)
        sources = np.append(sources, entries.union(own.tolist(), None))
    for text in product(*(tokens.tolist() for tokens in alternatives)):
        row = alternatives[-1].tolist().index(text[-1])
        found = run(rng, config, tensors, np.array(text), int(rng.integers(2)))
        assert_inside(found, ran.logits[ran.kinds[row]])


@pytest.mark.parametrize("made", [random_model, random_block])
@given(seeds)
def test_of_texts_one_by_one(made, rng):
    config, tensors = made(rng)
    entries = Entries(config.n_layer, [])
    model = Model(config, tensors)
    runner = Runner(model, np.arange(config.vocab_size), entries)
    texts = rng.integers(0, config.vocab_size, size=(12, int(rng.integers(1, 5))))
    sources = np.empty((len(texts), 0), dtype=np.int64)
    for position, tokens in enumerate(texts.T):
        ran = runner.run(tokens, position, sources)
        own = entries.decided(ran.numbers, tokens, position)
        sources = np.column_stack([sources, own])
    for row, text in enumerate(texts):
        assert_inside(run(rng, config, tensors, text, 0), ran.logits[ran.kinds[row]])
