"""Pictures of one run: what they show is what the trace has."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest
from gallery import facts
from svg_texts import SVG, texts_of, unreadable

from handcraft import Prompts, compile_program, compile_sequences, select
from handcraft.draw import draw_trace
from handcraft.draw.kinds.run import FAINTEST
from handcraft.errors import DrawError
from handcraft.model import Trace


def traced(name: str, prompt: str, architecture: str = "block") -> Trace:
    return compile_program(facts(name)["program"], architecture=architecture).trace(prompt)


def rows(picture) -> dict[str, list[str]]:
    """The texts of a picture line by line, from left to right, by the first one; the upper of two."""
    lines: dict[float, list] = {}
    for text in texts_of(picture.svg)[0]:
        lines.setdefault(round(text.bottom), []).append(text)
    in_order = [sorted(line, key=lambda text: text.left) for line in lines.values()]
    found: dict[str, list[str]] = {}
    for line in sorted(in_order, key=lambda line: line[0].top):
        found.setdefault(line[0].words, [text.words for text in line[1:]])
    return found


@pytest.mark.parametrize("architecture", ["block", "gpt2"])
def test_a_run_shows_tokens_values_logits_and_answers(architecture):
    trace = traced("induction", "abcab", architecture)
    shown = rows(trace.draw())
    assert shown["token"] == list("abcab")
    answers = [trace.answers[i] for i in trace["logits"].argmax(axis=1)]
    assert shown["next token"] == answers
    logits = trace["logits"]
    for place, token in enumerate("abc"):
        numbers = [float(n.replace("\N{MINUS SIGN}", "-")) for n in shown[f"logit of {token}"]]
        assert np.allclose(numbers, logits[:, place], atol=0.006)


def test_values_are_those_of_the_stream():
    trace = traced("induction", "abcab")
    shown = rows(trace.draw())
    (written,) = [value for value in trace.stored if value.written == {1} and "2" in value.name][:1]
    numbers = written.numbers(trace["h.0.after_attention"])[:, 0]
    assert [float(text) for text in shown[written.name]] == numbers.tolist()


def test_there_is_an_arc_or_a_ring_for_each_weight_of_attention():
    trace = traced("induction", "abcab")
    root = ElementTree.fromstring(trace.draw().svg)
    curves = [path for path in root.iter(f"{SVG}path") if "Q" in path.attrib["d"]]
    rings = [c for c in root.iter(f"{SVG}circle") if c.get("fill") == "none"]
    patterns = [trace[f"h.{block}.attn.pattern"] for block in range(2)]
    strong = sum(int((pattern >= FAINTEST).sum()) for pattern in patterns)
    own = sum(int((np.diagonal(pattern, axis1=1, axis2=2) >= FAINTEST).sum()) for pattern in patterns)
    assert len(curves) == strong - own
    assert len(rings) == own


def test_attention_is_a_table_for_each_head():
    trace = traced("dyck2", "([()]")
    picture = trace.draw("attention")
    heads = sum(len(block.heads) for block in trace.names.blocks)
    assert sum(t.words.startswith("block ") for t in texts_of(picture.svg)[0]) == heads
    shown = rows(picture)
    assert [shown[f"{i} {token}"][0] for i, token in enumerate("([()]")] == [
        "1",
        "0.5",
        "0.333",
        "0.25",
        "0.2",
    ]


def test_the_stream_shows_every_value_that_is_stored():
    shown = rows(traced("induction", "abc").draw("stream"))
    assert shown["token a"][0] == "1"
    assert "token b" in shown


def test_a_long_prompt_shows_the_last_positions_and_says_so():
    compiled = compile_program(facts("aab")["program"])
    trace = compiled.trace("ab" * 40)
    picture = trace.draw()
    assert unreadable(picture.svg) == []
    said = [t.words for t in texts_of(picture.svg)[0] if "left out" in t.words]
    assert len(said) == 1
    last, out = map(int, re.findall(r"\d+", said[0]))
    assert last + out == 80
    assert rows(picture)["token"] == list(("ab" * 40)[-last:])


def test_a_model_of_which_nothing_is_known_shows_its_dimensions():
    model = compile_program(facts("aab")["program"], architecture="block").model
    trace = model.trace("abab")
    for what in ("run", "attention", "stream"):
        assert unreadable(trace.draw(what).svg) == []
    shown = rows(trace.draw())
    assert "dimension 6" in shown
    assert "head 0" in shown


def test_a_model_of_values_shows_them_and_predicts_no_token():
    prompts = Prompts("abc", context=6)
    compiled = compile_sequences({"how many": select(prompts.token, "a").count()})
    shown = rows(compiled.draw(what="run", prompt="abca"))
    assert shown["how many"] == ["1", "1", "1", "2"]
    assert "next token" not in shown


def test_the_values_of_a_program_are_those_of_its_meaning():
    program = facts("dyck2")["program"]
    shown = rows(compile_program(program).draw(what="run", prompt="([()"))
    assert shown["innermost"] == ["(", "[", "(", "["]
    assert shown["depth"] == ["1", "2", "3", "2"]


def test_a_trace_has_three_pictures():
    with pytest.raises(DrawError, match="there is no picture 'weights' of a run") as refused:
        draw_trace(traced("aab", "aab"), "weights")
    assert refused.value.fix == "use one of: run, attention, stream"
