"""The data flow as a viewer sees it."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from pathlib import Path

from handcraft.circuits import (
    Bias,
    Block,
    Circuits,
    Coefficients,
    Head,
    LinearMap,
    Neuron,
    copy,
    embed_position,
    embed_token,
    flag,
    look_back,
    one_hot,
    scalar,
)
from handcraft.draw import circuits_graph
from handcraft.draw.graphs.groups import Family, neuron_groups
from handcraft.origin import Origin

PROGRAMS = Path(__file__).parents[3] / "programs"


def by_hand() -> Circuits:
    return runpy.run_path(str(PROGRAMS / "by_hand.py"))["circuits"]


def small(**changes) -> Circuits:
    token = changes.pop("token", one_hot("token", changes.get("vocabulary", "ab")))
    whole = {"vocabulary": "ab", "context": 3, "embedding": [embed_token(token)], "blocks": []}
    return Circuits(**{**whole, "unembedding": token, **changes})


def test_every_head_shows_its_relation_and_its_rule(draw, two_heads):
    heads = draw(two_heads).of("head")
    assert {head.lines[1] for head in heads} == {"attends to: this position", "attends to: 1 back"}
    assert all(head.lines[-1] == "for: predict b after aa" for head in heads)


def test_a_head_shows_what_each_value_that_it_finds_adds_to_the_logits(draw, two_heads):
    here, back = sorted(draw(two_heads).of("head"), key=lambda head: "1 back" in head.text)
    assert "token a → b +256" in here.lines
    assert "position 0 → b −256" in here.lines  # noqa: RUF001
    assert "token a → b +256" in back.lines
    assert not any("position" in line for line in back.lines[2:])


def test_values_with_the_same_effect_share_a_line(draw):
    token, channel = one_hot("token", "abcd"), scalar("channel")
    head = Head(
        "h",
        look_back(position := one_hot("position", range(3)), 1),
        (LinearMap(token, channel, ((0, 0, 2), (1, 0, 2), (3, 0, -1))),),
        (LinearMap(channel, token, ((0, 2, 3),)),),
    )
    embedding = [embed_position(position), embed_token(token)]
    circuits = small(vocabulary="abcd", token=token, embedding=embedding, blocks=[Block((head,))])
    assert draw(circuits).only("head").lines[2:] == ("token a b → c +6", "token d → c −3")  # noqa: RUF001


def test_a_head_that_copies_says_so(draw, noting):
    assert "copies token" in draw(noting(2)).only("head").lines


def test_a_head_whose_maps_do_not_say_whom_they_serve_says_it_itself(draw, noting):
    assert draw(noting(2)).only("head").lines[-1] == "for: all rules"


def test_symbols_stay_symbols_and_the_legend_gives_their_values(draw):
    picture = draw(by_hand())
    assert picture.only("head").lines[2:] == (
        "token a → a −L, b +L",  # noqa: RUF001
        "token b → a +L, b −L",  # noqa: RUF001
    )
    assert picture.only("bias").lines == ("bias", "a +L")
    assert "L = 1024" in picture.around


def test_where_a_head_looks_is_dashed_and_what_it_moves_is_solid(draw, noting):
    read = {
        (line.tail.lines[0], line.label, line.is_dashed)
        for line in draw(noting(2)).lines
        if line.head.kind == "head"
    }
    assert read == {("position", "Q K", True), ("token", "V", False)}


def test_a_query_and_a_key_that_read_different_subspaces_are_distinguished(draw):
    there, here = one_hot("there", range(3)), one_hot("here", range(3))
    token = one_hot("token", "ab")
    relation = look_back(here, 0)
    relation = type(relation)("back", (copy(there, here),), relation.key)
    head = Head("h", relation, (copy(token, token),), (copy(token, token),))
    embedding = [embed_position(there, [0, 0, 1]), embed_position(here), embed_token(token)]
    picture = draw(small(embedding=embedding, blocks=[Block((head,))]))
    looks = {(line.tail.lines[0], line.label) for line in picture.lines if line.is_dashed}
    assert looks == {("there", "Q"), ("here", "K")}


def test_each_block_has_its_title(draw, noting):
    assert [text for text in draw(noting(2)).around if "block" in text] == ["block 0", "block 1"]


def test_a_subspace_is_drawn_anew_after_each_time_it_is_written(draw, two_heads):
    picture = draw(two_heads)
    before, after = (box for box in picture.of("subspace") if box.lines[0] == "token")
    assert before.lines == ("token", "one-hot, 2 dimensions")
    assert after.lines == (*before.lines, "after block 0")
    assert [(line.tail, line.head) for line in picture.lines if line.kind == "stream"] == [
        (before, after)
    ]
    assert {line.tail.kind for line in picture.lines if line.head == after} == {
        "subspace",
        "head",
        "bias",
    }


def test_a_later_block_reads_what_an_earlier_one_wrote(draw, noting):
    picture = draw(noting(1))
    flags = next(box for box in picture.boxes if box.lines[0] == "rule 0 matches")
    assert flags.lines == ("rule 0 matches", "flag, 1 dimension")
    assert [line.tail.lines[0] for line in picture.lines if line.head == flags] == ["1 neuron"]
    (read,) = (line.head for line in picture.lines if line.tail == flags)
    assert read.lines == ("1 neuron", "rule 0: a +256")


def test_everything_flows_one_way(draw, noting):
    picture = draw(noting(3))
    waiting = set(picture.boxes)
    while ready := {
        b for b in waiting if not any(a.tail in waiting and a.head == b for a in picture.lines)
    }:
        waiting -= ready
    assert not waiting


def test_the_token_leads_to_the_next_token(draw, noting):
    picture = draw(noting(5))
    seen = {picture.of("input")[0]}
    assert "a b" in picture.of("input")[0].lines
    for _ in picture.boxes:
        seen |= {line.head for line in picture.lines if line.tail in seen}
    assert "next token" in {box.lines[0] for box in seen}


def test_the_unembedding_names_the_subspace_that_becomes_the_logits(draw, two_heads):
    assert ("unembedding", "token becomes the logits") in [box.lines for box in draw(two_heads).boxes]


def test_a_bias_shows_its_rule_and_its_number(draw, two_heads):
    assert draw(two_heads).only("bias").lines == (
        "bias",
        "predict b after aa: b −256",  # noqa: RUF001
        "predict a otherwise: a +128",
    )


def test_neurons_that_read_and_write_alike_are_one_box(draw, noting):
    notes, speaks = sorted(draw(noting(4)).of("neurons"), key=lambda box: "+256" in box.text)
    assert notes.lines[:2] == ("4 neurons", "rule 0: rule 0 matches +1")
    assert speaks.lines[:2] == ("4 neurons", "rule 0: a +256")


def test_neurons_that_read_otherwise_are_boxes_apart(draw):
    token, one, two = one_hot("token", "ab"), flag("one"), flag("two")
    neurons = tuple(
        Neuron(f"n {read}", (Coefficients(read, ((0, 1),)),), 1, (Coefficients(token, ((0, 1),)),))
        for read in (one, two, one)
    )
    picture = draw(small(token=token, scratch=[one, two], blocks=[Block((), (), neurons)]))
    assert [box.lines[0] for box in picture.of("neurons")] == ["2 neurons", "1 neuron"]


def test_no_more_than_four_groups_of_neurons_are_drawn():
    flags = [flag(f"f{i}") for i in range(5)]
    family_of = {each: Family((each,)) for each in flags}

    def grouped(count, written):
        neurons = tuple(
            Neuron(
                f"n{i}",
                reads=(Coefficients(flags[i], ((0, 1),)),),
                at_least=1,
                writes=(Coefficients(written[i], ((0, 1),)),),
            )
            for i in range(count)
        )
        return [len(group.neurons) for group in neuron_groups(neurons, family_of)]

    assert grouped(4, flags) == [1, 1, 1, 1]
    assert grouped(5, [flags[0], flags[1], *flags[:1] * 3]) == [4, 1]  # by what they write alone
    assert grouped(5, flags) == [5]


def test_ten_thousand_rules_are_summarised(draw, noting):
    picture = draw(noting(10_000))
    assert len(picture.boxes) < 15
    for box in picture.of("neurons"):
        assert box.lines[0] == "10,000 neurons"
        assert box.lines[1].startswith("rule 0:")
        assert box.lines[-1] == "and 9,997 more"
    flags = next(box for box in picture.of("subspace") if box.lines[0] == "rule 0 matches")
    assert flags.lines[3:] == ("and 9,997 more", "10,000 subspaces, each flag, 1 dimension")


def test_two_subspaces_with_the_same_part_are_drawn_one_by_one(draw, noting):
    names = [box.lines for box in draw(noting(2)).of("subspace")]
    assert ("rule 0 matches", "flag, 1 dimension") in names
    assert ("rule 1 matches", "flag, 1 dimension") in names


def test_what_many_parts_serve_alike_is_named_once(draw):
    token = one_hot("token", "ab")
    echo = (Origin("echo"),)
    biases = tuple(Bias(Coefficients(token, ((i, -1),)), echo) for i in range(2))
    bias = draw(small(token=token, blocks=[Block((), biases)])).only("bias")
    assert bias.lines == ("bias", "a −1", "b −1", "for: echo")  # noqa: RUF001


def test_a_subspace_that_nothing_uses_is_pale(draw):
    idle = draw(by_hand()).only("idle")
    assert idle.lines == ("scratch", "scalar, 1 dimension", "used inside heads only")
    spare = draw(small(scratch=[scalar("spare")])).only("idle")
    assert spare.lines == ("spare", "scalar, 1 dimension", "never used")


def test_a_subspace_that_is_read_before_anything_is_written_holds_0(draw):
    token, late = one_hot("token", "ab"), flag("late")
    neuron = Neuron("n", (Coefficients(late, ((0, 1),)),), 1, (Coefficients(token, ((0, 1),)),))
    picture = draw(small(token=token, scratch=[late], blocks=[Block((), (), (neuron,))]))
    assert ("late", "flag, 1 dimension", "0 so far") in [box.lines for box in picture.boxes]


def test_a_block_without_anything_is_still_there(draw):
    picture = draw(small(blocks=[Block()]))
    assert "block 0" in picture.around
    assert picture.only("idle").lines == ("nothing here",)


def test_the_same_circuits_give_the_same_graph_in_every_process():
    code = (
        "from handcraft import Program, compile_program, predict\n"
        "from handcraft.draw import circuits_graph\n"
        "program = Program('ab', 5, [predict('b').after('aa'), predict('a').otherwise()])\n"
        "print(circuits_graph(compile_program(program).circuits).source, end='')"
    )
    sources = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(sources) == 1
    assert rb"predict\ b\ after\ aa" in sources.pop()


def test_drawing_twice_gives_the_same_graph(noting):
    assert circuits_graph(noting(7)).source == circuits_graph(noting(7)).source
