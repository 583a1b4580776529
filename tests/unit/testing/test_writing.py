"""What a model writes against a plain function: right ones pass, and wrong ones are named."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from handcraft import Program, Prompts, compile_program, predict
from handcraft.errors import VocabularyError
from handcraft.model import Model, grow
from handcraft.testing import assert_writes
from handcraft.testing.writing import BATCH, prompts_of

AFTER = {"a": "b", "b": "c", "c": "a"}


def following(prompts: Prompts, table: dict[str, str]) -> Model:
    """A model that writes what follows the last token in a table."""
    rules = [predict(prompts.token.map(table)).otherwise()]
    return compile_program(Program(prompts=prompts, rules=rules), architecture="block").model


@pytest.fixture(scope="module")
def model():
    return following(Prompts("abc", context=6), AFTER)


def listed(model: Model, starts, longest: int = 6, every_up_to: int = 10_000, sample: int = 2_000,
           seed: int = 0) -> list[str]:  # fmt: skip
    rows = prompts_of(model, starts, longest, every_up_to=every_up_to, sample=sample, seed=seed)
    return [model.vocabulary.text(row) for each in rows for row in each]


def test_a_right_meaning_passes_on_every_prompt(model):
    assert assert_writes(model, lambda prompt: AFTER[prompt[-1]], ".*") == sum(
        3**n for n in range(1, 7)
    )
    assert assert_writes(model, lambda prompt: AFTER[prompt[-1]], "a*b", longest=4) == 4


def test_every_token_of_an_answer_counts(model):
    def meaning(prompt: str) -> str:
        return "abcabc"["abc".index(prompt[-1]) + 1 :][:3]

    assert assert_writes(model, meaning, "[ab]{1,4}") == 2 + 4 + 8 + 16
    with pytest.raises(AssertionError) as caught:
        assert_writes(model, lambda prompt: "bcb" if prompt == "ca" else meaning(prompt), ".{1,2}")
    assert str(caught.value) == (
        "1 of 9 answers are wrong; after 'cabc':\n  it should write  b\n  the model writes a"
    )


def test_answers_may_differ_in_length(model):
    right = {"a": "b", "b": "ca", "c": "abc"}
    wrong = {**right, "b": "cb"}
    assert assert_writes(model, lambda prompt: right[prompt[-1]], "[abc]{2,3}") == 9 + 27
    with pytest.raises(AssertionError) as caught:
        assert_writes(model, lambda prompt: wrong[prompt[-1]], "[abc]{2,3}")
    assert str(caught.value) == (
        "3 of 3 answers are wrong; after 'abc':\n  it should write  b\n  the model writes a"
    )


def test_one_wrong_prompt_is_found_and_named(model):
    wrong = "abca"
    with pytest.raises(AssertionError) as caught:
        assert_writes(model, lambda prompt: "a" if prompt == wrong else AFTER[prompt[-1]], ".*")
    assert str(caught.value) == (
        "1 of 81 answers are wrong; after 'abca':\n  it should write  a\n  the model writes b"
    )


def test_one_wrong_weight_is_found(model):
    tensors = {name: np.array(tensor) for name, tensor in model.tensors.items()}
    tensors["h.0.mlp.c_proj.weight"][:] *= -1
    with pytest.raises(AssertionError, match=r"answers are wrong; after '.':\n  it should write  ."):
        assert_writes(replace(model, tensors=tensors), lambda prompt: AFTER[prompt[-1]], ".*")


def test_prompts_beyond_the_first_batch_are_tried():
    model = following(Prompts("ab", context=13), {"a": "b", "b": "a"})
    last = "b" * 13
    assert BATCH < 2**13
    with pytest.raises(AssertionError, match=f"1 of {2**13 - BATCH} answers .* after '{last}'"):
        assert_writes(
            model, lambda prompt: "b" if prompt[-1] == "a" or prompt == last else "a", ".{13}"
        )


def test_words_are_written_with_blanks_between():
    model = following(Prompts("no yes", context=4), {"no": "yes", "yes": "no"})
    seen = []

    def meaning(prompt: str) -> str:
        seen.append(prompt)
        return "yes no" if prompt.split()[-1] == "no" else "no yes"

    assert assert_writes(model, meaning, "(yes )?no") == 2
    assert assert_writes(model, meaning, ["yes no yes"]) == 1
    assert seen == ["no", "yes no", "yes no yes"]
    with pytest.raises(AssertionError) as caught:
        assert_writes(model, lambda prompt: "yes yes", ["yes no"])
    assert str(caught.value) == (
        "1 of 1 answers are wrong; after 'yes no yes':\n  it should write  yes\n  the model writes no"
    )


def test_a_model_whose_tokens_have_other_ids_is_run_with_them(model):
    grown = grow(model, replace(model.shape, n_vocab=50), ids=[40, 7, 21])
    assert listed(grown, "ab?") == ["a", "ab"]
    assert assert_writes(grown, lambda prompt: AFTER[prompt[-1]], ".*") == 1092
    assert assert_writes(grown, lambda prompt: AFTER[prompt[-1]], ["ab", "c"]) == 2
    with pytest.raises(AssertionError, match="after 'b':\n  it should write  b\n  the model writes c"):
        assert_writes(grown, lambda prompt: "b", ["b"])


@pytest.mark.parametrize(
    ("meaning", "starts", "says"),
    [
        ("b", "x", "no prompt was tried"),
        ("b", [], "no prompt was tried"),
        ("", "a", "nothing should follow 'a', and a model always writes a token"),
        ("bcabca", ["aa"], "'aa' leaves no space for 6 tokens"),
        ("b", ["abcabca"], "'abcabca' leaves no space for 1 tokens"),
    ],
)
def test_what_cannot_be_tried_is_no_success(model, meaning, starts, says):
    with pytest.raises(AssertionError) as caught:
        assert_writes(model, lambda prompt: meaning, starts)
    assert str(caught.value) == says


def test_the_last_token_of_an_answer_needs_no_position(model):
    assert assert_writes(model, lambda prompt: "b", ["abcaba"]) == 1
    assert assert_writes(model, lambda prompt: "bcabc", ["aa"]) == 1


def test_a_prompt_or_a_meaning_outside_the_vocabulary_is_refused(model):
    with pytest.raises(VocabularyError):
        assert_writes(model, lambda prompt: "x", "a")
    with pytest.raises(VocabularyError):
        assert_writes(model, lambda prompt: "b", ["ax"])


def test_all_prompts_that_match_are_listed_where_they_are_few(model):
    assert listed(model, "a|b.", every_up_to=4) == ["a", "ba", "bb", "bc"]
    assert listed(model, "a*", longest=3) == ["a", "aa", "aaa"]


def test_others_are_drawn(model):
    found = listed(model, "a.*", every_up_to=3**5, sample=60)
    assert len(found) == 60
    assert all(text.startswith("a") for text in found)
    assert {len(text) for text in found} == {1, 2, 3, 4, 5, 6}
    assert found == listed(model, "a.*", every_up_to=3**5, sample=60)
    assert found != listed(model, "a.*", every_up_to=3**5, sample=60, seed=1)


def test_prompts_that_are_given_are_all_tried_by_their_lengths(model):
    starts = ["ab", "c", "ba", "c"]
    rows = list(prompts_of(model, iter(starts), 1, every_up_to=1, sample=1))
    assert [each.tolist() for each in rows] == [[[0, 1], [1, 0]], [[2], [2]]]
    assert assert_writes(model, lambda prompt: AFTER[prompt[-1]], iter(starts)) == 4
