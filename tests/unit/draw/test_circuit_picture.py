"""The picture of a circuit, as its reader sees it."""

from __future__ import annotations

import time

import pytest
from gallery import facts
from svg_texts import texts_of, unreadable

from handcraft import Program, compile_program, predict
from handcraft.circuits import (
    Block,
    Circuits,
    Coefficients,
    Head,
    Neuron,
    copy,
    embed_position,
    embed_token,
    flag,
    look_back,
    one_hot,
)
from handcraft.draw import circuit_picture
from handcraft.errors import DrawError
from handcraft.origin import Origin


def words(picture) -> list[str]:
    return [text.words for text in texts_of(picture.svg)[0]]


def aab(**changes) -> Circuits:
    program = Program("ab", 5, [predict("b").after("aa"), predict("a").otherwise()])
    return compile_program(program, architecture="block", **changes).circuits


def test_blocks_follow_one_another_from_top_to_bottom():
    texts, _, _ = texts_of(circuit_picture(compile_program(
        facts("dyck2")["program"], architecture="block").circuits).svg)  # fmt: skip
    headings = [t for t in texts if t.words.startswith(("embedding", "block", "unembedding"))]
    tops = {heading.words: heading.top for heading in headings if "continued" not in heading.words}
    blocks = [f"block {number}" for number in range(len(tops) - 2)]
    assert list(tops) == ["embedding", *blocks, "unembedding"]
    assert blocks
    assert list(tops.values()) == sorted(tops.values())


def test_a_head_marks_what_it_compares_and_what_it_moves():
    token, position = one_hot("token", "ab"), one_hot("position", range(3))
    head = Head("last", look_back(position, 1), (copy(token, token),), (copy(token, token),))
    circuits = Circuits(
        "ab", 3, embedding=[embed_token(token), embed_position(position)],
        blocks=[Block((head,))], unembedding=token,
    )  # fmt: skip
    texts, _, _ = texts_of(circuit_picture(circuits).svg)
    marks = {
        text.words: (text.left + text.right) / 2
        for text in texts
        if text.words in ("QK", "V", "Q", "K")
    }
    names = [text for text in texts if text.words.startswith(("token: ", "position: "))]
    assert marks.keys() == {"QK", "V"}
    left = {text.words.partition(":")[0]: text.left for text in names}
    # the name of a lane begins 12 pixels to the right of the lane
    assert abs(left["position"] - 12 - marks["QK"]) < 1
    assert abs(left["token"] - 12 - marks["V"]) < 1


def test_what_only_clears_dimensions_is_left_out_and_counted():
    circuits = compile_program(facts("induction")["program"], architecture="block").circuits
    assert any("clear" in n.name for block in circuits.blocks for n in block.neurons)
    shown = " ".join(words(circuit_picture(circuits)))
    assert "cleared" not in shown
    assert "Left out: 3 parts" in shown
    assert "cleared" in " ".join(words(circuit_picture(circuits, detail="weights")))


def test_the_finest_detail_shows_every_neuron_with_its_numbers():
    circuits = compile_program(facts("add")["program"], architecture="block").circuits
    shown = words(circuit_picture(circuits, detail="weights"))
    neurons = [text for text in shown if text.startswith("neuron: ")]
    assert len(neurons) == sum(len(block.neurons) for block in circuits.blocks)
    assert "1 where a' −1" not in shown  # noqa: RUF001 - a line shows the whole sum
    assert any("is 0 or more" in text for text in shown)


def test_a_rule_keeps_only_what_serves_it():
    shown = words(circuit_picture(aab(), rule="predict b after aa"))
    assert any("predict b after aa: b +256" in text for text in shown)
    assert not any("predict a otherwise" in text for text in shown)


def test_a_rule_that_nothing_serves_is_an_error():
    with pytest.raises(DrawError, match="no head, neuron or bias serves 'predict c after bb'"):
        circuit_picture(aab(), rule="predict c after bb")


def test_an_unknown_detail_is_an_error():
    with pytest.raises(DrawError, match="there is no detail 'fine'") as refused:
        circuit_picture(aab(), detail="fine")
    assert refused.value.fix == "use one of: program, circuit, weights"


def large(blocks: int, heads: int) -> Circuits:
    """So many blocks of so many heads and neurons, each of which reads and writes flags of its own."""
    token, position = one_hot("token", "ab"), one_hot("position", range(8))
    flags = [[flag(f"found {b} {h}") for h in range(heads)] for b in range(blocks)]
    built = []
    for b, made in enumerate(flags):
        origins = [(Origin(f"rule {h}"),) for h in range(heads)]
        attending = tuple(
            Head(
                f"head {b} {h}",
                look_back(position, h % 8),
                (copy(token, token),),
                (copy(token, token),),
            )
            for h in range(heads)
        )
        neurons = tuple(
            Neuron(f"n {b} {h}", (Coefficients(token, ((h % 2, 1),)),), 1,
                   (Coefficients(made[h], ((0, 1),)),), origins[h])
            for h in range(heads)
        )  # fmt: skip
        built.append(Block(attending, (), neurons))
    return Circuits(
        "ab",
        8,
        embedding=[embed_token(token), embed_position(position)],
        blocks=built,
        unembedding=token,
    )


@pytest.mark.parametrize("detail", ["program", "circuit"])
def test_twelve_blocks_of_a_hundred_heads_are_drawn_in_five_seconds(detail):
    circuits = large(12, 100)
    start = time.process_time()
    picture = circuit_picture(circuits, detail=detail)
    assert time.process_time() - start < 5
    assert unreadable(picture.svg) == []
    assert any("100 heads" in text for text in words(picture))
