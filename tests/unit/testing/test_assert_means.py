"""`assert_means`: what is right passes, and what is wrong is named after the shortest prompt."""

from __future__ import annotations

import pickle
import traceback
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handcraft import BLOCK, Program, Prompts, compile_program, predict
from handcraft.errors import (
    AnswerError,
    AssumptionError,
    HandcraftError,
    ModelError,
    ProgramError,
    PromptError,
    VocabularyError,
)
from handcraft.language import parse_rules
from handcraft.proofs.plant import plant
from handcraft.testing import (
    Disagreement,
    assert_means,
    rule_programs,
    sequence_programs,
    thinnest_margin,
)
from handcraft.testing.profiles import profile

AAB = Program("ab", 5, [predict("b").after("aa"), predict("a").otherwise()])


def aab(prompt):
    return "b" if prompt.endswith("aa") else "a"


def answers(table, default="a", tokens="ab"):
    """A function from ids to logits, which answers as a function from text to token says."""

    def logits(ids):
        token = table("".join(tokens[i] for i in ids)) or default
        return [3.0 if token == each else 1.0 for each in tokens]

    return logits


@pytest.fixture(scope="module")
def model():
    return compile_program(AAB, architecture=BLOCK)


def test_a_right_model_passes_on_every_prompt(model):
    found = assert_means(model, AAB)
    assert (found.tried, found.is_all, found.thinnest.margin) == (62, True, 127)
    assert [(count.tried, count.failed) for count in found.counts] == [(15, 0), (47, 0)]
    assert assert_means(model, aab).tried == 62
    assert assert_means(model.model, aab, longest=3).tried == 14
    assert assert_means(model, model.circuits).tried == 62
    assert str(found).startswith("62 prompts (all), margin 127 after 'b': a before b (")


def test_a_disagreement_names_prompt_rule_line_runner_up_and_margin(model):
    tensors = {
        **model.model.tensors,
        "h.0.mlp.c_proj.weight": -model.model.tensors["h.0.mlp.c_proj.weight"],
    }
    with pytest.raises(Disagreement) as caught:
        assert_means(replace(model.model, tensors=tensors), AAB)
    error = caught.value
    assert (error.wrong.prompt, error.wrong.meant, error.wrong.answered) == ("aa", "b", "a")
    text = str(error)
    assert text.startswith("after 'aa' the model answers 'a', and 'b' is meant\n  where:  ")
    lines = Path(__file__).read_text().splitlines()
    line = next(i for i, each in enumerate(lines, 1) if each.startswith("AAB = "))
    assert f"test_assert_means.py:{line}:" in text
    assert "predict b after aa\n  margin: " in text
    assert "no shorter prompt fails" in text
    assert f"{error.failed} of 62 prompts (all there are)" in text
    assert "of 15 where predict b after aa decides" in text
    assert str(pickle.loads(pickle.dumps(error))) == text


@given(data=st.data())
@settings(max_examples=40)
def test_the_prompt_that_is_named_is_the_shortest_and_earliest_that_fails(data):
    """Also where only a few prompts are tried, and one that is found is shrunk."""
    texts = ["".join(text) for n in range(1, 7) for text in product("ab", repeat=n)]
    wrong = data.draw(st.sets(st.sampled_from(texts), min_size=1, max_size=6))
    model = answers(lambda text: "b" if text in wrong else "a")
    with pytest.raises(Disagreement) as caught:
        assert_means(model, lambda _: "a", vocabulary="ab", longest=6)
    assert caught.value.wrong.prompt == min(wrong, key=lambda text: (len(text), text))
    assert (caught.value.failed, caught.value.is_shortest) == (len(wrong), True)
    try:
        assert not assert_means(
            model, lambda _: "a", vocabulary="ab", longest=6, every_up_to=10, sample=120
        ).is_all
    except Disagreement as error:
        found = error.wrong.prompt
        caught_among_some = found in wrong and not error.is_all
    else:
        caught_among_some = all(len(text) > 4 for text in wrong)  # shorter ones are always tried
    assert caught_among_some


def test_a_long_prompt_that_fails_is_shrunk_to_what_matters():
    model = answers(lambda text: "b" if "bab" in text and text.count("a") > 2 else "a")
    with pytest.raises(Disagreement) as caught:
        assert_means(model, lambda _: "a", vocabulary="ab", longest=40)
    assert caught.value.wrong.prompt == "aabab"
    assert caught.value.is_shortest
    assert not caught.value.is_all


