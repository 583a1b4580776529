"""Greedy and sampled text, within the context and sliding over it."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from handcraft import complete
from handcraft.architecture import BLOCK
from handcraft.errors import ModelError, VocabularyError
from handcraft.model import Model, Shape
from handcraft.vocabulary import Vocabulary


def with_logits(*logits, positions=1):
    """A model whose logits are `logits` at every position, whatever the tokens.

    The token embeddings are the unit vectors after a first dimension that nothing reads, so that
    the logits are wpe: a tied head would otherwise add an echo of the token.
    """
    size = len(logits)
    wte = np.eye(size)
    wpe = np.tile(np.array(logits, dtype=float), (positions, 1))
    shape = Shape(n_vocab=size, n_positions=positions, n_embd=size, n_head=1, n_inner=(0,))
    tensors = {name: np.zeros(sizes) for name, sizes in shape.tensors().items()}
    tensors |= {"wte.weight": wte, "wpe.weight": wpe}
    # One head that attends to itself alone where there is one position, and takes the echo away.
    tensors["h.0.attn.c_attn.weight"][:, 2 * size :] = np.eye(size)
    tensors["h.0.attn.c_proj.weight"] = -np.eye(size)
    tensors["h.0.attn.c_proj.bias"] = np.array(logits, dtype=float)
    return Model(BLOCK, shape, Vocabulary("abcdefgh"[:size]), tensors)


def sliding_argmax(model, ids, n):
    """What greedy completion means: run the last tokens, take the best, again."""
    text = list(ids)
    for _ in range(n):
        seen = text[-model.shape.n_positions :]
        text.append(int(model.forward([seen])[0, -1].argmax()))
    return model.vocabulary.text(text[len(ids) :])


def test_the_model_of_these_tests_has_the_logits_it_was_given():
    model = with_logits(1.0, -2.0, 0.5)
    for token in range(3):
        np.testing.assert_allclose(model.forward([[token]])[0, 0], [1.0, -2.0, 0.5], atol=1e-15)


@pytest.mark.parametrize("prompt", ["a", "bc", "cab", "abca", "ccccc", "abcabcabc"])
def test_complete_slides_over_the_context(random_model, shape, prompt):
    model = random_model(shape, seed=11)
    prompt = "".join(letter for letter in prompt if letter in model.vocabulary) or "a"
    expected = sliding_argmax(model, model.vocabulary.ids(prompt), 13)
    assert complete(model, prompt, 13) == expected


def test_a_prompt_may_be_tokens(small):
    assert complete(small, ("a", "b"), 7) == complete(small, "ab", 7)


def test_words_come_with_blanks_between_them(random_model):
    shape = Shape(n_vocab=3, n_positions=4, n_embd=4, n_head=1, n_inner=(0,))
    model = random_model(shape)
    model = Model(model.architecture, shape, Vocabulary("the cat sat"), model.tensors)
    words = complete(model, "the  cat", 6).split(" ")
    assert len(words) == 6
    assert set(words) <= {"the", "cat", "sat"}


@pytest.mark.parametrize("n", [0, 1, 2, 9])
def test_as_many_tokens_are_added_as_requested(small, n):
    assert len(complete(small, "ab", n)) == n


@pytest.mark.parametrize("settings", [{"temperature": 1.0}, {"temperature": 0.7, "top_k": 2}])
def test_a_seed_makes_sampling_repeatable(small, settings):
    once = [complete(small, "a", 5, seed=seed, **settings) for seed in range(30)]
    again = [complete(small, "a", 5, seed=seed, **settings) for seed in range(30)]
    assert once == again
    assert len(set(once)) > 1


def test_sampling_leaves_the_random_numbers_of_others_alone(small):
    state = np.random.get_state()[1].copy()
    complete(small, "a", 5, temperature=1.0, seed=3)
    complete(small, "a", 5, temperature=1.0)
    np.testing.assert_array_equal(np.random.get_state()[1], state)


def test_without_a_temperature_the_seed_does_not_matter(small):
    assert len({complete(small, "a", 9, seed=seed) for seed in range(5)}) == 1


def test_of_one_highest_logit_only_the_best_token_is_sampled(small):
    for seed in range(20):
        sampled = complete(small, "a", 9, temperature=3.0, top_k=1, seed=seed)
        assert sampled == complete(small, "a", 9)


def test_of_one_highest_logit_the_first_is_taken_where_two_tie():
    model = with_logits(0.0, 1.0, 1.0)
    assert complete(model, "a", 1) == "b"
    sampled = {complete(model, "a", 1, temperature=1.0, top_k=1, seed=seed) for seed in range(20)}
    assert sampled == {"b"}


def test_of_two_highest_logits_no_third_token_is_sampled_where_they_tie():
    model = with_logits(0.0, 1.0, 1.0, 1.0)
    sampled = {complete(model, "a", 1, temperature=1.0, top_k=2, seed=seed) for seed in range(60)}
    assert sampled == {"b", "c"}


def test_as_many_highest_logits_as_tokens_are_all_of_them(small):
    for seed in range(10):
        free = complete(small, "a", 9, temperature=1.0, seed=seed)
        assert complete(small, "a", 9, temperature=1.0, top_k=3, seed=seed) == free
        assert complete(small, "a", 9, temperature=1.0, top_k=99, seed=seed) == free


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("top_k", [None, 2])
def test_tokens_are_drawn_as_often_as_softmax_says(temperature, top_k):
    logits = np.array([0.3, 1.2, -0.4])
    model = with_logits(*logits)
    weights = np.exp(logits / temperature)
    if top_k == 2:
        weights[2] = 0
    expected = weights / weights.sum()
    draws = 2000
    seen = Counter(
        complete(model, "a", 1, temperature=temperature, top_k=top_k, seed=seed)
        for seed in range(draws)
    )
    for token, share in zip("abc", expected, strict=True):
        four_sigma = 4 * np.sqrt(draws * share * (1 - share))
        assert abs(seen[token] - draws * share) <= four_sigma


def test_the_next_draw_does_not_repeat_the_last():
    model = with_logits(0.0, 0.0, positions=64)
    flips = complete(model, "a", 63, temperature=1.0, seed=0)
    assert 15 < flips.count("a") < 48


@pytest.mark.parametrize("temperature", [1e-3, 1e-300, 1e-310])
def test_a_tiny_temperature_is_all_but_greedy(temperature):
    model = with_logits(900.0, 1000.0, 0.0)
    assert complete(model, "a", 3, temperature=temperature, seed=0) == "bbb"


def test_logits_far_apart_can_be_sampled(random_model):
    model = with_logits(-1e6, 1e6, 0.0)
    assert complete(model, "a", 3, temperature=1.0, seed=0) == "bbb"


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"n": -1}, "-1 tokens to add"),
        ({"temperature": -0.5}, "a temperature of -0.5"),
        ({"temperature": float("nan")}, "a temperature of nan"),
        ({"temperature": float("inf")}, "a temperature of inf"),
        ({"temperature": 1.0, "top_k": 0}, "the 0 highest logits"),
        ({"temperature": 1.0, "top_k": -3}, "the -3 highest logits"),
        ({"top_k": 0}, "the 0 highest logits"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(small, settings, what):
    with pytest.raises(ModelError) as caught:
        complete(small, "a", **{"n": 2, **settings})
    assert caught.value.what == what
    assert caught.value.fix


def test_a_negative_seed_is_refused(small):
    with pytest.raises(ModelError):
        complete(small, "a", 2, temperature=1.0, seed=-1)


@pytest.mark.parametrize("prompt", ["", (), []])
def test_an_empty_prompt_is_refused(small, prompt):
    with pytest.raises(ModelError) as caught:
        complete(small, prompt, 2)
    assert caught.value.what == "the prompt is empty"


def test_an_unknown_token_is_counted_from_1(small):
    with pytest.raises(VocabularyError) as caught:
        complete(small, "abXc", 2)
    assert caught.value.what == "'X' is not in the vocabulary"
    assert caught.value.where == "token 3 of 'abXc'"
    assert caught.value.fix == "use one of its 3 tokens: a b c"
