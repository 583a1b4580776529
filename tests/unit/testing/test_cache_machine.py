"""The state machine of a cache: a right cache passes, and every kind of wrong one is found."""

from __future__ import annotations

import numpy as np
import pytest

from handcraft import BLOCK, Program, Prompts, Vocabulary, compile_program, predict
from handcraft.errors import AnswerError, ModelError
from handcraft.testing import as_model, cache_machine
from handcraft.testing.cache_against_full import Reading
from handcraft.testing.models.checked import CheckedModel

AAB = Program("ab", 5, [predict("b").after("aa"), predict("a").otherwise()])

TestAab = cache_machine(compile_program(AAB, architecture=BLOCK)).TestCase
TestGpt2 = cache_machine(compile_program(AAB), longest=9).TestCase
TestLlama = cache_machine(compile_program(AAB, architecture="llama"), longest=9).TestCase


class Counting:
    """A model that counts the a's so far; its cache can be broken in several ways."""

    name, vocabulary, positions = "counting", Vocabulary("ab"), None

    def __init__(self, fault=None):
        self.fault = fault

    def logits(self, ids):
        return np.stack([np.cumsum(ids == 0, axis=1), np.ones(ids.shape)], axis=2).astype(float)

    def empty_run(self, texts):
        return CountingRun(self, np.zeros((texts, 0), dtype=np.int64))


class CountingRun:
    def __init__(self, model, seen):
        self.model, self.seen = model, seen

    def extend(self, ids):
        if self.model.fault == "crash" and self.seen.shape[1] == 2:
            raise RuntimeError("no room")
        if self.model.fault == "pieces" and ids.shape[1] > 1 and self.seen.shape[1]:
            self.seen = self.seen[:, 1:]  # only pieces of one token are read as they should be
        self.seen = np.hstack([self.seen, ids])
        logits = self.model.logits(self.seen)[:, -ids.shape[1] :]
        return logits[:, :, :1] if self.model.fault == "vocabulary" else logits

    def truncate(self, length):
        if self.model.fault != "truncate":
            self.seen = self.seen[:, :length]

    def pick(self, texts):
        order = texts[::-1] if self.model.fault == "pick" else texts
        self.seen = self.seen[order]


TestCounting = cache_machine(Counting(), longest=8, texts=3).TestCase


@pytest.mark.parametrize("fault", ["pieces", "truncate", "pick"])
def test_a_wrong_cache_is_found(fault, monkeypatch):
    monkeypatch.setenv("HANDCRAFT_PROFILE", "ci")  # few runs may miss a text that changed its place
    machine = cache_machine(Counting(fault), longest=4, texts=2)
    with pytest.raises(AssertionError) as caught:
        machine.TestCase("runTest").runTest()
    text = str(caught.value)
    assert text.startswith("after '")
    assert "counting gives 'a' the logit" in text
    assert "with a cache" in text
    assert "steps:  read" in text


@pytest.mark.parametrize(
    ("fault", "says"),
    [("crash", "it raised RuntimeError: no room"), ("vocabulary", "it gives 1 logits, and 'b' has")],
)
def test_a_cache_that_fails_is_named_with_the_prompt(fault, says):
    with pytest.raises(AnswerError, match=f"(?s){says}.*after the prompt '"):
        cache_machine(Counting(fault), longest=6).TestCase("runTest").runTest()


def test_a_model_without_a_cache_is_refused():
    with pytest.raises(AnswerError, match="<lambda> has no cache that can be tested"):
        cache_machine(lambda ids: [1, 0], vocabulary="ab")
    prompts = Prompts("ab", context=3, causal=False)
    unmasked = compile_program(Program(prompts=prompts, rules=[predict(prompts.token).otherwise()]))
    with pytest.raises(ModelError, match="needs the causal mask"):
        cache_machine(unmasked)


def test_small_differences_of_rounding_are_allowed_and_larger_ones_are_not():
    subject = CheckedModel.of(as_model(Counting()))
    reading = Reading(subject, 1, 1e-3)
    reading._compare(np.array([[[1000.5, 1.0]]]), np.array([[[1000.0, 1.0]]]))
    reading._compare(np.array([[[-np.inf, 1.0]]]), np.array([[[-np.inf, 1.0]]]))
    reading.seen = np.array([[0]])
    for found in ([[[1002.0, 1.0]]], [[[-np.inf, 1.0]]]):
        with pytest.raises(AssertionError, match=r"differ: by .* at most"):
            reading._compare(np.array(found), np.array([[[1000.0, 1.0]]]))
