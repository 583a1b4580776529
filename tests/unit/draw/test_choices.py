"""What the choices of a user ask for, in Python as on the command line."""

from __future__ import annotations

import pytest

from handcraft import Program, compile_program, predict
from handcraft.draw import DETAILS, OF_A_RUN, WHATS, chosen_kind
from handcraft.errors import DrawError, ModelError


@pytest.fixture(scope="module")
def aab():
    program = Program("ab", 5, [predict("b").after("aa"), predict("a").otherwise()])
    return compile_program(program, architecture="block")


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ({}, "circuit"),
        ({"rule": 1}, "circuit"),
        ({"detail": "weights"}, "circuit"),
        ({"tensor": "wte.weight"}, "weights"),
        ({"prompt": "aab"}, "run"),
        ({"prompt": ["a", "a"]}, "run"),
    ],
)
def test_a_kind_that_is_not_named_is_implied(aab, given, what):
    assert aab.draw(**given).svg == aab.draw(what=what, **given).svg


def test_a_tensor_that_is_not_there_is_an_error_without_a_kind_too(aab):
    with pytest.raises(DrawError, match="there is no tensor 'nonsense'"):
        aab.draw(tensor="nonsense")


def test_a_rule_can_be_a_whole_number(aab):
    assert aab.draw(what="weights", rule=1).svg == aab.draw(what="weights", rule="1").svg
    with pytest.raises(ModelError, match="there is no rule 3"):
        aab.draw(what="weights", rule=3)


@pytest.mark.parametrize("what", WHATS)
def test_a_kind_takes_the_options_that_it_uses_and_refuses_the_others(what):
    used = {
        "tensor": what == "weights",
        "prompt": what in OF_A_RUN,
        "detail": what in ("circuit", "program"),
        "rule": what in ("program", "circuit", "weights"),
    }
    values = {"tensor": "wte.weight", "prompt": "aab", "detail": DETAILS[0], "rule": 1}
    for name, is_used in used.items():
        if is_used:
            assert chosen_kind(what, **{name: values[name]}) == what
        else:
            with pytest.raises(DrawError, match=f"what='{what}' does not use {name}="):
                chosen_kind(what, **{name: values[name]})


@pytest.mark.parametrize(
    ("given", "what", "fix"),
    [
        (
            {"what": "program", "tensor": "wte.weight"},
            "what='program' does not use tensor='wte.weight'",
            "leave out tensor='wte.weight', or use what='weights'",
        ),
        (
            {"prompt": "aab", "tensor": "wte.weight"},
            "tensor='wte.weight' does not use prompt='aab'",
            "leave out prompt='aab', or tensor='wte.weight'",
        ),
        (
            {"what": "positions", "prompt": "aab", "tensor": "wte.weight"},
            "what='positions' does not use tensor='wte.weight' and prompt='aab'",
            "leave out tensor='wte.weight' and prompt='aab'",
        ),
        ({"what": "run"}, "a picture of run needs a prompt", "give one, as in prompt='a'"),
        (
            {"what": "run", "prompt": "aaaabb"},
            "a prompt of 6 tokens, but the model sees 5",
            "trace what the model sees of it, the last 5: 'aaabb'",
        ),
    ],
)
def test_what_does_not_go_together_is_an_error_in_the_words_of_python(aab, given, what, fix):
    with pytest.raises((DrawError, ModelError)) as refused:
        aab.draw(**given)
    assert (refused.value.what, refused.value.fix) == (what, fix)