def test_one_planted_prompt_is_found_among_all():
    planted = plant(AAB, "abab")
    with pytest.raises(Disagreement, match="after 'abab' the model answers 'b'"):
        assert_means(planted.compiled, AAB)


@given(program=st.one_of(rule_programs(max_context=4), sequence_programs(max_context=3, depth=2)))
@settings(max_examples=15)
def test_every_compiled_program_means_itself(program):
    try:
        model = compile_program(program)
    except HandcraftError:
        return  # which other tests are about
    assert_means(model, program)


def test_prompts_can_be_given_in_every_form(model):
    assert assert_means(model, aab, "a+b?").tried == 9
    assert assert_means(model, aab, ["ab", "a", "aab", "a"]).tried == 3
    assert assert_means(model, aab, [["a", "b"]]).tried == 1
    assert assert_means(model, aab, Prompts("ab", context=2)).tried == 6
    assert assert_means(model, aab, st.text("ab", min_size=1, max_size=5)).tried > 20
    assert assert_means(model, AAB, "a{2}.*", longest=3).tried == 3


def test_a_strategy_finds_and_shrinks_what_fails(model):
    strategy = st.text("ab", min_size=1, max_size=5)
    with pytest.raises(Disagreement) as caught:
        assert_means(model, lambda prompt: "b" if prompt.endswith(("aa", "bab")) else "a", strategy)
    assert caught.value.wrong.prompt == "bab"
    assert f"{caught.value.failed} of" in str(caught.value)


def test_several_tokens_are_compared_one_by_one(model):
    def next_three(prompt):
        written = ""
        while len(written) < 3:
            written += aab(prompt + written)
        return written

    assert assert_means(model, next_three, longest=3).tried == 14 * 3
    with pytest.raises(Disagreement, match="after 'aba' the model answers 'a', and 'b' is meant"):
        assert_means(model, lambda prompt: "a" if prompt == "b" else "ab", ["ab", "b"])


def test_none_promises_nothing(model):
    assert assert_means(model, lambda prompt: aab(prompt) if len(prompt) > 1 else None).tried == 60
    with pytest.raises(PromptError, match="no prompt was tried"):
        assert_means(model, lambda prompt: None)
    with pytest.raises(PromptError, match="no prompt was tried"):
        assert_means(model, aab, "x")


def test_a_function_may_read_tokens():
    words = Program("the cat sat", 3, [predict("cat").after("the"), predict("the").otherwise()])
    model = compile_program(words)
    assert assert_means(model, lambda text: "cat" if text.split()[-1] == "the" else "the").tried == 39
    found = assert_means(model, lambda t: ["cat"] if t[-1] == "the" else ["the"], reads="tokens")
    assert found.tried == 39
    with pytest.raises(Disagreement, match="after 'the cat'"):
        assert_means(model, lambda t: "cat", ["the cat"], reads="tokens")


def test_a_margin_can_be_asked_for(model):
    assert assert_means(model, AAB, least_margin=127).thinnest.margin == 127
    with pytest.raises(Disagreement) as caught:
        assert_means(model, AAB, least_margin=127.5)
    assert str(caught.value).startswith("after 'b' the margin is 127, and 127.5 is asked for\n")


def test_a_tie_is_no_answer():
    with pytest.raises(
        Disagreement, match="after 'a' <lambda> has a tie of 'a', which is meant, and 'b'"
    ):
        assert_means(lambda ids: [1.0, 1.0], lambda _: "a", vocabulary="ab", longest=2)


def test_probabilities_are_compared():
    rules = [predict({"a": 0.25, "b": 0.75}).after("a"), predict("a").otherwise()]
    program = Program("ab", 2, rules)
    model = compile_program(program)
    assert assert_means(model, program).tried == 6
    other = Program("ab", 2, [predict({"a": 0.5, "b": 0.5}).after("a"), predict("a").otherwise()])
    with pytest.raises(Disagreement, match="after 'a' the model gives other probabilities") as caught:
        assert_means(model, other)
    assert "probabilities differ by 0.25" in str(caught.value)


def test_a_program_without_mask_is_compared_at_every_position():
    prompts = Prompts("ab", context=3, causal=False)
    program = Program(prompts=prompts, rules=[predict(prompts.token.at(1, default="a")).otherwise()])
    model = compile_program(program)
    assert assert_means(model, program).tried == 14
    other = Program(prompts=prompts, rules=[predict(prompts.token.at(1, default="b")).otherwise()])
    with pytest.raises(Disagreement, match="after 'a' the model answers 'a'"):
        assert_means(model, other)
    shifted = Program(prompts=prompts, rules=[predict(prompts.token.at(-1, default="a")).otherwise()])
    with pytest.raises(Disagreement, match="at position 0 of 'ab'"):
        assert_means(model, shifted)


