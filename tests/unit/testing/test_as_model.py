"""Anything that answers as a model under test: what is read, and what is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from handcraft import (
    BLOCK,
    Program,
    Prompts,
    Vocabulary,
    compile_program,
    compile_sequences,
    predict,
    read_checkpoint,
    save,
)
from handcraft.architecture import llama
from handcraft.errors import AnswerError, CheckpointError, ModelError, VocabularyError
from handcraft.model import Model
from handcraft.testing import Answering, Caching, as_model, assert_means
from handcraft.testing.models.checked import CheckedModel

ROOT = Path(__file__).parents[3]
AAB = Program("ab", 5, [predict("b").after("aa"), predict("a").otherwise()])
HAND = json.loads((ROOT / "tests" / "golden" / "by_hand.json").read_text(encoding="utf-8"))


@pytest.fixture
def by_hand():
    """The worked example's own matrices."""
    attention = {
        f"h.0.attn.{name}.{part}": np.array(HAND[name][part[0]], dtype=np.float32)
        for name in ("c_attn", "c_proj")
        for part in ("weight", "bias")
    }
    return {"wte.weight": np.array(HAND["wte"]), "wpe.weight": np.array(HAND["wpe"]), **attention}


@pytest.fixture(scope="module")
def compiled():
    return compile_program(AAB, architecture=BLOCK)


def test_our_own_models_are_read_in_every_form(compiled, tmp_path):
    save(compiled, tmp_path / "aab")
    for thing in (AAB, compiled, compiled.model, tmp_path / "aab", str(tmp_path / "aab"),
                  read_checkpoint(tmp_path / "aab")):  # fmt: skip
        model = as_model(thing)
        assert isinstance(model, Caching)
        assert as_model(model) is model
        assert assert_means(thing, AAB).tried == 62


def test_a_folder_means_its_own_prompts(tmp_path):
    program = Program("ab", 3, [predict("b").otherwise()])
    save(compile_program(program), tmp_path / "b", format="huggingface")
    assert as_model(tmp_path / "b").positions == 1024
    assert assert_means(tmp_path / "b", lambda _: "b").tried == 14


def test_the_worked_example_is_read_from_its_matrices(by_hand):
    model = as_model(by_hand, vocabulary="ab")
    assert model.positions == 5
    assert model.model.dtype == np.float64
    means = lambda text: "b" if text[-2:] in ("aa", "a") else "a"  # noqa: E731
    assert assert_means(model, means).tried == 62
    named = as_model(by_hand, vocabulary="xy", name="by hand")
    assert (named.name, named.vocabulary.tokens) == ("by hand", ("x", "y"))


def test_biases_may_be_left_out_and_nothing_else(by_hand):
    del by_hand["h.0.attn.c_attn.bias"]
    assert as_model(by_hand, vocabulary="ab").model.tensors["h.0.attn.c_attn.bias"].shape == (24,)
    without = {name: array for name, array in by_hand.items() if "c_attn" not in name}
    with pytest.raises(ModelError, match=r"it lacks h\.0\.attn\.c_attn\.weight"):
        as_model(without, vocabulary="ab")


@pytest.mark.parametrize(
    ("change", "says", "fix"),
    [
        ({"wpe.weight": None}, "there is no matrix 'wpe.weight'", "give wte.weight"),
        (
            {"h.0.attn.c_fc": np.zeros(2)},
            r"it has h\.0\.attn\.c_fc, which are unknown",
            "as GPT-2 does",
        ),
        ({"h.0.attn.c_proj.weight": np.zeros((8, 7))}, r"is \[8, 7\], and \[8, 8\]", r"\[8, 8\]"),
        ({"h.0.attn.c_attn.weight": np.zeros((24, 8))}, r"is \[24, 8\]", r"matrices are \[in, out\]"),
        ({"wte.weight": np.zeros((1, 8))}, "has 1 rows, and the vocabulary 2 tokens", "a row for each"),
    ],
)
def test_weights_that_make_no_model_are_refused(by_hand, change, says, fix):
    by_hand |= change
    weights = {name: array for name, array in by_hand.items() if array is not None}
    with pytest.raises(ModelError, match=says) as caught:
        as_model(weights, vocabulary="ab")
    assert caught.match(fix)


def test_heads_are_asked_for_because_shapes_do_not_tell(by_hand):
    assert as_model(by_hand, vocabulary="ab", heads=2).model.shape.n_head == 2
    with pytest.raises(ModelError, match="3 heads of 8 dimensions"):
        as_model(by_hand, vocabulary="ab", heads=3)


def test_weights_with_layer_norm_are_a_gpt2():
    compiled = compile_program(AAB)
    weights = {name: np.array(tensor) for name, tensor in compiled.model.tensors.items()}
    model = as_model(weights, vocabulary=compiled.model.vocabulary, heads=compiled.model.shape.n_head)
    assert model.model == compiled.model


def test_weights_of_a_llama_need_a_model_that_says_what_it_computes():
    compiled = compile_program(AAB, architecture="llama")
    weights = {name: np.array(tensor) for name, tensor in compiled.model.tensors.items()}
    for prefix in ("", "model."):
        named = {f"{prefix}{name}": tensor for name, tensor in weights.items()}
        with pytest.raises(ModelError, match="do not say by which angles") as caught:
            as_model(named, vocabulary="ab", heads=compiled.model.shape.n_head)
        assert "give like= a Llama" in caught.value.fix
    assert assert_means(as_model(weights, like=compiled), AAB).tried == 62
    made = Model(llama(theta=10_000), compiled.model.shape, Vocabulary("ab"), weights)
    assert as_model(made).model == compiled.model


