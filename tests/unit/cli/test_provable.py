"""What is tried to make a program provable: it means the same for the prompts that are left."""

from __future__ import annotations

from itertools import islice

import pytest

from handcraft import Program, Prompts, predict, select
from handcraft.cli import provable
from handcraft.cli.input.sources import find
from handcraft.cli.provable import what_is_provable

WORDS = ("sit", "down", "a|b", ".")


def carrying():
    """A sum that is 0 or 1 in every allowed prompt, and could be 2 by what it is made of."""
    prompts = Prompts("01+", context=3, inputs="0\\+[01]")
    number = prompts.token.map({"0": 0, "1": 1, "+": 0})
    total = number.at(-2, default=0) + number
    return Program(prompts=prompts, rules=[predict(total.map("01+".__getitem__)).otherwise()])


def following():
    """What followed the last word before, in texts of four words."""
    prompts = Prompts(WORDS, context=4)
    before = select(prompts.token.at(-1, default="."), prompts.token)
    found = before.latest(prompts.token, default="sit")
    return Program(prompts=prompts, rules=[predict(found).otherwise()])


@pytest.fixture
def tried(monkeypatch):
    """All that is tried; nothing of it is proved."""
    programs = []
    monkeypatch.setattr(provable, "_is_proved", lambda source, options: programs.append(source))
    return programs


@pytest.mark.parametrize("name", ["sort", "recall", "grammar", "tictactoe", "following"])
def test_a_change_means_the_same_for_fewer_prompts(tried, name):
    source = following() if name == "following" else find(name).source
    advice = what_is_provable(source, {})
    assert advice.count("a context of ") + advice.count("inputs='") >= 2
    for changed in tried:
        texts = list(islice(changed.prompts.texts, 3))
        for ids in (row for group in texts for row in group[:20].tolist()):
            text = tuple(changed.vocabulary.tokens[token] for token in ids)
            assert source.prompts.allows(text)
            assert changed.meaning(text) == source.meaning(text)


def test_prompts_with_fewer_tokens_are_written_as_a_regular_expression(tried):
    advice = what_is_provable(following(), {})
    assert advice.endswith("a context of 2, inputs='(?:sit|down)(?: (?:sit|down))*'")
    assert next(iter(tried[-1].prompts.texts)).shape == (2, 1)
    assert "inputs='(?=(?:a|b|=)+$)(?:[abcd]{1,7}=" in what_is_provable(find("sort").source, {})


def test_the_values_that_occur_are_assumed(tried):
    advice = what_is_provable(carrying(), {})
    assert ".assume([0, 1])`" in advice
    assumed = [each for each in tried if each.prompts.inputs == carrying().prompts.inputs]
    assert len(assumed) == 1 + 3  # with tokens in bits, and with three assumptions
    assert all(program.meaning("0+1") == "1" for program in assumed)


def test_what_is_advised_is_proved():
    """Sets of digits in any order are too many texts for a quick proof, but not those of three."""
    advice = what_is_provable(find("maximum").source, {"architecture": "gpt2"})
    assert advice == "a context of 3, which is proved"
