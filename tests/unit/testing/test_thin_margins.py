"""Thin margins: the thinnest is found exactly among few prompts, and hunted for among many."""

from __future__ import annotations

import numpy as np
import pytest

from handcraft import BLOCK, Program, Prompts, compile_program, predict
from handcraft.errors import PromptError
from handcraft.testing import Disagreement, assert_means, thinnest_margin
from handcraft.testing.means import thinner
from handcraft.testing.means.trying import Trying
from handcraft.verify import verify

AAB = Program("ab", 5, [predict("b").after("aa"), predict("a").otherwise()])


def nearer(target, tokens="abcd"):
    """A model whose margin is how many tokens differ from a prompt, less a constant, and its tokens."""

    def logits(ids):
        text = "".join(tokens[i] for i in ids)
        apart = abs(len(text) - len(target)) + sum(a != b for a, b in zip(text, target, strict=False))
        return [apart + 0.5, 0.0, 0.0, 0.0]

    return logits


@pytest.mark.parametrize("architecture", [BLOCK, "gpt2"])
def test_it_is_the_margin_that_verify_reports(architecture):
    compiled = compile_program(AAB, architecture=architecture)
    found, report = thinnest_margin(compiled, AAB), verify(compiled.model, AAB)
    if architecture is BLOCK:
        assert (found.margin, found.prompt) == (report.margin, report.margin_context)
    else:  # which verify measures in another order of summation
        assert found.margin == pytest.approx(report.margin, rel=1e-4)
    assert (found.meant, found.runner_up) in {("a", "b"), ("b", "a")}


def test_a_wrong_answer_is_the_thinnest():
    found = thinnest_margin(lambda ids: [1.0, len(ids)], lambda _: "a", vocabulary="ab", longest=4)
    assert (found.margin, found.prompt, found.runner_up) == (-3.0, "aaaa", "b")


def test_it_is_hunted_for_where_there_are_too_many_prompts():
    target = "dbcadbcadbcadbca"
    model = nearer(target)
    assert assert_means(model, lambda _: "a", vocabulary="abcd", longest=20).thinnest.margin > 2
    found = thinnest_margin(model, lambda _: "a", vocabulary="abcd", longest=20)
    assert (found.prompt, found.margin) == (target, 0.5)


def test_an_assertion_hunts_only_if_it_is_asked_to():
    target = "dbcadbcadbcadbca"

    def wrong(ids):
        return [*(np.array(nearer(target)(ids)) - [0.75, 0, 0, 0])]  # wrong after the target alone

    arguments = {"vocabulary": "abcd", "longest": 20}
    assert not assert_means(wrong, lambda _: "a", **arguments).is_all
    with pytest.raises(Disagreement) as caught:
        assert_means(wrong, lambda _: "a", **arguments, hunt_thin_margins=True)
    assert caught.value.wrong.prompt == target


def test_only_allowed_prompts_are_hunted_for():
    found = thinnest_margin(
        lambda ids: [1.0 + ids.count(0), 0.0, 0.0],
        lambda _: "a",
        "(ab|c){4,30}",
        vocabulary="abc",
        longest=30,
    )
    assert (set(found.prompt), found.margin) == ({"c"}, 1.0)


def test_no_prompt_has_no_margin():
    with pytest.raises(PromptError, match="no prompt was tried"):
        thinnest_margin(lambda ids: [1.0, 0.0], lambda _: None, vocabulary="ab", longest=2)


def test_the_search_ends_sooner_for_a_large_model(monkeypatch):
    """Else `write-tests` takes minutes for a model of millions of parameters."""
    prompts = Prompts("abcd", 24)
    program = Program(prompts=prompts, rules=[predict(prompts.token.at(-1, default="a")).otherwise()])
    compiled, counts = compile_program(program), []
    lowest = Trying.lowest

    def counted(self, texts, least):
        counts[-1] += len(texts)
        return lowest(self, texts, least)

    monkeypatch.setattr(Trying, "lowest", counted)
    for work in (thinner.WORK, 40 * 24 * compiled.model.parameters):
        monkeypatch.setattr(thinner, "WORK", work)
        counts.append(0)
        thinnest_margin(compiled, program, examples=10)
    assert counts[1] < counts[0] / 4
