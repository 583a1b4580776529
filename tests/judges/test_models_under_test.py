"""Models of torch and transformers under test: read, compared, and caught where they are wrong."""

from __future__ import annotations

import inspect
from types import SimpleNamespace
from unittest import TestCase

import numpy as np
import pytest
from judges import gpt2_in_memory, judge

from handcraft import Program, compile_program, predict, save
from handcraft.errors import AnswerError, VocabularyError
from handcraft.testing import Disagreement, as_model, assert_means, cache_machine
from handcraft.testing.cache_against_full import Reading
from handcraft.testing.models.checked import CheckedModel
from handcraft.testing.models.of_transformers import OfTransformers

torch = judge("torch")
transformers = judge("transformers")

AAB = Program("ab", 5, [predict("b").after("aa"), predict("a").otherwise()])


@pytest.fixture(scope="module")
def compiled():
    return compile_program(AAB)


@pytest.fixture(scope="module")
def gpt2(compiled):
    return gpt2_in_memory(compiled)


def of_next(table):
    """A torch module that predicts what a table says after the last token."""

    class Next(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.logits_of = torch.nn.Parameter(torch.tensor(table))

        def forward(self, ids):
            return self.logits_of[ids]

    return Next()


def test_a_model_of_transformers_means_what_its_program_means(gpt2):
    found = assert_means(gpt2, AAB, vocabulary="ab")
    assert (found.tried, found.is_all) == (62, True)
    assert as_model(gpt2, vocabulary="ab").positions == 1024


def test_a_changed_weight_is_found_and_the_rule_is_named(compiled):
    model = gpt2_in_memory(compiled)
    with torch.no_grad():
        model.transformer.h[0].mlp.c_proj.weight.mul_(-1)
    with pytest.raises(Disagreement) as caught:
        assert_means(model, AAB, vocabulary="ab")
    assert caught.value.is_shortest
    assert "predict b after aa" in str(caught.value)
    assert f"{__file__.rpartition('/')[2]}:" in str(caught.value)


def test_a_folder_is_read_without_transformers_if_it_has_a_gpt2(compiled, tmp_path):
    save(compiled, tmp_path / "aab", format="huggingface")
    (tmp_path / "aab" / "handcraft.json").unlink()
    model = as_model(tmp_path / "aab")
    assert not isinstance(model, OfTransformers)
    assert assert_means(model, AAB).tried == 62


def test_another_architecture_is_read_by_transformers(tmp_path):
    torch.manual_seed(0)
    sizes = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = transformers.LlamaConfig(vocab_size=3, max_position_embeddings=6, **sizes)
    transformers.LlamaForCausalLM(config).save_pretrained(tmp_path / "llama")
    model = as_model(tmp_path / "llama", vocabulary="abc")
    assert isinstance(model, OfTransformers)
    assert model.positions == 6
    assert model.logits(np.array([[0, 1, 2]])).shape == (1, 3, 3)
    assert as_model(tmp_path / "llama").vocabulary.tokens == ("#0", "#1", "#2")
    machine = cache_machine(model, longest=6)
    machine.TestCase("runTest").runTest()


def test_a_torch_module_is_run_as_it_will_be_used():
    dropped = torch.nn.Sequential(of_next([[9.0, 0.0], [0.0, 9.0]]), torch.nn.Dropout(0.9))
    dropped[0].eval()
    assert_means(dropped, lambda prompt: prompt[-1], vocabulary="ab", longest=4)
    assert [part.training for part in dropped.modules()] == [True, False, True]


def test_an_object_with_logits_and_a_tuple_are_read():
    class Wrapped(torch.nn.Module):
        def __init__(self, wrap):
            super().__init__()
            self.inner, self.wrap = of_next([[9.0, 0.0], [0.0, 9.0]]), wrap

        def forward(self, ids):
            return self.wrap(self.inner(ids))

    for wrap in (lambda t: SimpleNamespace(logits=t), lambda t: (t, None), lambda t: t.bfloat16()):
        found = assert_means(Wrapped(wrap), lambda prompt: prompt[-1], vocabulary="ab", longest=3)
        assert found.tried == 14


def test_a_module_that_fails_names_the_shortest_prompt():
    module = of_next([[9.0, 0.0], [0.0, float("nan")]])
    with pytest.raises(AnswerError, match=r"(?s)the logit of 'b' is nan.*after the prompt 'b'"):
        assert_means(module, lambda prompt: "a", vocabulary="ab", longest=30)
    with pytest.raises(AnswerError, match=r"(?s)IndexError.*after the prompt 'c'"):
        assert_means(
            of_next([[9.0, 0.0, 0.0], [0.0, 9.0, 0.0]]),
            lambda prompt: prompt[-1],
            vocabulary="abc",
            longest=30,
        )
    with pytest.raises(VocabularyError, match="a torch module does not say which tokens it has"):
        assert_means(module, AAB)


def test_past_key_values_agree_with_a_full_run(gpt2):
    machine = cache_machine(gpt2, vocabulary="ab")
    assert issubclass(machine.TestCase, TestCase)
    machine.TestCase("runTest").runTest()


def test_texts_are_forgotten_and_picked(gpt2):
    subject = CheckedModel.of(as_model(gpt2, vocabulary="ab"))
    reading = Reading(subject, 2, 1e-4)
    reading.pick(np.array([1, 1, 0]))
    reading.extend(np.array([[0, 1], [0, 0], [1, 0]]))
    reading.truncate(1)
    reading.extend(np.array([[0], [1], [1]]))
    reading.pick(np.array([2, 0]))
    reading.extend(np.array([[0, 0], [1, 1]]))
    reading.truncate(0)
    reading.extend(np.array([[1], [0]]))
    assert reading.length == 1


def test_a_broken_cache_is_found(compiled):
    model = gpt2_in_memory(compiled)
    inner = model.forward

    def forward(ids, **more):
        places = torch.arange(ids.shape[1])[None]  # which begins at 0, whatever was read before
        return inner(ids, **more, position_ids=places)

    forward.__signature__ = inspect.signature(inner)
    model.forward = forward
    machine = cache_machine(model, vocabulary="ab", longest=3)
    with pytest.raises(AssertionError, match="with a cache"):
        machine.TestCase("runTest").runTest()
