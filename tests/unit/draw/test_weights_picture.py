"""The picture of weights: every number, under its names, in the colour of its rule."""

from __future__ import annotations

import time
from xml.etree import ElementTree

import numpy as np
import pytest
from gallery import facts
from svg_texts import SVG, texts_of, unreadable

from handcraft import Program, Prompts, Vocabulary, compile_program, predict, select
from handcraft.architecture import GPT2
from handcraft.draw.canvas.style import RULES
from handcraft.draw.kinds.weights import shown_number, weights_picture
from handcraft.errors import DrawError
from handcraft.model import Model, Shape


def aab():
    program = Program("ab", 5, [predict("b").after("aa"), predict("a").otherwise()])
    return compile_program(program, architecture="block")


def words(picture) -> list[str]:
    return [text.words for text in texts_of(picture.svg)[0]]


def test_every_number_that_is_not_0_is_there_and_no_0_is():
    compiled = compile_program(facts("induction")["program"], architecture="block")
    weights = compiled.weights
    shown = words(weights_picture(compiled.model, weights.names, weights.origins))
    for name, tensor in compiled.model.tensors.items():
        for number in np.unique(tensor[tensor != 0]).tolist():
            assert shown_number(number) in shown, name
    assert "0" not in shown
    total = sum(int(np.count_nonzero(tensor)) for tensor in compiled.model.tensors.values())
    numbers = {shown_number(n) for t in compiled.model.tensors.values() for n in np.unique(t).tolist()}
    assert sum(word in numbers for word in shown) == total


def test_rows_columns_and_parts_of_heads_are_named():
    compiled = aab()
    shown = words(compiled.draw(what="weights"))
    (head,) = compiled.circuits.blocks[0].heads
    assert {f"{letter} of {head.name}" for letter in "QKV"} <= set(shown)
    assert {"token a", "token b", "position 4", "bias"} <= set(shown)


def test_each_rule_has_a_colour():
    compiled = aab()
    root = ElementTree.fromstring(compiled.draw(what="weights", tensor="h.0.mlp.c_proj.weight").svg)
    texts = [t.text for t in root.iter(f"{SVG}text")]
    fills = [r.get("fill") for r in root.iter(f"{SVG}rect")]
    legend = dict(zip(["predict b after aa", "predict a otherwise"], RULES, strict=False))
    assert set(legend) <= set(texts)
    assert all(fills.count(colour) == 2 for colour in legend.values())  # once each, and in the legend


def test_a_rule_keeps_only_what_serves_it():
    shown = words(aab().draw(what="weights", rule="1"))
    assert "256" in shown
    assert "128" not in shown


def test_a_tensor_that_is_not_there_is_an_error_with_those_that_are_like_it():
    with pytest.raises(DrawError, match=r"there is no tensor 'h\.0\.mlp\.c_fc'") as refused:
        aab().draw(what="weights", tensor="h.0.mlp.c_fc")
    assert refused.value.fix == "did you mean h.0.mlp.c_fc.weight or h.0.mlp.c_fc.bias?"


def test_a_tensor_like_no_other_is_an_error_with_all_of_them():
    with pytest.raises(DrawError) as refused:
        aab().draw(what="weights", tensor="xyz")
    assert refused.value.fix.startswith("there are: wte.weight, wpe.weight, ")


def dense(blocks: int, width: int) -> Model:
    """A model like one that was trained: no number is 0, and nothing is known of any."""
    architecture = GPT2
    shape = Shape(n_vocab=300, n_positions=64, n_embd=width, n_head=12, n_inner=(4 * width,) * blocks)
    tensors = {
        name: np.full(sizes, 0.125, dtype=np.float32)
        for name, sizes in shape.tensors(architecture).items()
    }
    return Model(architecture, shape, Vocabulary([f"t{i}" for i in range(300)]), tensors)


def test_a_dense_model_of_twelve_blocks_begins_in_five_seconds():
    model = dense(12, 384)
    start = time.process_time()
    picture = weights_picture(model)
    assert time.process_time() - start < 5
    assert unreadable(picture.svg) == []
    assert any(text.startswith("Left out: ") for text in words(picture))
    matrix = weights_picture(model, tensor="h.11.attn.c_attn.weight")
    assert {"Q of head 0", "K of head 0", "V of head 0"} <= set(words(matrix))


def test_a_run_of_a_dense_model_shows_attention_and_answers_only():
    picture = dense(12, 384).trace(["t1", "t2", "t3"]).draw()
    assert unreadable(picture.svg) == []
    assert "next token" in words(picture)
    assert any("dimensions without a name are left out" in text for text in words(picture))


def test_a_large_matrix_begins_and_says_how_much_is_left_out():
    program = Program("ab", 200, [predict("b").after("aa"), predict("a").otherwise()])
    compiled = compile_program(program, architecture="block")
    shown = words(compiled.draw(what="weights"))
    said = [text for text in shown if text.startswith("Only its beginning")]
    assert said
    assert "A picture of this tensor alone draws more." in said[0]
    assert "position 199" in words(compiled.draw(what="weights", tensor="wpe.weight"))
    assert "position 199" not in shown


def test_without_names_rows_and_columns_have_numbers():
    shown = words(weights_picture(aab().model))
    assert {"dimension 0", "unit 0", "Q of head 0", "token a"} <= set(shown)


def test_rules_are_first_in_the_legend_and_share_no_colour():
    prompts = Prompts("abc", context=8)
    token, position = prompts.token, prompts.position
    before = token.at(-1, default="a")
    again = (select(before, token) & select(position, 0, ">")).latest(token, default="a")
    rules = [
        predict("c").after("bb"),
        predict("b").when((position == 0) & (token == "a")),
        predict(again).otherwise(),
    ]
    program = Program(prompts=prompts, rules=rules)
    picture = compile_program(program).draw(what="weights")
    root = ElementTree.fromstring(picture.svg)
    boxes = [e for e in root.iter() if e.tag.endswith("rect") and e.get("width") == "14"]
    assert any("and " in text and "more, in the same colours" in text for text in words(picture))
    shown = words(picture)
    first = shown.index("predict c after bb")
    assert shown[first + 1].startswith("predict b when")
    fills = [box.get("fill") for box in boxes]
    assert len(set(fills[:8])) == 8


def test_matrices_that_do_not_serve_the_rule_are_counted_not_drawn():
    shown = words(aab().draw(what="weights", rule="1"))
    assert not any("nothing here" in text for text in shown)
    assert any(text.startswith("Left out: ") and "serves the rule" in text for text in shown)
    assert "wpe.weight" not in " ".join(shown)
    assert "several" not in shown
