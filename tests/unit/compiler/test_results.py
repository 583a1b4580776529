"""What people do with a result: trace it under names, verify it, save it, draw it, hand it nonsense."""

from __future__ import annotations

import re
import warnings

import numpy as np
import pytest

from handcraft import (
    HandcraftError,
    HandcraftWarning,
    Program,
    Prompts,
    compile_program,
    compile_sequences,
    complete,
    predict,
    read_checkpoint,
    select,
)
from handcraft.errors import DrawError, ModelError

AAB = Program("ab", 5, [predict("b").after("aa"), predict("a").otherwise()])
PROMPTS = Prompts("ab", context=5)


@pytest.fixture(scope="module")
def aab():
    return compile_program(AAB, architecture="block", positions="one-hot", tokens="one-hot")


@pytest.fixture(scope="module")
def values():
    return compile_sequences({"seen": select(PROMPTS.token, PROMPTS.token).count()})


def test_a_trace_names_heads_positions_and_dimensions(aab):
    trace = aab.trace("aab")
    assert trace.axes("h.0.attn.pattern") == (
        ("token.at(-1)",),
        ("0 a", "1 a", "2 b"),
        ("0 a", "1 a", "2 b"),
    )
    assert trace.axes("h.0.output")[1] == aab.layout.dimension_names
    assert trace.axes("logits")[1] == ("a", "b")
    assert "head token.at(-1)\n  0 a: 0 a 1\n  1 a: 0 a 1\n  2 b: 1 a 1" in trace.show(
        "h.0.attn.pattern"
    )


def test_the_channels_of_a_head_are_named(aab):
    shown = aab.trace("aab").show("h.0.attn.key")
    assert "head 1 back\n  0 a: position 0 " in shown


@pytest.mark.parametrize("architecture", ["block", "gpt2"])
def test_every_axis_of_every_intermediate_has_as_many_names_as_places(architecture):
    rules = "abc", 6, [predict("b").after("a.c"), predict("c").after("ba"), predict("a").otherwise()]
    trace = compile_program(Program(*rules), architecture=architecture).trace("abcb")
    for name, value in trace.items():
        assert tuple(map(len, trace.axes(name))) == value.shape, name
        assert trace.show(name).startswith(f"{name} {list(value.shape)}")


def test_a_model_without_a_layout_has_numbers_for_names(aab):
    trace = aab.model.trace("ab")
    assert trace.axes("h.0.output") == (("0 a", "1 b"), tuple(map(str, range(aab.layout.n_embd))))


def test_a_model_of_values_is_traced_verified_saved_and_drawn(values, tmp_path):
    assert values.trace("ab").axes("h.0.output")[1] == values.plan.layout.dimension_names
    assert values.verify().passed
    assert values.save(tmp_path / "seen").is_dir()
    values.draw(tmp_path / "seen.svg")
    assert "<svg" in (tmp_path / "seen.svg").read_text()


def test_a_result_verifies_saves_and_draws_itself(aab, tmp_path):
    assert aab.verify().passed
    assert read_checkpoint(aab.save(tmp_path / "aab")).model == aab.model
    assert "next token" in aab.draw().source
    aab.draw(tmp_path / "aab.dot")
    assert (tmp_path / "aab.dot").read_text() == aab.draw().source
    with pytest.raises(DrawError, match="has no known picture format"):
        aab.draw(tmp_path / "aab.jpeg")


def test_forward_takes_a_text_and_several_of_one_length(aab):
    model = aab.model
    assert np.array_equal(model.forward("aab"), model.forward([[0, 0, 1]]))
    assert np.array_equal(model.forward(["aab", "bba"]), model.forward([[0, 0, 1], [1, 1, 0]]))
    with pytest.raises(ModelError, match="of different lengths"):
        model.forward(["a", "ab"])


EXPRESSION = PROMPTS.token == "a"

NONSENSE = [
    (lambda c: compile_program("aab"), "parse_rules"),
    (lambda c: compile_program(None), "Program"),
    (lambda c: compile_program(Program), "Program("),
    (lambda c: compile_program(EXPRESSION), "compile_sequences"),
    (lambda c: compile_sequences(AAB), "compile_program"),
    (lambda c: compile_sequences(EXPRESSION), '{"name": expression}'),
    (lambda c: c.complete(5), "give a text"),
    (lambda c: c.complete([0, 0, 1]), "model.forward takes ids"),
    (lambda c: c.complete("aab", "5"), "a whole number"),
    (lambda c: complete(AAB, "aab"), "compile_program(program).complete"),
    (lambda c: c.trace([["a"]]), "give a text"),
    (lambda c: AAB.meaning(5), "give a text"),
    (lambda c: Prompts("ab ", 5), "for the word"),
    (lambda c: Prompts(5, 2), "name the tokens"),
]


@pytest.mark.parametrize(("call", "advice"), NONSENSE, ids=[a for _, a in NONSENSE])
def test_nonsense_is_an_error_that_says_what_would_do(aab, call, advice):
    with pytest.raises(HandcraftError, match=re.escape(advice)) as caught:
        call(aab)
    assert caught.value.fix


def test_a_text_that_outgrows_its_context_is_warned_of_once_where_that_matters(aab):
    prompts = Prompts("ab", context=5)
    rules = [predict("b").when(prompts.position >= 2), predict("a").otherwise()]
    compiled = compile_program(Program(prompts=prompts, rules=rules))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        aab.complete("aab", 20)  # rules that read the last tokens mean the same in a window
        compiled.complete("aab", 3)  # the last token is never read
    with pytest.warns(
        HandcraftWarning, match="has 6 tokens, but the model sees only the last 5"
    ) as told:
        compiled.complete("aab", 4)
    assert len(told) == 1


def test_a_result_and_its_folder_explain_a_weight_alike(aab, tmp_path):
    folder = read_checkpoint(aab.save(tmp_path / "aab"))
    for index in np.argwhere(aab.model.tensors["h.0.mlp.c_proj.weight"]).tolist():
        explained = aab.explain("h.0.mlp.c_proj.weight", *index)
        assert str(folder.explain("h.0.mlp.c_proj.weight", *index)) == str(explained)
        assert "predict b after aa" in explained.serves[0]
    with pytest.raises(ModelError, match="did you mean"):
        aab.explain("h.0.attn.c_prj.weight", 0, 0)