def test_what_a_program_writes_itself_is_compared_too():
    prompts = Prompts("ab=", context=6, inputs="[ab]{2}=", writes=2)
    echo = Program(prompts=prompts, rules=[predict(prompts.token.at(-2, default="=")).otherwise()])
    model = compile_program(echo)
    assert assert_means(model, echo).tried == 8
    rest = predict(prompts.token.at(-2, default="=")).otherwise()
    wrong = Program(prompts=prompts, rules=[predict("a").after("=b"), rest])
    for every_up_to in (100, 1):
        with pytest.raises(Disagreement) as caught:
            assert_means(compile_program(wrong), echo, every_up_to=every_up_to, sample=40)
        assert caught.value.wrong.prompt == "bb=b"


def test_only_allowed_prompts_are_tried_and_shrunk_to():
    prompts = Prompts("ab=", context=30, inputs="[ab]{20,}=")
    program = Program(prompts=prompts, rules=[predict("a").otherwise()])
    model = answers(lambda text: "b" if "bb" in text else "a", tokens="ab=")
    with pytest.raises(Disagreement) as caught:
        assert_means(model, program, vocabulary="ab=")
    assert caught.value.wrong.prompt == "a" * 18 + "bb="


def test_rules_that_random_texts_never_reach_are_tried():
    letters = "abcdefghijklmnopqrstuvwxyz"
    program = Program(letters, 8, [predict("z").after("word"), predict("a").otherwise()])
    with pytest.raises(Disagreement) as caught:
        assert_means(answers(lambda text: "a", tokens=letters), program, vocabulary=letters)
    assert caught.value.wrong.prompt == "word"


@pytest.mark.parametrize("longest", [6, 40])
@pytest.mark.parametrize(
    ("model", "says"),
    [
        (lambda ids: 1.0, r"it returned \[1\] for 1 texts of 1 tokens"),
        (lambda ids: [1.0, 1 / (len(ids) - 3)], "it raised ZeroDivisionError: "),
        (lambda ids: [1.0, float("nan") if len(ids) > 2 else 0.0], "the logit of 'b' is nan"),
        (lambda ids: [1.0, float("inf") if len(ids) > 2 else 0.0], "the logit of 'b' is inf"),
        (lambda ids: [1.0] * (2 if len(ids) < 3 else 1), "it gives 1 logits, and 'b' has the id 1"),
        (lambda ids: [[[1.0, 0.0]]] if len(ids) > 2 else [1.0, 0.0], r"it returned \[1, 1, 1, 2\]"),
        (lambda ids: "a" if len(ids) > 2 else [1.0, 0.0], "is no logits"),
        (lambda ids: [1.0, 1.0][len(ids) - 4 :] if len(ids) > 2 else [1.0, 0.0], "it gives 1 logits"),
    ],
    ids=["a number", "crash", "nan", "inf", "few logits", "shape", "text", "varying"],
)
def test_a_model_that_fails_is_named_with_the_shortest_prompt(model, says, longest):
    with pytest.raises(AnswerError, match=says) as caught:
        assert_means(model, lambda _: "a", vocabulary="ab", longest=longest)
    assert caught.value.fix
    shortest = "a" if "1 texts of 1" in says else "aaa"
    assert f"after the prompt '{shortest}'" in str(caught.value)


def test_a_model_with_other_tokens_or_fewer_positions_is_refused(model):
    with pytest.raises(VocabularyError, match=r"(?s)the model has no token 'c'.*its 2 tokens: a b"):
        assert_means(model, Program("abc", 2, [predict("a").otherwise()]))
    long = Program("ab", 9, [predict("a").otherwise()])
    with pytest.raises(AnswerError, match="have up to 9 tokens, and the model reads 5") as caught:
        assert_means(model, long)
    assert "longest=5" in caught.value.fix
    constant = compile_program(long, architecture="block")
    assert assert_means(constant, long, longest=5).tried == 62
    with pytest.raises(AnswerError, match="have up to 6 tokens"):
        assert_means(model, aab, ["a", "aaaaaa"])