def test_some_weights_of_a_model_are_replaced(compiled):
    name = "h.0.mlp.c_proj.weight"
    changed = as_model({name: -compiled.model.tensors[name]}, like=compiled)
    assert not np.array_equal(changed.model.tensors[name], compiled.model.tensors[name])
    with pytest.raises(AssertionError):
        assert_means(changed, AAB)
    assert_means(as_model({}, like=compiled.model), AAB, longest=5)
    with pytest.raises(ModelError, match=r"the model has no tensor h\.9"):
        as_model({"h.9": np.zeros(1)}, like=compiled)
    with pytest.raises(ModelError, match="is expected"):
        as_model({name: np.zeros(1)}, like=compiled)


@pytest.mark.parametrize("reads", ["ids", "tokens", "text"])
def test_a_function_reads_ids_tokens_or_text(reads):
    seen = []

    def answer(prompt):
        seen.append(prompt)
        return [0.0, 1.0, 0.0]

    model = as_model(answer, vocabulary="the cat sat", reads=reads)
    assert model.name == "answer"
    assert model.logits(np.array([[0, 1]])).tolist() == [[[0.0, 1.0, 0.0]]]
    assert seen == [{"ids": [0, 1], "tokens": ["the", "cat"], "text": "the cat"}[reads]]


def test_a_function_may_answer_at_every_position_or_by_token():
    every = as_model(lambda ids: np.eye(2)[ids], vocabulary="ab")
    assert assert_means(every, lambda prompt: prompt[-1], longest=4).tried == 30
    by_token = as_model(lambda text: {text[-1]: 2}, vocabulary={"a": 3, "b": 1}, reads="text")
    found = assert_means(by_token, lambda prompt: prompt[-1], longest=4)
    assert (found.tried, found.thinnest.margin) == (30, float("inf"))
    with pytest.raises(VocabularyError, match="'x' is not in the vocabulary"):
        assert_means(lambda _: {"x": 1.0}, lambda _: "a", vocabulary="ab", longest=1)


def test_anything_with_the_four_names_is_a_model():
    class Mine:
        name = "mine"
        vocabulary = Vocabulary("ab")
        positions = None

        def logits(self, ids):
            return np.eye(2)[ids[:, -1:]]

    mine = Mine()
    assert isinstance(mine, Answering)
    assert not isinstance(mine, Caching)
    assert assert_means(mine, lambda prompt: prompt[-1], longest=3).tried == 14


def test_tokens_are_renamed_by_their_ids(compiled):
    renamed = as_model(compiled, vocabulary={"y": 1, "x": 0})
    found = assert_means(renamed, lambda prompt: "y" if prompt.endswith("xx") else "x", longest=4)
    assert found.tried == 30
    with pytest.raises(VocabularyError, match="'z' has the id 2, and the model has 2 tokens"):
        as_model(compiled, vocabulary="xyz")


def test_what_has_no_tokens_or_no_answers_is_refused(tmp_path):
    save(compile_sequences({"token": Prompts("ab", context=3).token}), tmp_path / "values")
    for values in (tmp_path / "values", read_checkpoint(tmp_path / "values")):
        with pytest.raises(ModelError, match="computes values and predicts no tokens"):
            assert_means(values, AAB)
    with pytest.raises(VocabularyError, match="a function does not say which tokens it has"):
        as_model(lambda ids: [1.0])
    with pytest.raises(VocabularyError, match="the weights do not say which tokens"):
        as_model({"wte.weight": np.zeros((2, 2)), "wpe.weight": np.zeros((2, 2))})
    with pytest.raises(ModelError, match="int gives no logits"):
        as_model(3, vocabulary="ab")
    with pytest.raises(ModelError, match="the class Program gives no logits"):
        as_model(Program, vocabulary="ab")
    with pytest.raises(CheckpointError):
        as_model(tmp_path / "none")
    with pytest.raises(CheckpointError):
        as_model(tmp_path)


def test_columns_are_the_tokens_asked_for_and_then_all_other_ids():
    model = as_model(lambda ids: [10.0, 11.0, 12.0, 13.0], vocabulary={"a": 2, "b": 0, "c": 3})
    subject = CheckedModel.of(model, ["c", "b"])
    assert subject.logits(np.array([[0]])).tolist() == [[[13.0, 10.0, 11.0, 12.0]]]
    assert [subject.token(column) for column in range(4)] == ["c", "b", "<1>", "a"]
    assert subject.in_ids(np.array([[0, 1]])).tolist() == [[3, 0]]


def test_a_model_that_runs_one_text_at_a_time_only_is_named_as_such():
    class One:
        name, vocabulary, positions = "one", Vocabulary("ab"), None

        def logits(self, ids):
            if len(ids) > 1:
                raise RuntimeError("too many")
            return np.eye(2)[ids]

    with pytest.raises(AnswerError, match=r"(?s)RuntimeError: too many.*3 texts at once"):
        assert_means(One(), lambda prompt: prompt[-1], "..", longest=2)


def test_neither_torch_nor_transformers_is_imported_for_what_is_not_of_them(compiled, tmp_path):
    save(compiled, tmp_path / "aab")
    code = (
        "import sys; from handcraft.testing import as_model, assert_means\n"
        f"assert_means({str(tmp_path / 'aab')!r}, lambda p: 'b' if p.endswith('aa') else 'a')\n"
        "assert_means(lambda ids: [1, 0], lambda p: 'a', vocabulary='ab', longest=2)\n"
        "assert not {'torch', 'transformers', 'hypothesis', 'pytest'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