def test_a_model_may_have_more_tokens_and_other_ids():
    def logits(ids):
        return [0.0, 0.0, 3.0 if ids[-1] == 5 else 0.0, 0.0, 0.0, 1.0]

    vocabulary = {"a": 5, "b": 2, "other": 0}
    rules = Program("ab", 3, [predict("b").after("a"), predict("a").otherwise()])
    assert assert_means(logits, rules, vocabulary=vocabulary).tried == 14
    with pytest.raises(Disagreement, match="answers '<3>', and 'a' is meant"):
        assert_means(
            lambda ids: [0, 0, 0, 9, 0, 0], lambda _: "a", "a", vocabulary=vocabulary, longest=1
        )


def test_what_the_meaning_does_wrong_is_named(model):
    with pytest.raises(VocabularyError, match=r"(?s)'x' is not in the vocabulary.*said 'x' after 'a'"):
        assert_means(model, lambda prompt: "x")
    with pytest.raises(VocabularyError, match="'' is no token"):
        assert_means(model, lambda prompt: "")
    with pytest.raises(IndexError) as caught:
        assert_means(model, lambda prompt: prompt[3])
    assert caught.value.__notes__ == ["the meaning was called with the prompt 'a'"]
    with pytest.raises(VocabularyError, match="says of no prompt what should follow it"):
        assert_means(model, "ab")
    with pytest.raises(PromptError, match="nothing says how long prompts may be"):
        assert_means(lambda ids: [1.0, 0.0], aab, vocabulary="ab")


def test_what_the_prompts_do_wrong_is_named(model):
    with pytest.raises(ProgramError, match="not a regular expression") as caught:
        assert_means(model, aab, "a(")
    assert caught.value.where == "the third argument, which restricts the prompts"
    with pytest.raises(PromptError, match="up to 0 tokens have nothing to predict from"):
        assert_means(model, aab, longest=0)


def test_a_broken_assumption_is_reported():
    prompts = Prompts("ab", context=3)
    number = prompts.token.map({"a": 0, "b": 1}).assume([0])
    program = Program(prompts=prompts, rules=[predict(number.map({0: "a"})).otherwise()])
    with pytest.raises(AssumptionError):
        assert_means(lambda ids: [1.0, 0.0], program, vocabulary="ab")


def test_rules_read_from_text_are_named_with_their_line():
    program = parse_rules(
        "vocabulary a b\ncontext 3\npredict b after aa\npredict a otherwise\n", "my.rules"
    )
    with pytest.raises(Disagreement, match=r"my\.rules:3:1, predict b after aa"):
        assert_means(answers(lambda text: "a"), program, vocabulary="ab")


def test_the_same_prompts_are_tried_each_time():
    def tried(seed):
        seen = []
        assert_means(
            lambda ids: seen.append(tuple(ids)) or np.array([1.0, 0.0]),
            lambda _: "a",
            vocabulary="ab",
            longest=30,
            seed=seed,
        )
        return seen

    assert tried(0) == tried(0) != tried(1)


def test_a_sample_is_as_large_as_the_profile_says():
    """Half of it are all of the shortest prompts; few of the others are drawn twice."""
    found = assert_means(lambda ids: [1.0, 0.0, 0.0], lambda _: "a", vocabulary="abc", longest=30)
    assert 0.8 * profile().sample < found.tried <= profile().sample


def test_no_frame_of_ours_is_between_the_reader_and_an_error():
    def crash(ids):
        raise ValueError("in the model")

    for error, arguments in ((AnswerError, {"longest": 3}), (PromptError, {})):
        with pytest.raises(error) as caught:
            assert_means(crash, lambda _: "a", vocabulary="ab", **arguments)
        assert [entry.name for entry in caught.traceback[1:]] == ["assert_means"]
    with pytest.raises(AnswerError) as caught:
        thinnest_margin(crash, lambda _: "a", vocabulary="ab", longest=3)
    assert isinstance(caught.value.__cause__, ValueError)
    assert traceback.extract_tb(caught.value.__cause__.__traceback__)[-1].name == "crash"


@pytest.mark.parametrize("meant", [AAB, AAB.meaning])
@pytest.mark.parametrize("kind", ["compiled", "model", "folder", "weights"])
def test_exchanged_arguments_are_said_to_be(meant, kind, tmp_path):
    made = compile_program(AAB)
    model = {
        "compiled": made,
        "model": made.model,
        "folder": str(made.save(tmp_path / "aab")),
        "weights": dict(made.model.tensors),
    }[kind]
    with pytest.raises(ModelError, match="the second argument is a model") as refused:
        assert_means(meant, model)
    assert refused.value.fix == "exchange the arguments: first the model, then what it is to answer"
    with pytest.raises(ModelError) as refused:
        assert_means(made, model)
    assert "a function from a prompt" in refused.value.fix
